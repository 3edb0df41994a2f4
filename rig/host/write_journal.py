"""What a host has written, kept in a file: which writes it began, which were acknowledged.

A first line of JSON says how contents follow from write numbers; then one short line for each
write begun (`w NUMBER OFFSET`) and each acknowledged (`a NUMBER`). A line that was cut off when
the host died is left out, which only makes a write count as unacknowledged.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

from emulator.errors import BenchError, DeviceError

_MARK = "dualcopy-writes"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How the contents and places of writes follow from their numbers."""

    seed: int
    size_bytes: int
    block_bytes: int
    change_bytes: int = 0
    """0: each write is new throughout; else it differs from any other by this many bytes."""
    sequential: bool = False
    start_bytes: int = 0
    """Where the area begins of which `size_bytes` is the length."""

    def __post_init__(self) -> None:
        if not 0 < self.block_bytes <= self.size_bytes:
            raise BenchError(f"blocks of {self.block_bytes} bytes do not fit {self.size_bytes}")
        if not 0 <= self.change_bytes <= self.block_bytes:
            raise BenchError(f"a block of {self.block_bytes} cannot change by {self.change_bytes}")


class Begun(NamedTuple):
    """A write that was sent."""

    number: int
    offset: int


@dataclass(slots=True)
class History:
    """Which writes may be seen where."""

    plan: LoadPlan
    acknowledged: dict[int, int] = field(default_factory=dict)
    """By offset: the number of the last acknowledged write."""
    unsettled: dict[int, list[int]] = field(default_factory=dict)
    """By offset: numbers of later writes that were never acknowledged; each is in or out (O5)."""
    acknowledged_count: int = 0
    last_number: int = 0


class WriteJournal:
    """The journal while it is written; every line is with the system before the next step."""

    def __init__(self, path: Path, plan: LoadPlan, *, append: bool) -> None:
        self._uri = f"file://{path}"
        self.last_number = 0
        if append and path.exists():
            found = read_history(path)
            if found.plan != plan:
                was = ", ".join(
                    f"{name}={value}"
                    for name, value in asdict(found.plan).items()
                    if value != getattr(plan, name)
                )
                raise BenchError(f"{path}: was begun with {was}; go on with the same options")
            self.last_number = found.last_number
            _cut_torn_line(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags if append else flags | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise BenchError(f"{path}: exists; --append goes on with it") from error
        except OSError as error:
            raise DeviceError(self._uri, error.strerror or str(error)) from error
        if not os.fstat(self._file).st_size:
            self._write(json.dumps({_MARK: _VERSION, **asdict(plan)}))

    def begin(self, number: int, offset: int) -> None:
        """Note that a write is about to be sent."""
        self._write(f"w {number} {offset}")
        self.last_number = number

    def acknowledge(self, number: int) -> None:
        """Note that a write was acknowledged."""
        self._write(f"a {number}")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: str) -> None:
        try:
            os.write(self._file, f"{line}\n".encode())
        except OSError as error:
            raise DeviceError(self._uri, error.strerror or str(error)) from error


def read_history(path: Path) -> History:
    """Return what a journal says may be read where."""
    lines = _lines(path)
    history = History(read_plan(path, next(lines, "")))
    under_way: dict[int, Begun] = {}
    for line in lines:
        match line.split():
            case ["w", number, offset] if number.isdecimal() and offset.isdecimal():
                begun = Begun(int(number), int(offset))
                under_way[begun.number] = begun
                history.unsettled.setdefault(begun.offset, []).append(begun.number)
                history.last_number = max(history.last_number, begun.number)
            case ["a", number] if number.isdecimal() and int(number) in under_way:
                settle(history, under_way.pop(int(number)))
            case _:
                raise BenchError(f"{path}: {line[:60]!r} is no line of a journal of writes")
    return history


def settle(history: History, write: Begun) -> None:
    """Note an acknowledgement: what was begun on that place before it can be seen no more."""
    history.acknowledged[write.offset] = write.number
    history.acknowledged_count += 1
    later = [number for number in history.unsettled[write.offset] if number > write.number]
    history.unsettled[write.offset] = later


def _cut_torn_line(path: Path) -> None:
    """Take away what follows the last whole line, so that the next one begins on its own."""
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            yield from (line for line in file if line.endswith("\n"))
    except OSError as error:
        raise DeviceError(f"file://{path}", error.strerror or str(error)) from error


def read_plan(path: Path, line: str) -> LoadPlan:
    """Return the plan in a journal's first line, or raise BenchError."""
    try:
        head = json.loads(line)
        if head.pop(_MARK) != _VERSION:
            raise BenchError(f"{path}: is of another version")
        wanted = {item.name: item.type for item in fields(LoadPlan)}
        if {name: type(value) for name, value in head.items()} != wanted:
            raise ValueError(sorted(head))
        return LoadPlan(**head)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        if isinstance(error, BenchError):
            raise
        raise BenchError(
            f"{path}: is no journal of writes; `dualcopy host load` makes one"
        ) from error
