"""How much memory a cached track takes, to the byte, so that `cache=` of a bench is kept.

Counted as CPython on a 64-bit machine allots it: the image, the names under which the directory
knows it, its share of tables that are as sparse as they can get, and one remembered track that
left. Pure arithmetic; `tests/cache/test_memory.py` holds it against the interpreter.
"""

from typing import Final

from emulator.channel.blocks import TRACK_BYTES

# A bytes object has 33 bytes around its contents, the allocator 8 more, in steps of 16.
IMAGE_BYTES: Final = (TRACK_BYTES + 33 + 8 + 15) // 16 * 16
TRACKS_MIN: Final = 64

# Kept back of the memory for a cache: after 2 GiB of writes a site held more than all that is
# counted here, which looks like holes of the heap between images that come and go.
HOLES_SHARE: Final = 16

_NAME_BYTES: Final = 32
_TABLE_BYTES: Final = 104
_DEQUE_ENTRY_BYTES: Final = 9
_LINK_BYTES: Final = 32
# Tables by track: clean, dirty, oldest lsn, marks of use, places.
_TABLES: Final = 5
# Names of a resident track: its key, the key in its mark, when it got its place.
_NAMES: Final = 3
# Names of a track that left: its key and when it had entered.
_GHOST_NAMES: Final = 2


def table_bytes(entries: int) -> int:
    """Return what a dict of so many entries takes at most, entries coming and going.

    A table is made three times as large as what is in it, rounded up to a power of two, and can
    hold two thirds of that.

    >>> table_bytes(14000)
    1310808
    """
    slots = max(8, 1 << (3 * entries - 1).bit_length())
    return _TABLE_BYTES + slots * _index_bytes(slots) + slots * 2 // 3 * 24


def _index_bytes(slots: int) -> int:
    if slots < 1 << 8:
        return 1
    return 2 if slots < 1 << 16 else 4


def ghosts_bytes(ghosts: int) -> int:
    """Return what remembering so many tracks that left takes at most."""
    # An ordered dict has a link for each entry and a pointer to it for each slot.
    slots = max(8, 1 << (3 * ghosts - 1).bit_length())
    each = _LINK_BYTES + _GHOST_NAMES * _NAME_BYTES
    return table_bytes(ghosts) + slots * 8 + ghosts * each


def directory_bytes(tracks: int) -> int:
    """Return what knowing so many tracks takes at most, besides their images."""
    names = tracks * (_NAMES * _NAME_BYTES + _DEQUE_ENTRY_BYTES)
    return _TABLES * table_bytes(tracks) + names + ghosts_bytes(tracks)


def tracks_within(size_bytes: int) -> int:
    """Return how many tracks may be held so that everything takes at most `size_bytes`.

    >>> tracks_within(64 << 20) * 4096 / (64 << 20) > 0.75
    True
    """
    size_bytes -= size_bytes // HOLES_SHARE
    low, high = TRACKS_MIN, max(TRACKS_MIN, size_bytes // IMAGE_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        if middle * IMAGE_BYTES + directory_bytes(middle) <= size_bytes:
            low = middle
        else:
            high = middle - 1
    return low
