"""The whole demo: a run that passes, and fails once it is tampered with; and runs that break."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest

from rig.cli.main import main
from rig.demo import run, stage
from rig.demo.folder import RunFolder
from rig.demo.progress import PlainProgress
from rig.report.report import Outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture
def handlers():
    """Give the signal handlers back, which the command takes for itself."""
    kept = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def failed(evidence):
    report = run.conclude(evidence)
    assert not report.held
    assert report.verdict().startswith("FAIL")
    assert json.loads((evidence.folder.path / "run.json").read_text())["verdict"] == "fail"
    return {check.name for check in report.checks if check.outcome is Outcome.FAILED}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_demo_passes_and_its_checks_can_fail(tmp_path, capsys, monkeypatch, handlers):
    kept = []
    conclude = run.conclude
    monkeypatch.setattr(
        run, "conclude", lambda evidence: kept.append(evidence) or conclude(evidence)
    )
    code = main(["demo", "--out", str(tmp_path / "run"), "--seed", "42"])
    out = capsys.readouterr().out
    assert code == 0, out
    assert re.match(r"PASS: all \d+ checks held.*report\.html", out.splitlines()[-1])
    assert "not sealed (lab_plaintext)" in out
    (evidence,) = kept
    folder = evidence.folder.path
    found = json.loads((folder / "run.json").read_text())
    assert (found["verdict"], found["seed"], found["sealed"]) == ("pass", 42, False)
    assert all(check["outcome"] != "failed" for check in found["checks"])
    for name in ("events.jsonl", "capture.pcapng", "measurements.json", "report.html", "repro.sh"):
        assert (folder / name).stat().st_size > 0, name
    assert not Path(found["counters"]["sites"]["A"]["links"]["A-B"]["line"]["uri"]).exists()
    times = [
        json.loads(line)["time_ns"] for line in (folder / "events.jsonl").read_text().splitlines()
    ]
    assert times == sorted(times)
    monkeypatch.setattr(run, "conclude", conclude)
    _tamper(evidence)


def _tamper(evidence):
    """Spoil one thing after another in what the run left; the verdict has to notice each."""
    folder = evidence.folder
    image = folder.image("B")
    whole = image.read_bytes()
    flip(image, len(whole) - 1)
    assert "both disk images are identical" in failed(evidence)
    image.write_bytes(whole)

    flip(image, 1024 + 3)  # the superblock of ext4, or a FAT
    names = failed(evidence)
    assert {"both disk images are identical", "site B holds the host's file system"} <= names
    image.write_bytes(whole)

    journal = folder.writes.read_text()
    number = int(re.findall(r"^w (\d+) ", journal, re.MULTILINE)[-1]) + 1
    lie = f"w {number} {20 * 2**20 - 4096}\na {number}\n"
    folder.writes.write_text(journal + lie)  # a write that the host was told is safe
    names = failed(evidence)
    assert {f"site {site} holds every acknowledged write" for site in "AB"} == names
    folder.writes.write_text(journal)

    capture = folder.capture.read_bytes()
    folder.capture.write_bytes(capture[:-1])
    assert "the capture decodes and its history has no gap" in failed(evidence)
    half = len(capture) // 2
    other = bytes(byte ^ 0xFF for byte in capture[half : half + 64])  # zeros may lie there
    folder.capture.write_bytes(capture[:half] + other + capture[half + 64 :])
    assert failed(evidence)
    folder.capture.write_bytes(capture)

    events, evidence.events = evidence.events, [*evidence.events, {"event": "text", "text": "!",
                                                "site": "A", "time_ns": 0}]  # fmt: skip
    assert failed(evidence) == {"the sites report no failure"}
    evidence.events = events
    assert run.conclude(evidence).held


def broken_run(tmp_path, monkeypatch, text):
    """Play with sites that are another program."""
    monkeypatch.setattr(
        stage, "site_command", lambda python, site, bench: [python, "-c", text, site, str(bench)]
    )
    words = StringIO()
    evidence = run.play_demo(RunFolder.make(tmp_path / "run"), 1, PlainProgress(words))
    return evidence, run.conclude(evidence)


def test_a_site_that_dies_is_told_with_its_log_and_fails_the_run(tmp_path, monkeypatch):
    text = "import sys; sys.exit('the disk is on fire')"
    evidence, report = broken_run(tmp_path, monkeypatch, text)
    assert not report.held
    assert "ended by itself, with exit code 1" in evidence.failure
    assert "the disk is on fire" in evidence.failure
    page = (evidence.folder.path / "report.html").read_text()
    assert "the disk is on fire" in page
    found = json.loads((evidence.folder.path / "run.json").read_text())
    assert found["verdict"] == "fail"
    assert "the disk is on fire" in found["failure"]


def test_a_site_that_never_answers_runs_into_a_limit_and_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("rig.demo.plan.PATIENCE_NS", 300_000_000)
    text = "import signal; signal.pause()"
    evidence, report = broken_run(tmp_path, monkeypatch, text)
    assert "site A is ready" in evidence.failure
    assert not report.held
    assert len(evidence.endings) == 2
    for pid in evidence.lives:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_folder_in_use_is_refused_before_anything_starts(tmp_path, capsys, handlers):
    (tmp_path / "thing").touch()
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_a_path_too_long_for_sockets_names_the_fix(tmp_path, capsys, handlers):
    assert main(["demo", "--out", str(tmp_path / ("long" * 30))]) == 2
    assert "choose a shorter one" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_interrupted_it_stops_what_it_started_and_removes_nothing(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "rig.cli", "demo", "--out", str(tmp_path / "run")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    pids = []
    for line in process.stdout:
        pids += re.findall(r"processes (\d+) and (\d+)", line)
        if line.startswith("3/"):
            process.send_signal(number)
            break
    process.stdout.read()
    errors = process.stderr.read()
    assert process.wait() == 130, errors
    assert "all processes are stopped" in errors
    watchdog.cancel()
    process.stdout.close()
    process.stderr.close()
    assert len(pids) == 1
    for pid in pids[0]:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"a.img", "b.img", "bench.toml", "capture.pcapng", "a.log", "b.log"} <= left
