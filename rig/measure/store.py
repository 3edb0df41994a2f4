"""The nonvolatile store and the destage: what they cost, and how soon a site is back.

Figures of one run are compared with each other and with nothing else. One site, no copy: what the
line costs is measured by `front`.
"""

import contextlib
import json
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import UnavailableError
from emulator.units import size_bytes
from rig.host.console import ask
from rig.host.nbd_client import connect_nbd
from rig.measure.front import JOBS, Job, Options, fio
from rig.measure.peers import Running, qemu_nbd_sync

KILL_S = 30.0
PIECE_BYTES = 64 * 1024
# So small a part of the volume that every write has another one destaged.
SMALL_SHARE = 32
SMALL_KIB_MIN = 1024
STEADY = Job("steady-4k-1", "randwrite", "4k", 1, ())
_BENCH = """\
name = "store"
[site.A]
cache = "{cache}"
nvs = "file://{folder}/a.nvs?size={nvs}&sync={sync}"
console = "unix://{folder}/a.console"
[site.A.device.vol0]
kind = "fba-512"
disk = "raw://{folder}/a.img"
serve = ["nbd+unix:///vol0?socket={folder}/a.sock"]
"""


@dataclass(frozen=True)
class StoreOptions:
    """How to measure."""

    size: str = "256MiB"
    """The volume's; caches and stores that must hold it several times follow from it."""
    undestaged: str = "64MiB"
    seconds: int = 4
    rounds: int = 3

    def times(self, count: int) -> str:
        """Return so many sizes of the volume, as a bench file has it."""
        return f"{count * size_bytes(self.size) >> 10}KiB"

    def small(self) -> str:
        """Return the size of a cache that holds little of the volume."""
        return f"{max(SMALL_KIB_MIN, size_bytes(self.size) // SMALL_SHARE >> 10)}KiB"


class OneSite:
    """One site's process on a raw file, through its lives."""

    def __init__(self, folder: Path, size: str, *, cache: str, nvs: str, sync: str) -> None:
        folder.mkdir()
        with (folder / "a.img").open("wb") as image:
            image.truncate(size_bytes(size))
        self.folder = folder
        self._bench = folder / "bench.toml"
        self._bench.write_text(_BENCH.format(folder=folder, cache=cache, nvs=nvs, sync=sync))
        self._process: subprocess.Popen[bytes] | None = None
        self.console = folder / "a.console"

    def start(self) -> float:
        """Start it; return how long it took until it said that it is ready."""
        begin_ns = time.monotonic_ns()
        command = [sys.executable, "-m", "rig.cli", "site", "start", "A"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--bench", str(self._bench)], stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            said = (self.folder / "log").read_text().splitlines() or ["it said nothing"]
            raise UnavailableError(f"the site did not start: {said[-1]}")
        return (time.monotonic_ns() - begin_ns) / 1e9

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(KILL_S)
            assert process.stdout is not None
            process.stdout.close()

    def running(self) -> Running:
        """Return it as what is measured."""
        assert self._process is not None
        uri = f"nbd+unix:///vol0?socket={self.folder}/a.sock"
        return Running(uri, [self._process.pid], [self.console])

    def recovered(self) -> dict[str, Any]:
        """Return what the last start found in the journal."""
        lines = (self.folder / "log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        found: dict[str, Any] = [event for event in events if event["event"] == "recovered"][-1]
        return found


@contextlib.contextmanager
def one_site(folder: Path, size: str, *, cache: str, nvs: str, sync: str) -> Iterator[OneSite]:
    """Run one site, and end it whatever happens."""
    site = OneSite(folder, size, cache=cache, nvs=nvs, sync=sync)
    try:
        site.start()
        yield site
    finally:
        site.stop()


def measure_nvs(folder: Path, options: StoreOptions, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure writes against each sync mode and a peer that syncs, then restarts."""
    front = Options(size=options.size, seconds=options.seconds)
    job = replace(JOBS["randwrite-4k-16"], peers=())
    raw: dict[str, list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        peers: dict[str, Running] = {}
        for sync in ("battery", "fsync"):
            site = stack.enter_context(
                one_site(
                    folder / sync,
                    options.size,
                    cache=options.times(2),
                    nvs=options.times(4),
                    sync=sync,
                )
            )
            peers[f"dualcopy-{sync}"] = site.running()
        size = size_bytes(options.size)
        peers["qemu-nbd-sync"] = stack.enter_context(qemu_nbd_sync(folder, size))
        for number in range(options.rounds):
            for name, peer in peers.items():
                figures = fio(peer, job, front)
                raw.setdefault(name, []).append(figures)
                tell(f"round {number + 1} {name}: {figures['iops']:.0f} IOPS")
    iops = {name: statistics.median(run["iops"] for run in runs) for name, runs in raw.items()}
    restarts = [_restart(folder / f"restart-{n}", options, tell) for n in range(options.rounds)]
    return {
        "options": asdict(options),
        "raw": raw,
        "iops": iops,
        "ratios": {
            f"{name}/qemu-nbd-sync": round(value / iops["qemu-nbd-sync"], 3)
            for name, value in iops.items()
            if name != "qemu-nbd-sync"
        },
        "restarts": restarts,
        "restart": {key: statistics.median(run[key] for run in restarts) for key in restarts[0]},
    }


def _restart(folder: Path, options: StoreOptions, tell: Callable[[str], None]) -> dict[str, float]:
    """Kill a site with so much that is on no disk, and see how soon it is ready again."""
    dice = random.Random(1)
    pieces = size_bytes(options.undestaged) // PIECE_BYTES
    places = dice.sample(range(size_bytes(options.size) // PIECE_BYTES), pieces)
    room = options.times(4)
    with one_site(folder, options.size, cache=room, nvs=room, sync="battery") as site:
        site.stop()
        empty_s = site.start()
        with connect_nbd(site.running().uri) as volume:
            for place in places:
                volume.write(place * PIECE_BYTES, dice.randbytes(PIECE_BYTES))
            site.stop()
        full_s = site.start()
        found = site.recovered()
    tell(f"ready after {full_s:.2f} s with {found['bytes'] >> 20} MiB, {empty_s:.2f} s with none")
    return {
        "undestaged_mib": found["bytes"] / 2**20,
        "ready_s": full_s,
        "ready_empty_s": empty_s,
    }


def measure_destage(
    folder: Path, options: StoreOptions, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Measure what a host feels of the destage: the same job without it and at its full rate."""
    front = Options(size=options.size, seconds=options.seconds)
    # Memory for everything, so that a busy host's tracks stay in it; and so little that every
    # write has another one destaged.
    sizes = {
        "without": (options.times(8), options.times(16)),
        "full-rate": (options.small(), options.times(4)),
    }
    raw: dict[str, list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        sites = {
            name: stack.enter_context(
                one_site(folder / name, options.size, cache=cache, nvs=nvs, sync="battery")
            )
            for name, (cache, nvs) in sizes.items()
        }
        for number in range(options.rounds + 1):
            for name, site in sites.items():
                before = ask(site.console, "status")["destage"]["written_tracks"]
                figures = fio(site.running(), STEADY, front)
                tracks = ask(site.console, "status")["destage"]["written_tracks"] - before
                figures["destaged_mib_per_s"] = tracks * TRACK_BYTES / 2**20 / options.seconds
                if number:  # the first round fills memory and files
                    raw.setdefault(name, []).append(figures)
                    tell(f"round {number} {name}: p99 {figures['p99_us']:.0f} us")
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in raw.items()
    }
    return {
        "options": asdict(options),
        "raw": raw,
        "medians": medians,
        "p99_ratio": round(medians["full-rate"]["p99_us"] / medians["without"]["p99_us"], 3),
        "mean_ratio": round(medians["full-rate"]["mean_us"] / medians["without"]["mean_us"], 3),
    }
