"""A quick look at the track in a slot; each host access passes here.

`track_image.py` says what is wrong with one, and at which offset; this only finds out whether
there is anything to say.
"""

import struct

from emulator.channel.geometry import COUNT_BYTES, HOME_ADDRESS_BYTES, Geometry
from emulator.channel.track_image import END_MARKER, BadTrackError, check

_HOME_ADDRESS = struct.Struct(">BHH")
_ZERO_HEAD = bytes(HOME_ADDRESS_BYTES + COUNT_BYTES)
_ZERO = b"\0"


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


def is_whole(image: bytes, geometry: Geometry, track: int) -> bool:
    """Return whether bytes are a whole track, from its home address to its end marker."""
    try:
        return used_bytes(image, geometry, track) == len(image)
    except BadTrackError:
        return False
