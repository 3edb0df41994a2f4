"""A volume in memory that answers when it is told to, in the order it is told to.

Keeps the promise of `BlockVolume` that `write`, `zero` and `flush` are answered after they have
returned. `settle` answers all that waits; with a generator of chance, in an order of its own.
"""

import random
from collections.abc import Callable

from emulator.channel.blocks import TRACK_BYTES, Outcome, Requester

Answer = tuple[Requester, int, Outcome, Callable[[], list[bytes]]]


class MemoryVolume:
    """One device whose contents are a bytearray and whose misfortunes are attributes."""

    def __init__(
        self,
        name: str = "vol0",
        size_bytes: int = 1 << 20,
        *,
        reads_wait: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.contents = bytearray(size_bytes)
        self.reads_wait = reads_wait
        self.outcome = Outcome.DONE
        self.primary = True
        self.waiting: list[Answer] = []
        self.calls: list[tuple[str, int, int]] = []
        self._written: set[int] = set()
        self._chance = chance

    def writable(self) -> bool:
        return self.primary

    def read(self, offset: int, length: int, who: Requester, cookie: int) -> list[bytes] | None:
        assert offset + length <= self.size_bytes
        self.calls.append(("read", offset, length))
        if not self.reads_wait and self.outcome is Outcome.DONE:
            return self._pieces(offset, length)
        outcome = self.outcome
        self.waiting.append(
            (
                who,
                cookie,
                outcome,
                lambda: self._pieces(offset, length) if outcome.name == "DONE" else [],
            )
        )
        return None

    def write(self, offset: int, data: bytes, who: Requester, cookie: int) -> None:
        assert type(data) is bytes
        assert data
        assert offset + len(data) <= self.size_bytes
        self.calls.append(("write", offset, len(data)))
        outcome = self._outcome_of_change()
        if outcome is Outcome.DONE:
            self.contents[offset : offset + len(data)] = data
            self._written.update(_tracks(offset, len(data)))
        self.waiting.append((who, cookie, outcome, list))

    def zero(self, offset: int, length: int, who: Requester, cookie: int) -> None:
        assert length > 0
        assert offset + length <= self.size_bytes
        self.calls.append(("zero", offset, length))
        outcome = self._outcome_of_change()
        if outcome is Outcome.DONE:
            self.contents[offset : offset + length] = bytes(length)
            first, last = -(-offset // TRACK_BYTES), (offset + length) // TRACK_BYTES
            self._written.difference_update(range(first, last))
        self.waiting.append((who, cookie, outcome, list))

    def flush(self, who: Requester, cookie: int) -> None:
        self.calls.append(("flush", 0, 0))
        self.waiting.append((who, cookie, self.outcome, list))

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
        now, self.waiting = self.waiting[:count_max], self.waiting[len(self.waiting[:count_max]) :]
        for who, cookie, outcome, data in now:
            who.completed(cookie, outcome, data())
        return len(now)

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
