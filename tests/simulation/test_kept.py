"""Schedules that once broke a rule: every rule holds in them now, and goes on to hold."""

from pathlib import Path

import pytest

from emulator.copy.stream import Stream
from rig.sim.kept import kept_files
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
    assert kept_files() == KEPT, "a campaign runs them all"


def test_copying_without_bound_beside_a_long_epoch_never_ends(monkeypatch):
    """A mistake for the length of this test: the other site's journal fills, and both wait."""
    (path,) = [path for path in KEPT if path.stem == "tracks-copied-beside-a-long-epoch"]
    schedule = read_file(path)
    assert run_world(schedule.config, schedule.faults).violation is None
    monkeypatch.setattr(Stream, "copy_room", lambda stream: True)
    violation = run_world(schedule.config, schedule.faults).violation
    assert violation is not None
    assert violation.rule == "liveness"
