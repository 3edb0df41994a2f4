"""Processes that a run starts: their words, their end, and a log of each.

A child says things as lines of JSON on its standard output, which a thread of ours reads; what it
writes to standard error is its log. A child that ends before it was told to raises `ChildEnded`
with the end of its log. Children are stopped by the process id that we started, nothing else.
"""

import json
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from emulator.errors import CheckFailed
from rig.demo import plan

Words = dict[str, Any]
LOG_LINES_TOLD = 12
STOP_TIMEOUT_S = 20.0
"""An orderly stop drains for ten seconds at most."""


class ChildEnded(CheckFailed):
    """A process ended by itself."""


class Ending(NamedTuple):
    """How a process ended, and whether it should have."""

    name: str
    order: str
    exit_code: int
    wanted: int

    @property
    def as_wanted(self) -> bool:
        """Whether it ended the way it was told."""
        return self.exit_code == self.wanted


class Child:
    """One process, from its start to its end."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, may_finish: bool = False
    ) -> None:
        self.name = name
        self._may_finish = may_finish
        self.log = log
        self.said: list[Words] = []
        """What it said, oldest first; only ever appended to."""
        self.ending: Ending | None = None
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,  # Ctrl-C is for us alone; we stop our children in order
            )
        self._reader = threading.Thread(target=self._read, name=f"read-{name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check_running(self) -> None:
        """Raise ChildEnded if the process has ended although nobody told it to."""
        exit_code = self._process.poll()
        if self.ending is not None or exit_code is None:
            return
        finished = self._may_finish and not exit_code
        self._end("finish" if self._may_finish else "run on", 0)
        if not finished:
            raise ChildEnded(f"{self.name} ended by itself, {_how(exit_code)}:\n{self.log_end()}")

    def kill(self) -> None:
        """Take the process away as a loss of power would, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._end("kill -9", -signal.SIGKILL)

    def stop(self) -> int:
        """Tell the process to come to an end, and return its exit code; kill it if it does not."""
        if self.ending is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._end("stop", 0)
        return self._process.returncode

    def has_ended(self) -> bool:
        """Return whether the process has come to the end that it was started to come to."""
        self.check_running()
        return self.ending is not None

    def last(self, event: str) -> Words | None:
        """Return the last thing it said of one kind."""
        return next((words for words in reversed(self.said) if words.get("event") == event), None)

    def log_end(self) -> str:
        """Return the end of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_TOLD:]
        return "\n".join(f"  {line}" for line in lines) or "  (its log is empty)"

    def _end(self, order: str, wanted: int) -> None:
        self._reader.join(STOP_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.ending = Ending(self.name, order, self._process.returncode, wanted)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                words = json.loads(line)
            except ValueError:
                words = {"event": "text", "text": line.decode(errors="replace").rstrip()}
            self.said.append(words)


def _how(exit_code: int) -> str:
    if exit_code < 0:
        return f"by signal {signal.Signals(-exit_code).name}"
    return f"with exit code {exit_code}"


def site_command(python: str, site: str, bench: Path) -> list[str]:
    """Return the command that starts a site."""
    return [python, "-m", "rig.cli", "site", "start", site, "--bench", str(bench)]


def host_command(python: str, uri: str, journal: Path, seed: int, *more: str) -> list[str]:
    """Return the command that starts the host."""
    return [
        python,
        "-m",
        "rig.demo.host",
        uri,
        str(journal),
        f"--seed={seed}",
        f"--start={plan.FILE_SYSTEM_BYTES}",
        f"--length={plan.AREA_BYTES}",
        *more,
    ]
