"""Commands that bring what is on the track."""

from typing import Final

from emulator.channel.asks import Waiting
from emulator.channel.ckd.positioning import (
    count_field,
    home_address,
    next_count,
    next_track,
    seek,
    step_to_end,
    take_data,
    take_key,
    to_index,
)
from emulator.channel.ckd.run import AT_COUNT, AT_KEY, OPERATION, CkdRun
from emulator.channel.sense import INVALID_SEQUENCE, UnitCheck
from emulator.channel.status import UNIT_EXCEPTION
from emulator.channel.track_image import END_MARKER

_MULTITRACK: Final = 0x80
_READ_DATA: Final = 0x06
_ORIENT_DATA: Final = 0x80
READ_TRACK: Final = 0xDE
_BEFORE_READ_TRACK: Final = (0x47, 0x4B, 0xE7, READ_TRACK)
_WRITE_DATA: Final = 0x01
_TRACKS_MASK_TOP: Final = 0x8000


def read_data(run: CkdRun) -> Waiting[bytes]:
    """Bring the data of the record at hand, or of the next one; unit exception if it has none."""
    if run.orientation not in (AT_COUNT, AT_KEY) or run.image is None:
        yield from next_count(run)
    found = take_data(run)
    if run.overflows:
        found += yield from _overflow(run)
    return _with_end_of_file(run, found)


def read_key_and_data(run: CkdRun) -> Waiting[bytes]:
    """Bring key and data of the record at hand, or of the next one."""
    if run.orientation != AT_COUNT or run.image is None:
        yield from next_count(run)
    found = take_key(run) + take_data(run)
    if run.overflows:
        found += yield from _overflow(run)
    return _with_end_of_file(run, found)


def read_count(run: CkdRun) -> Waiting[bytes]:
    """Bring the next count field."""
    if run.remaining > 1 and run.operation & OPERATION == _WRITE_DATA:
        raise UnitCheck(INVALID_SEQUENCE)
    yield from next_count(run)
    return count_field(run)


def read_count_key_and_data(run: CkdRun) -> Waiting[bytes]:
    """Bring the next record whole."""
    yield from next_count(run)
    found = count_field(run) + take_key(run) + take_data(run)
    if run.overflows:
        found += yield from _overflow(run)
    return _with_end_of_file(run, found)


def read_r0(run: CkdRun) -> Waiting[bytes]:
    """Bring R0 whole; multitrack, that of the next track."""
    yield from _to_track(run)
    yield from next_count(run, skip_r0=False)
    return _with_end_of_file(run, count_field(run) + take_key(run) + take_data(run))


def read_home_address(run: CkdRun) -> Waiting[bytes]:
    """Bring the home address; multitrack, that of the next track."""
    yield from _to_track(run)
    return home_address(run)


def _to_track(run: CkdRun) -> Waiting[None]:
    if run.code & _MULTITRACK and not run.remaining:
        yield from next_track(run)
    else:
        yield from seek(run, run.cylinder, run.head)


def read_multiple(run: CkdRun) -> Waiting[bytes]:
    """Bring every record from here to the end of the track."""
    if run.image is None:
        yield from seek(run, run.cylinder, run.head)
    return _rest_of_track(run, skip_r0=True)


def read_track(run: CkdRun) -> Waiting[bytes]:
    """Bring a whole track from R0 on, its end marker included; then the next track."""
    if run.previous not in _BEFORE_READ_TRACK:
        raise UnitCheck(INVALID_SEQUENCE)
    if run.previous == READ_TRACK:
        tracks = 1
        while run.tracks_mask and not run.tracks_mask & _TRACKS_MASK_TOP:
            run.tracks_mask <<= 1
            tracks += 1
        yield from next_track(run, tracks)
    run.tracks_mask = run.tracks_mask << 1 & 0xFFFF
    to_index(run)
    return _rest_of_track(run, skip_r0=False) + END_MARKER


def _rest_of_track(run: CkdRun, *, skip_r0: bool) -> bytes:
    parts = []
    while step_to_end(run, skip_r0=skip_r0):
        parts += [count_field(run), take_key(run), take_data(run)]
    return b"".join(parts)


def _overflow(run: CkdRun) -> Waiting[bytes]:
    """Bring the rest of a record that goes on over the next tracks."""
    parts = []
    while run.overflows:
        yield from next_track(run)
        yield from next_count(run)
        parts.append(take_data(run))
    return b"".join(parts)


def _with_end_of_file(run: CkdRun, found: bytes) -> bytes:
    if not run.data_length:
        run.status |= UNIT_EXCEPTION
    return found


def read_ipl(run: CkdRun) -> Waiting[bytes]:
    """Bring the data of the first record of cylinder 0, head 0, and open a domain for one more."""
    if run.extent_defined or run.mask_set:
        raise UnitCheck(INVALID_SEQUENCE)
    run.extent_defined = run.mask_set = run.read_ipl = run.positioned = True
    run.operation = _ORIENT_DATA | _READ_DATA
    run.auxiliary = run.transfer_length = 0
    run.remaining = 2
    yield from seek(run, 0, 0)
    yield from next_count(run)
    return _with_end_of_file(run, take_data(run))


def read_sector(run: CkdRun) -> bytes:
    """Bring the sector at which the record last worked on begins."""
    angle = run.record_at * run.geometry.sectors // run.geometry.image_bytes
    return bytes((min(angle, run.geometry.sectors - 1),))
