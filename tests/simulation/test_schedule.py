"""Schedules: what is written is read back the same, and what is wrong is named."""

import pytest

from emulator.errors import BenchError
from rig.sim.config import calm
from rig.sim.run import run_seed, run_world
from rig.sim.schedule import Schedule, from_text, read_file, to_text
from rig.sim.shrink import minimal
from rig.sim.swarm import swarm


@pytest.mark.parametrize("seed", range(12))
def test_a_schedule_comes_back_as_it_was(seed):
    config = swarm(seed)
    faults = run_seed(seed, 20).faults
    for rows in (faults, [], None):
        schedule = Schedule(config, rows, "O3")
        assert from_text(to_text(schedule, "two\nlines")) == schedule


def test_a_schedule_from_a_file_is_the_same_run(tmp_path):
    drawn = run_seed(3, 40)
    path = tmp_path / "three.toml"
    path.write_text(to_text(Schedule(drawn.config, drawn.faults)))
    read = read_file(path)
    assert run_world(read.config, read.faults).digest == drawn.digest


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("writes = 150", "writse = 150", "did you mean writes"),
        ("writes = 150", 'writes = "many"', "writes = 'many'; it must be int"),
        ("[run]", "[runs]", "did you mean run"),
        ("[line.A-B]", "[line.A-C]", "unknown key A-C"),
        ("seed = 7", "", "seed"),
        ("rates = {}", "rates = { drip = 0.5 }", "did you mean drop"),
        ("[run]", "[run", "schedule"),
    ],
)
def test_what_is_wrong_is_named(before, after, problem):
    text = to_text(Schedule(calm(7), None))
    assert before in text
    with pytest.raises(BenchError, match=problem):
        from_text(text.replace(before, after, 1))


def test_a_fault_without_a_place_is_named():
    text = to_text(Schedule(calm(7), None)) + '\n[[fault]]\nnth = 3\nkind = "drop"\n'
    with pytest.raises(BenchError, match="'on'"):
        from_text(text)


def test_leaving_out_keeps_what_is_needed():
    needed = {3, 17, 40}
    best = list(range(60))

    def fails(some):
        nonlocal best
        if needed <= set(some):
            best = some
            return True
        return False

    minimal(best, fails, lambda: best)
    assert set(best) == needed
