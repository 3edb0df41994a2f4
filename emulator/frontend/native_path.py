"""One end of the native channel on one line: messages in and out, while a link session lives.

Relies on `emulator/link` for everything a bad line does to packets (loss, repetition, damage,
order, slowness). Leaves what the end of a session may have taken to the two ends above: the host
says again what has no answer, and the control unit knows by the numbers what it has done already.

A shell drives it like any link end: `opened`, `receive`, `wake`, `lost`, and packets out of
`machine`. After each of these `take` gives what happened.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from emulator.clock import SECOND_NS
from emulator.errors import PeerError
from emulator.frontend.native_codec import decode_message, encode_message
from emulator.frontend.native_layout import HOST_END, LINK_NAME, UNIT_END
from emulator.frontend.native_messages import Message
from emulator.link.events import LinkDown, LinkRefused, LinkUp, RecordKept, RecordReceived
from emulator.link.link import Link
from emulator.link.settings import LinkSettings
from emulator.link.states import LinkState
from emulator.wire.checksum import Buffer
from emulator.wire.layout import RecordKind

WINDOW_BYTES: Final = 4 * 1024 * 1024
"""What one end holds for the other: a program with 16 MiB of storage passes, one at a time."""
RETRY_NS: Final = SECOND_NS
"""Wait after a session that was ended because of what the other end sent (rule R7)."""
_MTU_BYTES: Final = 1500  # until the line says what it carries


@dataclass(frozen=True, slots=True)
class PathUp:
    """The two ends have found each other; messages pass."""


@dataclass(frozen=True, slots=True)
class PathDown:
    """The session is over; messages under way may or may not have arrived."""

    reason: str


@dataclass(frozen=True, slots=True)
class PathRefused:
    """The other end answers, but not as the one that this path is for."""

    reason: str


PathEvent = PathUp | PathDown | PathRefused | Message


class NativePath:
    """One end of one path between a host and the control unit."""

    def __init__(self, entropy: Callable[[int], bytes], *, host: bool) -> None:
        self._entropy = entropy
        self._ends = (HOST_END, UNIT_END) if host else (UNIT_END, HOST_END)
        self.machine = self._link(_MTU_BYTES, None)
        self.reason = "not open"
        """Why the path is not up, for people; empty while it is."""
        self._line: tuple[int, float | None] = (_MTU_BYTES, None)
        self._open = False
        self._restart_ns: int | None = None
        self._waiting: deque[tuple[list[Buffer], Callable[[], None] | None]] = deque()
        self._unkept: deque[tuple[int, Callable[[], None]]] = deque()
        self._events: list[PathEvent] = []

    @property
    def up(self) -> bool:
        """Whether messages pass now."""
        return self.machine.state is LinkState.UP

    # The line.

    def opened(self, now_ns: int, mtu_bytes: int, rate_bytes_per_s: float | None) -> None:
        """Begin to look for the other end: the line is open."""
        if (mtu_bytes, rate_bytes_per_s) != self._line:
            self._line = (mtu_bytes, rate_bytes_per_s)
            self.machine = self._link(mtu_bytes, rate_bytes_per_s)
        self._open = True
        self._begin(now_ns)

    def receive(self, packets: Sequence[Buffer], now_ns: int) -> None:
        """Take packets from the line."""
        for packet in packets:
            self.machine.receive(packet, now_ns)
            self._take_events(now_ns)
        self._fill()

    def wake(self, now_ns: int) -> None:
        """Do what is due."""
        if self._restart_ns is not None and now_ns >= self._restart_ns and self._open:
            self._begin(now_ns)
        deadline_ns = self.machine.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            self.machine.wake(now_ns)
        self._take_events(now_ns)
        self._fill()

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` is due."""
        due = [d for d in (self._restart_ns, self.machine.next_deadline_ns()) if d is not None]
        return min(due, default=None)

    def lost(self, now_ns: int, reason: str) -> None:
        """End the session: the line is gone."""
        self._open = False
        self._restart_ns = None
        self.reason = reason
        self.machine.line_lost(now_ns, reason)
        self._take_events(now_ns)

    # Messages.

    def post(self, message: Message, kept: Callable[[], None] | None = None) -> None:
        """Send a message, if the path is up; `kept` is called when the other end has it whole.

        On a path that is down it is lost, as it may be at any moment on one that is up.
        """
        if self.up:
            self._waiting.append((encode_message(message), kept))
            self._fill()

    @property
    def pending(self) -> bool:
        """Whether `take` has something."""
        return bool(self._events)

    def take(self) -> list[PathEvent]:
        """Return what happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    # Inside.

    def _link(self, mtu_bytes: int, rate_bytes_per_s: float | None) -> Link:
        site, peer = self._ends
        settings = LinkSettings(
            name=LINK_NAME,
            site=site,
            peer=peer,
            mtu_bytes=mtu_bytes,
            rate_bytes_per_s=rate_bytes_per_s,
            window_bytes=WINDOW_BYTES,
            # A host's channel is as bare as its NBD connection; only copies cross a distance.
            lab_plaintext=True,
        )
        return Link(settings, self._entropy)

    def _begin(self, now_ns: int) -> None:
        self._restart_ns = None
        self.reason = "looking for the other end"
        self.machine.start(now_ns)

    def _fill(self) -> None:
        """Hand on what waits, as far as the window reaches."""
        waiting = self._waiting
        while waiting and self.machine.room_bytes() > 0:
            parts, kept = waiting.popleft()
            record = self.machine.send(RecordKind.CHANNEL, 0, 0, parts)
            if kept is not None:
                self._unkept.append((record, kept))

    def _take_events(self, now_ns: int) -> None:
        for event in self.machine.events():
            match event:
                case RecordReceived(kind, _group, _csn, data):
                    self.machine.release(len(data))
                    # Also when the session has ended since: the other end may know it is kept.
                    self._received(kind, data, now_ns)
                case RecordKept(record):
                    while self._unkept and self._unkept[0][0] <= record:
                        self._unkept.popleft()[1]()
                case LinkUp():
                    self.reason = ""
                    self._events.append(PathUp())
                case LinkDown(reason):
                    self.reason = self.reason or reason
                    self._waiting.clear()
                    self._unkept.clear()
                    self._events.append(PathDown(reason))
                case LinkRefused(reason):
                    self.reason = reason
                    self._events.append(PathRefused(reason))

    def _received(self, kind: int, data: bytes, now_ns: int) -> None:
        try:
            if kind != RecordKind.CHANNEL:
                raise PeerError(f"channel: a record of kind {kind} is not for a channel")
            self._events.append(decode_message(data))
        except PeerError as error:
            self.reason = str(error)
            self.machine.close(now_ns, "the last message makes no sense")
            self._restart_ns = now_ns + RETRY_NS
            self._events.append(PathRefused(self.reason))
