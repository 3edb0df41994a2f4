"""Many seeds: run them, over several processes if asked, and add up what came of them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import UnavailableError
from rig.sim.run import Outcome, run_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH_SEEDS: Final = 10
FAILURES_MAX: Final = 50
"""Failing runs kept of one campaign; more of them are counted only."""
MARKS: Final = (
    "answered alone",
    "answered from volatile memory",
    "battery failed",
    "copy begun",
    "copy ended",
    "crash",
    "damaged journal refused",
    "damaged track lost",
    "damaged track mended",
    "damaged while it was written",
    "disk flush failed",
    "disk read failed",
    "disk write failed",
    "journal empty at start",
    "journal overflow",
    "journal replayed",
    "journal tail lost",
    "new generation",
    "old disk refused",
    "pair catching-up",
    "pair copying",
    "pair duplex",
    "pair refused",
    "pair suspended",
    "record rejected",
    "refused until somebody decides",
    "restarted for a broken disk",
    "restarted for a spoilt record",
    "role handing-over",
    "role primary",
    "role secondary",
    "silent damage",
    "torn journal tail",
    "unanswered writes lost",
    "written through",
)
"""Branches that a campaign must reach; one that never does is blind there."""


@dataclass(slots=True)
class Summary:
    """What came of many runs."""

    seeds: int = 0
    failures: list[Outcome] = field(default_factory=list)
    violations: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    facts: dict[str, int] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    events: int = 0
    virtual_ns: int = 0
    cpu_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Add one run."""
        self.seeds += 1
        self.events += outcome.events
        self.virtual_ns += outcome.virtual_ns
        self.cpu_s += outcome.cpu_s
        self.digests[outcome.config.seed] = outcome.digest
        for total, found in (
            (self.faults, outcome.fault_counts),
            (self.marks, outcome.marks),
            (self.facts, outcome.facts),
        ):
            for name, count in found.items():
                total[name] = total.get(name, 0) + count
        if outcome.violation is not None:
            rule = outcome.violation.rule
            self.violations[rule] = self.violations.get(rule, 0) + 1
            if len(self.failures) < FAILURES_MAX:
                self.failures.append(outcome)

    def missed_marks(self) -> list[str]:
        """Return the branches that no run has reached."""
        return [name for name in MARKS if name not in self.marks]

    def as_object(self) -> dict[str, Any]:
        """Return the summary for programs."""
        cpu_s = max(self.cpu_s, 1e-9)
        return {
            "seeds": self.seeds,
            "violations": dict(sorted(self.violations.items())),
            "failing_seeds": [outcome.config.seed for outcome in self.failures],
            "faults": dict(sorted(self.faults.items())),
            "faults_injected": sum(self.faults.values()),
            "marks": dict(sorted(self.marks.items())),
            "marks_missed": self.missed_marks(),
            **self.facts,
            "events": self.events,
            "virtual_s": round(self.virtual_ns / 1e9, 3),
            "cpu_s": round(self.cpu_s, 3),
            "events_per_cpu_s": round(self.events / cpu_s),
            "seeds_per_cpu_s": round(self.seeds / cpu_s, 2),
            "times_real_time": round(self.virtual_ns / 1e9 / cpu_s, 1),
        }


def _batch(writes: int, seeds: range) -> list[Outcome]:
    outcomes = [run_seed(seed, writes) for seed in seeds]
    for outcome in outcomes:
        if outcome.violation is None:
            # Only failing runs are repeated; the others' faults would only be carried about.
            outcome.faults = []
    return outcomes


def outcomes(seeds: range, writes: int, jobs: int) -> Iterator[Outcome]:
    """Yield the outcome of every seed, in order."""
    batches = [seeds[start : start + BATCH_SEEDS] for start in range(0, len(seeds), BATCH_SEEDS)]
    run = partial(_batch, writes)
    if jobs == 1:
        for batch in batches:
            yield from run(batch)
        return
    # Workers start afresh: what this process has imported or opened is no part of a run.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            for found in pool.map(run, batches):
                yield from found
        except BrokenProcessPool as error:
            raise UnavailableError("a worker process was killed from outside; run again") from error


def summary_of(found: Iterable[Outcome]) -> Summary:
    """Return the sums over runs."""
    summary = Summary()
    for outcome in found:
        summary.add(outcome)
    return summary
