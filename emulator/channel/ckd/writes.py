"""Commands that change what is on the track; each writes whole fields or nothing."""

from typing import Final

from emulator.channel.asks import Waiting
from emulator.channel.ckd.positioning import (
    ID_BYTES,
    next_count,
    next_track,
    skip_record,
    step_to_end,
    to_index,
)
from emulator.channel.ckd.run import AT_COUNT, AT_DATA, AT_INDEX, AT_KEY, OPERATION, CkdRun
from emulator.channel.commands import Proof
from emulator.channel.geometry import COUNT_BYTES, STANDARD_R0_DATA_BYTES
from emulator.channel.sense import (
    INVALID_SEQUENCE,
    INVALID_TRACK_FORMAT,
    NO_RECORD_FOUND,
    UnitCheck,
)
from emulator.channel.status import UNIT_EXCEPTION
from emulator.channel.track_image import END_MARKER, R0_OFFSET

_CKD_CONVERSION: Final = 0x20
_READ_COUNT_FOLLOWS: Final = 0x01
_WRITE_TRACK: Final = 0x0B
_WRITE_SPECIAL: Final = 0x01
_OVERFLOW: Final = 0x80
_BEFORE_NEXT_TRACK: Final = (0x1D, 0x9D)
# Home address with what precedes it on the surface, on devices that let it be written.
_HOME_ADDRESS_BYTES: Final = {0x3340: 7, 0x3350: 11}


def write_data(run: CkdRun) -> Waiting[int]:
    """Write the data of the record at hand, filled up with zeros."""
    data = run.sent
    run.check_writable()
    _check_last(run)
    if run.orientation not in (AT_COUNT, AT_KEY):
        raise UnitCheck(INVALID_SEQUENCE)
    if run.remaining:
        writes_r0 = run.operation & OPERATION == _WRITE_TRACK and run.record == 0
        _check_length(run, run.data_length, STANDARD_R0_DATA_BYTES if writes_r0 else None)
    length = yield from _update(run, data, key=False)
    if run.remaining == 1 and run.operation & OPERATION == _WRITE_TRACK and run.record == 0:
        run.write(run.at, END_MARKER, ends=True)
    return length


def write_key_and_data(run: CkdRun) -> Waiting[int]:
    """Write key and data of the record at hand, filled up with zeros."""
    data = run.sent
    run.check_writable()
    _check_last(run)
    if run.orientation != AT_COUNT:
        raise UnitCheck(INVALID_SEQUENCE)
    if run.remaining:
        _check_length(run, run.key_length + run.data_length)
    return (yield from _update(run, data, key=True))


def write_update_data(run: CkdRun) -> Waiting[int]:
    """Write the data of the record found by Locate Record, then of the records that follow it."""
    data = run.sent
    run.check_writable()
    if run.orientation != AT_COUNT or run.record == 0:
        yield from next_count(run)
    _check_length(run, run.data_length)
    return (yield from _update(run, data, key=False))


def write_update_key_and_data(run: CkdRun) -> Waiting[int]:
    """Write key and data of the record found by Locate Record, then of those that follow it."""
    data = run.sent
    run.check_writable()
    if run.orientation != AT_COUNT or run.record == 0:
        yield from next_count(run)
    _check_length(run, run.key_length + run.data_length)
    return (yield from _update(run, data, key=True))


def _check_last(run: CkdRun) -> None:
    """In a Write Data domain, plain writes may only come last, before a Read Count at most."""
    if run.remaining and run.operation & OPERATION != _WRITE_TRACK:
        last = 2 if run.auxiliary & _READ_COUNT_FOLLOWS else 1
        if run.remaining != last:
            raise UnitCheck(INVALID_SEQUENCE)


def _check_length(run: CkdRun, length: int, wanted: int | None = None) -> None:
    """In a domain every record must be as long as was announced."""
    if run.attributes & _CKD_CONVERSION:
        return
    if length != (run.transfer_length if wanted is None else wanted):
        raise UnitCheck(INVALID_TRACK_FORMAT)


def _update(run: CkdRun, data: bytes, *, key: bool) -> Waiting[int]:
    """Write over key and data, or data alone, and over the parts on the next tracks."""
    if not run.data_length:
        run.status |= UNIT_EXCEPTION
        return 0
    length = run.data_length + (run.key_length if key else 0)
    if run.orientation == AT_COUNT and not key:
        run.at += run.key_length
    _put(run, data[:length], length)
    taken = length
    while run.overflows:
        yield from next_track(run)
        yield from next_count(run)
        run.at += run.key_length
        _put(run, data[taken : taken + run.data_length], run.data_length)
        taken += run.data_length
    return taken


def _put(run: CkdRun, data: bytes, length: int) -> None:
    run.write(run.at, data.ljust(length, b"\0"))
    run.at += length
    run.orientation = AT_DATA


def write_count_key_and_data(run: CkdRun) -> int:
    """Write a record behind the one at hand; what followed on the track is gone."""
    data = run.sent
    run.check_writable()
    _check_oriented(run)
    skip_record(run)
    length = _format(run, data, overflows=run.code == _WRITE_SPECIAL)
    run.proof = Proof.NONE if run.remaining else Proof.FORMATTED
    return length


def write_r0(run: CkdRun) -> int:
    """Write R0; all other records of the track are gone."""
    data = run.sent
    run.check_writable()
    if run.orientation != AT_INDEX or run.image is None:
        raise UnitCheck(INVALID_SEQUENCE)
    length = _format(run, data)
    run.replace()
    run.proof = Proof.NONE if run.remaining else Proof.FORMATTED
    return length


def write_next_track(run: CkdRun) -> Waiting[int]:
    """Write the first record of the next track, behind its R0; all others there are gone."""
    data = run.sent
    run.check_writable()
    if run.previous not in _BEFORE_NEXT_TRACK:
        raise UnitCheck(INVALID_SEQUENCE)
    yield from next_track(run)
    if not step_to_end(run, skip_r0=False):
        raise UnitCheck(NO_RECORD_FOUND)
    skip_record(run)
    return _format(run, data)


def erase(run: CkdRun) -> int:
    """Remove every record behind the one at hand."""
    data = run.sent
    run.check_writable()
    _check_oriented(run)
    skip_record(run)
    length = _record_length(data)
    _check_fits(run, data, length)
    run.write(run.at, END_MARKER, ends=True)
    # What is sent beyond the count field is not looked at, so that a count of 8 is right too.
    return max(COUNT_BYTES, min(len(data), length))


def write_home_address(run: CkdRun) -> int:
    """Take a home address; it is fixed here, so that only what may follow changes."""
    run.check_writable()
    if run.image is None:
        raise UnitCheck(INVALID_SEQUENCE)
    to_index(run)
    run.proof = Proof.HOME
    return _HOME_ADDRESS_BYTES.get(run.geometry.device_type, 5)


def _check_oriented(run: CkdRun) -> None:
    """A record is written behind another one, never where R0 belongs."""
    if run.orientation not in (AT_COUNT, AT_KEY, AT_DATA):
        raise UnitCheck(INVALID_SEQUENCE)


def _record_length(data: bytes) -> int:
    """Return the length of the record that a count field announces."""
    field = data[:COUNT_BYTES].ljust(COUNT_BYTES, b"\0")
    return COUNT_BYTES + field[5] + (field[6] << 8 | field[7])


def _format(run: CkdRun, data: bytes, *, overflows: bool = False) -> int:
    """Write count, key and data, filled up with zeros, and the end marker."""
    length = _record_length(data)
    space = _check_fits(run, data, length)
    record = bytearray(data[:length].ljust(length, b"\0"))
    if overflows:
        record[0] |= _OVERFLOW
    at = run.at
    run.write(at, bytes(record) + END_MARKER, ends=True)
    run.record_at, run.at = at, at + length
    run.record_id = bytes(record[:ID_BYTES])
    run.record, run.key_length = record[ID_BYTES - 1], record[5]
    run.data_length = record[6] << 8 | record[7]
    run.overflows = overflows
    run.orientation = AT_DATA
    run.space_known = (run.at, space)
    return length


def _check_fits(run: CkdRun, data: bytes, length: int) -> int:
    """Refuse a record that the track has no room for; return what is taken then."""
    geometry = run.geometry
    if run.at + length + len(END_MARKER) >= geometry.image_bytes:
        raise UnitCheck(INVALID_TRACK_FORMAT)
    key_length = data[5] if len(data) > 5 else 0
    data_length = length - COUNT_BYTES - key_length
    space = _space_before(run) + geometry.record_bytes(key_length, data_length)
    if run.at == R0_OFFSET:
        space -= geometry.record_bytes(0, STANDARD_R0_DATA_BYTES)
    if run.device.exact_capacity and space > geometry.track_bytes:
        raise UnitCheck(INVALID_TRACK_FORMAT)
    return space


def _space_before(run: CkdRun) -> int:
    """Return what the records before the head take of the device's track."""
    offset, space = run.space_known
    if offset == run.at:
        return space
    space, at, image = 0, R0_OFFSET, run.image or b""
    while at < run.at:
        key_length, data_length = image[at + 5], image[at + 6] << 8 | image[at + 7]
        space += run.geometry.record_bytes(key_length, data_length)
        if at == R0_OFFSET:
            space -= run.geometry.record_bytes(0, STANDARD_R0_DATA_BYTES)
        at += COUNT_BYTES + key_length + data_length
    return space
