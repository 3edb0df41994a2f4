"""What is measured: two of our sites, and the peers that do the nearest thing.

Each peer serves a fresh image over a Unix socket, is stopped by the pid that was started, and
says how much processor time it took. They are context managers with a `uri` for NBD clients.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from emulator import units
from emulator.errors import CannotRunHere, UnavailableError
from rig.host.console import ask
from rig.measure.bare_pair import STORE_BYTES
from rig.measure.stores import store_folder

PACKAGES = {
    "qemu-storage-daemon": "qemu-system-common",
    "dasdinit": "hercules",
    "qemu-nbd": "qemu-utils",
}
START_S = 20.0
STOP_S = 30.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Running:
    """A peer that is up: where hosts reach it, and its processes."""

    uri: str
    pids: list[int] = field(default_factory=list)
    consoles: list[Path] = field(default_factory=list)
    """Where to ask its sites how they are; a peer has none."""
    stores: Path | None = None
    """Where its nonvolatile stores lie, if it has any."""

    def cpu_s(self) -> list[float]:
        """Return the processor time of each process so far."""
        return [_cpu_s(pid) for pid in self.pids]


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS_PER_S


def tool(name: str) -> str:
    """Return the path of a program, or say which Debian package has it."""
    package = PACKAGES.get(name, name)
    found = shutil.which(name)
    if found is None:
        raise CannotRunHere(f"{name} is not installed: apt-get install {package}")
    return found


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    limit_s = time.monotonic() + START_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > limit_s:
            raise UnavailableError(f"{process.args!r} did not start")
        time.sleep(0.02)  # noqa: TID251 - waits for another program, bounded


@contextlib.contextmanager
def started(arguments: list[str], **keywords: object) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a process, and end it afterwards, by force if it must be."""
    process = subprocess.Popen(arguments, **keywords)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def nbdkit_cache(folder: Path, size_bytes: int) -> AbstractContextManager[Running]:
    """Run `nbdkit --filter=cache memory`: a write-back cache in C, with no copy anywhere."""
    return _nbdkit(folder / "nbdkit-cache.sock", ["--filter=cache", "memory", str(size_bytes)])


def nbdkit_memory(folder: Path, size_bytes: int) -> AbstractContextManager[Running]:
    """Run `nbdkit memory`: nothing but memory, in C."""
    return _nbdkit(folder / "nbdkit-memory.sock", ["memory", str(size_bytes)])


@contextlib.contextmanager
def _nbdkit(path: Path, plugin: list[str]) -> Iterator[Running]:
    with started([tool("nbdkit"), "-f", "-U", str(path), *plugin]) as process:
        _wait_for(path, process)
        yield Running(f"nbd+unix:///?socket={path}", [process.pid])


@contextlib.contextmanager
def qemu_nbd(folder: Path, size_bytes: int) -> Iterator[Running]:
    """Run `qemu-nbd` on a raw file: no cache but the kernel's, and no copy."""
    image, path = folder / "qemu-nbd.img", folder / "qemu-nbd.sock"
    with image.open("wb") as file:
        file.truncate(size_bytes)
    command = [tool("qemu-nbd"), "-f", "raw", "-k", str(path), "-t", "-e", "4", str(image)]
    with started(command) as process:
        _wait_for(path, process)
        yield Running(f"nbd+unix:///?socket={path}", [process.pid])


@contextlib.contextmanager
def qemu_nbd_sync(folder: Path, size_bytes: int) -> Iterator[Running]:
    """Run `qemu-nbd --cache=writethrough` on a raw file: every write is synced to the medium."""
    image, path = folder / "qemu-sync.img", folder / "qemu-sync.sock"
    with image.open("wb") as file:
        file.truncate(size_bytes)
    command = [tool("qemu-nbd"), "-f", "raw", "-k", str(path), "-t", "-e", "4"]
    with started([*command, "--cache=writethrough", str(image)]) as process:
        _wait_for(path, process)
        yield Running(f"nbd+unix:///?socket={path}", [process.pid])


@contextlib.contextmanager
def qemu_mirror(folder: Path, size_bytes: int) -> Iterator[Running]:
    """Run qemu-storage-daemon with a write-blocking mirror between two raw files."""
    images = [folder / "qemu-a.img", folder / "qemu-b.img"]
    for image in images:
        with image.open("wb") as file:
            file.truncate(size_bytes)
    monitor, path = folder / "qmp.sock", folder / "qemu.sock"
    command = [tool("qemu-storage-daemon")]
    for name, image in zip("ab", images, strict=True):
        command += ["--blockdev", f"driver=file,filename={image},node-name={name}"]
    command += ["--chardev", f"socket,path={monitor},server=on,wait=off,id=c"]
    command += ["--monitor", "chardev=c"]
    command += ["--nbd-server", f"addr.type=unix,addr.path={path}"]
    command += ["--export", "type=nbd,id=e,node-name=a,name=a,writable=on"]
    with started(command) as process:
        _wait_for(path, process)
        _start_mirror(monitor)
        yield Running(f"nbd+unix:///a?socket={path}", [process.pid])


def _start_mirror(monitor: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(START_S)
        connection.connect(str(monitor))
        talk = connection.makefile("rw")
        talk.readline()
        mirror = {
            "job-id": "m",
            "device": "a",
            "target": "b",
            "sync": "full",
            "copy-mode": "write-blocking",
        }
        for order in (
            {"execute": "qmp_capabilities"},
            {"execute": "blockdev-mirror", "arguments": mirror},
        ):
            talk.write(json.dumps(order) + "\n")
            talk.flush()
        for line in talk:
            if json.loads(line).get("event") == "BLOCK_JOB_READY":
                return
    raise UnavailableError("qemu-storage-daemon did not become a mirror")


@contextlib.contextmanager
def bare_python(folder: Path, size_bytes: int) -> Iterator[Running]:
    """Run two bare servers in Python that do next to nothing a site is for (`bare_pair.py`)."""
    command = [sys.executable, "-m", "rig.measure.bare_pair"]
    paths = {name: str(folder / f"bare-{name}.sock") for name in "ab"}
    with contextlib.ExitStack() as stack:
        stores = stack.enter_context(store_folder(folder, 2 * STORE_BYTES, "battery"))
        running = Running(f"nbd+unix:///?socket={paths['a']}", stores=stores)
        for name, partner in (("b", []), ("a", [paths["b"]])):
            store = str(stores / f"bare-{name}.nvs")
            arguments = [paths[name], str(size_bytes), store, *partner]
            process = stack.enter_context(started([*command, *arguments]))
            _wait_for(Path(paths[name]), process)
            running.pids.insert(0, process.pid)
        yield running


BENCH = """\
name = "front"
[site.A]
cache = "{cache}"
nvs = "file://{stores}/a.nvs?size={nvs}&sync={sync}"
console = "unix://{folder}/a.console"
[site.A.device.vol0]
kind = "fba-512"
disk = "raw://{folder}/a.img"
serve = ["nbd+unix:///vol0?socket={folder}/a.sock"]
[site.B]
cache = "{cache}"
nvs = "file://{stores}/b.nvs?size={nvs}&sync={sync}"
console = "unix://{folder}/b.console"
[site.B.device.vol0]
kind = "fba-512"
disk = "raw://{folder}/b.img"
[link.A-B]
a = "udp://127.0.0.1:{port}?peer=127.0.0.1:{peer_port}"
b = "udp://127.0.0.1:{peer_port}?peer=127.0.0.1:{port}"
lab_plaintext = true
[copy.g0]
source = "A"
target = "B"
volumes = ["vol0"]
gather = "{gather}"
"""


@contextlib.contextmanager
def two_sites(
    folder: Path, size_bytes: int, *, sync: str, cache: str, nvs: str, gather: str = "1s"
) -> Iterator[Running]:
    """Run two of our sites on raw files, with an asynchronous copy that is current."""
    ours = folder / f"dualcopy-{sync}"
    ours.mkdir()
    for name in "ab":
        with (ours / f"{name}.img").open("wb") as file:
            file.truncate(size_bytes)
    port, peer_port = _free_ports()
    bench = ours / "bench.toml"
    consoles = [ours / "a.console", ours / "b.console"]
    with contextlib.ExitStack() as stack:
        stores = stack.enter_context(store_folder(ours, 2 * units.size_bytes(nvs), sync))
        bench.write_text(
            BENCH.format(
                folder=ours,
                stores=stores,
                sync=sync,
                cache=cache,
                nvs=nvs,
                gather=gather,
                port=port,
                peer_port=peer_port,
            )
        )
        running = Running(f"nbd+unix:///vol0?socket={ours}/a.sock", [], consoles, stores)
        for site in "AB":
            log = stack.enter_context((ours / f"{site}.log").open("wb"))
            command = [sys.executable, "-m", "rig.cli", "site", "start", site]
            process = stack.enter_context(
                started([*command, "--bench", str(bench)], stdout=subprocess.PIPE, stderr=log)
            )
            assert process.stdout is not None
            if not process.stdout.readline():
                raise UnavailableError(f"site {site} did not start; see {log.name}")
            running.pids.append(process.pid)
        _wait_duplex(ours / "a.console")
        yield running


def _wait_duplex(console: Path) -> None:
    limit_s = time.monotonic() + 2 * START_S
    while ask(console, "status")["groups"]["g0"]["state"] != "duplex":
        if time.monotonic() > limit_s:
            raise UnavailableError("the copy did not become duplex")
        time.sleep(0.05)  # noqa: TID251 - waits for another program, bounded


def _free_ports() -> tuple[int, int]:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
