"""Processes of a replay: sites through all their lives, and the auditor beside them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from rig.host.console import ask
from rig.replay.parts import happened

STOP_S: Final = 30.0


class SiteProcess:
    """One site: a process now, another after each death."""

    module = "rig.replay.site"
    """What is run; a test may have a site with a mistake planted in it."""

    def __init__(self, name: str, folder: Path, schedule: Path) -> None:
        self.name = name
        self.folder = folder
        self.console = folder / f"{name.lower()}.console"
        self.log = folder / f"{name.lower()}.log"
        self.lives = 0
        self.crashes = 0
        self.paused = False
        self.start_ns = 0
        """When it is to be started again; 0 while it runs."""
        self._schedule = schedule
        self._process: subprocess.Popen[bytes] | None = None
        self._out = folder / f"{name.lower()}.out"

    def start(self) -> None:
        """Start it; whether it listens, `ready` says."""
        self.start_ns = 0
        words = ["-m", self.module, self.name, "--bench", str(self.folder / "bench.toml")]
        more = ["--schedule", str(self._schedule), "--life", str(self.lives)]
        with self.log.open("ab") as log, self._out.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, *words, *more],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                process_group=0,
            )
        self.lives += 1

    def running(self) -> bool:
        """Return whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def ready(self) -> bool:
        """Return whether it has said that everything listens."""
        return self.running() and b'"ready"' in self._out.read_bytes()

    def ended_by_itself(self) -> int | None:
        """Return the exit code of a process that nobody has stopped, once."""
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        self._process = None
        self.paused = False
        return code

    def kill(self, down_ns: int) -> None:
        """Take the process away as a crash does, and have it started again later."""
        if self.running():
            assert self._process is not None, "it runs"
            self._process.kill()
            self._process.wait()
            self._process = None
            self.paused = False
            self.crashes += 1
            self.start_ns = time.monotonic_ns() + down_ns

    def pause(self, *, paused: bool) -> None:
        """Stop the process where it stands, or let it go on."""
        if self.running() and self.paused is not paused:
            assert self._process is not None, "it runs"
            os.kill(self._process.pid, signal.SIGSTOP if paused else signal.SIGCONT)
            self.paused = paused

    def stop(self) -> int:
        """Have it drain and end; return its exit code."""
        assert self._process is not None, f"site {self.name} does not run"
        self.pause(paused=False)
        self._process.terminate()
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code

    def end(self) -> None:
        """End it, if it still runs, without looking back."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def status(self) -> dict[str, Any]:
        """Return what the site says of itself."""
        return ask(self.console, "status", timeout_s=2.0)

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults of its own parts that happened so far."""
        return happened(self.folder / f"{self.name.lower()}.faults")


class AuditProcess:
    """`dualcopy audit` beside the sites."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "audit.jsonl"
        self._errors = folder / "audit.log"
        command = [sys.executable, "-m", "rig.cli", "audit", "--json", "--bench"]
        with self.out.open("wb") as out, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*command, str(folder / "bench.toml")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                process_group=0,
            )

    def listens(self) -> bool:
        """Return whether it has heard a site."""
        return bool(self.out.stat().st_size) or self.ended()

    def ended(self) -> bool:
        """Return whether it has found something, or failed."""
        return self._process.poll() is not None

    def end(self) -> int:
        """Have it look once more and end; return its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def findings(self, kind: str) -> list[dict[str, Any]]:
        """Return what it has found, of one kind."""
        rows = [json.loads(line) for line in self.out.read_text().splitlines() if line]
        return [row for row in rows if row["finding"] == kind]

    def log_end(self) -> str:
        """Return the last thing it said on its standard error."""
        return self._errors.read_text(errors="replace").strip()[-500:]
