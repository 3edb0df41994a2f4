"""Records cut into packets, in order, as far as the other end's window reaches.

Relies on the window the other end granted. Leaves numbers, loss and pace to `sender.py`.

The window counts record bytes after the last record the other end has handed on ("kept"). The
record right after that one may always be sent whole while the window is open at all, however
large it is: so a record larger than the window cannot block the link, and the other end needs
no more room than its window and one record of `RECORD_BYTES_MAX`.
"""

from collections import deque
from typing import Final

from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import encode_fields

RECORD_BYTES_MAX: Final = 32 * 1024 * 1024
"""Twice the largest record of changes (16 MiB), so that headers never push one over."""

RECORDS_AHEAD_MAX: Final = 16384
"""Records sent beyond the last kept one: bounds what small records cost besides their bytes."""

RECORD_NUMBER_MAX: Final = 0xFFFFFFFF
"""The layout counts records in 32 bits; a session that used them all is followed by another."""

RECORD_NUMBERS_SPARE: Final = 1 << 16
"""Numbers left for short records of control while what was queued before is still on its way."""

_DATA: Final = int(PacketType.DATA)
_FIRST: Final = int(PacketFlag.FIRST)
_LAST: Final = int(PacketFlag.LAST)
_AGAIN: Final = int(PacketFlag.AGAIN)
_UNSEALED: Final = int(PacketFlag.UNSEALED)


class OutRecord:
    """One record on its way out."""

    __slots__ = ("csn", "data", "end", "group", "kept", "kind", "length", "number", "sent", "view")

    def __init__(self, number: int, kind: int, group: int, csn: int, data: bytes) -> None:
        self.number = number
        self.kind = kind
        self.group = group
        self.csn = csn
        self.data = data
        self.view = memoryview(data)
        self.length = len(data)
        self.sent = 0  # bytes cut so far
        self.end = 0  # where it ends, counted over all records of the session
        self.kept = False


Fragment = tuple[OutRecord, int, int]
"""A record, where the fragment begins in it, and its size."""


def data_packet(session: int, number: int, fragment: Fragment, *, again: bool) -> bytes:
    """Return the packet that carries a fragment."""
    record, offset, size = fragment
    flags = _UNSEALED | _AGAIN if again else _UNSEALED
    whole = size == record.length
    if whole:
        flags |= _FIRST | _LAST
    elif offset == 0:
        flags |= _FIRST
    elif offset + size == record.length:
        flags |= _LAST
    return encode_fields(
        (
            _DATA,
            flags,
            record.kind,
            record.group,
            session,
            number,
            record.number,
            record.csn,
            record.length,
            offset,
        ),
        record.data if whole else record.view[offset : offset + size],
    )


class Packetizer:
    """The records of one session that the other end has not reported kept."""

    __slots__ = (
        "_end",
        "_fresh",
        "_kept_end",
        "_last",
        "_limit",
        "_payload_bytes",
        "_unkept",
        "blocked",
        "kept",
        "unkept_bytes",
    )

    def __init__(self, payload_bytes: int, window_bytes: int) -> None:
        self.kept = 0
        self.unkept_bytes = 0
        self.blocked = False
        """Whether something waits for the other end's window."""
        self._payload_bytes = payload_bytes
        self._last = 0
        self._end = 0
        self._kept_end = 0
        self._limit = window_bytes
        self._unkept: deque[OutRecord] = deque()
        self._fresh: deque[OutRecord] = deque()

    @property
    def unkept_records(self) -> int:
        """How many records the other end has not reported kept."""
        return len(self._unkept)

    @property
    def head_cut(self) -> bool:
        """Tell whether the first record not kept was sent whole, at least once."""
        if not self._unkept:
            return False
        return not self._fresh or self._fresh[0].number > self._unkept[0].number

    @property
    def waiting(self) -> bool:
        """Tell whether a record has parts that were never sent."""
        return bool(self._fresh)

    @property
    def full(self) -> bool:
        """Tell whether no record may be added but short ones of control."""
        return (
            len(self._unkept) >= RECORDS_AHEAD_MAX
            or self._last >= RECORD_NUMBER_MAX - RECORD_NUMBERS_SPARE
        )

    @property
    def exhausted(self) -> bool:
        """Tell whether the session's record numbers go to their end."""
        return self._last >= RECORD_NUMBER_MAX - RECORD_NUMBERS_SPARE

    @property
    def spent(self) -> bool:
        """Tell whether they do, and the other end has kept every record."""
        return self.exhausted and not self._unkept

    def add(self, kind: int, group: int, csn: int, data: bytes) -> int:
        """Queue a record; return its number."""
        assert self._last < RECORD_NUMBER_MAX
        self._last += 1
        record = OutRecord(self._last, kind, group, csn, data)
        self._end += record.length
        record.end = self._end
        self.unkept_bytes += record.length
        self._unkept.append(record)
        self._fresh.append(record)
        return record.number

    def next_size(self) -> int:
        """Return the size of the next fragment never sent before; -1 if none may go now."""
        if not self._fresh:
            return -1
        record = self._fresh[0]
        sent = record.sent
        size = min(self._payload_bytes, record.length - sent)
        head = record.number == self.kept + 1
        if (
            self._limit <= self._kept_end
            or (not head and record.end - record.length + sent + size > self._limit)
            or record.number > self.kept + RECORDS_AHEAD_MAX
        ):
            self.blocked = True
            return -1
        return size

    def take(self, size: int) -> Fragment:
        """Cut off the fragment that `next_size` announced."""
        record = self._fresh[0]
        offset = record.sent
        record.sent = offset + size
        if record.sent == record.length:
            self._fresh.popleft()
        return record, offset, size

    def acknowledge(self, kept: int, window_bytes: int) -> bool:
        """Take what an ACK says of records; tell whether more of them are kept than before.

        An ACK that was overtaken by a newer one changes nothing: neither count goes back.
        """
        if kept < self.kept:
            return False
        advanced = kept > self.kept
        while self._unkept and self._unkept[0].number <= kept:
            record = self._unkept.popleft()
            record.kept = True
            self.unkept_bytes -= record.length
            self._kept_end = record.end
        self.kept = kept
        self._limit = max(self._limit, self._kept_end + window_bytes)
        self.blocked = False  # until `next_size` finds that the news was not enough
        return advanced

    def may_be_kept(self, kept: int) -> bool:
        """Tell whether the other end can have kept every record up to this one."""
        return kept <= self._last and (not self._fresh or kept < self._fresh[0].number)
