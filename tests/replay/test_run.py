"""Schedules on real lines: two real sites, a real host, real kills, the same verdict."""

import dataclasses
import json

import pytest

from emulator.clock import MILLISECOND_NS
from rig.cli.main import main
from rig.faults.plan import Fault
from rig.replay.deeds import beyond, done_otherwise
from rig.replay.process import SiteProcess
from rig.sim.config import Deed, calm
from rig.sim.schedule import Schedule, to_text

MS = MILLISECOND_NS
FAULTS = [
    Fault("line.A-B", 4, "drop"),
    Fault("line.A-B", 9, "flip", (77,)),
    Fault("line.A-B", 12, "duplicate"),
    Fault("line.A-B", 14, "forge", (3,)),
    Fault("line.B-A", 3, "drop"),
    Fault("line.B-A", 5, "late", (20 * MS,)),
    Fault("line.B-A", 100_000, "drop"),
    Fault("nvs.A", 9, "crash", (1, 3, 30 * MS)),
    Fault("disk.B.0.write", 0, "slow", (3,)),
    Fault("nvs.A", 50, "rot", (1,)),
]
DEEDS = (
    Deed(150 * MS, "crash", "B", 50 * MS, (0, 5)),
    Deed(300 * MS, "cut", "both", 100 * MS),
    Deed(400 * MS, "pause", "B", 20 * MS),
    Deed(600 * MS, "role", "B", 1000 * MS),
    Deed(700 * MS, "moon-landing", "B"),
)


def schedule(writes=40, **changes):
    config = dataclasses.replace(calm(3, writes), think_ns=5 * MS, deeds=DEEDS)
    return Schedule(dataclasses.replace(config, **changes), FAULTS)


def run(tmp_path, made, medium, *more):
    path = tmp_path / "fail.toml"
    path.write_text(to_text(made))
    folder = tmp_path / "run"
    return main(["run", str(path), "--on", medium, "--out", str(folder), *more]), folder


@pytest.mark.parametrize(
    "medium",
    [
        "udp",
        pytest.param("pty", marks=pytest.mark.slow),
        pytest.param("eth", marks=[pytest.mark.slow, pytest.mark.needs("root", "ip")]),
    ],
)
def test_every_rule_holds_on_a_real_line(tmp_path, capsys, medium):
    code, folder = run(tmp_path, schedule(), medium, "--json")
    captured = capsys.readouterr()
    assert code == 0, captured.err
    said = json.loads(captured.out)
    assert said["violation"] is None
    assert said == {**json.loads((folder / "run.json").read_text()), "file": said["file"]}
    # The crash at a step of the store, which only a hook can time, and the ones by kill -9.
    assert said["faults"]["nvs.A: crash"] == 1
    assert said["faults"]["line.A-B: drop"] == 1
    assert said["counters"]["crashes"] >= 2
    assert said["counters"]["writes"] >= 40
    assert said["counters"]["audit"]["copy_tracks"] > 0
    assert said["faults_not_reached"]["line.B-A: drop"] == 1
    assert said["not_on_this_medium"] == {"deed: moon-landing": 1, "nvs.A: rot": 1}
    assert any("kill -9" in name for name in said["done_otherwise"])
    assert (folder / "capture.pcapng").stat().st_size > 1000
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert {"deed", "fault", "pair-changed", "heal"} <= {event["event"] for event in events}
    assert "--on " + medium in (folder / "repro.sh").read_text()


@pytest.mark.slow
def test_a_mistake_is_found_and_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(SiteProcess, "module", "tests.replay.mistaken_site")
    monkeypatch.setenv("SWAP_AFTER", "8")
    monkeypatch.setenv("DUALCOPY_INTERPRETED", "1")
    monkeypatch.setenv("PYTHONPATH", ".")
    made = schedule(200, deeds=(), volumes=(64 * 4096,), outstanding=8, reads=0.0)
    code, folder = run(tmp_path, made._replace(faults=[]), "udp")
    assert code == 1
    violation = json.loads((folder / "run.json").read_text())["violation"]
    assert violation["rule"] == "O3"
    assert "the auditor: csn " in violation["found"]
    assert "track" in capsys.readouterr().err


def test_the_same_file_runs_in_the_simulator(tmp_path, capsys):
    made = schedule(deeds=DEEDS[:-1])._replace(faults=FAULTS[:-1])
    code, folder = run(tmp_path, made, "sim", "--json")
    assert code == 0
    assert json.loads(capsys.readouterr().out)["violation"] is None
    assert json.loads((folder / "run.json").read_text())["on"] == "sim"
    assert "--on sim" in (folder / "repro.sh").read_text()


def test_what_is_beyond_a_real_line_is_named():
    made = schedule()
    assert beyond(made.faults, made.config) == {"nvs.A: rot": 1, "deed: moon-landing": 1}
    power = dataclasses.replace(
        made.config, deeds=(Deed(0, "crash", "A", 1, (1, 5)), Deed(0, "carrier", "both", 1))
    )
    assert sum(done_otherwise([], power).values()) == 2


def test_what_cannot_be_run_is_said(tmp_path, capsys):
    path = tmp_path / "fail.toml"
    path.write_text(to_text(schedule()))
    assert main(["run", str(path), "--on", "smoke"]) == 2
    assert "schedules run on sim, udp, pty, eth" in capsys.readouterr().err
    assert main(["run", str(path), str(path), "--out", str(tmp_path / "x")]) == 2
    assert "the folder of one run" in capsys.readouterr().err
