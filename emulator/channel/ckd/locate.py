"""Locate Record, its extended form and Prefix: where to go, and what will be done there."""

from typing import Final

from emulator.channel.asks import Waiting
from emulator.channel.ckd.extents import EXTENT_BYTES, define_extent
from emulator.channel.ckd.positioning import (
    ID_BYTES,
    find_record,
    first_user_record,
    home_address,
    in_extent,
    seek,
    skip_record,
)
from emulator.channel.ckd.run import OPERATION, CkdRun
from emulator.channel.sense import (
    COUNT_TOO_SMALL,
    FILE_PROTECTED,
    INVALID_PARAMETER,
    INVALID_SEQUENCE,
    NO_RECORD_FOUND,
    UnitCheck,
)

LOCATE_BYTES: Final = 16
LOCATE_EXTENDED_BYTES: Final = 20
PREFIX_BYTES: Final = 64
_PREFIX_EXTENT_FROM, _PREFIX_LOCATE_FROM = 12, 44
_EXTENT_GIVEN: Final = 0x80

ORIENT, WRITE_DATA, FORMAT_WRITE, READ_DATA = 0x00, 0x01, 0x03, 0x06
WRITE_ANY, READ_ANY, WRITE_TRACK, READ_TRACKS = 0x09, 0x0A, 0x0B, 0x0C
READ_TRACKSET, READ, EXTENDED = 0x0E, 0x16, 0x3F
COUNT, HOME, DATA, INDEX = 0x00, 0x40, 0x80, 0xC0
_ORIENTATION: Final = 0xC0
_WRITE_OPERATIONS: Final = (WRITE_DATA, FORMAT_WRITE, WRITE_TRACK, WRITE_ANY)

_LENGTH_GIVEN: Final = 0x80
_READ_COUNT_FOLLOWS: Final = 0x01
_AUXILIARY_RESERVED: Final = 0x7E
_NO_SECTOR: Final = 0xFF
_TRACKS_MASK_TOP: Final = 0x8000

_READS: Final = {
    *(READ_DATA | orientation for orientation in (COUNT, HOME, DATA)),
    *(READ | orientation for orientation in (COUNT, HOME, DATA, INDEX)),
}
_WRITES: Final = {
    *(WRITE_DATA | orientation for orientation in (COUNT, DATA)),
    *(FORMAT_WRITE | orientation for orientation in (COUNT, HOME, INDEX)),
    WRITE_TRACK,
}
_TRACKS: Final = {READ_TRACKS, READ_TRACKS | HOME}
OPERATIONS: Final = frozenset({ORIENT, ORIENT | HOME, ORIENT | DATA} | _READS | _WRITES | _TRACKS)
"""Operation bytes of Locate Record: orientation and operation."""
_EXTENDED_KINDS: Final = (WRITE_ANY, READ_ANY, READ_TRACKSET)
_EXTENDED: Final = {WRITE_ANY, READ_ANY, READ_TRACKSET, READ_TRACKSET | HOME}
EXTENDED_OPERATIONS: Final = frozenset(_READS | _WRITES | _TRACKS | _EXTENDED)
"""Operation bytes of Locate Record Extended, the extended operation in place of X'3F'."""

# Domains that commands may come in (`table.py`).
IN_READS: Final[frozenset[int]] = frozenset(_READS)
IN_ANY_READS: Final[frozenset[int]] = frozenset(_READS | {READ_ANY})
IN_READ_COUNTS: Final[frozenset[int]] = frozenset(
    _READS | {READ_ANY, WRITE_DATA, WRITE_DATA | DATA}
)
IN_HOME_READS: Final[frozenset[int]] = frozenset(
    {READ_DATA, READ_DATA | HOME, READ_DATA | DATA, READ | HOME, READ | INDEX}
)
IN_READ_TRACKS: Final[frozenset[int]] = frozenset(_TRACKS | {READ_TRACKSET, READ_TRACKSET | HOME})
IN_DATA_WRITES: Final[frozenset[int]] = frozenset({WRITE_DATA, WRITE_DATA | DATA})
IN_ANY_WRITES: Final[frozenset[int]] = IN_DATA_WRITES | {WRITE_ANY}
IN_LAST_WRITES: Final[frozenset[int]] = IN_DATA_WRITES | {WRITE_TRACK}
IN_FORMATS: Final[frozenset[int]] = frozenset(
    FORMAT_WRITE | orientation for orientation in (COUNT, HOME, INDEX)
)
IN_RECORD_WRITES: Final[frozenset[int]] = IN_FORMATS | {WRITE_TRACK}
IN_HOME_FORMATS: Final[frozenset[int]] = frozenset({FORMAT_WRITE | HOME, FORMAT_WRITE | INDEX})
IN_WRITE_TRACK: Final[frozenset[int]] = frozenset({WRITE_TRACK})
IN_HOME_WRITE: Final[frozenset[int]] = frozenset({FORMAT_WRITE | HOME})


def locate_record(run: CkdRun) -> Waiting[int]:
    """Go to a record or track and open a domain for the commands that work on it."""
    data = run.sent
    if len(data) < LOCATE_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    _check_preceded(run)
    operation = data[0]
    if operation not in OPERATIONS:
        raise UnitCheck(INVALID_PARAMETER)
    _check_auxiliary(data[1], operation, (WRITE_DATA, READ))
    count = data[3]
    if data[2] or (count == 0) != (operation & OPERATION == ORIENT):
        raise UnitCheck(INVALID_PARAMETER)
    yield from _locate(run, data, operation)
    return LOCATE_BYTES


def locate_record_extended(run: CkdRun) -> Waiting[int]:
    """Do as Locate Record, with the operations on sets of tracks and on any record."""
    data = run.sent
    if len(data) < LOCATE_EXTENDED_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    _check_preceded(run)
    operation, extended = data[0], data[17]
    if (operation & OPERATION == EXTENDED) != (extended in _EXTENDED_KINDS):
        raise UnitCheck(INVALID_PARAMETER)
    if operation & OPERATION == EXTENDED:
        operation = operation & _ORIENTATION | extended
    elif extended:
        raise UnitCheck(INVALID_PARAMETER)
    if operation not in EXTENDED_OPERATIONS:
        raise UnitCheck(INVALID_PARAMETER)
    _check_auxiliary(data[1], operation, (WRITE_DATA, READ, READ_DATA, WRITE_ANY, READ_ANY))
    if data[2] or not data[3]:
        raise UnitCheck(INVALID_PARAMETER)
    length = LOCATE_EXTENDED_BYTES + _parameter_length(data, extended)
    if len(data) < length:
        raise UnitCheck(COUNT_TOO_SMALL)
    parameters = data[LOCATE_EXTENDED_BYTES:length]
    if extended in (WRITE_ANY, READ_ANY) and parameters != b"\x01":
        raise UnitCheck(INVALID_PARAMETER)
    yield from _locate(run, data, operation)
    if extended == READ_TRACKSET:
        run.tracks_mask = int.from_bytes(parameters.ljust(2, b"\0"), "big")
    return length


def prefix(run: CkdRun) -> Waiting[int]:
    """Do Define Extent and Locate Record Extended, as the format byte says, in one command."""
    data = run.sent
    if len(data) < PREFIX_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    form, given = data[0], data[1]
    if form not in (0, 1):
        raise UnitCheck(INVALID_PARAMETER)
    if given & _EXTENT_GIVEN:
        run.sent = data[_PREFIX_EXTENT_FROM:][:EXTENT_BYTES]
        define_extent(run)
    if form == 0:
        return PREFIX_BYTES
    run.sent = data[_PREFIX_LOCATE_FROM:]
    located = yield from locate_record_extended(run)
    return _PREFIX_LOCATE_FROM + located


def _check_preceded(run: CkdRun) -> None:
    if not run.extent_defined:
        raise UnitCheck(INVALID_SEQUENCE)


def _check_auxiliary(auxiliary: int, operation: int, suffixed: tuple[int, ...]) -> None:
    """A Read Count may only follow the domain of some operations."""
    follows = auxiliary & _READ_COUNT_FOLLOWS
    if auxiliary & _AUXILIARY_RESERVED or (follows and operation & OPERATION not in suffixed):
        raise UnitCheck(INVALID_PARAMETER)


def _parameter_length(data: bytes, extended: int) -> int:
    """Return how many extended parameter bytes there are, checked against the operation."""
    length = data[18] << 8 | data[19]
    allowed = {WRITE_ANY: (1,), READ_ANY: (1,), READ_TRACKSET: (1, 2)}.get(extended, (0,))
    if length not in allowed:
        raise UnitCheck(INVALID_PARAMETER)
    return length


def _check_trackset(run: CkdRun, data: bytes, first_track: int) -> None:
    """The bits name as many tracks as the count, the first of them, all in the extent."""
    length = data[18] << 8 | data[19]
    bits = int.from_bytes(data[20 : 20 + length].ljust(2, b"\0"), "big")
    if not bits & _TRACKS_MASK_TOP or bits.bit_count() != data[3]:
        raise UnitCheck(INVALID_PARAMETER)
    tracks = 16 - (bits & -bits).bit_length() + 1
    if first_track + tracks - 1 > run.last_track:
        raise UnitCheck(FILE_PROTECTED)


def _locate(run: CkdRun, data: bytes, operation: int) -> Waiting[None]:
    """Check what both forms share, go there, and open the domain."""
    auxiliary, count, sector = data[1], data[3], data[13]
    if auxiliary & _READ_COUNT_FOLLOWS and count < 2:
        raise UnitCheck(INVALID_PARAMETER)
    cylinder, head = data[4] << 8 | data[5], data[6] << 8 | data[7]
    if not run.geometry.has(cylinder, head):
        raise UnitCheck(INVALID_PARAMETER)
    if not in_extent(run, cylinder, head):
        raise UnitCheck(FILE_PROTECTED)
    if sector != _NO_SECTOR and sector >= run.geometry.sectors:
        raise UnitCheck(INVALID_PARAMETER)
    transfer_length = data[14] << 8 | data[15]
    given = auxiliary & _LENGTH_GIVEN != 0
    if given != (transfer_length != 0) or transfer_length > run.block_size:
        raise UnitCheck(INVALID_PARAMETER)
    if operation & OPERATION == READ_TRACKSET:
        _check_trackset(run, data, cylinder * run.heads + head)
    if operation & OPERATION in _WRITE_OPERATIONS:
        run.check_writable()
    yield from seek(run, cylinder, head, any_state=operation == FORMAT_WRITE | HOME)
    _orient(run, operation, data[8 : 8 + ID_BYTES])
    run.operation = operation
    run.auxiliary = auxiliary
    run.transfer_length = transfer_length or run.block_size
    run.remaining = count
    run.tracks_mask = 0
    run.positioned = True


def _orient(run: CkdRun, operation: int, wanted: bytes) -> None:
    """Stand where the operation begins: at a record's count or behind its data, or at the index."""
    orientation = operation & _ORIENTATION
    if orientation == HOME:
        if home_address(run)[1:] != wanted[:4]:
            raise UnitCheck(NO_RECORD_FOUND)
    elif orientation != INDEX:
        if operation in (WRITE_ANY, READ_ANY):
            first_user_record(run)
        elif operation != READ_TRACKSET:
            find_record(run, wanted)
        if orientation == DATA:
            skip_record(run)
