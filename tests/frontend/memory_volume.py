"""A volume in memory that answers when it is told to, in the order it is told to.

`settle` answers all that waits; with a generator of chance, in an order of its own. With
`at_once` nothing waits: everything is answered before the call returns, as volumes do it that
refuse something.
"""

import random
from collections.abc import Callable, Sequence

from emulator.channel.blocks import PIECE_BYTES, TRACK_BYTES, Outcome, Requester

Answer = tuple[Requester, int, Outcome, Callable[[], list[bytes]]]


class MemoryVolume:
    """One device whose contents are a bytearray and whose misfortunes are attributes."""

    def __init__(
        self,
        name: str = "vol0",
        size_bytes: int = 1 << 20,
        *,
        reads_wait: bool = False,
        at_once: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.contents = bytearray(size_bytes)
        self.reads_wait = reads_wait
        self.at_once = at_once
        self.outcome = Outcome.DONE
        self.primary = True
        self.writes = 0
        self.zeroed_tracks = 0
        """Told to be zero with a write, without bytes for them."""
        self.waiting: list[Answer] = []
        self.calls: list[tuple[str, int, int]] = []
        self._written: set[int] = set()
        self._chance = chance

    def writable(self) -> bool:
        return self.primary

    def readable(self) -> bool:
        return self.primary

    def read(self, offset: int, length: int, who: Requester, cookie: int) -> list[bytes] | None:
        assert offset + length <= self.size_bytes
        self.calls.append(("read", offset, length))
        if not self.reads_wait and self.outcome is Outcome.DONE:
            return self._pieces(offset, length)
        self._answer(who, cookie, self.outcome, lambda: self._pieces(offset, length))
        return None

    def cached(self, offset: int, length: int) -> bytes | None:
        if self.reads_wait or self.outcome is not Outcome.DONE or not self.primary:
            return None
        if offset % TRACK_BYTES + length > TRACK_BYTES:
            return None
        self.calls.append(("read", offset, length))
        return b"".join(self._pieces(offset, length))

    def write(self, offset: int, data: bytes, who: Requester, cookie: int) -> None:
        assert type(data) is bytes
        assert data
        assert offset + len(data) <= self.size_bytes
        self.calls.append(("write", offset, len(data)))
        outcome = self._outcome_of_change()
        if outcome is Outcome.DONE:
            self.writes += 1
            self.contents[offset : offset + len(data)] = data
            self._written.update(_tracks(offset, len(data)))
        self._answer(who, cookie, outcome)

    def write_and_zero(
        self, offset: int, data: bytes, zero_tracks: int, who: Requester, cookie: int
    ) -> None:
        assert zero_tracks > 0
        assert (offset + len(data)) % TRACK_BYTES == 0
        self.zeroed_tracks += zero_tracks
        self.write(offset, data + bytes(zero_tracks * TRACK_BYTES), who, cookie)

    def write_pieces(
        self, offset: int, pieces: Sequence[bytes], who: Requester, cookie: int
    ) -> None:
        assert len(pieces) > 1
        at = offset
        for piece in pieces:
            assert type(piece) is bytes
            assert 0 < len(piece) <= PIECE_BYTES
            at += len(piece)
            assert at % PIECE_BYTES == 0 or piece is pieces[-1]
        self.write(offset, b"".join(pieces), who, cookie)

    def write_many(
        self, writes: Sequence[tuple[int, bytes]], who: Requester, cookies: Sequence[int]
    ) -> None:
        for (offset, data), cookie in zip(writes, cookies, strict=True):
            self.write(offset, data, who, cookie)

    def zero(self, offset: int, length: int, who: Requester, cookie: int) -> None:
        assert length > 0
        assert offset + length <= self.size_bytes
        self.calls.append(("zero", offset, length))
        outcome = self._outcome_of_change()
        if outcome is Outcome.DONE:
            self.contents[offset : offset + length] = bytes(length)
            first, last = -(-offset // TRACK_BYTES), (offset + length) // TRACK_BYTES
            self._written.difference_update(range(first, last))
        self._answer(who, cookie, outcome)

    def flush(self, who: Requester, cookie: int) -> None:
        self.calls.append(("flush", 0, 0))
        self._answer(who, cookie, self.outcome)

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        self.calls.append(("allocation", offset, length))
        runs = []
        end = offset + length
        while offset < end:
            track = offset // TRACK_BYTES
            stop = min((track + 1) * TRACK_BYTES, end)
            runs.append((stop - offset, track in self._written))
            offset = stop
        return runs

    def settle(self, count_max: int | None = None) -> int:
        """Answer what waits now (at most `count_max`); return how many were answered."""
        if self._chance:
            self._chance.shuffle(self.waiting)
        count = len(self.waiting[:count_max])
        now, self.waiting = self.waiting[:count], self.waiting[count:]
        for who, cookie, outcome, data in now:
            who.completed(cookie, outcome, data() if outcome is Outcome.DONE else [])
        return len(now)

    def _answer(
        self,
        who: Requester,
        cookie: int,
        outcome: Outcome,
        data: Callable[[], list[bytes]] = list,
    ) -> None:
        self.waiting.append((who, cookie, outcome, data))
        if self.at_once:
            self.settle()

    def _outcome_of_change(self) -> Outcome:
        return self.outcome if self.primary else Outcome.READ_ONLY

    def _pieces(self, offset: int, length: int) -> list[bytes]:
        pieces = []
        end = offset + length
        while offset < end:
            stop = min(offset - offset % TRACK_BYTES + TRACK_BYTES, end)
            pieces.append(bytes(self.contents[offset:stop]))
            offset = stop
        return pieces


def _tracks(offset: int, length: int) -> range:
    return range(offset // TRACK_BYTES, (offset + length - 1) // TRACK_BYTES + 1)
