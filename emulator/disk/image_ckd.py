"""An uncompressed CKD image as Hercules has them: `ckd:///var/tmp/vol001.ckd`.

A header of 512 bytes, then the tracks, each padded to the same length. A large volume may lie in
several files, `vol001_1.ckd`, `vol001_2.ckd` and so on: name the first one, or the name without a
number. Every file is locked (flock) while the image is open, as `raw:` does.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from emulator.channel import track_image
from emulator.channel.geometry import Geometry
from emulator.channel.track_image import BadTrackError
from emulator.disk.base import Damage, file_path, opening
from emulator.disk.ckd_header import (
    HEADER_BYTES,
    KEYS,
    PLAIN,
    Header,
    checked_geometry,
    decode_header,
    header_of,
    new_geometry,
)
from emulator.disk.descriptor import DescriptorDisk
from emulator.disk.image_file import check_regular, new_file, open_locked
from emulator.disk.slots import SlotDisk
from emulator.errors import CorruptError, DeviceError
from emulator.uri import Uri, parse_uri

FILES_MAX: Final = 27
"""As many as Hercules opens for one volume."""


class _File(NamedTuple):
    """One file of a volume, and the tracks from which one to which in it."""

    path: str
    first_track: int
    end_track: int


class CkdDisk(SlotDisk):
    """A volume in one or several uncompressed image files."""

    def __init__(self, uri: str, *, writable: bool = True) -> None:
        parsed = parse_uri(uri, KEYS)
        geometry, files = _look_at(parsed)
        super().__init__(uri, geometry, writable=writable)
        self._track_bytes = geometry.image_bytes
        self._files: list[tuple[_File, DescriptorDisk]] = []
        try:
            for file in files:
                missing = "went away while it was opened"
                descriptor = open_locked(parsed, file.path, writable=writable, missing=missing)
                size = HEADER_BYTES + (file.end_track - file.first_track) * self._track_bytes
                disk = DescriptorDisk(uri, descriptor, size, writable=writable)
                self._files.append((file, disk))
        except BaseException:
            self.close()
            raise

    @staticmethod
    def create(uri: str, size_bytes: int | None) -> None:
        """Make a volume of empty formatted tracks; an existing file is never touched."""
        parsed = parse_uri(uri, KEYS)
        model = new_geometry(parsed, size_bytes)
        with new_file(parsed, file_path(parsed)) as descriptor:
            os.ftruncate(descriptor, HEADER_BYTES + model.tracks * model.image_bytes)
            os.pwrite(descriptor, header_of(model).encode(PLAIN), 0)
            for track in range(model.tracks):
                empty = track_image.build(*model.address(track))
                os.pwrite(descriptor, empty, HEADER_BYTES + track * model.image_bytes)

    @staticmethod
    def measure(uri: str) -> int:
        """Return the size of all slots, also while a site has the image open."""
        model, _ = _look_at(parse_uri(uri, KEYS))
        return model.tracks * model.slot_bytes

    @staticmethod
    def inspect(uri: str) -> Iterator[Damage]:
        """Yield every track that is not one, with where and why."""
        with contextlib.closing(CkdDisk(uri, writable=False)) as disk:
            for track in range(disk.geometry.tracks):
                try:
                    track_image.check(disk.load(track), disk.geometry, track)
                except BadTrackError as error:
                    yield Damage(track, error.offset, error.cause)

    def load(self, track: int) -> bytes:
        """Return the track and what lies behind its end."""
        disk, offset = self._place(track)
        return disk.read(offset, self._track_bytes)

    def store(self, track: int, slot: bytes) -> None:
        """Write the track over the old one."""
        disk, offset = self._place(track)
        if self.is_empty(track):
            # Should this write be torn, leftovers of other programs must not become visible.
            self._clear_behind(disk, offset, len(self.empty_image(track)))
        disk.write([(offset, [slot[: self._track_bytes]])])

    def store_empty(self, track: int) -> None:
        """Write an empty formatted track and zeros behind it."""
        disk, offset = self._place(track)
        disk.write([(offset, [self.empty_image(track).ljust(self._track_bytes, b"\0")])])

    def is_empty(self, track: int) -> bool:
        """Return whether the end marker follows a standard R0."""
        disk, offset = self._place(track)
        empty = self.empty_image(track)
        return disk.read(offset, len(empty)) == empty

    def flush(self) -> None:
        """Return when everything written so far survives a loss of power."""
        for _, disk in self._files:
            disk.flush()

    def close(self) -> None:
        """Let go of the files; closing twice does nothing."""
        self.size_bytes = 0
        for _, disk in self._files:
            disk.close()

    def _place(self, track: int) -> tuple[DescriptorDisk, int]:
        """Return the file that has a track, and where it begins there."""
        for file, disk in self._files:
            if track < file.end_track:
                return disk, HEADER_BYTES + (track - file.first_track) * self._track_bytes
        raise DeviceError(self.uri, f"track {track} is in none of its files")

    def _clear_behind(self, disk: DescriptorDisk, offset: int, used: int) -> None:
        size = self._track_bytes - used
        if any(disk.read(offset + used, size)):
            disk.zero(offset + used, size)
            disk.flush()


def _look_at(uri: Uri) -> tuple[Geometry, list[_File]]:
    """Return the geometry of a volume and the files it lies in, as their headers say."""
    files: list[_File] = []
    first: Header | None = None
    tracks = 0
    for path in _paths(uri):
        size, header = _read_header(uri, path)
        first = first or header
        tracks += _tracks_in(uri, path, size, header, first, tracks)
        expected = len(files) + 1
        if header.sequence != expected and (header.sequence, expected) != (0, 1):
            raise CorruptError(
                uri.text, f"{path} is file {header.sequence} of its volume, not file {expected}"
            )
        files.append(_File(path, files[-1].end_track if files else 0, tracks))
        if not header.last_cylinder:
            model = checked_geometry(uri, first, tracks // first.heads)
            return model, files
    raise CorruptError(uri.text, f"the volume goes on after {FILES_MAX} files")


def _read_header(uri: Uri, path: str) -> tuple[int, Header]:
    create = f"make it: dualcopy disk create '{uri.text}' --kind 3390-1"
    with opening(uri, missing=f"no such file {path}; {create}"):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            check_regular(uri, status)
            data = os.pread(descriptor, HEADER_BYTES, 0)
        finally:
            os.close(descriptor)
    header = decode_header(uri, data, PLAIN)
    if not header.heads or not header.track_bytes:
        raise CorruptError(uri.text, "header, offset 8: it says no heads or no track size")
    return status.st_size, header


def _tracks_in(uri: Uri, path: str, size: int, header: Header, first: Header, before: int) -> int:
    """Return how many tracks a file has, refused unless size and headers agree."""
    if header[:3] != first[:3]:
        raise CorruptError(uri.text, f"{path} belongs to a volume of another geometry")
    tracks, rest = divmod(size - HEADER_BYTES, header.track_bytes)
    if rest or tracks % header.heads:
        raise CorruptError(
            uri.text,
            f"{path} has {size} bytes, which are not whole cylinders: {tracks} tracks of "
            f"{header.track_bytes} and {rest} bytes more; was it cut?",
        )
    end = (before + tracks) // header.heads
    if header.last_cylinder and header.last_cylinder + 1 != end:
        raise CorruptError(
            uri.text,
            f"{path} ends with cylinder {end - 1}, but its header (offset 18) says "
            f"{header.last_cylinder}",
        )
    return tracks


def _paths(uri: Uri) -> Iterator[str]:
    """Yield the names that the files of a volume have, one after another."""
    path = Path(file_path(uri))
    stem, dot, rest = path.name.partition(".")
    if not path.exists():
        stem = f"{stem[:-1]}1" if stem[-2:-1] == "_" else f"{stem}_1"
        if path.with_name(f"{stem}{dot}{rest}").exists():
            path = path.with_name(f"{stem}{dot}{rest}")
    yield str(path)
    for number in range(2, FILES_MAX + 1):
        letter = str(number) if number < 10 else chr(ord("A") + number - 10)
        yield str(path.with_name(f"{stem[:-1]}{letter}{dot}{rest}"))
