"""Schedules that once broke a rule: a campaign runs them again beside its seeds."""

from collections.abc import Iterator
from pathlib import Path

from rig.sim.run import run_world
from rig.sim.schedule import read_file
from rig.sim.violation import Violation
from rig.sim.zoo import ROOT, SCHEDULES


def kept_files() -> list[Path]:
    """Return the schedules that this checkout keeps; none where only the packages are installed."""
    return sorted((ROOT / SCHEDULES).glob("*.toml"))


def run_kept() -> Iterator[tuple[Path, Violation | None]]:
    """Run each of them, and yield what it breaks, which is nothing as long as all is well."""
    for path in kept_files():
        schedule = read_file(path)
        yield path, run_world(schedule.config, schedule.faults).violation
