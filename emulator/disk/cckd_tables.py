"""Reading the headers and tables of a compressed CKD image, and what can be wrong with them."""

from collections.abc import Iterator
from typing import NamedTuple

from emulator.channel.geometry import HOME_ADDRESS_BYTES, Geometry
from emulator.disk import cckd_format as form
from emulator.disk.base import Damage
from emulator.disk.cckd_space import Extent, clashes
from emulator.disk.ckd_header import COMPRESSED, HEADER_BYTES, checked_geometry
from emulator.disk.ckd_header import decode_header as decode_first
from emulator.disk.descriptor import DescriptorDisk
from emulator.errors import CorruptError
from emulator.uri import Uri


class Place(NamedTuple):
    """Where the image of a track lies."""

    position: int
    length: int
    size: int
    """Room kept for it, at least its length."""


class Tables(NamedTuple):
    """What the headers and tables of an image say."""

    model: Geometry
    header: form.CompressedHeader
    level1: list[int]
    places: dict[int, Place]
    """The tracks that have an image."""
    forms: bytearray
    """For each track what stands for it while it has no image."""
    extents: list[Extent]


def read_headers(uri: Uri, file: DescriptorDisk) -> tuple[Geometry, form.CompressedHeader]:
    """Return what both headers say, refused unless they agree with each other and the file."""
    first = decode_first(uri, file.read(0, min(HEADER_BYTES, file.size_bytes)), COMPRESSED)
    if file.size_bytes < form.LEVEL1_OFFSET:
        raise CorruptError(uri.text, f"ends after {file.size_bytes} bytes, inside its headers")
    header = form.decode_header(file.read(form.HEADER_OFFSET, form.HEADER_BYTES))
    if header.options & form.BIG_ENDIAN:
        uri.refuse("was written by a big-endian machine; Hercules' cckdswap turns it round")
    model = checked_geometry(uri, first, header.cylinders)
    tracks = header.cylinders * model.heads
    wanted = -(-tracks // form.LEVEL2_ENTRIES)
    if header.level1_entries not in (wanted, wanted + 1):
        raise CorruptError(
            uri.text,
            f"header, offset {form.HEADER_OFFSET + 4}: {header.level1_entries} entries in the "
            f"level 1 table, where {tracks} tracks need {wanted}",
        )
    if file.size_bytes < form.LEVEL1_OFFSET + header.level1_entries * form.LEVEL1_ENTRY.size:
        raise CorruptError(
            uri.text, f"ends after {file.size_bytes} bytes, inside its level 1 table"
        )
    return model, header


def read_tables(uri: Uri, file: DescriptorDisk) -> Tables:
    """Return what is in the headers and tables; where things lie is checked by `table_damages`."""
    model, header = read_headers(uri, file)
    size = header.level1_entries * form.LEVEL1_ENTRY.size
    data = file.read(form.LEVEL1_OFFSET, size)
    level1 = [position for (position,) in form.LEVEL1_ENTRY.iter_unpack(data)]
    tracks = header.cylinders * model.heads
    null = header.null_format if header.null_format < form.NULL_FORMATS else 0
    places: dict[int, Place] = {}
    forms = bytearray([null]) * tracks
    extents = [Extent(0, form.LEVEL1_OFFSET + size, None, "the headers and level 1 table")]
    for number, position in enumerate(level1):
        if not position:
            continue
        name = f"level 2 table {number}"
        extents.append(Extent(position, form.LEVEL2_BYTES, None, name))
        if position + form.LEVEL2_BYTES > file.size_bytes:
            continue  # told as an extent past the end of the file
        rows = form.LEVEL2_ENTRY.iter_unpack(file.read(position, form.LEVEL2_BYTES))
        first = number * form.LEVEL2_ENTRIES
        for track, row in zip(range(first, tracks), rows, strict=False):
            place = Place(*row)
            if not place.position:
                known = place.length < form.NULL_FORMATS and (place.length or null != 2)
                forms[track] = place.length if known else null
                continue
            places[track] = place
            extents.append(Extent(place.position, place.size, track, f"track {track}"))
    return Tables(model, header, level1, places, forms, extents)


def table_damages(tables: Tables, file_bytes: int) -> Iterator[Damage]:
    """Yield what lies where it cannot lie."""
    for extent, other in clashes(tables.extents, file_bytes):
        lies = f"{extent.size} bytes of {extent.name} at {extent.position} in the file"
        problem = f"reach past its {file_bytes} bytes" if other is None else f"overlap {other.name}"
        offset = 0 if extent.track is not None else extent.position
        yield Damage(extent.track, offset, f"{lies} {problem}")
    limit = tables.model.image_bytes
    for track, place in tables.places.items():
        if not HOME_ADDRESS_BYTES <= place.length <= min(place.size, limit):
            yield Damage(track, 0, f"its table says {place.length} bytes, in room for {place.size}")
