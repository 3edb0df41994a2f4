"""Schedules that once broke a rule: every rule holds in them now, and goes on to hold."""

from pathlib import Path

import pytest

from rig.sim.run import run_world
from rig.sim.schedule import read_file

KEPT = sorted((Path(__file__).parents[2] / "fixtures" / "schedules").glob("*.toml"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_every_rule_holds_in_what_was_kept(path):
    schedule = read_file(path)
    assert schedule.faults is not None
    violation = run_world(schedule.config, schedule.faults).violation
    assert violation is None, f"dualcopy run {path}: {violation}"


def test_something_is_kept():
    assert KEPT
