"""Channel programs as text: a TOML file with one [[ccw]] table for each command.

    device = "0A00"                       # optional, and stronger than the URI's

    [[ccw]]
    command = "seek"
    to = "3/2"
    [[ccw]]
    label = "again"
    command = "search-id-equal"
    id = "3/2/5"
    [[ccw]]
    command = "transfer-in-channel"
    to = "again"
    [[ccw]]
    command = "read-data"
    count = 4096
    flags = ["sli"]

    [expect]
    status = "0C"

Every CCW is chained to the next unless its `flags` hold "cd" or "end". Names, operands and data
are in `program_words.py`. All problems of a file are told at once, by line.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emulator.channel.ccw import (
    CHAIN_COMMAND,
    CHAIN_DATA,
    PROGRAM_CONTROLLED,
    SKIP,
    SUPPRESS_LENGTH,
    Ccw,
    is_transfer,
)
from emulator.errors import BenchError
from emulator.frontend.native_layout import CCWS_MAX
from emulator.uri import suggestion
from rig.bench.places import key_lines
from rig.bench.problems import Problems, choose
from rig.host.program_operands import RefusedError, only, operand, operand_bytes
from rig.host.program_words import (
    COMMANDS,
    brings_data,
    byte_value,
    command_code,
    data_bytes,
    hex_bytes,
    whole_number,
)

FILE_BYTES_MAX: Final = 16 * 2**20
FLAGS: Final = {
    "cd": CHAIN_DATA,
    "cc": CHAIN_COMMAND,
    "sli": SUPPRESS_LENGTH,
    "skip": SKIP,
    "pci": PROGRAM_CONTROLLED,
    "end": 0,
}
_TABLES = ("device", "ccw", "expect")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a program file says must come out; None where it says nothing."""

    unit_status: int | None = None
    channel_status: int | None = None
    sense: bytes | None = None
    """What the sense begins with."""
    data: bytes | None = None
    """All that the program reads."""

    @property
    def says_something(self) -> bool:
        """Whether the file has expectations of its own."""
        return self != Expectation()


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """A channel program, the device it is for, and what is expected of it."""

    device: int | None
    ccws: tuple[Ccw, ...]
    expect: Expectation
    names: tuple[str, ...]
    """What the file calls each command."""


def load_program(path: Path) -> ProgramFile:
    """Read a program file, or raise a `BenchError` that tells all its problems by line."""
    text = _read(path)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{path}: is not valid TOML: {error}") from error
    except RecursionError as error:
        raise BenchError(f"{path}: tables are nested too deeply for a program") from error
    reader = _FileReader(path.absolute().parent, Problems(str(path), key_lines(text)))
    found = reader.read(parsed)
    reader.problems.raise_any()
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror or error}") from error
    if len(data) > FILE_BYTES_MAX:
        raise BenchError(f"{path}: has more than {FILE_BYTES_MAX} bytes; that is no program")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: is not UTF-8 at byte {error.start}") from error


class _FileReader:
    """Goes through a parsed file and notes what is wrong."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder = folder
        self.problems = problems
        self._labels: dict[str, int] = {}

    def read(self, parsed: dict[str, Any]) -> ProgramFile:
        for key in parsed:
            if key not in ("device", "ccw", "expect"):
                self.problems.add(
                    (key,), f"unknown key; {choose(key, ['device', 'ccw', 'expect'])}"
                )
        rows = parsed.get("ccw", [])
        if not isinstance(rows, list) or not 1 <= len(rows) <= CCWS_MAX:
            self.problems.add(("ccw",), f"write 1 to {CCWS_MAX} tables, each headed [[ccw]]")
            rows = []
        tables = [row if isinstance(row, dict) else {} for row in rows]
        self._note_labels(tables)
        ccws = [self._ccw(index, row, len(tables) - 1) for index, row in enumerate(tables)]
        names = tuple(str(row.get("command", "")) for row in tables)
        device = self._device(parsed.get("device"))
        return ProgramFile(device, tuple(ccws), self._expect(parsed.get("expect", {})), names)

    def _note_labels(self, tables: list[dict[str, Any]]) -> None:
        for index, row in enumerate(tables):
            label = row.get("label")
            if label is None:
                continue
            if not isinstance(label, str):
                self.problems.add(("ccw", index, "label"), "write text in quotes", label)
            elif label in self._labels:
                self.problems.add(("ccw", index, "label"), "is the label of another CCW", label)
            else:
                self._labels[label] = index

    def _device(self, value: object) -> int | None:
        if value is None:
            return None
        try:
            if not isinstance(value, str) or len(value) != 4:
                raise ValueError
            return int(value, 16)
        except ValueError:
            self.problems.add(("device",), 'write four hexadecimal digits, such as "0A00"', value)
            return None

    def _expect(self, table: object) -> Expectation:
        if not isinstance(table, dict):
            self.problems.add(("expect",), "is a table: head it [expect]", table)
            return Expectation()
        readers: dict[str, Callable[[Any], Any]] = {
            "status": byte_value,
            "channel_status": byte_value,
            "sense": hex_bytes,
            "data": lambda value: data_bytes(value, self._folder),
        }
        found: dict[str, Any] = {}
        for key, value in table.items():
            if key not in readers:
                self.problems.add(("expect", key), f"unknown key; {choose(key, list(readers))}")
                continue
            try:
                found["unit_status" if key == "status" else key] = readers[key](value)
            except (ValueError, TypeError) as error:
                self.problems.add(("expect", key), str(error), value)
        return Expectation(**found)

    def _ccw(self, index: int, row: dict[str, Any], last: int) -> Ccw:
        try:
            return self._made(index, row, last)
        except RefusedError as error:
            self.problems.add(("ccw", index, error.key), str(error), row.get(error.key))
            return Ccw(0)

    def _made(self, index: int, row: dict[str, Any], last: int) -> Ccw:
        word = row.get("command")
        code = command_code(word) if isinstance(word, str) else None
        if code is None:
            near = suggestion(str(word), COMMANDS)
            raise RefusedError(
                "command", f'is no command; {near}the manual lists them, or write a code, as "63"'
            )
        flags, ends = self._flags(row)
        if is_transfer(code):
            only(row, ("to",))
            return Ccw(code, target=self._target(row))
        if not flags & (CHAIN_DATA | CHAIN_COMMAND) and not ends and index < last:
            flags |= CHAIN_COMMAND
        if brings_data(code):
            only(row, ())
            count = operand(row, "count", lambda value: whole_number(0, 0xFFFF, value))
            return Ccw(code, count, b"", flags)
        data = operand_bytes(code, row, self._folder)
        count = len(data)
        if "count" in row:
            count = operand(row, "count", lambda value: whole_number(0, 0xFFFF, value))
        return Ccw(code, count, data, flags)

    def _flags(self, row: dict[str, Any]) -> tuple[int, bool]:
        words = row.get("flags", [])
        if not isinstance(words, list):
            raise RefusedError("flags", 'write a list, such as ["sli"]')
        for word in words:
            if word not in FLAGS:
                raise RefusedError("flags", choose(str(word), list(FLAGS)))
        return sum(FLAGS[word] for word in set(words)), "end" in words

    def _target(self, row: dict[str, Any]) -> int:
        label = row.get("to")
        if label not in self._labels:
            raise RefusedError(
                "to", f"is the label of no CCW; {choose(str(label), list(self._labels))}"
            )
        return self._labels[str(label)]
