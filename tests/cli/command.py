"""Running the command: in this process, where that is quick, or as users do."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from rig.cli.main import main

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Command:
    """Runs `dualcopy` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Done:
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        return Done(code, *self._capsys.readouterr())


def run_process(
    *words: object,
    folder: Path | None = None,
    stdin: bytes = b"",
    limit_s: float = 60,
    **environment: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run `dualcopy` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "rig.cli", *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        input=stdin,
        capture_output=True,
        timeout=limit_s,
        check=False,
    )
