"""Moving along a track and from track to track, as the storage director does.

The rules of orientation: what the next field is, when the index may be passed, when a multitrack
command goes on, and when the search for a count field ends with no record found.
"""

import struct
from typing import Final

from emulator.channel.asks import Waiting
from emulator.channel.ckd.run import (
    AT_COUNT,
    AT_DATA,
    AT_END,
    AT_INDEX,
    AT_KEY,
    MASK_SEEKS,
    NO_SEEKS,
    OPERATION,
    CkdRun,
)
from emulator.channel.geometry import COUNT_BYTES, HOME_ADDRESS_BYTES
from emulator.channel.sense import (
    END_OF_CYLINDER,
    EQUIPMENT_CHECK,
    FILE_PROTECTED,
    NO_RECORD_FOUND,
    UnitCheck,
)

ID_BYTES: Final = 5
_COUNT: Final = struct.Struct(">5sBH")
_LENGTHS: Final = struct.Struct(">BH")
_END_ID: Final = b"\xff" * ID_BYTES
_OVERFLOW: Final = 0x80
# The last device types with track overflow; on later ones the bit is part of the cylinder.
_OVERFLOW_TYPES: Final = (0x3330, 0x3340, 0x3350)
_MULTITRACK: Final = 0x80
_WRITE_ANY, _READ_ANY = 0x09, 0x0A
_KEY_SEARCHES: Final = (0x29, 0x49, 0x69)
_SEARCHES: Final = (*_KEY_SEARCHES, 0x31, 0x51, 0x71)
_READS: Final = 0x02


def to_index(run: CkdRun) -> None:
    """Stand behind the home address of the track under the head."""
    run.orientation = AT_INDEX
    run.at = HOME_ADDRESS_BYTES
    run.record = run.key_length = run.data_length = 0
    run.overflows = False


def seek(run: CkdRun, cylinder: int, head: int, *, any_state: bool = False) -> Waiting[None]:
    """Move to a track of the volume, with `any_state` a damaged one, and stand at its index."""
    yield from run.load(cylinder * run.heads + head, any_state=any_state)
    run.cylinder, run.head = cylinder, head  # already under the head, it is not loaded again
    to_index(run)


def in_extent(run: CkdRun, cylinder: int, head: int) -> bool:
    """Tell whether a track lies in the extent that the program may use."""
    return run.first_track <= cylinder * run.heads + head <= run.last_track


def next_track(run: CkdRun, tracks: int = 1) -> Waiting[None]:
    """Go on to a later track of the cylinder; in a domain, across cylinders."""
    if not run.remaining:
        if run.file_mask & MASK_SEEKS == NO_SEEKS:
            raise UnitCheck(FILE_PROTECTED)
        if run.head + tracks >= run.heads:
            raise UnitCheck(END_OF_CYLINDER)
    cylinder, head = divmod(run.cylinder * run.heads + run.head + tracks, run.heads)
    if not in_extent(run, cylinder, head):
        raise UnitCheck(FILE_PROTECTED)
    yield from seek(run, cylinder, head)


def _step(run: CkdRun, *, skip_r0: bool) -> bool:
    """Stand at the next count field of the track; False at its end marker.

    A track that does not hold together ends in equipment check: nothing beyond it is believed.
    """
    if run.orientation == AT_END:
        return False
    image = run.image
    at = run.at
    if run.orientation == AT_COUNT:
        at += run.key_length + run.data_length
    elif run.orientation == AT_KEY:
        at += run.data_length
    while True:
        if image is None or at + COUNT_BYTES > len(image):
            raise UnitCheck(EQUIPMENT_CHECK)
        record_id, key_length, data_length = _COUNT.unpack_from(image, at)
        if record_id == _END_ID and key_length == 0xFF and data_length == 0xFFFF:
            run.orientation, run.at = AT_END, at
            return False
        data_at = at + COUNT_BYTES
        if data_at + key_length + data_length > len(image):
            raise UnitCheck(EQUIPMENT_CHECK)
        if skip_r0 and record_id[4] == 0:
            at = data_at + key_length + data_length
            continue
        run.record_at, run.at, run.record = at, data_at, record_id[4]
        run.record_id = record_id
        run.key_length, run.data_length = key_length, data_length
        run.orientation = AT_COUNT
        run.overflows = (
            record_id[0] & _OVERFLOW != 0 and run.geometry.device_type in _OVERFLOW_TYPES
        )
        return True


def next_count(run: CkdRun, *, skip_r0: bool = True) -> Waiting[None]:
    """Stand at the next count field, passing the index or going to the next track if need be."""
    if run.image is None:
        yield from seek(run, run.cylinder, run.head)
    if _step(run, skip_r0=skip_r0):
        return
    wrapped = False
    while True:
        stays = run.remaining != 0 and run.operation & OPERATION in (_WRITE_ANY, _READ_ANY)
        goes_on = run.code & _MULTITRACK != 0 and not stays
        if wrapped or (run.index_passed and not stays and not _goes_on_anyway(run)):
            raise UnitCheck(NO_RECORD_FOUND)
        if goes_on:
            yield from next_track(run)
            # A search may go on over all tracks of the cylinder; nothing else passes two ends.
            run.index_passed = run.index_passed or run.code & 0x7F not in _SEARCHES
        else:
            to_index(run)
            run.index_passed = not stays
            wrapped = stays
        if _step(run, skip_r0=skip_r0):
            return


def _goes_on_anyway(run: CkdRun) -> bool:
    """Multitrack reads and key searches end with the cylinder, not with the revolution."""
    if run.remaining or not run.code & _MULTITRACK:
        return False
    return run.code & 0x03 == _READS or run.code & ~_MULTITRACK in _KEY_SEARCHES


def find_record(run: CkdRun, wanted: bytes) -> None:
    """Stand at the count field with this id (CCHHR), searching from the index once."""
    step = _step
    while step(run, skip_r0=False):
        if run.record_id == wanted and not run.overflows:
            return
        if run.overflows and count_id(run) == wanted:
            return
    raise UnitCheck(NO_RECORD_FOUND)


def first_user_record(run: CkdRun) -> None:
    """Stand at the count field of the first record that is not R0."""
    if not _step(run, skip_r0=True):
        raise UnitCheck(NO_RECORD_FOUND)


def step_to_end(run: CkdRun, *, skip_r0: bool) -> bool:
    """Stand at the next count field of this track; False when there is none."""
    return _step(run, skip_r0=skip_r0)


def count_id(run: CkdRun) -> bytes:
    """Return cylinder, head and record number of the count field at hand."""
    record_id = run.record_id
    return bytes((record_id[0] & ~_OVERFLOW, *record_id[1:])) if run.overflows else record_id


def count_field(run: CkdRun) -> bytes:
    """Return the count field of the record at hand, without the mark of an overflow."""
    return count_id(run) + _LENGTHS.pack(run.key_length, run.data_length)


def take_key(run: CkdRun) -> bytes:
    """Return the key of the record at whose count field we stand, and stand behind it."""
    key = bytes((run.image or b"")[run.at : run.at + run.key_length])
    run.at += run.key_length
    run.orientation = AT_KEY
    return key


def take_data(run: CkdRun) -> bytes:
    """Return the data of the record at whose count or key we stand, and stand behind it."""
    if run.orientation == AT_COUNT:
        run.at += run.key_length
    data = bytes((run.image or b"")[run.at : run.at + run.data_length])
    run.at += run.data_length
    run.orientation = AT_DATA
    return data


def skip_record(run: CkdRun) -> None:
    """Stand behind the record at hand."""
    if run.orientation == AT_COUNT:
        run.at += run.key_length + run.data_length
    elif run.orientation == AT_KEY:
        run.at += run.data_length
    run.orientation = AT_DATA


def home_address(run: CkdRun) -> bytes:
    """Return the home address of the track under the head."""
    return bytes((run.image or b"")[:HOME_ADDRESS_BYTES])
