"""Hercules 3.13 as a real host and as a real control unit, run as a program that others wrote.

    unit = Hercules(folder / "cu", prefix, "SHRDPORT 3990", "0A00 3390 /images/a.ckd")
    host = Hercules(folder / "host", prefix, "0A00 3390 127.0.0.1:3990:0A00")
    unit.start(); host.start()
    host.load(guest.image(1000)); host.restart(); host.wait_end(30)

It listens on every interface, so `prefix` should put it into a network namespace. Commands go to
its standard input, as the panel would give them; its messages come back on the standard output.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from emulator.errors import CannotRunHere, TimeLimitError, UnavailableError
from rig.measure.guest import DONE_ADDRESS

START_S = 20.0
# Its own choice would be to lower its processor and devices far below whoever it is measured with.
_PRIORITIES = [
    f"{kind}PRIO {os.getpriority(os.PRIO_PROCESS, 0)}" for kind in ("HERC", "TOD", "CPU", "DEV")
]
_WAIT_STATE = re.compile(r"^ +PSW=([0-9A-F]{8}) ([0-9A-F]{8})")


class Hercules:
    """One Hercules process, through all its lives."""

    def __init__(
        self, folder: Path, prefix: Sequence[str], *lines: str, mebibytes: int = 16
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._prefix = tuple(prefix)
        self._config = folder / "hercules.cnf"
        self._config.write_text(
            "\n".join(
                [
                    "ARCHMODE S/370",
                    f"MAINSIZE {mebibytes}",
                    "NUMCPU 1",
                    "OSTAILOR QUIET",
                    *_PRIORITIES,
                    *lines,
                    "",
                ]
            )
        )
        self._log = folder / "hercules.log"
        self._messages: list[str] = []
        self._news = threading.Condition()
        self._seen = 0
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it takes commands and its devices are there."""
        command = [*self._prefix, "hercules", "-f", str(self._config), "-d", "EXTERNALGUI"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, "HERCULES_RC": str(self.folder / "none.rc")},
            )
        except FileNotFoundError as error:
            raise CannotRunHere("hercules is not installed: apt-get install hercules") from error
        self._seen = len(self._messages)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.command("devlist")
        self.wait_for(lambda line: re.match(r"\d:[0-9A-F]{4} ", line) is not None, START_S)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._log.open("a") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self._messages.append(line.rstrip())
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def messages(self, pattern: str = "") -> list[str]:
        """Return what it has said in all its lives, or the lines that a pattern is found in."""
        with self._news:
            return [line for line in self._messages if re.search(pattern, line)]

    def command(self, text: str) -> None:
        """Give it a command, as an operator would."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def wait_for(self, wanted: Callable[[str], bool], limit_s: float) -> str:
        """Return the next line that is wanted, of those not yet waited past."""
        end = time.monotonic() + limit_s
        with self._news:
            while True:
                while self._seen < len(self._messages):
                    line = self._messages[self._seen]
                    self._seen += 1
                    if wanted(line):
                        return line
                if self._process is None or self._process.poll() is not None:
                    raise UnavailableError(f"hercules ended: {self.tail()}")
                if time.monotonic() > end:
                    raise TimeLimitError(f"hercules did not say it in {limit_s:g} s: {self.tail()}")
                self._news.wait(0.1)

    def tail(self) -> str:
        """Return the last lines that it said."""
        return "\n".join(["", *self._messages[-15:]])

    # A stand-alone program.

    def load(self, memory: bytes) -> None:
        """Put bytes into its memory from address 0 on, with the processor stopped and reset."""
        path = self.folder / "guest.bin"
        path.write_bytes(memory)
        self._stopped(f"loadcore {path} 0", "HHCPN113I")

    def run_guest(self) -> None:
        """Start the program that was loaded."""
        self.command("restart")

    def wait_end(self, limit_s: float) -> int:
        """Wait for a disabled wait state and return its address."""
        line = self.wait_for(lambda line: _WAIT_STATE.search(line) is not None, limit_s)
        found = _WAIT_STATE.search(line)
        assert found is not None
        return int(found[2], 16) & 0xFFFFFF

    def run_to_end(self, memory: bytes, limit_s: float) -> float:
        """Load a program and run it; return the seconds, or raise when it did not end well."""
        self.load(memory)
        return self.run_loaded(limit_s)

    def run_loaded(self, limit_s: float) -> float:
        """Run the program that was loaded; return the seconds, or raise when it ended badly."""
        begin = time.monotonic()
        self.run_guest()
        address = self.wait_end(limit_s)
        seconds = time.monotonic() - begin
        if address != DONE_ADDRESS:
            raise UnavailableError(f"the guest stopped at {address:06X}: {self.tail()}")
        return seconds

    def memory(self, end: int) -> bytes:
        """Return its memory from address 0 up to `end`; the processor is in a wait state."""
        path = self.folder / "memory.bin"
        path.unlink(missing_ok=True)
        self._stopped(f"savecore {path} 0 {end - 1:X}", "HHCPN170I")
        return path.read_bytes()

    def _stopped(self, command: str, done: str) -> None:
        """Give a command for a stopped processor; stopping takes it a moment."""
        end = time.monotonic() + START_S
        self.command("stop")
        while True:
            self.command(command)
            line = self.wait_for(
                lambda line: line.startswith(done) or "not stopped" in line, START_S
            )
            if line.startswith(done):
                return
            if time.monotonic() > end:
                raise TimeLimitError(f"the processor does not stop: {self.tail()}")
            time.sleep(0.02)  # noqa: TID251 - another program's processor, bounded

    # Its end.

    def stop(self, limit_s: float = START_S) -> None:
        """Have it end in an orderly way."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self.command("quit")
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._gone()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._gone()

    def _gone(self) -> None:
        assert self._process is not None
        if self._reader is not None:
            self._reader.join(10)  # it ends with the process's output
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process = None
