"""The contents of a disk in the form in which two disks are compared.

Of a disk with CKD tracks each slot is taken to its one form: the track up to its end marker, then
zeros; an empty track is all zeros. So an uncompressed image, a compressed one and a plain disk that
hold the same tracks are equal, whatever lies behind the end markers.
"""

from collections.abc import Iterator
from typing import Final

from emulator.channel.geometry import Geometry
from emulator.channel.track_image import BadTrackError, build, check
from emulator.disk.base import Disk
from emulator.errors import CorruptError

PIECE_BYTES: Final = 2**20  # read at once: large enough to be quick, small enough to be nothing


def geometry_of(disk: Disk) -> Geometry | None:
    """Return the geometry of a disk that knows one; None of a disk of plain blocks."""
    found: Geometry | None = getattr(disk, "geometry", None)
    return found


def pieces(disk: Disk, geometry: Geometry | None) -> Iterator[tuple[int, bytes]]:
    """Yield offset and contents of the whole disk, piece by piece: slots if it holds tracks.

    Raises CorruptError at a slot that is no track.
    """
    step = PIECE_BYTES if geometry is None else geometry.slot_bytes
    for offset in range(0, disk.size_bytes, step):
        piece = disk.read(offset, min(step, disk.size_bytes - offset))
        yield offset, piece if geometry is None else _canonical(disk, geometry, offset, piece)


def _canonical(disk: Disk, geometry: Geometry, offset: int, slot: bytes) -> bytes:
    if slot.count(0) == len(slot):
        return slot
    track = offset // geometry.slot_bytes
    try:
        used = check(slot, geometry, track)
    except BadTrackError as error:
        raise CorruptError(disk.uri, str(error)) from error
    if slot[:used] == build(*geometry.address(track)):
        used = 0
    return slot[:used].ljust(len(slot), b"\0")
