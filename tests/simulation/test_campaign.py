"""Campaigns over workers: the same sums as in one process, and a dead worker costs nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from emulator.errors import BenchError, CannotRunHere
from rig.cli.main import main
from rig.sim import distributed
from rig.sim.campaign import outcomes, summary_of
from rig.sim.config import calm
from rig.sim.distributed import Gathered, batch, source_digest
from rig.sim.run import Outcome
from rig.sim.violation import Violation

COUNTS = ("seeds", "violations", "faults", "marks", "facts", "events", "virtual_ns")


def command(*words):
    return [sys.executable, "-m", "rig.cli", "campaign", *words, "--json"]


def test_batches_add_up_to_what_one_process_finds():
    total = Gathered()
    for first, end in ((0, 3), (3, 5)):
        total.merge(batch(first, end, 15, source_digest()))
    whole = summary_of(outcomes(range(5), 15, 1))
    assert total.batches == 2
    for name in COUNTS:
        assert getattr(total.summary, name) == getattr(whole, name), name


def test_of_each_rule_the_quickest_runs_are_kept(monkeypatch):
    monkeypatch.setattr(distributed, "FAILURES_MAX", 3)

    def failed(seed, rule, events):
        return Outcome(calm(seed), violation=Violation(rule, "x"), events=events)

    total, other = Gathered(), Gathered()
    for seed, events in ((1, 50), (2, 10), (3, 40)):
        total.add(failed(seed, "O3", events))
    for seed, events in ((4, 20), (5, 90)):
        other.add(failed(seed, "O3", events))
    other.add(failed(6, "A1", 70))
    total.merge(other)
    assert [o.config.seed for o in total.failures()] == [6, 2, 4, 3]
    assert total.summary.violations == {"O3": 5, "A1": 1}
    assert total.summary.seeds == 6


def test_a_worker_with_another_source_is_refused():
    with pytest.raises(BenchError, match="another version of dualcopy"):
        batch(0, 1, 5, "0" * 16)


def test_without_the_extra_the_way_to_it_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CannotRunHere), distributed.workers("", 1):
        pass
    assert main(["campaign", "--seeds", "0:3"]) == 77
    assert "pip install 'dualcopy[campaign]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--seeds", "7"], "write two numbers such as 0:300"),
        (["--seeds", "0:9", "--local", "2", "--workers", "tcp://127.0.0.1:9"], "exclude"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, words, problem):
    assert main(["campaign", *words]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.needs("python:distributed")
def test_a_local_cluster_by_default(tmp_path):
    done = subprocess.run(
        command("--seeds", "0:60", "--writes", "2", "--local", "2", "--out", str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["seeds"], said["batches"], said["schedules"]) == (60, 2, [])
    whole = summary_of(outcomes(range(60), 2, 1))
    assert (said["faults"], said["marks"]) == (
        dict(sorted(whole.faults.items())),
        dict(sorted(whole.marks.items())),
    )


def children(pid):
    """Return the processes that descend from one."""
    text = "".join(p.read_text() for p in Path(f"/proc/{pid}/task").glob("*/children"))
    return [found for child in text.split() for found in (int(child), *children(child))]


def worker_pids(pid):
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children(pid)}
    return [child for child, line in lines.items() if b"spawn_main" in line]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.needs("python:distributed")
def test_a_worker_that_is_killed_loses_no_seed():
    words = command("--seeds", "0:400", "--writes", "40", "--local", "2")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        pause = threading.Event()
        end_s = time.monotonic() + 60
        while len(found := worker_pids(process.pid)) < 2:
            assert time.monotonic() < end_s, "no workers"
            pause.wait(0.1)
        pause.wait(3)
        os.kill(found[0], signal.SIGKILL)
        out, _ = process.communicate(timeout=500)
    assert process.returncode == 0
    assert json.loads(out)["seeds"] == 400
