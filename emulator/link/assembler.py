"""Fragments put together again: whole records only, in the order of their numbers.

With records 1, 2 and 4 received, 4 waits for 3, and an incomplete record is never handed on
(patent, p. 10). Relies on packets that passed the checksum and were not seen before. Leaves
acknowledging to `receiver.py`: it may acknowledge a fragment only if this module holds it.

Memory is bounded by the window and one record of `RECORD_BYTES_MAX`: fragments of the record
next in order are held whatever its length, as long as the layer above has not let the window
fill up; all others only if they fit into the window beside what that layer has not released.
"""

from bisect import bisect_left, bisect_right, insort
from typing import Final

from emulator.link.events import RecordReceived
from emulator.link.packetizer import RECORD_BYTES_MAX, RECORDS_AHEAD_MAX
from emulator.wire.checksum import Buffer
from emulator.wire.layout import PacketFlag
from emulator.wire.packet import Packet

HELD: Final = ""
"""The fragment is held, or its record was handed on."""

VIEW_BYTES_MIN: Final = 4096
"""Below this a copy is cheaper than the memory that a view itself takes."""

_FIRST: Final = int(PacketFlag.FIRST)
_LAST: Final = int(PacketFlag.LAST)
_ENDS: Final = _FIRST | _LAST


class _Partial:
    """A record of which fragments are held: a beginning without gaps, and islands after it."""

    __slots__ = ("_begins", "_done", "_islands", "_parts", "_starts", "have", "meta")

    def __init__(self, meta: tuple[int, int, int, int]) -> None:
        self.meta = meta
        self.have = 0
        self._done = 0
        self._parts: list[Buffer] = []
        self._begins: list[int] = []
        self._islands: dict[int, Buffer] = {}
        self._starts: list[int] = []

    def add(self, offset: int, payload: Buffer) -> str:
        """Take one fragment; return HELD, "again" or "inconsistent"."""
        if offset < self._done:
            return self._compare(offset, payload)
        if self._starts:
            held = self._overlapped(offset, len(payload))
            if held is not None:
                same = held == offset and self._islands[held] == payload
                return "again" if same else "inconsistent"
        self.have += len(payload)
        if offset > self._done:
            insort(self._starts, offset)
            self._islands[offset] = _own(payload)
            return HELD
        self._append(_own(payload))
        if self._starts and self._starts[0] == self._done:
            self._join()
        return HELD

    def whole(self) -> bytes:
        """Return the record, once nothing is missing."""
        return b"".join(self._parts)

    def _append(self, part: Buffer) -> None:
        self._begins.append(self._done)
        self._parts.append(part)
        self._done += len(part)

    def _join(self) -> None:
        joined = 0
        for start in self._starts:
            if start != self._done:
                break
            self._append(self._islands.pop(start))
            joined += 1
        del self._starts[:joined]

    def _overlapped(self, offset: int, size: int) -> int | None:
        at = bisect_left(self._starts, offset)
        if at < len(self._starts) and self._starts[at] < offset + size:
            return self._starts[at]
        if at:
            before = self._starts[at - 1]
            if before + len(self._islands[before]) > offset:
                return before
        return None

    def _compare(self, offset: int, payload: Buffer) -> str:
        # A fragment sent again is normally cut as it was the first time.
        at = bisect_right(self._begins, offset) - 1
        if self._begins[at] != offset or len(self._parts[at]) != len(payload):
            self._parts, self._begins, at = [b"".join(self._parts)], [0], 0
        begin = offset - self._begins[at]
        same = memoryview(self._parts[at])[begin : begin + len(payload)] == payload
        return "again" if same else "inconsistent"


def _own(payload: Buffer) -> Buffer:
    """Return a fragment that nobody changes later, copied only where that costs little.

    A view of bytes is safe as it is, but keeps alive all of what the line read at once.
    """
    if isinstance(payload, memoryview) and len(payload) >= VIEW_BYTES_MIN:
        whole = payload.obj
        if isinstance(whole, bytes) and len(whole) <= 2 * len(payload):
            return payload
    return bytes(payload)


class Assembler:
    """The records of one session that are not handed on yet."""

    __slots__ = (
        "_handed_on_bytes",
        "_partials",
        "_window_bytes",
        "held_bytes",
        "kept",
        "ready",
        "unreleased_bytes",
    )

    def __init__(self, window_bytes: int, unreleased_bytes: int) -> None:
        self.kept = 0
        """Every record up to this one was handed on."""
        self.ready: list[RecordReceived] = []
        """Records handed on; the link takes them away."""
        self.held_bytes = 0
        self.unreleased_bytes = unreleased_bytes
        """Bytes handed on, also by earlier sessions, that the layer above still holds."""
        self._window_bytes = window_bytes
        self._handed_on_bytes = 0
        self._partials: dict[int, _Partial] = {}

    @property
    def window_bytes(self) -> int:
        """How far beyond the last record handed on the other end may send."""
        return max(0, self._window_bytes - self.unreleased_bytes)

    @property
    def granted_bytes(self) -> int:
        """How many record bytes of this session the other end may have sent; never shrinks."""
        return self._handed_on_bytes + self.window_bytes

    def receive(self, packet: Packet) -> str:
        """Take one fragment; return HELD, "again" (nothing new), "window" or "inconsistent"."""
        record = packet.record
        if record <= self.kept:
            return "again" if record else "inconsistent"
        size = len(packet.payload)
        length = packet.record_length
        offset = packet.fragment_offset
        ends = (0 if offset else _FIRST) | (_LAST if offset + size == length else 0)
        if (
            packet.flags & _ENDS != ends
            or offset + size > length
            or length > RECORD_BYTES_MAX
            or (not size and length)
        ):
            return "inconsistent"
        if not self._fits(record, size):
            return "window"
        if ends == _ENDS and record == self.kept + 1 and record not in self._partials:
            self._hand_on(packet.kind, packet.group, packet.csn, bytes(packet.payload))
            if self._partials:
                self._hand_on_held()
            return HELD
        return self._hold(packet, size)

    def _fits(self, record: int, size: int) -> bool:
        used = self.unreleased_bytes
        if record == self.kept + 1:
            return used < self._window_bytes or used + size <= self._window_bytes
        if record > self.kept + RECORDS_AHEAD_MAX:
            return False
        head = self._partials.get(self.kept + 1)
        held = self.held_bytes - (head.have if head else 0)
        return used + held + size <= self._window_bytes

    def _hold(self, packet: Packet, size: int) -> str:
        record = packet.record
        meta = (packet.kind, packet.group, packet.csn, packet.record_length)
        partial = self._partials.get(record)
        if partial is None:
            partial = self._partials[record] = _Partial(meta)
        elif partial.meta != meta:
            return "inconsistent"
        elif not size:
            return "again"
        answer = partial.add(packet.fragment_offset, packet.payload)
        if answer == HELD:
            self.held_bytes += size
            if record == self.kept + 1:
                self._hand_on_held()
        return answer

    def _hand_on_held(self) -> None:
        while (partial := self._partials.get(self.kept + 1)) is not None:
            kind, group, csn, length = partial.meta
            if partial.have < length:
                return
            del self._partials[self.kept + 1]
            self.held_bytes -= length
            self._hand_on(kind, group, csn, partial.whole())

    def _hand_on(self, kind: int, group: int, csn: int, data: bytes) -> None:
        self.kept += 1
        self._handed_on_bytes += len(data)
        self.unreleased_bytes += len(data)
        self.ready.append(RecordReceived(kind, group, csn, data))
