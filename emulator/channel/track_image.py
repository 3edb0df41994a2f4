"""A track as bytes: home address, R0, records with count, key and data, end marker.

The same bytes lie in an image file, cross the shared-device protocol, fill a slot of the cache
and are what replication compares (C7). Behind the end marker an image may hold anything; the
canonical form has zeros there, so that two images of equal tracks are equal. Nothing here knows
channel commands. Every reader checks lengths before it believes them and raises BadTrackError.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from emulator.channel.geometry import COUNT_BYTES, HOME_ADDRESS_BYTES, Geometry
from emulator.errors import DualCopyError

Buffer = bytes | bytearray | memoryview

END_MARKER: Final = b"\xff" * 8
_HOME_ADDRESS: Final = struct.Struct(">BHH")
_COUNT: Final = struct.Struct(">HHBBH")
R0_OFFSET: Final = HOME_ADDRESS_BYTES
_STANDARD_R0_DATA: Final = bytes(8)


class BadTrackError(DualCopyError, ValueError):
    """A track image is not what a track can be; says which track, where and why."""

    exit_code = 69

    def __init__(self, track: int | None, offset: int, cause: str) -> None:
        name = "track image" if track is None else f"track {track}"
        super().__init__(f"{name}, offset {offset}: {cause}")
        self.track = track
        self.offset = offset
        self.cause = cause


class Record(NamedTuple):
    """Where a record lies in a track image, and what its count field says."""

    offset: int
    cylinder: int
    head: int
    number: int
    key_length: int
    data_length: int

    @property
    def key_offset(self) -> int:
        """Return where the key begins."""
        return self.offset + COUNT_BYTES

    @property
    def data_offset(self) -> int:
        """Return where the data begins."""
        return self.offset + COUNT_BYTES + self.key_length

    @property
    def end(self) -> int:
        """Return where the next record begins."""
        return self.offset + COUNT_BYTES + self.key_length + self.data_length


class NewRecord(NamedTuple):
    """A record to put on a track."""

    number: int
    data: bytes = b""
    key: bytes = b""


def count_field(cylinder: int, head: int, number: int, key_length: int, data_length: int) -> bytes:
    """Return the eight bytes of a count field.

    >>> count_field(1, 2, 3, 4, 80).hex()
    '0001000203040050'
    """
    return _COUNT.pack(cylinder, head, number, key_length, data_length)


def home_address(image: Buffer, track: int | None = None) -> tuple[int, int]:
    """Return the cylinder and head in the home address."""
    if len(image) < HOME_ADDRESS_BYTES:
        raise BadTrackError(track, 0, f"{len(image)} bytes cannot hold a home address")
    _, cylinder, head = _HOME_ADDRESS.unpack_from(image)
    return cylinder, head


def records(image: Buffer, track: int | None = None) -> Iterator[Record]:
    """Yield R0 and the user records in their order on the track.

    Raises BadTrackError where a record or the end marker would reach past the image.
    """
    offset, size = R0_OFFSET, len(image)
    unpack = _COUNT.unpack_from
    while True:
        if offset + COUNT_BYTES > size:
            raise BadTrackError(track, offset, f"no end marker within {size} bytes")
        if image[offset : offset + COUNT_BYTES] == END_MARKER:
            return
        record = Record(offset, *unpack(image, offset))
        if record.end > size:
            raise BadTrackError(
                track,
                offset,
                f"record {record.number} with key length {record.key_length} and data length "
                f"{record.data_length} reaches past the {size} bytes of the image",
            )
        yield record
        offset = record.end


def end_offset(image: Buffer, track: int | None = None) -> int:
    """Return the offset just behind the end marker: the length of the track in use."""
    end = R0_OFFSET
    for record in records(image, track):
        end = record.end
    return end + len(END_MARKER)


def cut(image: Buffer, track: int | None = None) -> bytes:
    """Return the image without what follows its end marker."""
    end = end_offset(image, track)
    return bytes(image[:end])


def canonical(image: Buffer, size_bytes: int, track: int | None = None) -> bytes:
    """Return the image with zeros behind its end marker, `size_bytes` long.

    Raises BadTrackError when the track in use is longer than that.
    """
    used = cut(image, track)
    if len(used) > size_bytes:
        raise BadTrackError(
            track, size_bytes, f"{len(used)} bytes in use do not fit in {size_bytes}"
        )
    return used + bytes(size_bytes - len(used))


def overlay(image: Buffer, offset: int, data: Buffer, *, ends: bool) -> bytes:
    """Return the canonical image after `data` was written at `offset`; its length stays.

    `ends` says that `data` closes with the end marker: what lay behind it on the track is gone.
    `image` must be canonical, `data` must lie inside it.
    """
    end = offset + len(data)
    rest = bytes(len(image) - end) if ends else bytes(image[end:])
    return b"".join((image[:offset], data, rest))


def build(cylinder: int, head: int, contents: Iterable[NewRecord] = ()) -> bytes:
    """Return a track with a standard R0 and the records given, cut behind the end marker.

    >>> len(build(0, 0))
    29
    """
    parts = [
        _HOME_ADDRESS.pack(0, cylinder, head),
        count_field(cylinder, head, 0, 0, len(_STANDARD_R0_DATA)),
        _STANDARD_R0_DATA,
    ]
    for number, data, key in contents:
        parts += [count_field(cylinder, head, number, len(key), len(data)), key, data]
    return b"".join((*parts, END_MARKER))


def check(image: Buffer, geometry: Geometry, track: int) -> int:
    """Return the length in use of an image that may lie on this track, or raise BadTrackError.

    Checks the home address, R0, every record's lengths and the end marker. Count fields may name
    another track (alternate numbering), so they are believed.
    """
    if not 0 <= track < geometry.tracks:
        raise BadTrackError(track, 0, f"the volume has tracks 0 to {geometry.tracks - 1}")
    found, expected = home_address(image, track), geometry.address(track)
    if image[0]:
        raise BadTrackError(track, 0, f"the home address begins with {image[0]:02X}, not with 00")
    if found != expected:
        raise BadTrackError(track, 1, "the home address names cylinder {} head {}".format(*found))
    end = R0_OFFSET
    for record in records(image, track):
        end = record.end
    if end == R0_OFFSET:
        raise BadTrackError(track, R0_OFFSET, "the end marker stands where R0 must be")
    end += len(END_MARKER)
    if end > geometry.image_bytes:
        raise BadTrackError(
            track, end, f"the track in use is longer than {geometry.image_bytes} bytes"
        )
    return end


def user_space_bytes(image: Buffer, geometry: Geometry) -> int:
    """Return what the records take of the device's track by its formula.

    A standard R0 is free; a longer one takes what it has more.
    """
    taken = 0
    for record in records(image):
        taken += geometry.record_bytes(record.key_length, record.data_length)
        if record.offset == R0_OFFSET:
            taken -= geometry.record_bytes(0, len(_STANDARD_R0_DATA))
    return taken
