"""Shrinking: a failing run becomes a handful of rows, and goes on to fail by the same rule."""

import dataclasses
import json

import pytest

from emulator.copy.group import Group
from rig.faults.plan import Fault
from rig.sim.config import Deed, calm
from rig.sim.run import run_world
from rig.sim.schedule import Schedule, read_file
from rig.sim.shrink import ROWS_GOAL, Shrinker, minimal
from rig.sim.swarm import swarm
from rig.sim.zoo import mutants, planted, run_copy, source_copy

CPU_S = 60
# Mistakes that seeds full of faults show, with hundreds of rows at first.
SHRUNK = (
    "record: of two writes to a track the first is kept",
    "epoch: it is closed and not journalled as closed",
    "link: packets are not checked by their CRC",
    "roles: a promotion makes no new generation",
)
# Mistakes that do not wait for what only virtual time brings together.
ON_LINES = (
    "apply: parts of a track are laid over zeros",
    "copy: the last track of a run is left out",
)


def rows(schedule: Schedule) -> int:
    return len(schedule.faults or ()) + len(schedule.config.deeds)


@pytest.mark.parametrize("seed", range(3))
def test_what_needs_no_fault_keeps_none(monkeypatch, seed):
    """A mistake for the length of this test: hosts are answered before anything is durable."""
    monkeypatch.setattr(Group, "release", lambda group: group.replies.release(group.csn))
    config = swarm(seed, 60)
    rule = run_world(config).violation.rule
    small = Shrinker(Schedule(config, None), CPU_S).shrink().schedule
    assert small.expect == rule == run_world(small.config, small.faults).violation.rule
    assert rows(small) <= 1
    assert small.config.writes < 60


def test_what_is_simpler_is_taken_and_rates_are_left_out(monkeypatch):
    monkeypatch.setattr(Group, "release", lambda group: group.replies.release(group.csn))
    config = dataclasses.replace(swarm(4, 40), reads=0.4, zeros=0.2, volumes=(65536, 65536))
    small = Shrinker(Schedule(config, None), CPU_S).shrink().schedule
    assert small.config.reads == small.config.zeros == 0.0
    assert len(small.config.volumes) == 1
    assert small.config.ways[0].rates == calm(1).ways[0].rates
    assert small.config.sites[0].disk == calm(1).sites[0].disk


def test_rows_of_a_kind_go_together(monkeypatch):
    """Two faults of many are needed; the others fall by kinds, not one by one."""
    noise = [Fault("line.A-B", number, "duplicate") for number in range(5, 60)]
    needed = [Fault("nvs.A", 3, "crash", (0, 0, 10**8)), Fault("nvs.B", 4, "crash", (0, 0, 10**8))]
    runs: list[int] = []

    def run(config, faults):
        runs.append(len(faults))
        outcome = run_world(calm(1, 1), [])
        outcome.config, outcome.faults = config, list(faults)
        if set(needed) <= set(faults):
            from rig.sim.violation import Violation

            outcome.violation = Violation("O3", "both sites died")
        return outcome

    monkeypatch.setattr("rig.sim.shrink.run_world", run)
    deeds = (Deed(1, "cut", "both", 2),)
    config = dataclasses.replace(calm(1, 40), deeds=deeds)
    found = Shrinker(Schedule(config, noise + needed), CPU_S).shrink()
    assert found.schedule.faults == needed
    assert not found.schedule.config.deeds
    assert found.schedule.config.writes == 1
    assert found.runs == len(runs) < 40


def test_other_workloads_are_tried_where_many_rows_are_left(monkeypatch):
    """With its own seed all rows are needed; with any other one of them is enough."""
    many = [Fault("line.A-B", number, "drop") for number in range(12)]

    def run(config, faults):
        outcome = run_world(calm(1, 1), [])
        outcome.config, outcome.faults = config, list(faults)
        if len(faults) == len(many) or (config.seed != 1 and many[0] in faults):
            from rig.sim.violation import Violation

            outcome.violation = Violation("O3", "a track is not what it was")
        return outcome

    monkeypatch.setattr("rig.sim.shrink.run_world", run)
    found = Shrinker(Schedule(calm(1, 4), many), CPU_S).shrink().schedule
    assert found.faults == [many[0]]
    assert found.config.seed != 1


def test_minimal_leaves_out_what_can_be():
    best = list(range(30))
    needed = {4, 5, 21}

    def fails(some):
        nonlocal best
        if needed <= set(some):
            best = some
        return best is some

    minimal(best, fails, lambda: best)
    assert set(best) == needed


def shrunk_failure(copy, folder):
    """Find a failing seed on a copy of the source, and shrink it there; return the small file."""
    words = ["-m", "rig.cli", "sim", "--seeds", "0:12", "--jobs", "1", "--out", str(folder)]
    assert run_copy(copy, words).returncode == 1
    (path, *_others) = sorted(folder.glob("seed-*.toml"))
    shrunk = run_copy(copy, ["-m", "rig.cli", "shrink", str(path), "--cpu-s", str(CPU_S)])
    assert shrunk.returncode == 0, shrunk.stderr
    return path.with_suffix(".min.toml")


def replayed(copy, path, on, folder):
    """Repeat a schedule on a medium with a copy of the source; return what was broken."""
    words = ["-m", "rig.cli", "run", str(path), "--on", on, "--out", str(folder), "--json"]
    done = run_copy(copy, words)
    violation = json.loads(done.stdout)["violation"]
    assert done.returncode == (violation is not None)
    return violation


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SHRUNK)
def test_failures_of_the_zoo_become_a_handful_of_rows(name, tmp_path):
    (mutant,) = [found for found in mutants() if found.name == name]
    with source_copy() as copy:
        with planted(mutant, copy):
            path = shrunk_failure(copy, tmp_path)
            mistaken = replayed(copy, path, "sim", tmp_path / "mistaken")
        healthy = replayed(copy, path, "sim", tmp_path / "healthy")
    schedule = read_file(path)
    assert rows(schedule) <= ROWS_GOAL
    assert mistaken["rule"] == schedule.expect
    assert healthy is None


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ON_LINES)
def test_a_shrunk_failure_fails_on_real_lines_too(name, tmp_path):
    (mutant,) = [found for found in mutants() if found.name == name]
    with source_copy() as copy:
        with planted(mutant, copy):
            path = shrunk_failure(copy, tmp_path)
            for on in ("sim", "udp", "pty"):
                violation = replayed(copy, path, on, tmp_path / f"mistaken-{on}")
                assert violation is not None, on
                assert violation["rule"] == read_file(path).expect, on
        for on in ("sim", "udp", "pty"):
            assert replayed(copy, path, on, tmp_path / f"healthy-{on}") is None, on
