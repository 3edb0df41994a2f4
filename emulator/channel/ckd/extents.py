"""Define Extent: what part of the volume a chain may use, and how."""

from typing import Final

from emulator.channel.ckd.positioning import in_extent
from emulator.channel.ckd.run import CkdRun
from emulator.channel.sense import (
    COUNT_TOO_SMALL,
    INVALID_PARAMETER,
    INVALID_SEQUENCE,
    UnitCheck,
)

EXTENT_BYTES: Final = 16
_MASK_RESERVED: Final = 0x20
_ARCHITECTURE: Final = 0xC0
_EXTENDED_CKD: Final = 0xC0
_WITHOUT_READ_IPL: Final = 0x3390
_R0_COUNT_BYTES: Final = 8


def define_extent(run: CkdRun) -> int:
    """Say what the chain may write and where; again, only to narrow the extent."""
    data = run.sent
    if len(data) < EXTENT_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    if (run.mask_set and not run.read_ipl) or (
        run.read_ipl and run.geometry.device_type == _WITHOUT_READ_IPL
    ):
        raise UnitCheck(INVALID_SEQUENCE)
    mask, attributes, block_high, block_low = data[:4]
    again = run.extent_defined and not run.read_ipl
    if again and (mask, attributes) != (run.file_mask, run.attributes):
        raise UnitCheck(INVALID_SEQUENCE)
    if attributes & _ARCHITECTURE != _EXTENDED_CKD or mask & _MASK_RESERVED:
        raise UnitCheck(INVALID_PARAMETER)
    block_size_max = run.geometry.r0_bytes_max + _R0_COUNT_BYTES
    block_size = block_high << 8 | block_low or block_size_max
    if again and block_size != run.block_size:
        raise UnitCheck(INVALID_SEQUENCE)
    if block_size > block_size_max or any(data[4:7]):
        raise UnitCheck(INVALID_PARAMETER)
    first = _track(run, data, 8)
    last = _track(run, data, 12)
    if first is None or last is None or first > last:
        raise UnitCheck(INVALID_SEQUENCE if again else INVALID_PARAMETER)
    run.file_mask, run.attributes, run.block_size = mask, attributes, block_size
    run.first_track, run.last_track = first, last
    run.extent_defined = True
    return EXTENT_BYTES


def _track(run: CkdRun, data: bytes, offset: int) -> int | None:
    """Return the track at this address, None when it is not in the extent so far."""
    cylinder = data[offset] << 8 | data[offset + 1]
    head = data[offset + 2] << 8 | data[offset + 3]
    if not run.geometry.has(cylinder, head) or not in_extent(run, cylinder, head):
        return None
    return cylinder * run.heads + head
