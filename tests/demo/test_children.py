"""Processes of a run, their logs, its folder: what is told when one ends that should not."""

import json
import os
import sys
import threading

import pytest

from emulator.errors import BenchError
from rig.demo.children import Child, ChildEnded
from rig.demo.folder import RunFolder
from rig.demo.log import Diary, merge

ENDS = "import sys; sys.stderr.write('first\\nthe reason\\n'); sys.exit(7)"
WAITS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('{"event": "ready", "n": 1}', flush=True)
print('not json', flush=True)
signal.pause()
"""


def start(tmp_path, text, **more):
    return Child("the thing", [sys.executable, "-c", text], tmp_path / "log", **more)


def ready(child):
    pause = threading.Event()
    for _ in range(2000):
        if child.last("text"):
            return
        pause.wait(0.01)
    raise AssertionError("it never got ready")


def test_a_child_that_ends_by_itself_is_told_with_its_log(tmp_path):
    child = start(tmp_path, ENDS)
    child._process.wait()
    with pytest.raises(ChildEnded) as caught:
        child.check_running()
    assert "the thing ended by itself, with exit code 7" in str(caught.value)
    assert "the reason" in str(caught.value)
    assert not child.ending.as_wanted
    child.check_running()  # told once
    assert child.stop() == 7


def test_a_child_that_dies_of_a_signal_is_told_too(tmp_path):
    child = start(tmp_path, "import os; os.abort()")
    child._process.wait()
    with pytest.raises(ChildEnded, match="by signal SIGABRT"):
        child.check_running()


def test_what_a_child_says_is_kept_and_it_stops_when_told(tmp_path):
    child = start(tmp_path, WAITS)
    ready(child)
    child.check_running()
    assert child.last("ready") == {"event": "ready", "n": 1}
    assert child.last("text")["text"] == "not json"
    assert child.last("never") is None
    assert not child.has_ended()
    assert child.stop() == 0
    assert child.ending.as_wanted
    assert child.has_ended()
    child.check_running()


def test_a_killed_child_ended_as_wanted(tmp_path):
    child = start(tmp_path, WAITS)
    ready(child)
    child.kill()
    assert child.ending.as_wanted
    child.check_running()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_may_finish_does_so_well_or_is_told(tmp_path):
    child = start(tmp_path, "print('{}')", may_finish=True)
    child._process.wait()
    child.check_running()  # whoever looks first, it is no failure
    assert child.has_ended()
    assert child.ending.as_wanted
    child = start(tmp_path, ENDS, may_finish=True)
    child._process.wait()
    with pytest.raises(ChildEnded, match="exit code 7"):
        child.has_ended()
    assert not child.ending.as_wanted


def test_folders_are_fresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [RunFolder.make(None).path.name for _ in range(3)] == ["demo-1", "demo-2", "demo-3"]
    assert RunFolder.make(tmp_path / "x" / "y").path == tmp_path / "x" / "y"
    assert RunFolder.make(tmp_path / "x" / "y").path.is_dir()  # empty still
    (tmp_path / "x" / "y" / "file").touch()
    for taken in (tmp_path / "x" / "y", tmp_path / "x" / "y" / "file"):
        with pytest.raises(BenchError, match="--out"):
            RunFolder.make(taken)


def test_events_of_all_mouths_are_merged_by_time(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log("A").write_text('{"event": "x", "time_ns": 5}\nTraceback\n{"time_ns": 9}\n[1]\n')
    folder.log("B").write_text('{"event": "y", "time_ns": 7}\n')
    diary = Diary()
    noted_ns = diary.note("line-cut", why="test")
    merged = merge(folder, ("A", "B", "C"), diary)
    assert [(e["site"], e["event"]) for e in merged if "event" in e] == [
        ("A", "x"),
        ("A", "text"),
        ("A", "text"),
        ("A", "text"),
        ("B", "y"),
        ("demo", "line-cut"),
    ]
    assert merged[-1]["time_ns"] == noted_ns
    assert [json.loads(line) for line in folder.events.read_text().splitlines()] == merged
