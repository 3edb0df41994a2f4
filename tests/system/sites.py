"""Two sites as users run them: processes of their own, started, watched, stopped and killed.

    bench = TwoSites(tmp_path, line="udp", ack="nvs")
    bench.start("A", "B")
    bench.wait("identical")
    bench.kill("B")

Processes are ended by their own id only. Everything that waits has a limit, and says at the limit
what was seen last. `close` ends what still runs and prints the last lines of every log, which
pytest shows when the test has failed.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig.host.console import ask
from rig.host.waiting import Goal, wait_for

ROOT = Path(__file__).parents[2]
POLL_S = 0.02
WAIT_S_MAX = 30.0
LOG_LINES_SHOWN = 25
SECOND_NS = 1_000_000_000

Status = dict[str, Any]


def until(
    condition: Callable[[], Any], what: str, limit_s: float = WAIT_S_MAX, pause_s: float = POLL_S
) -> Any:
    """Return what `condition` gives as soon as that is true."""
    end = time.monotonic() + limit_s
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what}"
        pause.wait(pause_s)
    return found


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> list[int]:
    """Return ports that nobody has now."""
    sockets = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Site:
    """One site's process, through all its lives."""

    def __init__(self, name: str, folder: Path, bench: Path) -> None:
        self.name = name
        self.bench = bench
        self.image = folder / f"{name.lower()}.img"
        self.sums = folder / f"{name.lower()}.img.sums"
        self.nvs = folder / f"{name.lower()}.nvs"
        self.console = folder / f"{name.lower()}.console"
        self.socket = folder / f"{name.lower()}.sock"
        self.log = folder / f"{name.lower()}.log"
        self.prefix: tuple[str, ...] = ()
        self.entry = "rig.cli"
        """The module that is run; a test may have its own, with a mistake planted in it."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return self.uri_of("vol0")

    def uri_of(self, device: str) -> str:
        """Return where hosts reach a device."""
        return f"nbd+unix:///{device}?socket={self.socket}"

    def image_of(self, number: int) -> Path:
        """Return the image of device `volNUMBER`."""
        return self.image.with_suffix(f".{number}.img") if number else self.image

    @property
    def pid(self) -> int:
        assert self.process is not None, f"site {self.name} does not run"
        return self.process.pid

    def launch(self, **environment: str) -> None:
        """Start the process and do not wait for it."""
        assert self.process is None, f"site {self.name} runs already"
        command = [
            *(*self.prefix, sys.executable, "-m", self.entry),
            *("site", "start", self.name, "--bench", str(self.bench)),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            )

    def await_ready(self, limit_s: float = WAIT_S_MAX) -> None:
        """Return once the process has said that it is ready."""
        assert self.process is not None
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], limit_s)[0]:
            raise AssertionError(f"site {self.name} said nothing for {limit_s:g} s")
        line = self.process.stdout.readline()
        if not line:
            code = self.ended()
            raise AssertionError(f"site {self.name} ended with {code}:\n{self.log_tail()}")
        said = json.loads(line)
        assert (said["event"], said["site"]) == ("ready", self.name)

    def refused(self, limit_s: float = WAIT_S_MAX) -> tuple[int, str]:
        """Start the process, which must end by itself; return its exit code and what it said."""
        size = self.log.stat().st_size if self.log.exists() else 0
        self.launch()
        code = self.ended(limit_s)
        return code, self.log.read_bytes()[size:].decode()

    def terminate(self, limit_s: float = WAIT_S_MAX) -> int:
        """Ask it to drain and stop; return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.ended(limit_s)

    def pause(self) -> None:
        """Let it do nothing until `resume`; it can still be killed."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        self.ended()

    def ended(self, limit_s: float = WAIT_S_MAX) -> int:
        """Wait until it has ended, for whatever reason; return its exit code."""
        process, self.process = self.process, None
        assert process is not None
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process = process
            raise AssertionError(f"site {self.name} goes on after {limit_s:g} s") from None
        if process.stdout is not None:
            process.stdout.close()
        return code

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def status(self) -> Status:
        return ask(self.console, "status")

    def group(self) -> Status:
        found: Status = self.status()["groups"]["g0"]
        return found

    def order(self, verb: str, **words: str) -> Status:
        return ask(self.console, verb, timeout_s=WAIT_S_MAX, group="g0", **words)

    def events(self, name: str | None = None) -> list[Status]:
        """Return what the site has reported in all its lives, or the events of one name."""
        if not self.log.exists():
            return []
        # The last line may be on its way: where it crosses a page of the file, a reader sees half.
        lines = self.log.read_text().splitlines(keepends=True)
        whole = [line for line in lines if line.startswith("{") and line.endswith("\n")]
        found = [json.loads(line) for line in whole]
        return [event for event in found if name in (None, event["event"])]

    def log_tail(self) -> str:
        if not self.log.exists():
            return "(no log)"
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line[:400] for line in lines[-LOG_LINES_SHOWN:])

    def memory_bytes(self, row: str = "VmHWM") -> int:
        """Return the largest resident set so far, or another row of its status in kB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = next(line for line in text.splitlines() if line.startswith(f"{row}:"))
        return int(found.split()[1]) * 1024


class TwoSites:
    """A bench of two sites with one device each, and a link between them."""

    def __init__(
        self,
        folder: Path,
        *,
        size_bytes: int = 16 << 20,
        line: tuple[str, str] | None = None,
        volumes: int = 1,
        **keys: str,
    ) -> None:
        self.volumes = volumes
        self.folder = folder
        self.path = folder / "bench.toml"
        self.size_bytes = size_bytes
        self.a, self.b = (Site(name, folder, self.path) for name in "AB")
        self.sites = {"A": self.a, "B": self.b}
        if line is None:
            line = udp_line(*free_ports(2))
        self.line = line
        self.keys = keys
        self.path.write_text(self._text())
        for site in self.sites.values():
            for number in range(volumes):
                with site.image_of(number).open("xb") as image:
                    image.truncate(size_bytes)

    def rewrite(self, **keys: str) -> None:
        """Change keys of the bench file; sites that run keep what they have read."""
        self.keys.update(keys)
        self.path.write_text(self._text())

    def _text(self) -> str:
        keys = {"cache": "16MiB", "nvs": "16MiB", "sync": "battery", **self.keys}
        capture = f'capture = "{keys["capture"]}"\n' if "capture" in keys else ""
        rows = ['name = "system"']
        for site in self.sites.values():
            nvs = keys.get(f"nvs_{site.name}", keys["nvs"])
            rows.append(
                f'[site.{site.name}]\ncache = "{keys.get(f"cache_{site.name}", keys["cache"])}"\n'
                f'nvs = "file://{site.nvs}?size={nvs}&sync={keys["sync"]}"\n'
                f'console = "unix://{site.console}"\n'
            )
            rows.extend(
                f"[site.{site.name}.device.vol{number}]\n"
                f'kind = "fba-512"\ndisk = "raw://{site.image_of(number)}"\n'
                f'serve = ["{site.uri_of(f"vol{number}")}"]\n'
                f"{keys.get('device', '')}"
                for number in range(self.volumes)
            )
        volumes = ", ".join(f'"vol{number}"' for number in range(self.volumes))
        rows.append(
            f'[link.A-B]\na = "{self.line[0]}"\nb = "{self.line[1]}"\nlab_plaintext = true\n'
            f"{capture}"
            f'[copy.g0]\nsource = "{keys.get("source", "A")}"\n'
            f'target = "{keys.get("target", "B")}"\nvolumes = [{volumes}]\n'
            f'gather = "{keys.get("gather", "1s")}"\n'
            f"secondary_reads = {keys.get('secondary_reads', 'false')}\n"
            f'ack = "{keys.get("ack", "nvs")}"\n'
            f'on_link_loss = "{keys.get("on_link_loss", "continue")}"\n'
        )
        return "\n".join(rows)

    def start(self, *names: str, **environment: str) -> None:
        """Start sites side by side, both if none is named, and wait until they are ready."""
        sites = [self.sites[name] for name in names or "AB"]
        for site in sites:
            site.launch(**environment)
        for site in sites:
            site.await_ready()

    def stop(self, *names: str) -> None:
        """Stop sites in an orderly way, the primary first so that it drains to the other."""
        for name in names or "AB":
            code = self.sites[name].terminate()
            assert code == 0, f"site {name} ended with {code}:\n{self.sites[name].log_tail()}"

    def wait(self, goal: str, limit_s: float = WAIT_S_MAX) -> dict[str, Any]:
        """Wait until both sites stand as wanted; return their statuses."""
        consoles = {name: site.console for name, site in self.sites.items()}
        found = wait_for(Goal(goal), consoles, {"g0": ("A", "B")}, round(limit_s * SECOND_NS))
        return {name: dict(status) for name, status in found.items()}

    def same_images(self) -> None:
        """Both sites have stopped: every byte of the images must be the same."""
        for number in range(self.volumes):
            self._same_image(self.a.image_of(number), self.b.image_of(number))

    def _same_image(self, a: Path, b: Path) -> None:
        with a.open("rb") as one, b.open("rb") as other:
            for at in range(0, self.size_bytes, 1 << 20):
                first, second = one.read(1 << 20), other.read(1 << 20)
                assert len(first) == min(1 << 20, self.size_bytes - at)
                if first != second:
                    tracks = [
                        at // 4096 + track
                        for track in range(256)
                        if first[track * 4096 : track * 4096 + 4096]
                        != second[track * 4096 : track * 4096 + 4096]
                    ]
                    raise AssertionError(
                        f"{a.name} and {b.name} differ, first in tracks {tracks[:20]}"
                    )

    def finish(self) -> None:
        """Wait until the copies are identical, stop both sites, and compare the images."""
        found = self.wait("identical", 60)
        first = next(name for name in "AB" if found[name]["groups"]["g0"]["role"] == "primary")
        self.stop(first, "B" if first == "A" else "A")
        self.same_images()

    def close(self) -> None:
        """End whatever still runs, and print the logs' last lines for whoever must find out."""
        for site in self.sites.values():
            if site.process is not None:
                site.kill()
        for site in self.sites.values():
            print(f"--- site {site.name}: {site.log}\n{site.log_tail()}")


def udp_line(a: int, b: int) -> tuple[str, str]:
    """Return the two ends of a line between two UDP ports."""
    return (
        f"udp://127.0.0.1:{a}?peer=127.0.0.1:{b}",
        f"udp://127.0.0.1:{b}?peer=127.0.0.1:{a}",
    )


def run(*command: object, status: int = 0, limit_s: float = 60) -> str:
    """Run a program that others wrote and return what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
