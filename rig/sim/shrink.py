"""Make a failing schedule small: fewer faults and deeds, then a smaller world, then again.

Delta debugging (Zeller): leave out halves, then quarters, and so on, and keep what still breaks
the same rule. Faults are known by the number of the operation that they befall, so that leaving one
out moves others to other operations; where that ends with many rows, a few of them are tried with
another workload.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, NamedTuple

from rig.faults.packets import PacketRates
from rig.faults.plan import Fault
from rig.faults.storage import DiskRates
from rig.sim.config import Deed
from rig.sim.run import Outcome, run_world
from rig.sim.schedule import Schedule

Row = Fault | Deed
ROWS_GOAL: Final = 5
"""A schedule with more rows than this is not understood at a glance."""
RESEEDS: Final = 60
_SIMPLER: Final[dict[str, Any]] = {
    "redrive": 0.0,
    "repeats": 0.0,
    "zeros": 0.0,
    "reads": 0.0,
    "secondary_reads": False,
    "rest_ns": 0,
    "outstanding": 1,
    "sectors_max": 8,
}


class Shrunk(NamedTuple):
    """The smallest schedule found, and what it took."""

    schedule: Schedule
    runs: int
    cpu_s: float


class Shrinker:
    """One shrinking, with a bound on the time it takes."""

    def __init__(self, schedule: Schedule, cpu_s_max: float = 60.0) -> None:
        self._cpu_s_max = cpu_s_max
        self._began_s = time.process_time()
        self._runs = 0
        outcome = self._run(schedule)
        assert outcome.violation is not None, "only what fails can be shrunk"
        self._rule = outcome.violation.rule
        self._best = Schedule(schedule.config, outcome.faults, self._rule)

    def _run(self, schedule: Schedule) -> Outcome:
        self._runs += 1
        return run_world(schedule.config, schedule.faults)

    def _spent_s(self) -> float:
        return time.process_time() - self._began_s

    def _over(self) -> bool:
        return self._spent_s() > self._cpu_s_max

    def _try(self, schedule: Schedule) -> bool:
        """Take a schedule as the best one if it breaks the same rule."""
        if self._over():
            return False
        outcome = self._run(schedule)
        if outcome.violation is None or outcome.violation.rule != self._rule:
            return False
        self._best = Schedule(schedule.config, outcome.faults, self._rule)
        return True

    def shrink(self) -> Shrunk:
        """Return the smallest schedule found."""
        dice = Random("reseed")
        while True:
            before = self._size()
            self._rows()
            self._writes()
            self._simpler()
            if self._over():
                break
            if self._size() != before:
                continue
            if len(self._all_rows()) <= ROWS_GOAL or not self._reseeded(dice):
                break
        self._without_rates()
        return Shrunk(self._best, self._runs, self._spent_s())

    def _size(self) -> tuple[int, int]:
        return len(self._all_rows()), self._best.config.writes

    def _with(self, rows: list[Row], **changes: Any) -> Schedule:  # noqa: ANN401
        deeds = tuple(row for row in rows if isinstance(row, Deed))
        faults = [row for row in rows if isinstance(row, Fault)]
        config = dataclasses.replace(self._best.config, deeds=deeds, **changes)
        return Schedule(config, faults, self._rule)

    def _all_rows(self) -> list[Row]:
        return [*self._best.config.deeds, *(self._best.faults or ())]

    def _rows(self) -> None:
        rows = self._all_rows()
        if not rows or self._try(self._with([])):
            return
        for kind in _kinds(rows):
            self._try(self._with([row for row in self._all_rows() if _kind(row) != kind]))
        rows = self._all_rows()
        minimal(rows, lambda some: self._try(self._with(some)), self._all_rows)
        if len(self._all_rows()) == 1:
            self._try(self._with([]))

    def _writes(self) -> None:
        part = 2
        while part <= 8 and self._best.config.writes > 1:
            writes = self._best.config.writes
            fewer = max(1, writes - max(1, writes // part))
            if not self._try(self._with(self._all_rows(), writes=fewer)):
                part *= 2

    def _simpler(self) -> None:
        """Try a world with fewer things going on."""
        for name, value in _SIMPLER.items():
            if getattr(self._best.config, name) != value:
                self._try(self._with(self._all_rows(), **{name: value}))
        volumes = self._best.config.volumes
        if len(volumes) > 1:
            self._try(self._with(self._all_rows(), volumes=volumes[:1]))

    def _reseeded(self, dice: Random) -> bool:
        """Try a few of the rows with other workloads; return whether that is less, and fails."""
        rows = self._all_rows()
        for _ in range(RESEEDS):
            if self._over():
                return False
            # The larger half at first: the fewer are left, the less likely all needed are there.
            kept = sorted(
                dice.sample(range(len(rows)), dice.randint(1, max(1, len(rows) * 2 // 3)))
            )
            seed = dice.getrandbits(16)
            if self._try(self._with([rows[number] for number in kept], seed=seed)):
                return True
        return False

    def _without_rates(self) -> None:
        """Leave out how likely faults were: the rows say which happen, and no others do."""
        config = self._best.config
        ways = [dataclasses.replace(way, rates=PacketRates()) for way in config.ways]
        sites = [dataclasses.replace(site, crash=0.0, disk=DiskRates()) for site in config.sites]
        changed = dataclasses.replace(config, ways=(ways[0], ways[1]), sites=(sites[0], sites[1]))
        self._best = self._best._replace(config=changed)


def _kind(row: Row) -> tuple[str, str]:
    return ("deed", row.do) if isinstance(row, Deed) else (row.place, row.kind)


def _kinds(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """Yield the kinds of rows, those of which there are many first."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        counts[_kind(row)] = counts.get(_kind(row), 0) + 1
    yield from sorted(counts, key=lambda kind: (-counts[kind], kind))


def minimal(
    rows: list[Row], fails: Callable[[list[Row]], bool], kept: Callable[[], list[Row]]
) -> None:
    """Leave out as many rows as can be; `kept` returns what is left after a success."""
    parts = 2
    while len(rows) >= 2:
        size = max(1, len(rows) // parts)
        for start in range(0, len(rows), size):
            if fails(rows[:start] + rows[start + size :]):
                rows = kept()
                parts = max(2, parts - 1)
                break
        else:
            if size == 1:
                return
            parts = min(len(rows), parts * 2)
