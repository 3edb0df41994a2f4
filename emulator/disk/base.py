"""What every disk is: a run of bytes that blocks until it has done what was asked.

Shell objects, called from helper threads; several threads may use one disk at once. Leaves
ordering, caching and retries to the callers: a disk does one operation and says how it went.
"""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from emulator.errors import CannotRunHere, DeviceError, DualCopyError, MisuseError
from emulator.units import size_bytes
from emulator.uri import Uri

SECTOR_BYTES: Final = 512

Runs = Sequence[tuple[int, Sequence[bytes]]]
"""Contents to write: an offset, and the buffers that lie one after another from there."""


class Disk(Protocol):
    """An open disk."""

    uri: str
    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""

    def write(self, runs: Runs) -> None:
        """Write every run whole; runs that touch the same bytes need calls of their own."""

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros, and give its space back where the disk can."""

    def flush(self) -> None:
        """Return when everything written so far survives a loss of power."""

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data) that cover the range; the others read as zeros."""

    def close(self) -> None:
        """Let go of the disk; closing twice does nothing."""


class Damage(NamedTuple):
    """Something that is wrong in an image."""

    track: int | None
    """None when it is not one track's matter."""
    offset: int
    """Where in the track; where in the file if `track` is None."""
    problem: str

    def __str__(self) -> str:
        place = "file" if self.track is None else f"track {self.track}"
        return f"{place}, offset {self.offset}: {self.problem}"


class DiskKind(Protocol):
    """What a scheme of the disk table or an entry point of `dualcopy.disks` names: a class."""

    def __call__(self, uri: str, *, writable: bool) -> Disk:
        """Open the disk, alone if it is to be written."""

    def create(self, uri: str, size_bytes: int | None) -> None:
        """Make a new disk that reads as zeros; None where the URI says the size."""

    def measure(self, uri: str) -> int:
        """Return the size in bytes without opening the disk for anybody else to notice."""


@contextlib.contextmanager
def disk_errors(uri: str) -> Iterator[None]:
    """Turn what the operating system says into the error that names the disk."""
    try:
        yield
    except DualCopyError:
        raise
    except OSError as error:
        raise DeviceError(uri, error.strerror or str(error)) from error


@contextlib.contextmanager
def opening(uri: Uri, *, missing: str = "no such file", busy: str = "in use") -> Iterator[None]:
    """Turn what the operating system says at an open into an error with the fix in it."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EEXIST:
            uri.refuse("exists already; remove it first or choose another name", error)
        if error.errno in (errno.EACCES, errno.EPERM):
            raise CannotRunHere(
                f"{uri.text}: this user may not open it; chown or chmod it, or run as its owner"
            ) from error
        causes = {errno.ENOENT: missing, errno.EBUSY: busy}
        cause = causes.get(error.errno or 0) or error.strerror or str(error)
        raise DeviceError(uri.text, cause) from error


def check_range(disk: Disk, offset: int, length: int) -> None:
    """Refuse a range that does not lie on the disk; callers check theirs before asking."""
    if offset < 0 or length < 0 or offset + length > disk.size_bytes:
        raise MisuseError(
            f"{disk.uri}: bytes {offset}+{length} lie outside its {disk.size_bytes} bytes"
        )


def check_writable(uri: str, *, writable: bool) -> None:
    """Refuse to change a disk that was opened for reading only."""
    if not writable:
        raise MisuseError(f"{uri}: opened for reading only")


def check_size(uri: Uri, size: int) -> int:
    """Return `size`, refused unless it is a whole number of sectors and the one the URI asks."""
    if size <= 0 or size % SECTOR_BYTES:
        uri.refuse(f"{size} bytes is not a size of a disk; it must be a multiple of 512, not 0")
    asked = asked_bytes(uri)
    if asked is not None and asked != size:
        uri.refuse(f"size={uri.query['size']} is {asked} bytes, but the disk has {size}")
    return size


def asked_bytes(uri: Uri) -> int | None:
    """Return what the URI says under `size`, if it says it."""
    return uri.read("size", size_bytes, -1) if "size" in uri.query else None


def file_path(uri: Uri) -> str:
    """Return the path of a URI that names a file and nothing else."""
    if uri.authority or not uri.path:
        uri.refuse(f"write {uri.scheme}:///path/of/the/file, with three slashes")
    return uri.path


def merged(runs: Sequence[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Return the runs of an allocation with equal neighbours joined and empty ones left out.

    >>> merged([(4, True), (0, False), (4, True), (8, False)])
    [(8, True), (8, False)]
    """
    joined: list[tuple[int, bool]] = []
    for length, is_data in runs:
        if joined and joined[-1][1] == is_data:
            joined[-1] = (joined[-1][0] + length, is_data)
        elif length:
            joined.append((length, is_data))
    return joined
