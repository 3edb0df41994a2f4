"""A checksum for every track, kept apart from the disk: what a disk gives must be what it took.

An entry is the version in which a track was written and the CRC-32C of its number, that version
and its contents. So a track that has rotted, that was never written (lost write), that was
written elsewhere or over another (misdirected), or that is yesterday's, does not fit. Entry 0 is
a track that nobody has looked at yet. Bytes in, bytes out: `disk/sums_file.py` keeps the table.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from emulator.wire.checksum import Buffer, crc32c

ENTRY: Final = struct.Struct(">II")
_SALT: Final = struct.Struct(">QI")
_VERSION_MASK: Final = 0xFFFFFFFF
# The table is loaded by pages of so many entries; only those that were looked at take memory.
PAGE_ENTRIES: Final = 512
PAGE_BYTES: Final = PAGE_ENTRIES * ENTRY.size
# Pieces of the table no further apart are written as one: a call costs more than that many bytes.
NEAR_BYTES: Final = PAGE_BYTES


def track_sum(track: int, version: int, image: Buffer) -> int:
    """Return the checksum of a track's contents, with its address and version."""
    return crc32c(image, crc32c(_SALT.pack(track, version)))


class TrackSums:
    """The checksums of one device."""

    def __init__(self, load: Callable[[int], bytes], identity: str, version: int) -> None:
        """`load` returns a page of the stored table by its number."""
        self._load = load
        self._pages: dict[int, bytearray] = {}
        self.identity = identity
        """Names the device; the nonvolatile store knows it too (K13)."""
        self.version = version
        """What the newest ended flush made durable; tracks written now carry the next."""
        self.learned_tracks = 0

    def next_version(self) -> int:
        """Return the version of what is written now; 0 says that nothing is known."""
        return (self.version + 1) & _VERSION_MASK or 1

    def write(self, track: int, images: Sequence[bytes]) -> bytes:
        """Note consecutive tracks that are being written; return their piece of the table."""
        stamp = self.next_version()
        entries = [
            ENTRY.pack(stamp, track_sum(track + number, stamp, image))
            for number, image in enumerate(images)
        ]
        for number, entry in enumerate(entries, track):
            at = number % PAGE_ENTRIES * ENTRY.size
            self._page(number)[at : at + ENTRY.size] = entry
        return b"".join(entries)

    def joined(self, pieces: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Return pieces of the table, in rising order, with what lies between near ones."""
        spans: list[tuple[int, int]] = []
        for offset, piece in pieces:
            start = offset
            if spans and 0 <= offset - spans[-1][1] <= NEAR_BYTES:
                start = spans.pop()[0]
            spans.append((start, offset + len(piece)))
        return [(start, self._table(start, end)) for start, end in spans]

    def _table(self, at: int, end: int) -> bytes:
        """Return bytes of the table as they are now."""
        found = bytearray()
        while at < end:
            page, start = self._page(at // ENTRY.size), at % PAGE_BYTES
            found += page[start : start + end - at]
            at += PAGE_BYTES - start
        return bytes(found)

    def _page(self, track: int) -> bytearray:
        number = track // PAGE_ENTRIES
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = bytearray(self._load(number).ljust(PAGE_BYTES, b"\0"))
        return page

    def _entry(self, track: int) -> tuple[int, int]:
        version, crc = ENTRY.unpack_from(self._page(track), track % PAGE_ENTRIES * ENTRY.size)
        return version, crc

    def known(self, track: int) -> bool:
        """Return whether a track has a checksum."""
        return self._entry(track)[0] != 0

    def good(self, track: int, image: Buffer) -> bool:
        """Return whether contents are the ones that were written, as far as anyone knows."""
        version, crc = self._entry(track)
        return not version or track_sum(track, version, image) == crc

    def learn(self, track: int, image: Buffer) -> bytes | None:
        """Take contents without a checksum for right from now on; return the piece, if any."""
        if self.known(track):
            return None
        self.learned_tracks += 1
        return self.write(track, [bytes(image)])


class Sums:
    """The checksums of all devices of a site, for those that keep any."""

    def __init__(self, devices: Sequence[TrackSums | None]) -> None:
        self.devices = list(devices)

    def everywhere(self) -> bool:
        """Return whether every device has a checksum file."""
        return all(device is not None for device in self.devices)
