"""The compressed CKD image of Hercules, byte by byte: headers, tables and tracks.

    device header (512) | compressed header (512) | level 1 table | level 2 tables and tracks

The level 1 table has the position of a level 2 table for each 256 tracks, or 0; a level 2 table has
position, length and size of each track's image. Position 0 stands for a track without an image,
whose length then names one of a few formats. A track's image begins with its home address, of which
the first byte says how the rest is compressed. All numbers of the tables are little-endian here.
"""

import bz2
import struct
import zlib
from typing import Final, NamedTuple

from emulator.channel import track_image
from emulator.channel.geometry import HOME_ADDRESS_BYTES, Geometry
from emulator.channel.track_image import BadTrackError, NewRecord

HEADER_OFFSET: Final = 512
HEADER_BYTES: Final = 512
LEVEL1_OFFSET: Final = HEADER_OFFSET + HEADER_BYTES
LEVEL2_ENTRIES: Final = 256
_HEADER: Final = struct.Struct("<3sBiiIIIIIiIIBBh")
LEVEL1_ENTRY: Final = struct.Struct("<I")
LEVEL2_ENTRY: Final = struct.Struct("<IHH")
LEVEL2_BYTES: Final = LEVEL2_ENTRIES * LEVEL2_ENTRY.size
FREE_ENTRY: Final = struct.Struct("<II")
FREE_LIST: Final = b"FREE_BLK"
_VERSION: Final = bytes((0, 3, 1))

NOT_CLOSED: Final = 0x80
_OPENED_FOR_WRITING: Final = 0x40
BIG_ENDIAN: Final = 0x02
_NO_FUDGE: Final = 0x01

EMPTY_FORMAT: Final = 1
"""Home address, R0, end marker; format 0 has an end-of-file record too, format 2 12 of 4096."""
NULL_FORMATS: Final = 3

NONE, ZLIB, BZIP2 = range(3)
METHODS: Final = {"none": NONE, "zlib": ZLIB, "bzip2": BZIP2}
COMPRESS_BYTES_MIN: Final = 512
"""Shorter tracks are kept as they are."""
_BZIP2_LEVEL: Final = 5
_TAIL: Final = struct.Struct("<8sHI")
_TAIL_MARK: Final = b"dualcopy"


class CompressedHeader(NamedTuple):
    """The second header, field by field."""

    version: bytes
    options: int
    level1_entries: int
    level2_entries: int
    file_bytes: int
    used_bytes: int
    free_position: int
    free_bytes: int
    free_largest: int
    free_spaces: int
    free_inside: int
    cylinders: int
    null_format: int
    method: int
    level: int

    def encode(self) -> bytes:
        """Return the bytes of the header."""
        return _HEADER.pack(*self).ljust(HEADER_BYTES, b"\0")


def decode_header(data: bytes) -> CompressedHeader:
    """Take the second header apart."""
    return CompressedHeader(*_HEADER.unpack_from(data))


def new_header(model: Geometry, method: int) -> CompressedHeader:
    """Return the header of an image without a single track."""
    entries = -(-model.tracks // LEVEL2_ENTRIES)
    size = LEVEL1_OFFSET + entries * LEVEL1_ENTRY.size
    options = _NO_FUDGE | _OPENED_FOR_WRITING
    sizes = (entries, LEVEL2_ENTRIES, size, size)
    return CompressedHeader(
        _VERSION, options, *sizes, 0, 0, 0, 0, 0, model.cylinders, EMPTY_FORMAT, method, -1
    )


def options_while(options: int, *, opened: bool) -> int:
    """Return the option bits of an image that is, or no longer is, open for writing."""
    options |= _OPENED_FOR_WRITING
    return options | NOT_CLOSED if opened else options & ~NOT_CLOSED


def null_track(model: Geometry, track: int, form: int) -> bytes:
    """Return the image of a track that the file has no image of."""
    contents = {0: [NewRecord(1)], 2: [NewRecord(n, bytes(4096)) for n in range(1, 13)]}
    return track_image.build(*model.address(track), contents.get(form, ()))


def pack(image: bytes, method: int, level: int) -> bytes:
    """Return a track's image as it lies in the file."""
    if method == NONE or len(image) < COMPRESS_BYTES_MIN:
        return image
    head, body = image[1:HOME_ADDRESS_BYTES], image[HOME_ADDRESS_BYTES:]
    if method == ZLIB:
        packed = zlib.compress(body, level if -1 <= level <= 9 else -1)
    else:
        packed = bz2.compress(body, level if 1 <= level <= 9 else _BZIP2_LEVEL)
    stored = b"".join((bytes((method,)), head, packed))
    return stored if len(stored) < len(image) else image


def unpack(stored: bytes, limit: int, track: int) -> bytes:
    """Return the image of a track from how it lies in the file; BadTrackError if that cannot be."""
    if len(stored) < HOME_ADDRESS_BYTES:
        raise BadTrackError(track, 0, f"{len(stored)} bytes cannot hold a home address")
    method = stored[0]
    body = stored[HOME_ADDRESS_BYTES:]
    if method == NONE:
        return stored
    if method not in METHODS.values():
        raise BadTrackError(track, 0, f"compressed by method {method}, which does not exist")
    machine = zlib.decompressobj() if method == ZLIB else bz2.BZ2Decompressor()
    try:
        unpacked = machine.decompress(body, limit)
    except (zlib.error, OSError, ValueError) as error:
        raise BadTrackError(track, HOME_ADDRESS_BYTES, f"does not decompress: {error}") from error
    if not machine.eof:
        problem = "its compressed form goes on past the length of a track, or was cut"
        raise BadTrackError(track, HOME_ADDRESS_BYTES, problem)
    return b"".join((b"\0", stored[1:HOME_ADDRESS_BYTES], unpacked))


def add_tail(stored: bytes, tail: bytes) -> bytes:
    """Return a stored track with bytes behind it that lie past its end marker.

    They are put into the unused part of the track's space, where other programs do not look.
    """
    return b"".join((stored, _TAIL.pack(_TAIL_MARK, len(tail), zlib.crc32(tail)), tail))


def read_tail(slack: bytes) -> bytes:
    """Return the tail in the unused part of a track's space, if there is one."""
    if len(slack) < _TAIL.size:
        return b""
    mark, length, check = _TAIL.unpack_from(slack)
    tail = slack[_TAIL.size : _TAIL.size + length]
    return tail if mark == _TAIL_MARK and zlib.crc32(tail) == check else b""
