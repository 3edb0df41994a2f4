"""Commands that move the arm or say what the chain may do, and move no data of the track."""

from typing import Final

from emulator.channel.asks import Waiting
from emulator.channel.ckd.positioning import in_extent, seek
from emulator.channel.ckd.run import MASK_SEEKS, CkdRun
from emulator.channel.sense import (
    COUNT_TOO_SMALL,
    DIAGNOSTIC_MASK,
    FILE_PROTECTED,
    INVALID_PARAMETER,
    INVALID_SEQUENCE,
    STATUS_REFUSED,
    UnitCheck,
)

SEEK, SEEK_CYLINDER, SEEK_HEAD = 0x07, 0x0B, 0x1B
SEEK_BYTES: Final = 6
# Which values of the file mask's seek bits allow a seek.
_ALLOWED: Final = {SEEK: (0x00,), SEEK_CYLINDER: (0x00, 0x08), SEEK_HEAD: (0x00, 0x08, 0x10)}
_MASK_RESERVED: Final = 0x20
_MASK_AUTHORITY: Final = 0x06
_MASK_DIAGNOSTIC: Final = 0x04
_NO_SECTOR: Final = 0xFF
_DIAGNOSTIC_BYTES: Final = 4
_MAINTENANCE_QUERY: Final = 0x12


def no_operation(_run: CkdRun) -> int:
    """Do nothing."""
    return 0


def seek_track(run: CkdRun) -> Waiting[int]:
    """Move to the cylinder and head given; Seek Head stays on the cylinder."""
    data = run.sent
    if run.file_mask & MASK_SEEKS not in _ALLOWED[run.code]:
        raise UnitCheck(FILE_PROTECTED)
    if len(data) < SEEK_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    cylinder = run.cylinder if run.code == SEEK_HEAD else data[2] << 8 | data[3]
    head = data[4] << 8 | data[5]
    if data[0] or data[1] or not run.geometry.has(cylinder, head):
        raise UnitCheck(INVALID_PARAMETER)
    if not in_extent(run, cylinder, head):
        raise UnitCheck(FILE_PROTECTED)
    yield from seek(run, cylinder, head, any_state=True)
    run.positioned = True
    return SEEK_BYTES


def recalibrate(run: CkdRun) -> Waiting[int]:
    """Move to cylinder 0, head 0."""
    if run.file_mask & MASK_SEEKS or run.file_mask & _MASK_AUTHORITY == _MASK_DIAGNOSTIC:
        raise UnitCheck(FILE_PROTECTED)
    if not in_extent(run, 0, 0):
        raise UnitCheck(FILE_PROTECTED)
    yield from seek(run, 0, 0, any_state=True)
    run.positioned = True
    return 0


def set_sector(run: CkdRun) -> int:
    """Wait for a sector to come under the head, which takes no time here."""
    data = run.sent
    if not data:
        raise UnitCheck(COUNT_TOO_SMALL)
    if data[0] != _NO_SECTOR and data[0] >= run.geometry.sectors:
        raise UnitCheck(INVALID_PARAMETER)
    return 1


def set_file_mask(run: CkdRun) -> int:
    """Say once what the chain may write and where it may seek."""
    data = run.sent
    if run.extent_defined or run.mask_set:
        raise UnitCheck(INVALID_SEQUENCE)
    if not data:
        raise UnitCheck(COUNT_TOO_SMALL)
    if data[0] & _MASK_RESERVED:
        raise UnitCheck(INVALID_PARAMETER)
    run.file_mask = data[0]
    run.mask_set = True
    return 1


def diagnostic_control(run: CkdRun) -> int:
    """Take the one diagnostic order that changes nothing: the maintenance query."""
    data = run.sent
    if run.state.intercepted:
        run.state.intercepted = False
        raise UnitCheck(STATUS_REFUSED)
    if len(data) < _DIAGNOSTIC_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    if data[0] != _MAINTENANCE_QUERY or data[2] or data[3]:
        raise UnitCheck(INVALID_PARAMETER)
    if not run.file_mask & _MASK_AUTHORITY:
        raise UnitCheck(DIAGNOSTIC_MASK)
    return _DIAGNOSTIC_BYTES
