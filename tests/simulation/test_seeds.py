"""Worlds full of faults: every rule holds in each, every branch is reached, chance is seeded."""

import os
import pickle
import subprocess
import sys

import pytest

from rig.sim.campaign import MARKS, Summary
from rig.sim.run import run_seed, run_world
from rig.sim.violation import Violation

SEEDS = 300
BATCH = 25
DIGESTS = (
    "from rig.sim.run import run_seed\nfor seed in range(4): print(run_seed(seed, 40).digest)\n"
)


@pytest.mark.parametrize("start", range(0, SEEDS, BATCH))
def test_every_rule_holds(start):
    summary = Summary()
    for seed in range(start, start + BATCH):
        summary.add(run_seed(seed))
    assert not summary.violations, "\n".join(
        f"dualcopy sim --seed {outcome.config.seed}: {outcome.violation}"
        for outcome in summary.failures
    )
    assert sum(summary.faults.values()) > 100 * BATCH / 10


@pytest.mark.slow
def test_every_branch_is_reached():
    summary = Summary()
    for seed in range(SEEDS):
        summary.add(run_seed(seed))
        if not summary.missed_marks():
            return
    pytest.fail(f"never reached: {summary.missed_marks()}")


def test_a_mark_that_nothing_reaches_is_missed():
    summary = Summary()
    assert summary.missed_marks() == list(MARKS)
    summary.marks = dict.fromkeys(MARKS[1:], 1)
    assert summary.missed_marks() == [MARKS[0]]


@pytest.mark.parametrize("hash_seed", ["1", "12345"])
def test_the_same_seed_is_the_same_run_in_any_process(hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stdout.split() == [run_seed(seed, 40).digest for seed in range(4)]


@pytest.mark.parametrize("seed", range(5))
def test_kept_faults_repeat_the_run(seed):
    drawn = run_seed(seed, 60)
    repeated = run_world(drawn.config, drawn.faults)
    assert drawn.faults
    assert repeated.digest == drawn.digest
    assert repeated.faults == drawn.faults


def test_a_violation_survives_the_way_from_a_worker():
    violation = Violation("O3", "a track is not what it was")
    violation.time_ns = 7
    again = pickle.loads(pickle.dumps(violation))
    assert again.as_object() == violation.as_object()
    assert str(again) == str(violation)


def test_other_faults_are_another_run():
    drawn = run_seed(0, 60)
    assert run_world(drawn.config, drawn.faults[1:]).digest != drawn.digest
