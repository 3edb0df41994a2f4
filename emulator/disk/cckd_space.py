"""Who has which bytes of a compressed image: tables and tracks in use, and the space between.

Pure. What the free-space list in a file says is not relied on; it is made anew from the tables,
as a program that was killed may have left it behind.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final, NamedTuple

FREE_BYTES_MIN: Final = 8
"""Less cannot be put on the file's list of free space, so it stays with its neighbour."""
FILE_BYTES_MAX: Final = 0xFFFFFFFF


class Extent(NamedTuple):
    """Bytes of the file in use."""

    position: int
    size: int
    track: int | None
    """None for headers and tables."""
    name: str

    @property
    def end(self) -> int:
        """Return where the next one may begin."""
        return self.position + self.size


class Clash(NamedTuple):
    """An extent that lies where it cannot lie, and the one in its way."""

    extent: Extent
    other: Extent | None


def clashes(extents: Iterable[Extent], file_bytes: int) -> list[Clash]:
    """Return the extents that overlap an earlier one or reach past the file."""
    found: list[Clash] = []
    before: Extent | None = None
    for extent in sorted(extents):
        if extent.end > file_bytes:
            found.append(Clash(extent, None))
        elif before is not None and extent.position < before.end:
            found.append(Clash(extent, before))
        if before is None or extent.end > before.end:
            before = extent
    return found


class FreeSpace:
    """The gaps of a file, and its end. Space given back can be taken only after `settle`."""

    def __init__(self, extents: Iterable[Extent]) -> None:
        self.end = 0
        self._gaps: list[tuple[int, int]] = []
        """Size and position, by size: the smallest that fits is the one to take."""
        self._given: list[tuple[int, int]] = []
        for extent in sorted(extents):
            if extent.position - self.end >= FREE_BYTES_MIN:
                self._gaps.append((extent.position - self.end, self.end))
            self.end = max(self.end, extent.end)
        self._gaps.sort()

    def take(self, size: int, *, exactly: bool = False) -> tuple[int, int] | None:
        """Return position and size of room for `size` bytes; None when the file is full.

        The size may be a little larger than asked, unless it must be exact.
        """
        for at in range(bisect_left(self._gaps, (size, 0)), len(self._gaps)):
            found, position = self._gaps[at]
            rest = found - size
            if rest and rest < FREE_BYTES_MIN and exactly:
                continue
            del self._gaps[at]
            if rest < FREE_BYTES_MIN:
                return position, found
            insort(self._gaps, (rest, position + size))
            return position, size
        if self.end + size > FILE_BYTES_MAX:
            return None
        position, self.end = self.end, self.end + size
        return position, size

    def give(self, position: int, size: int) -> None:
        """Give space back; it still holds what the tables in the file may point to."""
        self._given.append((position, size))

    @property
    def given(self) -> int:
        """How many spaces were given back since the last `settle`."""
        return len(self._given)

    def settle(self, count: int) -> None:
        """Note that nothing in the file points to the first `count` spaces given back any more."""
        if not count:
            return
        rows = sorted([*self.rows(), *self._given[:count]])
        del self._given[:count]
        joined: list[list[int]] = []
        for position, size in rows:
            if joined and sum(joined[-1]) == position:
                joined[-1][1] += size
            else:
                joined.append([position, size])
        if sum(joined[-1]) == self.end:
            self.end = joined.pop()[0]
        self._gaps = sorted((size, position) for position, size in joined)

    def rows(self) -> list[tuple[int, int]]:
        """Return position and size of every gap, from the front of the file to its end."""
        return sorted((position, size) for size, position in self._gaps)
