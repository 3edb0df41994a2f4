"""Compile the sources, and put the machine code beside them."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from emulator.compiled import PACKAGES, ROOT, STAMP, SWITCH, stamp_of, why_not
from emulator.errors import CannotRunHere, UnavailableError
from rig.compiled.parts import sources

SUFFIX = EXTENSION_SUFFIXES[0]
BUILDER = "rig.compiled.build"
_LOG_LINES = 12
_CANNOT = "cannot compile here"


def is_fresh() -> bool:
    """Say whether the machine code beside the sources is of these very sources."""
    return not why_not()


def compile_sources() -> None:
    """Compile; raise CannotRunHere without a compiler, UnavailableError if it goes wrong.

    What was there before stays until the compiler has succeeded.
    """
    _look_for_tools()
    # Before the compiler looks at them: whoever changes one meanwhile makes the outcome stale.
    how = [f"rig/compiled/{name}.py" for name in ("build", "parts")]
    stamp = stamp_of([*sources(ROOT), *how])
    with tempfile.TemporaryDirectory(prefix="dualcopy-compile-") as folder:
        command = [sys.executable, "-m", BUILDER, folder]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, SWITCH: "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            last = "\n".join(done.stdout.splitlines()[-_LOG_LINES:])
            raise UnavailableError(f"the compiler failed, and nothing has changed:\n{last}")
        place(Path(folder) / "lib", stamp)


def remove() -> int:
    """Take the machine code away; return how many files there were."""
    STAMP.unlink(missing_ok=True)
    found = libraries()
    for path in found:
        path.unlink()
    return len(found)


def libraries() -> list[Path]:
    """Return the files of machine code beside the sources."""
    below = [path for package in PACKAGES for path in (ROOT / package).rglob(f"*{SUFFIX}")]
    return [*below, *ROOT.glob(f"*__mypyc{SUFFIX}")]


def place(made: Path, stamp: dict[str, object]) -> None:
    """Put the machine code that was made beside the sources, in the place of any other."""
    try:
        remove()
        for path in made.rglob(f"*{SUFFIX}"):
            shutil.copy(path, ROOT / path.relative_to(made))
        # Last, and whole or not at all: without it no machine code runs.
        fresh = STAMP.with_suffix(".new")
        fresh.write_text(json.dumps(stamp), encoding="utf-8")
        fresh.replace(STAMP)
    except OSError as error:
        raise UnavailableError(
            f"{ROOT}: the machine code cannot be put there: {error.strerror}"
        ) from error


def _look_for_tools() -> None:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise CannotRunHere(f"{_CANNOT}: no {compiler}; sudo apt-get install gcc libc6-dev")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise CannotRunHere(f"{_CANNOT}: no Python.h; sudo apt-get install python3-dev")
    for module in ("mypyc", "setuptools"):
        if importlib.util.find_spec(module) is None:
            raise CannotRunHere(f"{_CANNOT}: no {module}; pip install 'dualcopy[compile]'")
