"""Fixed-block devices as a channel sees them: one function and one row of `ROWS` a command.

A program says with Define Extent what it may use, with Locate which blocks it works on, and reads
or writes these with one command. Blocks are written all or none.
"""

import struct
from typing import Final

from emulator.channel.asks import ReadBlocks, Settle, Waiting, WriteBlocks
from emulator.channel.commands import Command, Commands, Kind
from emulator.channel.device import Device, PathState
from emulator.channel.fba_models import BLOCK_BYTES, FbaModel
from emulator.channel.sense import (
    COUNT_TOO_SMALL,
    DATA_CHECK,
    EQUIPMENT_CHECK,
    FILE_PROTECTED,
    INVALID_PARAMETER,
    INVALID_SEQUENCE,
    NOTHING,
    Reason,
    UnitCheck,
    fba_sense,
)
from emulator.channel.status import NORMAL
from emulator.errors import CorruptError, DeviceError

READ_IPL, WRITE, READ, LOCATE, DEFINE_EXTENT = 0x02, 0x41, 0x42, 0x43, 0x63
SENSE_BYTES: Final = 24
LOCATE_BYTES, EXTENT_BYTES = 8, 16
WRITE_DATA, READ_REPLICATED, FORMAT_DEFECTIVE, WRITE_AND_VERIFY, READ_DATA = 1, 2, 4, 5, 6
_WRITES, _READS = (WRITE_DATA, WRITE_AND_VERIFY), (READ_DATA, READ_REPLICATED)
_OPERATIONS: Final = (*_WRITES, *_READS, FORMAT_DEFECTIVE)
_OPERATION, _OPERATION_RESERVED = 0x0F, 0xE0
_MASK_WRITES, _MASK_RESERVED = 0xC0, 0x20
_NO_FORMATS, _NO_WRITES = 0x00, 0x40
_LOCATE: Final = struct.Struct(">BBHI")
_EXTENT: Final = struct.Struct(">BxxxIII")


class FbaRun:
    """What one channel program knows on a fixed-block device."""

    code = 0
    sent = b""
    sequence = 0
    previous = -1
    extent_defined = False
    mask = 0
    operation = 0
    block = 0
    blocks = 0
    unsettled = False

    def __init__(self, device: "FbaDevice", state: PathState) -> None:
        self.device = device
        self.state = state
        self.blocked = device.blocked(state)
        self.status = NORMAL
        # The extent: its place on the device, and the numbers its blocks go by.
        self.extent_at = 0
        self.first = 0
        self.last = device.model.blocks - 1

    def admit(self, command: Command) -> None:
        """Refuse a command that may not come at this point of the chain."""
        if command.first and self.sequence:
            raise UnitCheck(INVALID_SEQUENCE)
        if self.blocked:
            self.device.check_usable(self.state, command)

    def leave(self, command: Command, *, chained: bool) -> None:
        """Remember the command; a chain may end anywhere."""
        self.previous = self.code
        self.sequence += 1

    def finish(self) -> Waiting[None]:
        """Wait until what was written is safe."""
        if self.unsettled:
            self.unsettled = False
            try:
                yield Settle()
            except DeviceError:
                raise UnitCheck(EQUIPMENT_CHECK) from None

    def sense(self, reason: Reason) -> bytes:
        """Return the sense bytes for a reason."""
        return fba_sense(reason, SENSE_BYTES)


class FbaDevice(Device):
    """One fixed-block volume as a channel sees it; `engine.execute` runs programs on it."""

    def __init__(self, model: FbaModel, *, address: int = 0) -> None:
        super().__init__(address, _table())
        self.model = model

    @property
    def blocks(self) -> int:
        """Return the number of blocks of the volume."""
        return self.model.blocks

    def begin(self, state: PathState) -> FbaRun:
        """Return the state for a new program."""
        return FbaRun(self, state)


def _read_blocks(run: FbaRun) -> Waiting[bytes]:
    try:
        found: bytes = yield ReadBlocks(run.block, run.blocks)
    except CorruptError:
        raise UnitCheck(DATA_CHECK) from None
    except DeviceError:
        raise UnitCheck(EQUIPMENT_CHECK) from None
    run.block += run.blocks
    return found


def read_ipl(run: FbaRun) -> Waiting[bytes]:
    """Bring the first block of the volume; chained from itself or read after, the next one."""
    if run.sequence and run.previous != READ_IPL:
        raise UnitCheck(INVALID_SEQUENCE)
    if not run.sequence:
        run.block = 0
    run.blocks = 1
    run.operation = READ_DATA
    run.extent_defined = True
    if run.block >= run.device.blocks:
        raise UnitCheck(FILE_PROTECTED)
    return (yield from _read_blocks(run))


def no_operation(_run: FbaRun) -> int:
    """Do nothing."""
    return 0


def define_extent(run: FbaRun) -> int:
    """Say once which blocks the chain may use, and whether it may write them."""
    if len(run.sent) < EXTENT_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    if run.extent_defined:
        raise UnitCheck(INVALID_SEQUENCE)
    mask, extent_at, first, last = _EXTENT.unpack_from(run.sent)
    if mask & _MASK_RESERVED or last < first or extent_at + last - first >= run.device.blocks:
        raise UnitCheck(INVALID_PARAMETER)
    run.mask, run.extent_at, run.first, run.last = mask, extent_at, first, last
    run.extent_defined = True
    return EXTENT_BYTES


def locate(run: FbaRun) -> int:
    """Say which blocks of the extent the next command works on, and how."""
    if len(run.sent) < LOCATE_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    if not run.extent_defined:
        raise UnitCheck(INVALID_SEQUENCE)
    byte, replications, blocks, block = _LOCATE.unpack_from(run.sent)
    operation = byte & _OPERATION
    writes = run.mask & _MASK_WRITES
    if byte & _OPERATION_RESERVED or (
        (operation in _WRITES and writes == _NO_WRITES)
        or (operation == FORMAT_DEFECTIVE and writes in (_NO_FORMATS, _NO_WRITES))
        or operation not in _OPERATIONS
    ):
        raise UnitCheck(INVALID_PARAMETER)
    if not blocks or block < run.first or block + blocks - 1 > run.last:
        raise UnitCheck(INVALID_PARAMETER)
    if operation == READ_REPLICATED and (not replications or replications % blocks):
        raise UnitCheck(INVALID_PARAMETER)
    if operation in _WRITES:
        run.device.check_writable()
    run.operation, run.blocks = operation, blocks
    run.block = run.extent_at + block - run.first
    return LOCATE_BYTES


def read(run: FbaRun) -> Waiting[bytes]:
    """Bring the blocks that Locate named, or the one after Read IPL."""
    if run.previous not in (LOCATE, READ_IPL) or run.operation not in _READS:
        raise UnitCheck(INVALID_SEQUENCE)
    if run.block + run.blocks > run.device.blocks:
        raise UnitCheck(FILE_PROTECTED)
    return (yield from _read_blocks(run))


def write(run: FbaRun) -> Waiting[int]:
    """Write the blocks that Locate named, filled up with zeros."""
    if run.previous != LOCATE or run.operation not in _WRITES:
        raise UnitCheck(INVALID_SEQUENCE)
    length = run.blocks * BLOCK_BYTES
    try:
        yield WriteBlocks(run.block, run.sent[:length].ljust(length, b"\0"))
    except DeviceError:
        raise UnitCheck(EQUIPMENT_CHECK) from None
    run.unsettled = True
    return length


def sense(run: FbaRun) -> bytes:
    """Bring the sense bytes of the last unit check, once."""
    held, run.state.sense = run.state.sense, b""
    return held or run.sense(NOTHING)


def sense_id(run: FbaRun) -> bytes:
    """Bring type and model of control unit and device."""
    model = run.device.model
    return struct.pack(">BHBHB", 0xFF, model.control_unit_type, 1, model.device_type, model.model)


def read_device_characteristics(run: FbaRun) -> bytes:
    """Bring block size, blocks and how they lie on the device."""
    model = run.device.model
    return struct.pack(
        ">BBBBHIII14x",
        0x30,
        0x08,
        0x21,
        model.type_code,
        BLOCK_BYTES,
        model.blocks_per_group,
        model.blocks_per_position,
        model.blocks,
    )


def read_and_reset_log(_run: FbaRun) -> bytes:
    """Bring the usage and error counters of the device, which stay zero here, and clear them."""
    return bytes(SENSE_BYTES)


def reserve(run: FbaRun) -> bytes:
    """Keep the device for this path and its group; bring the sense bytes."""
    if run.extent_defined:
        raise UnitCheck(INVALID_SEQUENCE)
    run.device.reserve(run.state)
    return sense(run)


def release(run: FbaRun) -> bytes:
    """Give the device back to all paths; bring the sense bytes."""
    if run.extent_defined:
        raise UnitCheck(INVALID_SEQUENCE)
    run.device.release()
    return sense(run)


_CONTROL, _READ, _SENSE = Kind.CONTROL, Kind.READ, Kind.SENSE
ROWS: Final = (
    Command(READ_IPL, "Read IPL", _READ, read_ipl, waits=True),
    Command(0x03, "No-operation", _CONTROL, no_operation, immediate=True, without_disk=True),
    Command(DEFINE_EXTENT, "Define Extent", _CONTROL, define_extent),
    Command(LOCATE, "Locate", _CONTROL, locate),
    Command(READ, "Read", _READ, read, waits=True),
    Command(WRITE, "Write", Kind.WRITE, write, waits=True),
    Command(0x04, "Sense", _SENSE, sense, without_disk=True),
    Command(0xE4, "Sense ID", _SENSE, sense_id, without_disk=True),
    Command(
        0x64, "Read Device Characteristics", _READ, read_device_characteristics, without_disk=True
    ),
    Command(0xA4, "Read and Reset Buffered Log", _SENSE, read_and_reset_log, without_disk=True),
    Command(0xB4, "Device Reserve", _SENSE, reserve, without_disk=True),
    Command(0x94, "Device Release", _SENSE, release, without_disk=True),
    Command(0x14, "Unconditional Reserve", _SENSE, reserve, first=True, without_disk=True),
)


def _table() -> Commands:
    table: Commands = [None] * 256
    for row in ROWS:
        table[row.code] = row.derived()
    return table
