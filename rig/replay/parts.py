"""A real site whose parts fail as a schedule says: its nonvolatile store and its disks.

They stand between the production shell and its files, in a process that the harness starts
(`rig/replay/site.py`). A crash is a SIGKILL of the process by itself, before, in the middle of or
after a step that makes something durable. Counts of operations and what happened are kept in
files, since the process does not outlive its faults.
"""

import json
import os
import signal
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NoReturn

from emulator.clock import SECOND_NS
from emulator.disk.base import Disk, Runs
from emulator.errors import DeviceError
from emulator.node.config import SiteConfig
from emulator.node.runtime import SiteRuntime
from emulator.nvs.store import NvsStore
from emulator.wire.checksum import Buffer
from rig.faults.plan import Draw, Drawn, Fault, Plan
from rig.faults.storage import AFTER, BEFORE, DURING, DiskChance, crash_figures, torn
from rig.sim.config import WorldConfig
from rig.sim.schedule import Schedule

_COUNT = struct.Struct(">Q")
DISK_KINDS: Final = ("error", "slow")
"""What can be done between a shell and its file; the simulator's disks can do more."""
QUIET_NAME: Final = "quiet"
"""A file of this name in the run's folder ends all faults."""


class Books:
    """Counts of operations over all lives of a site, and the faults that happened."""

    def __init__(self, folder: Path, site: str, schedule: Schedule) -> None:
        self.plan = Plan(schedule.faults)
        self.site = site
        self._quiet = folder / QUIET_NAME
        self._counts = os.open(folder / f"{site.lower()}.counts", os.O_RDWR | os.O_CREAT, 0o600)
        self._happened = folder / f"{site.lower()}.faults"
        self._places: list[str] = []

    def place(self, name: str, draw: Draw) -> "CountedPlace":
        """Return a place that goes on counting where the life before has stopped."""
        self._places.append(name)
        return CountedPlace(self, name, draw, 8 * (len(self._places) - 1))

    def count(self, at: int) -> int:
        """Return the count at a place in the file."""
        data = os.pread(self._counts, _COUNT.size, at)
        return int(_COUNT.unpack(data)[0]) if len(data) == _COUNT.size else 0

    def set_count(self, at: int, count: int) -> None:
        """Keep a count; the system has it on return."""
        os.pwrite(self._counts, _COUNT.pack(count), at)

    def quiet(self) -> bool:
        """Return whether faults are over."""
        return self._quiet.exists()

    def note(self, fault: Fault, **more: object) -> None:
        """Keep that a fault happens now."""
        row = {"event": "fault", "time_ns": time.time_ns(), **fault._asdict(), **more}
        with self._happened.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class CountedPlace:
    """One place of the plan, used by one thread."""

    def __init__(self, books: Books, name: str, draw: Draw, at: int) -> None:
        self._books = books
        self._at = at
        self._place = books.plan.place(name, draw)
        self._place.number = books.count(at)

    def next(self, size_bytes: int) -> Fault | None:
        """Count one more operation and return what befalls it, if anything."""
        self._books.set_count(self._at, self._place.number + 1)
        fault = self._place.next(size_bytes)
        return None if fault is None or self._books.quiet() else fault


class FailingStore(NvsStore):
    """The store; each write that is to be made durable is a step at which the site may die."""

    def __init__(self, uri: str, books: Books, config: WorldConfig, life: int) -> None:
        super().__init__(uri)
        self._books = books
        self._dice = Random(f"{config.seed}/nvs.{books.site}/faults/{life}")
        self._crash = config.sites["AB".index(books.site)].crash
        self._place = books.place(f"nvs.{books.site}", self._draw)
        self._dies_after: Fault | None = None

    def _draw(self, _size_bytes: int) -> Drawn | None:
        dice = self._dice
        if dice.random() >= self._crash:
            return None
        return "crash", crash_figures(dice)

    def write(self, runs: Iterable[tuple[int, Sequence[Buffer]]]) -> None:
        """Write, or die before or in the middle of it."""
        pieces = [(offset, b"".join(buffers)) for offset, buffers in runs]
        if not pieces:
            return
        fault = self._place.next(sum(len(data) for _offset, data in pieces))
        if fault is not None and fault.kind == "crash":
            phase, pattern, _down_ns = fault.figures
            if phase == BEFORE:
                self._die(fault)
            if phase == DURING:
                super().write([(offset, [data]) for offset, data in torn(pieces, pattern)])
                self._die(fault)
            assert phase == AFTER, f"a crash at a step has no phase {phase}"
            self._dies_after = fault
        super().write([(offset, [data]) for offset, data in pieces])

    def sync(self) -> None:
        """Make it durable, and perhaps die before anybody is told."""
        super().sync()
        if self._dies_after is not None:
            self._die(self._dies_after)

    def _die(self, fault: Fault) -> NoReturn:
        self._books.note(fault, down_ns=fault.figures[2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nobody survives this")


class FailingDisk:
    """A disk that refuses, or takes its time; everything else is the real one's to do."""

    def __init__(self, disk: Disk, name: str, books: Books, config: WorldConfig, life: int) -> None:
        self.uri = disk.uri
        self.size_bytes = disk.size_bytes
        self._disk = disk
        self._books = books
        hardware = config.sites["AB".index(books.site)]
        self._slow_ns = hardware.disk_latency_ns
        chance = DiskChance(hardware.disk, Random(f"{config.seed}/disk.{name}/faults/{life}"))
        self._reads = books.place(f"disk.{name}.read", chance.read)
        self._writes = books.place(f"disk.{name}.write", chance.write)
        self._flushes = books.place(f"disk.{name}.flush", chance.flush)

    def _befall(self, place: CountedPlace) -> None:
        fault = place.next(0)
        if fault is None or fault.kind not in DISK_KINDS:
            return
        self._books.note(fault)
        if fault.kind == "error":
            raise DeviceError(self.uri, "input/output error, as the schedule says")
        if fault.kind == "slow":
            threading.Event().wait(fault.figures[0] * self._slow_ns / SECOND_NS)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        self._befall(self._reads)
        return self._disk.read(offset, length)

    def write(self, runs: Runs) -> None:
        """Write every run whole, in the order given."""
        self._befall(self._writes)
        self._disk.write(runs)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros."""
        self._disk.zero(offset, length)

    def flush(self) -> None:
        """Return when everything written so far survives a loss of power."""
        self._befall(self._flushes)
        self._disk.flush()

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data) that cover the range."""
        return self._disk.allocation(offset, length)

    def close(self) -> None:
        """Let go of the disk."""
        self._disk.close()


def happened(path: Path) -> list[dict[str, Any]]:
    """Return the faults that happened at a site, as its books have them."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class FailingSite(SiteRuntime):
    """The production shell over parts that fail."""

    def __init__(self, config: SiteConfig, folder: Path, schedule: Schedule, life: int) -> None:
        self._books = Books(folder, config.name, schedule)
        self._plan = schedule.config
        self._life = life
        self._opened = 0
        super().__init__(config)

    def open_store(self, uri: str) -> NvsStore:
        """Return a store at each of whose steps the process may die."""
        return FailingStore(uri, self._books, self._plan, self._life)

    def open_disk(self, uri: str) -> Disk:
        """Return the next device's disk, which may refuse."""
        name = f"{self.config.name}.{self._opened}"
        self._opened += 1
        return FailingDisk(super().open_disk(uri), name, self._books, self._plan, self._life)
