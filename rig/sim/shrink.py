"""Make a failing schedule small: fewer faults and deeds, then fewer writes, then again.

Delta debugging (Zeller): leave out halves, then quarters, and so on, and keep what still breaks
the same rule.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

from rig.faults.plan import Fault
from rig.sim.config import Deed
from rig.sim.run import Outcome, run_world
from rig.sim.schedule import Schedule

Row = Fault | Deed


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

    def _try(self, schedule: Schedule) -> bool:
        """Take a schedule as the best one if it breaks the same rule."""
        if self._spent_s() > self._cpu_s_max:
            return False
        outcome = self._run(schedule)
        if outcome.violation is None or outcome.violation.rule != self._rule:
            return False
        self._best = Schedule(schedule.config, outcome.faults, self._rule)
        return True

    def shrink(self) -> Shrunk:
        """Return the smallest schedule found."""
        while True:
            before = self._size()
            self._rows()
            self._writes()
            if self._size() == before or self._spent_s() > self._cpu_s_max:
                return Shrunk(self._best, self._runs, self._spent_s())

    def _size(self) -> tuple[int, int]:
        best = self._best
        return len(best.faults or ()) + len(best.config.deeds), best.config.writes

    def _with(self, rows: list[Row], writes: int | None = None) -> Schedule:
        config = self._best.config
        deeds = tuple(row for row in rows if isinstance(row, Deed))
        faults = [row for row in rows if isinstance(row, Fault)]
        config = dataclasses.replace(config, deeds=deeds, writes=writes or config.writes)
        return Schedule(config, faults, self._rule)

    def _all_rows(self) -> list[Row]:
        return [*self._best.config.deeds, *(self._best.faults or ())]

    def _rows(self) -> None:
        rows = self._all_rows()
        if not rows or self._try(self._with([])):
            return
        minimal(rows, lambda some: self._try(self._with(some)), self._all_rows)

    def _writes(self) -> None:
        writes = self._best.config.writes
        while writes > 1 and self._try(self._with(self._all_rows(), max(1, writes // 2))):
            writes = self._best.config.writes


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
