"""A quick look at the track in a slot; each host access passes here.

`track_image.py` says what is wrong with one, and at which offset; this only finds out whether
there is anything to say.
"""

import struct
from collections.abc import Sequence
from typing import Final

from emulator.channel.blocks import TRACK_BYTES
from emulator.channel.geometry import COUNT_BYTES, HOME_ADDRESS_BYTES, Geometry
from emulator.channel.track_image import END_MARKER, BadTrackError, check

_HOME_ADDRESS: Final = struct.Struct(">BHH")
_ZERO_HEAD: Final = bytes(HOME_ADDRESS_BYTES + COUNT_BYTES)
_ZERO: Final = b"\0"
_PAGE_SHIFT: Final = TRACK_BYTES.bit_length() - 1
_PAGE_MASK: Final = TRACK_BYTES - 1


def is_contents(slot: bytes, offset: int, stop: int) -> bool:
    """Return whether a range lies in key and data of one record of a good track."""
    at = HOME_ADDRESS_BYTES
    while at + COUNT_BYTES <= offset:
        count = slot[at : at + COUNT_BYTES]
        if count == END_MARKER:
            return False
        at += COUNT_BYTES + count[5] + (count[6] << 8) + count[7]
        if offset < at:
            return stop <= at
    return False


def used_bytes(slot: bytes, geometry: Geometry, track: int) -> int:
    """Return the length in use of the track in a slot; 0 if it was never written.

    As `track_image.check`, which tells what is wrong, but quick: each host access passes here.
    """
    if slot[: len(_ZERO_HEAD)] == _ZERO_HEAD and not slot.strip(_ZERO):
        return 0
    offset = HOME_ADDRESS_BYTES
    if slot[:offset] == _HOME_ADDRESS.pack(0, *geometry.address(track)):
        last = geometry.image_bytes - COUNT_BYTES
        while offset <= last:
            count = slot[offset : offset + COUNT_BYTES]
            if count == END_MARKER:
                if offset == HOME_ADDRESS_BYTES:
                    break
                return offset + COUNT_BYTES
            offset += COUNT_BYTES + count[5] + (count[6] << 8) + count[7]
    return check(slot, geometry, track)


def image_in_pages(pages: Sequence[bytes], geometry: Geometry, track: int) -> bytes:
    """Return the image of a good track whose slot lies in these pages; nothing for any other.

    As far as `used_bytes` says, which has to have the slot in one piece: two copies, not one.
    """
    used = _used_in_pages(pages, geometry, track)
    count, rest = used >> _PAGE_SHIFT, used & _PAGE_MASK
    return b"".join((*pages[:count], pages[count][:rest])) if rest else b"".join(pages[:count])


def _used_in_pages(pages: Sequence[bytes], geometry: Geometry, track: int) -> int:
    offset = HOME_ADDRESS_BYTES
    home_address = _HOME_ADDRESS.pack(0, *geometry.address(track))
    if len(pages) * TRACK_BYTES != geometry.slot_bytes or pages[0][:offset] != home_address:
        return 0
    last = geometry.image_bytes - COUNT_BYTES
    while offset <= last:
        page, start = offset >> _PAGE_SHIFT, offset & _PAGE_MASK
        count = pages[page][start : start + COUNT_BYTES]
        if len(count) < COUNT_BYTES:
            count += pages[page + 1][: COUNT_BYTES - len(count)]
        if count == END_MARKER:
            return offset + COUNT_BYTES if offset > HOME_ADDRESS_BYTES else 0
        offset += COUNT_BYTES + count[5] + (count[6] << 8) + count[7]
    return 0


def is_whole(image: bytes, geometry: Geometry, track: int) -> bool:
    """Return whether bytes are a whole track, from its home address to its end marker."""
    try:
        return used_bytes(image, geometry, track) == len(image)
    except BadTrackError:
        return False
