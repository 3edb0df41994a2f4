"""A small stand-alone program for a System/370: it runs a table of channel programs and counts.

Python makes the bytes; an emulated host loads them at address 0 and starts them with a restart.
No operating system, no device but the disk. Each row of the table is one channel program:

    number  a place that gets the next sequence number before the start, so that updates differ
    start   SIO with this CAW, then an enabled wait for the interrupt
    judge   unit and channel status against the expected ones, then two areas byte by byte
    note    in the row: how often it was done, the last sequence number that was, the last bad CSW

When the rows have been done as often as asked, a disabled wait ends it; then the memory says what
the host believes. A unit check is sensed, as a host must, and the program goes on or stops.
Facts of the architecture are from IBM's System/370 Principles of Operation, GA22-7000.
"""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from rig.measure.machine_code import Code

MEMORY_BYTES = 16 << 20
_CODE = 0x200
_DATA = 0x600
_ROWS = 0x800
ROW_BYTES = 48
DONE_ADDRESS = 0x00D08E
STOPPED_ADDRESS = 0x00BAD0
NOT_THERE_ADDRESS = 0x00DEAD
_NO_WORD = 0

# Places in low memory that the architecture fixes.
_CSW, _CAW, _IO_NEW, _PROGRAM_NEW = 0x40, 0x48, 0x78, 0x68


class Ccw(NamedTuple):
    """One channel command word in format 0."""

    command: int
    address: int
    length: int
    flags: int = 0


DATA_CHAIN = 0x80
COMMAND_CHAIN = 0x40
SUPPRESS_LENGTH = 0x20
CHANNEL_AND_DEVICE_END = 0x0C00


class Row(NamedTuple):
    """One channel program of the table, and what must come of it."""

    program: int
    """Address of its first CCW."""
    number: int = 0
    """Address of a word that gets the next sequence number first; 0 for none."""
    expected: int = CHANNEL_AND_DEVICE_END
    """Unit and channel status."""
    left: int = 0
    right: int = 0
    length: int = 0
    """What must be equal afterwards: this many bytes at two addresses."""


class RowResult(NamedTuple):
    """What the memory says of a row after a run."""

    done: int
    last_number: int
    bad: int
    bad_csw: bytes


@dataclass
class Guest:
    """A program under construction: memory, and the rows of its table."""

    device: int
    memory: bytearray = field(default_factory=lambda: bytearray(MEMORY_BYTES))
    rows: list[Row] = field(default_factory=list)
    _next: int = 0x10000

    def area(self, data: bytes) -> int:
        """Put bytes into memory and return their address, on a doubleword."""
        address = self._next
        self.memory[address : address + len(data)] = data
        self._next = (address + len(data) + 7) & ~7
        assert self._next <= MEMORY_BYTES, "the guest's memory is full"
        return address

    def room(self, size: int) -> int:
        """Return the address of an area of zeros."""
        return self.area(bytes(size))

    def program(self, *ccws: Ccw) -> int:
        """Put a channel program into memory; a TIC may name its own start as address -8 * n."""
        start = (self._next + 7) & ~7
        words = b"".join(
            struct.pack(
                ">II",
                command << 24 | (address if address >= 0 else start - address - 8),
                flags << 24 | length,
            )
            for command, address, length, flags in ccws
        )
        assert self.area(words) == start
        return start

    def image(self, times: int, *, stop_at_bad: bool = True) -> bytes:
        """Return the memory to load, to do all rows so many times."""
        _assemble(self, times, stop_at_bad=stop_at_bad)
        return bytes(self.memory[: self._next])

    def results(self, memory: bytes) -> list[RowResult]:
        """Return what a run's memory, from address 0 on, says of each row."""
        found = []
        for at in range(len(self.rows)):
            row = memory[_ROWS + at * ROW_BYTES :][:ROW_BYTES]
            done, last, bad = struct.unpack_from(">III", row, 28)
            found.append(RowResult(done, last, bad, row[40:48]))
        return found

    @staticmethod
    def sense(memory: bytes) -> bytes:
        """Return the sense bytes that came with the last bad status of a run's memory."""
        return memory[_SENSE_AREA : _SENSE_AREA + _SENSE_BYTES]

    @property
    def results_end(self) -> int:
        """Address behind the table, up to which the memory is needed for the results."""
        return _ROWS + len(self.rows) * ROW_BYTES


# Instructions of the System/370 that are needed.
_LTR, _BCTR, _CR, _CLCL, _LR = 0x12, 0x06, 0x19, 0x0F, 0x18
_L, _ST, _LA, _BC, _BCT, _LH = 0x58, 0x50, 0x41, 0x47, 0x46, 0x48
_CLC, _MVC = 0xD5, 0xD2
_SIO, _LPSW, _TM, _LCTL = 0x9C00, 0x8200, 0x91, 0xB700
_ALWAYS, _ZERO, _NOT_ZERO, _LOW = 15, 8, 7, 4
# Words of the program's own, from _DATA on.
_WAIT, _END_PSW, _STOP_PSW, _GONE_PSW = (_DATA + at for at in (0x00, 0x08, 0x10, 0x18))
_SEQUENCE, _FIRST, _LAST, _TIMES, _DEVICE, _CONTROL, _SENSE_CAW = (
    _DATA + 0x20 + 4 * at for at in range(7)
)
_EXPECTED = 0x0C
_SENSE_CCW = _DATA + 0x60
_SENSE_AREA = _DATA + 0x80
_SENSE_BYTES = 32


def _psw(address: int, *, wait: bool, enabled: bool) -> bytes:
    """Return an extended-control PSW."""
    return struct.pack(">BBHI", 0x02 if enabled else 0, 0x08 | (0x02 if wait else 0), 0, address)


def _assemble(guest: Guest, times: int, *, stop_at_bad: bool) -> None:
    memory = guest.memory
    code = Code(_CODE)
    _start(code)
    _issue(code)
    _judge(code, stop_at_bad=stop_at_bad)
    _step(code)
    text = code.fix()
    assert _CODE + len(text) <= _DATA
    memory[_CODE : _CODE + len(text)] = text
    memory[0:8] = _psw(_CODE, wait=False, enabled=False)
    memory[_IO_NEW : _IO_NEW + 8] = _psw(code.labels["interrupt"], wait=False, enabled=False)
    memory[_PROGRAM_NEW : _PROGRAM_NEW + 8] = _psw(0xE0E0, wait=True, enabled=False)
    words = (
        (_WAIT, _psw(0, wait=True, enabled=True)),
        (_END_PSW, _psw(DONE_ADDRESS, wait=True, enabled=False)),
        (_STOP_PSW, _psw(STOPPED_ADDRESS, wait=True, enabled=False)),
        (_GONE_PSW, _psw(NOT_THERE_ADDRESS, wait=True, enabled=False)),
        (_FIRST, struct.pack(">I", _ROWS)),
        (_LAST, struct.pack(">I", _ROWS + len(guest.rows) * ROW_BYTES)),
        (_TIMES, struct.pack(">I", times)),
        (_DEVICE, struct.pack(">I", guest.device)),
        (_CONTROL, b"\xff" * 4),
        (_SENSE_CAW, struct.pack(">I", _SENSE_CCW)),
        (
            _SENSE_CCW,
            struct.pack(">II", 0x04 << 24 | _SENSE_AREA, SUPPRESS_LENGTH << 24 | _SENSE_BYTES),
        ),
    )
    for at, word in words:
        memory[at : at + len(word)] = word
    for number, row in enumerate(guest.rows):
        at = _ROWS + number * ROW_BYTES
        fields = (row.program, row.number, row.expected << 16, row.left, row.right, row.length)
        memory[at : at + ROW_BYTES] = struct.pack(">6I", *fields).ljust(ROW_BYTES, b"\0")
    assert _ROWS + len(guest.rows) * ROW_BYTES <= 0x10000, "the table is full"


def _start(code: Code) -> None:
    """Load what stays in registers: 1 device, 2 row, 3 end of rows, 4 times left."""
    code.code += struct.pack(">BBH", 0xB7, 0x22, _CONTROL)  # LCTL 2,2: every channel
    code.rx(_L, 1, _DEVICE)
    code.rx(_L, 4, _TIMES)
    code.label("round")
    code.rx(_L, 2, _FIRST)
    code.rx(_L, 3, _LAST)


def _issue(code: Code) -> None:
    """Number the update, and start the channel program."""
    code.label("row")
    code.rx(_L, 6, 4, index=2)
    code.rr(_LTR, 6, 6)
    code.rx(_BC, _ZERO, "go")
    code.rx(_L, 7, _SEQUENCE)
    code.rx(_LA, 7, 1, index=7)
    code.rx(_ST, 7, _SEQUENCE)
    code.rx(_ST, 7, 0, index=6)
    code.label("go")
    code.rx(_L, 5, 0, index=2)
    code.rx(_LA, 15, "judge")
    code.label("start")
    code.rx(_ST, 5, _CAW)
    code.s(_SIO, 0x1000)
    code.rx(_BC, 8, "wait")
    code.rx(_BC, 4, "stored")
    code.rx(_BC, 2, "start")
    code.s(_LPSW, _GONE_PSW)
    code.label("wait")
    code.s(_LPSW, _WAIT)
    code.label("interrupt")
    # Neither device end nor unit check: channel end alone, or attention; wait on.
    code.code += struct.pack(">BBH", _TM, 0x06, _CSW + 4)
    code.rx(_BC, _ZERO, "wait")
    code.label("stored")
    code.rr(0x07, 15, 15)


def _judge(code: Code, *, stop_at_bad: bool) -> None:
    """Compare the status and two areas with what is expected, and note it in the row."""
    code.label("judge")
    code.ss(_CLC, 2, _CSW + 4, 0x2008)
    code.rx(_BC, _NOT_ZERO, "bad")
    code.rx(_L, 11, 20, index=2)
    code.rr(_LTR, 11, 11)
    code.rx(_BC, _ZERO, "good")
    code.rx(_L, 10, 12, index=2)
    code.rx(_L, 12, 16, index=2)
    code.rr(_LR, 13, 11)
    code.rr(_CLCL, 10, 12)
    code.rx(_BC, _NOT_ZERO, "bad")
    code.label("good")
    code.ss(_MVC, 4, 0x2020, _SEQUENCE)
    code.rx(_L, 7, 28, index=2)
    code.rx(_LA, 7, 1, index=7)
    code.rx(_ST, 7, 28, index=2)
    code.rx(_BC, _ALWAYS, "next")
    code.label("bad")
    code.ss(_MVC, 8, 0x2028, _CSW)
    code.rx(_L, 7, 36, index=2)
    code.rx(_LA, 7, 1, index=7)
    code.rx(_ST, 7, 36, index=2)
    if stop_at_bad:
        code.s(_LPSW, _STOP_PSW)
    # Sense whatever it was, so that the device is free again.
    code.rx(_L, 5, _SENSE_CAW)
    code.rx(_LA, 15, "next")
    code.rx(_BC, _ALWAYS, "start")


def _step(code: Code) -> None:
    """Go to the next row, the next round, or the end."""
    code.label("next")
    code.rx(_LA, 2, ROW_BYTES, index=2)
    code.rr(_CR, 2, 3)
    code.rx(_BC, _LOW, "row")
    code.rx(_BCT, 4, "round")
    code.s(_LPSW, _END_PSW)
