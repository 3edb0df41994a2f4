"""Which code runs: machine code of these very sources, or else the sources."""

import json
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from emulator.compiled import ROOT, stamp_of, why_not


@pytest.fixture
def tree(tmp_path):
    """A package as small as can be, with a module that has machine code beside it: rubbish."""
    (tmp_path / "emulator").mkdir()
    for name in ("__init__.py", "compiled.py"):
        (tmp_path / "emulator" / name).write_bytes((ROOT / "emulator" / name).read_bytes())
    (tmp_path / "emulator" / "thing.py").write_text("print('the source')\n")
    (tmp_path / "emulator" / f"thing{EXTENSION_SUFFIXES[0]}").write_bytes(b"rubbish")
    return tmp_path


def stamp(tree: Path) -> Path:
    path = tree / "emulator" / "compiled.json"
    path.write_text(json.dumps(stamp_of(["emulator/thing.py"], tree)))
    return path


THING = "import emulator.thing; from emulator.compiled import code; print(code())"


def run(tree: Path, words: str = THING, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", words],
        env={**os.environ, "PYTHONPATH": str(tree), **environment},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


def test_machine_code_of_the_source_as_it_is_runs(tree):
    stamp(tree)
    done = run(tree)
    # It was taken, though it is rubbish: Python says so.
    assert done.returncode
    assert f"thing{EXTENSION_SUFFIXES[0]}" in done.stderr


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "not compiled"),
        (lambda path: path.write_text("{"), f"{os.sep}compiled.json cannot be read"),
        (lambda path: path.write_text("[]"), "cannot be read"),
        (lambda path: os.utime(path.parent / "thing.py", ns=(0, 1)), "thing.py has changed"),
        (
            lambda path: path.write_text(path.read_text().replace(EXTENSION_SUFFIXES[0], ".other")),
            "compiled for another Python",
        ),
    ],
)
def test_the_source_runs_when_the_stamp_does_not_fit(tree, spoil, reason):
    spoil(stamp(tree))
    done = run(tree)
    assert done.stdout.splitlines()[0] == "the source", done.stderr
    assert "interpreted: " in done.stdout
    assert reason in done.stdout


def test_the_source_runs_when_it_is_asked_for(tree):
    stamp(tree)
    assert run(tree, DUALCOPY_INTERPRETED="1").stdout == (
        "the source\ninterpreted: DUALCOPY_INTERPRETED is set\n"
    )


def test_a_source_that_is_gone_is_named(tree):
    path = stamp(tree)
    (tree / "emulator" / "thing.py").unlink()
    assert why_not(path, tree) == "thing.py is gone since it was compiled"


def test_machine_code_of_other_packages_is_left_alone(tree):
    """Also of one whose folder's name only begins like ours."""
    other = tree / "emulator_other"
    other.mkdir()
    (other / "__init__.py").touch()
    (other / f"thing{EXTENSION_SUFFIXES[0]}").write_bytes(b"rubbish")
    done = run(tree, "import emulator, xxhash._xxhash, emulator_other.thing")
    assert "xxhash" not in done.stderr
    assert f"emulator_other{os.sep}thing{EXTENSION_SUFFIXES[0]}" in done.stderr
