"""One session: from the moment both ends have answered each other until one doubts the other.

Everything that must not survive a session lives here, so nothing of one can reach the next:
numbers, records, fragments, window, packet size. Relies on `handshake.py` for the two nonces.
Leaves HELLO, and events, to `link.py`.
"""

from typing import Final

from emulator.link.acknowledgements import ack_ranges_max, decode_ack
from emulator.link.assembler import Assembler
from emulator.link.congestion import Congestion
from emulator.link.counters import LinkCounters
from emulator.link.handshake import Peer
from emulator.link.hello import session_field, session_id
from emulator.link.packetizer import RECORD_BYTES_MAX, Packetizer
from emulator.link.receiver import CONTRADICTIONS_MAX, Receiver
from emulator.link.rtt import RoundTrip
from emulator.link.sender import Sender
from emulator.link.settings import LinkSettings
from emulator.link.timing import Timing
from emulator.wire.layout import PacketFlag, PacketType, RecordKind
from emulator.wire.packet import OVERHEAD_BYTES, Packet, encode_fields

CLOSE_REASON_BYTES_MAX: Final = 40
"""A line of text for the other end's operator, within the smallest packet."""

_DEAD_TRIPS: Final = 4
_DATA: Final = int(PacketType.DATA)
_ACK: Final = int(PacketType.ACK)
_CLOSE: Final = int(PacketType.CLOSE)
_UNSEALED: Final = int(PacketFlag.UNSEALED)
_NO_RECORD: Final = int(RecordKind.NONE)


class Session:
    """Both halves of one session, and the signs of life of the other end."""

    def __init__(
        self,
        settings: LinkSettings,
        timing: Timing,
        nonce: int,
        peer: Peer,
        counters: LinkCounters,
        unreleased_bytes: int,
        now_ns: int,
    ) -> None:
        self.number = session_id(nonce, peer.nonce)
        self.mtu_bytes = min(settings.packet_bytes_max, peer.mtu_bytes)
        self.field_in = session_field(peer.nonce, nonce)
        self.field_out = session_field(nonce, peer.nonce)
        self.over: str | None = None
        """Why the session must end, once it must."""
        self.kept_advanced = False
        payload_bytes = self.mtu_bytes - OVERHEAD_BYTES
        rate = settings.rate_bytes_per_s
        self.sender = Sender(
            self.field_out,
            Packetizer(payload_bytes, peer.window_bytes),
            Congestion(self.mtu_bytes, rate, peer.window_bytes + RECORD_BYTES_MAX),
            RoundTrip(timing.packet_ns),
            counters,
        )
        self.receiver = Receiver(
            Assembler(settings.window_bytes, unreleased_bytes),
            settings.window_bytes,
            ack_ranges_max(self.mtu_bytes),
            counters,
        )
        self._timing = timing
        self._counters = counters
        self._heard_ns = now_ns
        self._sent_ns = now_ns
        self._probe_at_ns = now_ns + timing.silence_ns

    def receive(self, packet: Packet, size_bytes: int, now_ns: int) -> None:
        """Take one packet of this session."""
        counters = self._counters
        word = self.receiver.numbers.why_not_new(packet.number)
        if word == "again":
            # A repeat by the line or of a recording: not acknowledged, and no sign of life.
            counters.received_again_packets += 1
            counters.received_again_bytes += size_bytes
            return
        if word:
            counters.reject(word, size_bytes)
            return
        if packet.type == _DATA:
            if not self.receiver.data(packet, size_bytes, now_ns):
                if self.receiver.contradictions >= CONTRADICTIONS_MAX:
                    self.over = "the other end sends fragments that contradict each other"
                return
        elif packet.type == _ACK:
            if not self._receive_ack(packet, size_bytes, now_ns):
                return
        else:
            counters.received_close_packets += 1
            counters.received_close_bytes += size_bytes
            said = bytes(packet.payload[:CLOSE_REASON_BYTES_MAX]).decode(errors="replace")
            self.over = f"closed by the other end: {said!r}"
        self._heard_ns = now_ns
        self._probe_at_ns = now_ns + self._timing.silence_ns

    def _receive_ack(self, packet: Packet, size_bytes: int, now_ns: int) -> bool:
        counters = self._counters
        ack = decode_ack(packet.payload)
        advanced = None if ack is None else self.sender.acknowledge(ack, now_ns)
        if advanced is None:
            counters.reject("malformed", size_bytes)
            return False
        self.receiver.note(packet.number, now_ns)
        counters.received_ack_packets += 1
        counters.received_ack_bytes += size_bytes
        self.kept_advanced = self.kept_advanced or advanced
        return True

    def next_packet(self, now_ns: int) -> bytes | None:
        """Return the next packet of this session, or None; an ACK goes before DATA."""
        ack = self.receiver.ack_now
        packet = self._ack_packet(now_ns) if ack else self.sender.next_packet(now_ns)
        if packet is not None:
            self._sent_ns = now_ns
        return packet

    @property
    def silent(self) -> bool:
        """Tell whether there is nothing that `next_packet` could send."""
        return not self.receiver.ack_now and self.sender.idle

    def close_packet(self, reason: str, now_ns: int) -> bytes:
        """Return the packet that tells the other end that this session is over."""
        payload = reason.encode()[:CLOSE_REASON_BYTES_MAX]
        packet = self._control(_CLOSE, payload, now_ns)
        self._counters.sent_close_packets += 1
        self._counters.sent_close_bytes += len(packet)
        return packet

    def wake(self, now_ns: int) -> bool:
        """Do what is due; tell whether the other end should be asked for a sign of life."""
        if self._dead_at_ns() <= now_ns:
            self.over = "no answer"
            return False
        self.receiver.wake(now_ns)
        ask = self.sender.wake(now_ns)
        if self.sender.packetizer.spent:
            self.over = "record numbers used up"
        if self.sender.stuck:
            self.over = "the other end acknowledged what it does not have"
        if self._sent_ns + self._timing.keepalive_ns <= now_ns:
            self.receiver.ack_now = True
        if self._probe_at_ns <= now_ns:
            self._probe_at_ns = now_ns + self._timing.probe_ns
            ask = True
        return ask

    def next_deadline_ns(self) -> int:
        """Return when `wake` has something to do."""
        # Asked several times a turn: comparisons cost a fraction of what `min` does.
        deadline_ns = self._dead_at_ns()
        if self._probe_at_ns < deadline_ns:  # noqa: PLR1730
            deadline_ns = self._probe_at_ns
        receiver = self.receiver
        if not receiver.ack_now:
            at_ns = self._sent_ns + self._timing.keepalive_ns
            if receiver.ack_at_ns is not None and receiver.ack_at_ns < at_ns:
                at_ns = receiver.ack_at_ns
            if at_ns < deadline_ns:  # noqa: PLR1730
                deadline_ns = at_ns
        sender_ns = self.sender.next_deadline_ns()
        return deadline_ns if sender_ns is None or deadline_ns < sender_ns else sender_ns

    def _dead_at_ns(self) -> int:
        wait_ns, dead_ns = _DEAD_TRIPS * self.sender.rtt.base_ns, self._timing.dead_ns
        if wait_ns < dead_ns:  # noqa: PLR1730 - as above
            wait_ns = dead_ns
        return self._heard_ns + wait_ns

    def _ack_packet(self, now_ns: int) -> bytes:
        packet = self._control(_ACK, self.receiver.take_ack(now_ns), now_ns)
        self._counters.sent_ack_packets += 1
        self._counters.sent_ack_bytes += len(packet)
        return packet

    def _control(self, type_: int, payload: bytes, now_ns: int) -> bytes:
        number = self.sender.take_ack_number(now_ns)
        return encode_fields(
            (type_, _UNSEALED, _NO_RECORD, 0, self.field_out, number, 0, 0, 0, 0), payload
        )
