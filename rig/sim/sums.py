"""A device's checksum file in memory: what is written, what is durable, what power takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.node.sums import ENTRY, PAGE_BYTES
from rig.faults.storage import Piece, torn

if TYPE_CHECKING:
    from collections.abc import Iterable


class SimulatedSums:
    """The checksums of one simulated disk, on a medium of their own that does no harm."""

    def __init__(self, name: str, tracks: int) -> None:
        self.uri = f"sums:{name}"
        self.tracks = tracks
        self.header: dict[str, Any] | None = None
        self._name = name
        self._begun = 0
        self._live = bytearray(tracks * ENTRY.size)
        self._durable = bytes(self._live)
        self._unflushed: list[list[Piece]] = []

    # What a start asks; durable at once.

    def begin(self) -> None:
        """Forget every checksum, and name the device anew."""
        self._begun += 1
        identity = f"{self._name}.{self._begun}"
        self._live = bytearray(len(self._live))
        self._durable = bytes(self._live)
        self.header = {"identity": identity, "version": 0, "store_lost": None}

    def load(self, page: int) -> bytes:
        """Return a page of the table."""
        return bytes(self._live[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])

    def mark(self, body: dict[str, Any] | None) -> None:
        """Say that the store was lost and what it would say; or that there is one."""
        assert self.header is not None
        self.header["store_lost"] = body

    # What the disk's thread does.

    def write(self, pieces: Iterable[Piece]) -> None:
        """Take pieces of the table."""
        found = list(pieces)
        _apply(self._live, found)
        self._unflushed.append(found)

    def sync(self, version: int) -> None:
        """Make the table durable, and say that it is up to this version."""
        assert self.header is not None
        self._durable = bytes(self._live)
        self._unflushed.clear()
        self.header = {**self.header, "version": version}

    def known(self, track: int) -> bool:
        """Return whether a track has a checksum."""
        return any(self._live[track * ENTRY.size : (track + 1) * ENTRY.size])

    # Power.

    def power_lost(self, pattern: int, *, power: bool) -> None:
        """Lose what was not durable, in part, as the pattern says."""
        if power:
            self._live = self._remains(pattern)
        self._durable = bytes(self._live)
        self._unflushed.clear()

    def after_power_loss(self, pattern: int) -> SimulatedSums:
        """Return the file as it would be if the power went now."""
        found = SimulatedSums(self._name, self.tracks)
        found.header = self.header
        found._live = self._remains(pattern)
        return found

    def copy(self) -> SimulatedSums:
        """Return the file as it is, for a disk that is put aside."""
        found = SimulatedSums(self._name, self.tracks)
        found.header = None if self.header is None else dict(self.header)
        found._begun = self._begun
        found._live = bytearray(self._live)
        found._durable = bytes(self._live)
        return found

    def _remains(self, pattern: int) -> bytearray:
        table = bytearray(self._durable)
        for number, pieces in enumerate(self._unflushed):
            _apply(table, torn(pieces, pattern + 2 + number if pattern > 1 else pattern))
        return table


def _apply(table: bytearray, pieces: Iterable[Piece]) -> None:
    for offset, data in pieces:
        table[offset : offset + len(data)] = data
