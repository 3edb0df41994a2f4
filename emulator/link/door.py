"""Packets that belong to no live session: HELLOs, strangers, recordings, reflections.

Counts each under one word, lets in only what the handshake proved to be the other end, and says
once for each reason why somebody is refused (rule R7). Relies on `handshake.py`. Leaves sessions
to `link.py`.
"""

import enum
from collections.abc import Callable
from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.link.counters import LinkCounters
from emulator.link.events import LinkRefused
from emulator.link.handshake import Handshake, Heard
from emulator.link.hello import decode_hello
from emulator.link.session import Session
from emulator.link.settings import LinkSettings
from emulator.link.states import LinkState
from emulator.link.timing import Timing
from emulator.wire.checksum import Buffer, crc32c
from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import OVERHEAD_BYTES, Packet

REFUSAL_GAP_NS: Final = SECOND_NS
"""Strangers that take turns on a line are reported at most this often."""

SIGN_GAP_NS: Final = 50 * MILLISECOND_NS
"""A HELLO is answered with an ACK at most this often, so that recordings of it gain nothing."""

_CRC_BYTES: Final = 4
_UNSEALED: Final = int(PacketFlag.UNSEALED)


class Entry(enum.Enum):
    """What a packet outside the live session leads to."""

    NOTHING = enum.auto()
    NEW_SESSION = enum.auto()
    NEW_SESSION_WITH_THIS = enum.auto()
    """The packet itself is the first of the new session."""
    SIGN_ASKED = enum.auto()
    """The other end of the live session wants to hear that we live."""


class Door:
    """Where packets wait that the live session does not know."""

    def __init__(
        self,
        settings: LinkSettings,
        timing: Timing,
        entropy: Callable[[int], bytes],
        counters: LinkCounters,
    ) -> None:
        self.handshake = Handshake(settings, timing, entropy)
        self._packet_bytes_max = settings.packet_bytes_max
        self._counters = counters
        self._refusal_said = ""
        self._refusal_ns = -REFUSAL_GAP_NS
        self._sign_ns = -SIGN_GAP_NS

    def receive(
        self, packet: Packet, size_bytes: int, session: Session | None, now_ns: int
    ) -> Entry:
        """Take a packet that is not for `session`, count it, and say what it leads to."""
        if self.handshake.state is LinkState.DOWN:
            word = "closed"
        elif not packet.flags & _UNSEALED:
            word = "sealed"
        elif len(packet.payload) + OVERHEAD_BYTES > self._packet_bytes_max:
            word = "oversize"
        elif packet.type == PacketType.HELLO:
            return self._receive_hello(packet, size_bytes, now_ns)
        elif session is not None and packet.session == session.field_out:
            word = "reflected"
        elif session is not None and packet.session == session.field_in:
            word = "oversize"  # for this session, whose packets are those of the smaller end
        elif self.handshake.proven_by(packet.session):
            self._refusal_said = ""
            return Entry.NEW_SESSION_WITH_THIS
        else:
            word = "session"
        self._counters.reject(word, size_bytes)
        return Entry.NOTHING

    def receive_spoilt(self, data: Buffer, word: str) -> None:
        """Take what is no packet of our layout."""
        self._counters.reject(word, len(data))
        if word != "version" or self.handshake.state not in (LinkState.HELLO, LinkState.REFUSED):
            return
        # The checksum must hold, or a flipped bit would be reported as a wrong version.
        sum_ = int.from_bytes(data[-_CRC_BYTES:], "big")
        if crc32c(memoryview(data)[:-_CRC_BYTES]) == sum_:
            self.handshake.refuse(
                f"the other end speaks layout version {data[2]}; run the same release at both ends"
            )

    def refusal(self, now_ns: int) -> LinkRefused | None:
        """Return why somebody is refused, if that was not said yet."""
        reason = self.handshake.refusal
        if not reason or reason == self._refusal_said:
            return None
        if now_ns < self._refusal_ns + REFUSAL_GAP_NS:
            return None
        self._refusal_said, self._refusal_ns = reason, now_ns
        return LinkRefused(reason)

    def take_hello(self, window_bytes: int) -> bytes:
        """Return the HELLO packet that waits to be sent."""
        packet = self.handshake.take_hello(window_bytes)
        self._counters.sent_hello_packets += 1
        self._counters.sent_hello_bytes += len(packet)
        return packet

    def _receive_hello(self, packet: Packet, size_bytes: int, now_ns: int) -> Entry:
        counters = self._counters
        hello = decode_hello(packet.payload)
        heard = None if hello is None else self.handshake.receive(hello, now_ns)
        word = _NO_USE.get(heard)
        if word is not None:
            counters.reject(word, size_bytes)
            return Entry.NOTHING
        counters.received_hello_packets += 1
        counters.received_hello_bytes += size_bytes
        if heard is Heard.CONFIRMED:
            self._refusal_said = ""
            return Entry.NEW_SESSION
        if heard is Heard.ALIVE and self._sign_ns + SIGN_GAP_NS <= now_ns:
            self._sign_ns = now_ns
            return Entry.SIGN_ASKED
        return Entry.NOTHING


_NO_USE: Final = {None: "malformed", Heard.REFUSED: "refused", Heard.STALE: "stale_hello"}
