"""Disks that hold CKD tracks and show them as slots of equal size (ADR 0012).

A kind of image says how it loads and stores one track; the rest of what a disk does is here. What
is stored is kept byte for byte, also a track that makes no sense: parts of a track may be brought
to the disk one after another, and only the journal knows when it is whole (X4).

One form is not literal. An empty formatted track of an image (home address, a standard R0, end
marker) is a slot of zeros, and a slot of zeros is stored as such a track. So a new image reads as
zeros, as every new disk does, and what others formatted costs nothing to copy.
"""

import abc
import threading
from collections.abc import Iterator

from emulator.channel import track_image
from emulator.channel.geometry import Geometry
from emulator.channel.track_image import BadTrackError
from emulator.disk.base import Runs, check_range, check_writable, merged
from emulator.errors import CorruptError, DeviceError

Part = tuple[int, bytes]
"""Where in a slot, and the bytes there."""


class SlotDisk(abc.ABC):
    """A disk of CKD tracks. Several threads may use it at once; one track is one step."""

    def __init__(self, uri: str, geometry: Geometry, *, writable: bool) -> None:
        self.uri = uri
        self.geometry = geometry
        self.size_bytes = geometry.tracks * geometry.slot_bytes
        self._slot_bytes = geometry.slot_bytes
        self._writable = writable
        self._lock = threading.Lock()

    # What a kind of image adds.

    @abc.abstractmethod
    def load(self, track: int) -> bytes:
        """Return the track as the image has it, with or without what lies behind its end."""

    @abc.abstractmethod
    def store(self, track: int, slot: bytes) -> None:
        """Keep a slot, which is not all zeros and has no byte beyond the image's track."""

    @abc.abstractmethod
    def store_empty(self, track: int) -> None:
        """Keep an empty formatted track."""

    @abc.abstractmethod
    def is_empty(self, track: int) -> bool:
        """Return whether the image has an empty formatted track there."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Return when everything written so far survives a loss of power."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the image; closing twice does nothing."""

    # What every disk does.

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        check_range(self, offset, length)
        with self._lock:
            return b"".join(
                self._read_part(track, first, last)
                for track, first, last in self._cuts(offset, length)
            )

    def write(self, runs: Runs) -> None:
        """Write every run whole; runs that touch the same bytes need calls of their own."""
        check_writable(self.uri, writable=self._writable)
        with self._lock:
            parts: list[Part] = []
            track = -1
            for number, part in self._parts(runs):
                if number != track and parts:
                    self._update(track, parts)
                    parts = []
                track = number
                parts.append(part)
            if parts:
                self._update(track, parts)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros; whole slots become empty formatted tracks."""
        check_writable(self.uri, writable=self._writable)
        check_range(self, offset, length)
        with self._lock:
            for track, first, last in self._cuts(offset, length):
                if self.is_empty(track):
                    continue
                if last - first == self._slot_bytes:
                    self.store_empty(track)
                else:
                    self._update(track, [(first, bytes(last - first))])

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data); empty tracks are not data."""
        check_range(self, offset, length)
        with self._lock:
            return merged(
                [
                    (last - first, not self.is_empty(track))
                    for track, first, last in self._cuts(offset, length)
                ]
            )

    def track(self, track: int) -> bytes:
        """Return a track cut behind its end marker; CorruptError if it is none."""
        with self._lock:
            image = self.load(track)
        try:
            end = track_image.check(image, self.geometry, track)
            return image[:end]
        except BadTrackError as error:
            raise CorruptError(self.uri, str(error)) from error

    def empty_image(self, track: int) -> bytes:
        """Return the image of an empty formatted track."""
        return track_image.build(*self.geometry.address(track))

    # Parts of slots.

    def _cuts(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield the slots that a range touches, each with where it begins and ends inside."""
        size = self._slot_bytes
        end = offset + length
        while offset < end:
            track, first = divmod(offset, size)
            last = min(size, first + end - offset)
            yield track, first, last
            offset += last - first

    def _parts(self, runs: Runs) -> Iterator[tuple[int, Part]]:
        for offset, buffers in runs:
            check_range(self, offset, sum(map(len, buffers)))
            at = offset
            for buffer in buffers:
                data = memoryview(buffer)
                start = at
                for track, first, last in self._cuts(at, len(data)):
                    done = at - start
                    yield track, (first, bytes(data[done : done + last - first]))
                    at += last - first

    def _read_part(self, track: int, first: int, last: int) -> bytes:
        if self.is_empty(track):
            return bytes(last - first)
        return self.load(track)[first:last].ljust(last - first, b"\0")

    def _update(self, track: int, parts: list[Part]) -> None:
        """Change parts of a slot."""
        if sum(len(data) for _first, data in parts) == self._slot_bytes:
            # All of it, in order and once: what was there may be damaged, and is not looked at.
            slot = b"".join(data for _first, data in parts)
        else:
            old = b"" if self.is_empty(track) else self.load(track)
            new = bytearray(old.ljust(self._slot_bytes, b"\0"))
            for first, data in parts:
                new[first : first + len(data)] = data
            slot = bytes(new)
        limit = self.geometry.image_bytes
        if slot.count(0, limit) != self._slot_bytes - limit:
            raise DeviceError(
                self.uri,
                f"track {track}, offset {limit}: bytes behind the end of an image's track "
                "cannot be kept",
            )
        if slot.rstrip(b"\0") in (b"", self.empty_image(track)):
            self.store_empty(track)
        else:
            self.store(track, slot)
