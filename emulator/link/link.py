"""The link: what a shell drives and the copy sends records through.

A shell calls `start` when its line is open, hands every packet it reads to `receive`, calls
`wake` when `next_deadline_ns` has passed, and after each of these (and after `send`, `release`
and `close`) takes packets with `outgoing` as far as the line has room for them.

Relies on `door.py` and `handshake.py` to find the other end and on `session.py` for everything
between `LinkUp` and `LinkDown`. Leaves records that were not reported kept to the copy: after
the next `LinkUp` it sends again what the other end still needs, from its journal.
"""

from collections.abc import Callable, Sequence
from typing import Final

from emulator.errors import MisuseError
from emulator.link.counters import LinkCounters
from emulator.link.door import Door, Entry
from emulator.link.events import LinkDown, LinkEvent, LinkUp, RecordKept
from emulator.link.pacing import Pacer
from emulator.link.packetizer import RECORD_BYTES_MAX, RECORDS_AHEAD_MAX
from emulator.link.session import Session
from emulator.link.settings import LinkSettings
from emulator.link.states import LinkState
from emulator.link.timing import Timing
from emulator.wire.checksum import Buffer
from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import OVERHEAD_BYTES, Packet, decode_packet

CONTROL_BYTES_MAX: Final = 1024 * 1024
"""Room beyond the queue's bound, so that short records of control never have to be refused."""

_HELLO: Final = int(PacketType.HELLO)
_UNSEALED: Final = int(PacketFlag.UNSEALED)


class Link:
    """One end of a link between two cache processors."""

    def __init__(self, settings: LinkSettings, entropy: Callable[[int], bytes]) -> None:
        self.settings = settings
        self.counters = LinkCounters()
        self._timing = Timing(settings)
        self._door = Door(settings, self._timing, entropy, self.counters)
        self._handshake = self._door.handshake
        self._pacer = Pacer(settings.rate_bytes_per_s)
        self._session: Session | None = None
        self._events: list[LinkEvent] = []
        self._farewell: bytes | None = None
        self._unreleased_bytes = 0
        self._due_ns: int | None = None
        self._due_known = False
        """Whether `_due_ns` is still right: shells ask several times for each change."""

    # The line ----------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Begin to look for the other end: the line is open."""
        self._due_known = False
        self._farewell = None
        self._pacer = Pacer(self.settings.rate_bytes_per_s)
        self._handshake.start(now_ns)
        self._report_refusal(now_ns)

    def line_lost(self, now_ns: int, reason: str) -> None:
        """End the session: the line is gone. Call `start` when it is open again."""
        self._end_session(reason)
        self._stop()

    def close(self, now_ns: int, reason: str) -> None:
        """End the session in good order; the next `outgoing` tells the other end."""
        if self._session is not None:
            self._farewell = self._session.close_packet(reason, now_ns)
        self._end_session(reason)
        self._stop()

    def receive(self, data: Buffer, now_ns: int) -> None:
        """Take one packet from the line, good or bad."""
        self._due_known = False
        packet = decode_packet(data)
        if isinstance(packet, str):
            self._door.receive_spoilt(data, packet)
            self._report_refusal(now_ns)
            return
        session = self._session
        if (
            session is not None
            and packet.session == session.field_in
            and packet.flags & _UNSEALED
            and packet.type != _HELLO
            and len(packet.payload) + OVERHEAD_BYTES <= session.mtu_bytes
        ):
            self._receive_in_session(session, packet, len(data), now_ns)
        else:
            self._receive_outside(packet, len(data), now_ns)

    def outgoing(self, now_ns: int, count_max: int) -> list[bytes]:
        """Return packets to put on the line now; they count as sent.

        Fewer than `count_max` means that no more may go before the next call of another verb.
        """
        packets: list[bytes] = []
        if self._silent() and self._pacer.ready(now_ns):
            return packets
        self._due_known = False
        if self._farewell is not None and count_max > 0:
            # Not paced: the shell is about to close the line and does not come back for it.
            packets.append(self._farewell)
            self._farewell = None
        pacer = self._pacer
        while len(packets) < count_max and pacer.ready(now_ns):
            packet = self._next_packet(now_ns)
            if packet is None:
                break
            pacer.charge(len(packet), now_ns)
            packets.append(packet)
        return packets

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` is due; None if nothing is awaited."""
        if not self._due_known:
            self._due_ns = self._next_due_ns()
            self._due_known = True
        return self._due_ns

    def _next_due_ns(self) -> int | None:
        deadline_ns = self._handshake.next_deadline_ns()
        waits_ns = self._pacer.waits_ns
        if waits_ns is not None and (deadline_ns is None or waits_ns < deadline_ns):
            deadline_ns = waits_ns
        if self._session is not None:
            session_ns = self._session.next_deadline_ns()
            if deadline_ns is None or session_ns < deadline_ns:
                deadline_ns = session_ns
        return deadline_ns

    def wake(self, now_ns: int) -> None:
        """Do what has become due."""
        self._due_known = False
        self._pacer.wake(now_ns)
        self._handshake.wake(now_ns)
        self._report_refusal(now_ns)
        session = self._session
        if session is not None:
            if session.wake(now_ns):
                self._handshake.probe()
            self._look_after(session, now_ns)

    # The layer above ---------------------------------------------------------------------------

    def send(self, kind: int, group: int, csn: int, parts: Sequence[Buffer]) -> int:
        """Queue one record, whole; return its number, which `RecordKept` will name."""
        session = self._session
        if session is None:
            raise MisuseError(f"link {self.settings.name!r}: send while it is {self.state.value}")
        self._due_known = False
        # One `bytes` is taken as it is; anything else is copied once, here.
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if not isinstance(data, bytes):
            data = bytes(data)
        packetizer = session.sender.packetizer
        queue_bytes_max = self.settings.window_bytes + RECORD_BYTES_MAX + CONTROL_BYTES_MAX
        if len(data) > RECORD_BYTES_MAX:
            raise MisuseError(
                f"link {self.settings.name!r}: record of {len(data)} bytes, "
                f"largest is {RECORD_BYTES_MAX}"
            )
        if (
            packetizer.unkept_bytes + len(data) > queue_bytes_max
            or packetizer.unkept_records >= 2 * RECORDS_AHEAD_MAX
        ):
            raise MisuseError(
                f"link {self.settings.name!r}: the queue is full; ask room_bytes() before send()"
            )
        self.counters.sent_records += 1
        return packetizer.add(kind, group, csn, data)

    def room_bytes(self) -> int:
        """Return how many record bytes may be queued now; do not send if it is 0 or less.

        The last record may be larger than the room. Short records of control may be sent even
        without room.
        """
        session = self._session
        if session is None:
            return 0
        packetizer = session.sender.packetizer
        if packetizer.full:
            return 0
        return self.settings.window_bytes - packetizer.unkept_bytes

    def release(self, size_bytes: int) -> None:
        """Open the window again: the layer above is done with so many received record bytes.

        Every byte of every `RecordReceived` is released once, also after the session's end.
        """
        self._due_known = False
        session = self._session
        held_bytes = self._held_above_bytes
        if not 0 <= size_bytes <= held_bytes:
            raise MisuseError(
                f"link {self.settings.name!r}: release of {size_bytes} bytes, {held_bytes} held"
            )
        if session is None:
            self._unreleased_bytes -= size_bytes
        else:
            session.receiver.release(size_bytes)

    @property
    def eventful(self) -> bool:
        """Whether anything has happened since `events` was last called."""
        return bool(self._events)

    def events(self) -> list[LinkEvent]:
        """Return what happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    @property
    def up(self) -> bool:
        """Whether records can be sent now: the two ends have a session."""
        return self._session is not None

    @property
    def state(self) -> LinkState:
        """How far the two ends have found each other."""
        return self._handshake.state

    @property
    def rtt_ns(self) -> int | None:
        """The smoothed round trip of this session, once measured."""
        return None if self._session is None else self._session.sender.rtt.smooth_ns

    # Inside ------------------------------------------------------------------------------------

    def _silent(self) -> bool:
        """Return whether there is nothing to put on the line."""
        if self._farewell is not None or self._handshake.has_hello:
            return False
        return self._session is None or self._session.silent

    def _stop(self) -> None:
        self._due_known = False
        self._handshake.stop()
        # Nothing waits for the line any more; a wait that is over would wake the shell for ever.
        self._pacer.waits_ns = None

    @property
    def _held_above_bytes(self) -> int:
        if self._session is None:
            return self._unreleased_bytes
        return self._session.receiver.assembler.unreleased_bytes

    def _receive_in_session(
        self, session: Session, packet: Packet, size_bytes: int, now_ns: int
    ) -> None:
        session.receive(packet, size_bytes, now_ns)
        ready = session.receiver.assembler.ready
        if ready:
            self._events += ready
            self.counters.received_records += len(ready)
            ready.clear()
        if session.kept_advanced:
            session.kept_advanced = False
            self._events.append(RecordKept(session.sender.packetizer.kept))
        if session.over is not None:
            self._look_after(session, now_ns)

    def _receive_outside(self, packet: Packet, size_bytes: int, now_ns: int) -> None:
        entry = self._door.receive(packet, size_bytes, self._session, now_ns)
        if entry is Entry.NEW_SESSION:
            self._begin_session(now_ns)
        elif entry is Entry.NEW_SESSION_WITH_THIS:
            self._receive_in_session(self._begin_session(now_ns), packet, size_bytes, now_ns)
        elif entry is Entry.SIGN_ASKED and self._session is not None:
            self._session.receiver.ack_now = True
        self._report_refusal(now_ns)

    def _report_refusal(self, now_ns: int) -> None:
        refused = self._door.refusal(now_ns)
        if refused is not None:
            self._events.append(refused)

    def _begin_session(self, now_ns: int) -> Session:
        self._end_session("peer restarted")
        peer = self._handshake.peer
        assert peer is not None
        session = Session(
            self.settings,
            self._timing,
            self._handshake.nonce,
            peer,
            self.counters,
            self._unreleased_bytes,
            now_ns,
        )
        self._session = session
        self.counters.sessions += 1
        self._events.append(LinkUp(self.settings.peer, session.number, session.mtu_bytes))
        return session

    def _end_session(self, reason: str) -> None:
        if self._session is not None:
            self._unreleased_bytes = self._held_above_bytes
            self._session = None
            self._events.append(LinkDown(reason))

    def _look_after(self, session: Session, now_ns: int) -> None:
        if session.over is not None:
            self._end_session(session.over)
            self._handshake.again(now_ns)
            self._report_refusal(now_ns)

    def _next_packet(self, now_ns: int) -> bytes | None:
        if self._handshake.has_hello:
            window_bytes = max(0, self.settings.window_bytes - self._held_above_bytes)
            return self._door.take_hello(window_bytes)
        session = self._session
        if session is None:
            return None
        return session.next_packet(now_ns)
