"""The simulator's commands: what they print, and how they end."""

import json

import pytest

from emulator.copy.group import Group
from rig.cli.main import main
from rig.sim.bench import GOALS, measure
from rig.sim.config import calm
from rig.sim.kept import kept_files
from rig.sim.schedule import Schedule, from_text, to_text


def test_seeds_are_run_and_added_up(capsys, tmp_path):
    words = ["sim", "--seeds", "0:3", "--writes", "20", "--digest", "--twice", "--json"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["seeds"] == 3
    assert said["violations"] == {}
    assert said["differing_seeds"] == []
    assert len(said["digest"]) == 32
    assert said["faults_injected"] == sum(said["faults"].values()) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_branch_that_was_not_reached_is_a_failure(capsys):
    assert main(["sim", "--seed", "0", "--writes", "1", "--marks"]) == 1
    assert "no run has reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["sim", "--seeds", "9:3"], "the lower one first"),
        (["sim", "--seeds", "0:3", "--seed", "1"], "exclude each other"),
        (["exhaust", "noise"], "there are loss and crash"),
        (["zoo", "--only", "unicorn"], "no mutant"),
        (["run", "no-such-file.toml"], "no-such-file.toml"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, words, problem):
    assert main(words) == 2
    assert problem in capsys.readouterr().err


def test_a_failing_run_leaves_a_file_that_repeats_and_shrinks(capsys, tmp_path, monkeypatch):
    # A mistake for the length of this test: hosts are answered at once.
    monkeypatch.setattr(Group, "release", lambda group: group.replies.release(group.csn))
    assert main(["sim", "--seed", "4", "--writes", "40", "--out", str(tmp_path)]) == 1
    path = tmp_path / "seed-4.toml"
    said = capsys.readouterr()
    assert f"dualcopy run {path}" in said.out
    assert main(["run", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["violation"]["rule"] == "A1"
    assert main(["shrink", str(path)]) == 0
    small = from_text((tmp_path / "seed-4.min.toml").read_text())
    assert small.expect == "A1"
    assert len(small.faults) + len(small.config.deeds) <= 5
    assert small.config.writes < 40


def test_a_run_that_holds_cannot_be_shrunk(capsys, tmp_path):
    path = tmp_path / "calm.toml"
    path.write_text(to_text(Schedule(calm(1, 5), [])))
    assert main(["run", str(path)]) == 0
    assert main(["shrink", str(path)]) == 2
    assert "nothing to shrink" in capsys.readouterr().err


def test_the_books_are_shown(capsys):
    assert main(["sim", "--seeds", "2:5", "--writes", "60", "--account"]) == 0
    said = capsys.readouterr().out
    assert "damaged packets" in said
    assert "errors of disks" in said


def test_figures_come_with_their_goals(monkeypatch):
    monkeypatch.setattr("rig.sim.bench.T1_RUNS", 1)
    monkeypatch.setattr("rig.sim.bench.T1_WRITES", 20)
    found = measure(seeds=1)
    assert found["violations"] == {}
    assert set(found["figures"]) == set(GOALS)
    for row in found["figures"].values():
        assert row["value"] > 0
        assert row["ratio"] == pytest.approx(row["value"] / row["goal"], abs=0.01)


def test_what_was_kept_is_run_with_a_campaign(capsys, monkeypatch, tmp_path):
    kept = tmp_path / "kept-long-ago.toml"
    kept.write_bytes(kept_files()[0].read_bytes())
    monkeypatch.setattr("rig.sim.kept.kept_files", lambda: [kept])
    words = ["sim", "--seeds", "0:2", "--writes", "5", "--json"]
    assert main(words) == 0
    assert "failing_kept" not in json.loads(capsys.readouterr().out)
    assert main([*words, "--kept"]) == 0
    assert json.loads(capsys.readouterr().out)["failing_kept"] == []
    # A mistake for the length of this test: nobody ever takes a packet from the line.
    monkeypatch.setattr("rig.sim.site.Site.arrive", lambda _site, _packet: False)
    monkeypatch.setattr("rig.cli.sim._chosen", lambda _seeds, _seed: range(0))
    assert main([*words, "--kept"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["failing_kept"] == ["kept-long-ago"]
    assert "kept-long-ago" in said.err
