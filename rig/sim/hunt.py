"""Run by the zoo on a copy of the source: the first run that breaks a rule, as JSON."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rig.sim.run import run_world
from rig.sim.schedule import Schedule, read_file
from rig.sim.swarm import swarm

ENDLESS_CPU_S: Final = 60
"""A run that takes longer than this beyond what all may take has no end."""


def first_violation(first: str, seeds: int, writes: int, cpu_s_max: float) -> dict[str, Any]:
    """Return which run broke which rule; an empty rule if none did."""
    tries, by, rule, found = 0, "", "", ""
    for name, schedule in _schedules(first, seeds, writes):
        tries, by = tries + 1, name
        violation = run_world(schedule.config, schedule.faults).violation
        if violation is not None:
            rule, found = violation.rule, violation.found
        if rule or time.process_time() > cpu_s_max:
            break
    said = {"tries": tries, "by": by, "rule": rule, "found": found}
    return {**said, "cpu_s": round(time.process_time(), 3)}


def _schedules(first: str, seeds: int, writes: int) -> Iterator[tuple[str, Schedule]]:
    if first:
        yield Path(first).stem, read_file(Path(first))
    for seed in range(seeds):
        yield f"seed {seed}", Schedule(swarm(seed, writes), None)


def main(words: list[str]) -> None:
    """Hunt as the words say: schedule or nothing, seeds, writes, seconds of processor time."""
    first, seeds, writes, cpu_s_max = words
    limit_s = int(float(cpu_s_max)) + ENDLESS_CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + ENDLESS_CPU_S))
    found = first_violation(first, int(seeds), int(writes), float(cpu_s_max))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
