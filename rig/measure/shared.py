"""A Hercules host in front of us beside the same host at the control unit itself, in one run.

Three volumes of one control unit: one that the direct host uses, one behind a site of ours, and one
behind a bare server in Python that does next to nothing a site is for (`bare_unit.py`), which shows
what a site adds. A job runs on all three in turn, several rounds. Each round's figures are compared
with each other and with nothing else; the median ratio counts.
"""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from emulator.errors import UnavailableError
from rig.measure.channel_work import fill_row, read_row, update_row
from rig.measure.guest import Guest
from rig.measure.hercules import Hercules
from rig.measure.namespace import Namespace
from rig.measure.peers import Running, started, tool

HEADS = 15
# Twice what a host keeps in a cache of its own, so that each track is asked for again.
TRACKS = 480
RECORDS = 12
RECORD_BYTES = 4096
UPDATED_TRACKS = 60
# Holds a quarter of the tracks, so that none is still there when it is asked for again.
COLD_CACHE = "8MiB"
_PROGRAM_S_MAX = 120.0
DIRECT, THROUGH, BARE = "direct", "through us", "bare python"
_SITE = """\
name = "shared"
[site.A]
cache = "{cache}"
nvs = "file://{folder}/{name}.nvs?size=64MiB&sync={sync}"
console = "unix://{folder}/{name}.console"
[site.A.device.vol0]
kind = "3390-1"
disk = "hercules://127.0.0.1:3990/0A00"
serve = ["shrd://127.0.0.1:3991/0A00"]
"""


@dataclass(frozen=True)
class Job:
    """One measurement."""

    name: str
    least: float
    """What the ratio to the direct host shall be at least."""
    cache: str
    """The site's cache: one that holds all tracks, or next to none."""
    passes: int


JOBS = (
    Job("read", 0.7, "64MiB", 5),
    Job("update", 0.8, "64MiB", 40),
    Job("read-cold", 0.45, COLD_CACHE, 2),
)


@dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 7
    sync: str = "battery"
    jobs: tuple[str, ...] = tuple(job.name for job in JOBS)


def measure(folder: Path, options: Options, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run every job in front of us and directly, in every round; return figures and ratios."""
    jobs = [job for job in JOBS if job.name in options.jobs]
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    with Namespace() as space:
        images = [folder / f"{name}.ckd" for name in "abc"]
        for number, image in enumerate(images):
            cylinders = str(TRACKS // HEADS)
            subprocess.run(
                [tool("dasdinit"), str(image), "3390", f"MEAS0{number}", cylinders],
                check=True,
                capture_output=True,
            )
        statements = [f"0A0{at} 3390 {image} cu=3990-6" for at, image in enumerate(images)]
        with _hercules(folder / "unit", space, "SHRDPORT 3990", *statements) as unit:
            for cache in dict.fromkeys(job.cache for job in jobs):
                chosen = [job for job in jobs if job.cache == cache]
                with _hosts(folder, space, options.sync, cache) as (hosts, pids):
                    servers = {DIRECT: unit.pid} | pids
                    _rounds(chosen, options.rounds, hosts, servers, raw, tell)
    return {"options": asdict(options), "raw": raw, "jobs": _summary(raw)}


@contextlib.contextmanager
def _hercules(folder: Path, space: Namespace, *lines: str) -> Iterator[Hercules]:
    hercules = Hercules(folder, space.prefix, *lines)
    hercules.start()
    try:
        yield hercules
    finally:
        hercules.stop()


@contextlib.contextmanager
def _hosts(
    folder: Path, space: Namespace, sync: str, cache: str
) -> Iterator[tuple[dict[str, Hercules], dict[str, int]]]:
    """Run a site with that cache, a bare server, and a host in front of everything.

    Yields the hosts, and the process numbers of the two servers.
    """
    name = f"site-{cache}"
    bench = folder / f"{name}.toml"
    bench.write_text(_SITE.format(cache=cache, folder=folder, name=name, sync=sync))
    # Reads that shall miss the site's cache shall find nothing kept here either.
    kept = () if cache == COLD_CACHE else (str(folder / f"{name}.bare"),)
    commands = {
        THROUGH: ("rig.cli", "site", "start", "A", "--bench", str(bench)),
        BARE: ("rig.measure.bare_unit", "3992", "3990", "0A02", *kept),
    }
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        pids = {
            kind: stack.enter_context(_server([*space.prefix, sys.executable, "-m", *module], log))
            for kind, module in commands.items()
        }
        hosts = {
            kind: stack.enter_context(
                _hercules(folder / f"{name}-{number}", space, f"0A00 3390 {place} cu=3990-6")
            )
            for number, (kind, place) in enumerate(
                {
                    DIRECT: "127.0.0.1:3990:0A01",
                    THROUGH: "127.0.0.1:3991:0A00",
                    BARE: "127.0.0.1:3992:0A02",
                }.items()
            )
        }
        for host in hosts.values():
            host.run_to_end(_guest("format").image(1), _PROGRAM_S_MAX)
        yield hosts, pids


@contextlib.contextmanager
def _server(command: list[str], log: IO[bytes]) -> Iterator[int]:
    """Run a server that says a line when it is ready; yield its process number."""
    with started(command, stdout=subprocess.PIPE, stderr=log) as server:
        assert server.stdout is not None
        if not server.stdout.readline():
            raise UnavailableError(f"{command[-1]} did not start; see {log.name}")
        yield server.pid


def _guest(job: str) -> Guest:
    guest = Guest(0x0A00)
    if job == "format":
        data = guest.area(bytes(range(256)) * (RECORD_BYTES // 256))
        guest.rows += [
            fill_row(guest, divmod(track, HEADS), RECORDS, data, RECORD_BYTES)
            for track in range(TRACKS)
        ]
    elif job == "update":
        guest.rows += [
            update_row(guest, divmod(track, HEADS), 5, RECORD_BYTES)
            for track in range(UPDATED_TRACKS)
        ]
    else:
        into = guest.room(RECORDS * RECORD_BYTES)
        guest.rows += [
            read_row(guest, divmod(track, HEADS), RECORDS, RECORD_BYTES, into)
            for track in range(TRACKS)
        ]
    return guest


def _rounds(
    jobs: list[Job],
    rounds: int,
    hosts: dict[str, Hercules],
    servers: dict[str, int],
    raw: dict[str, dict[str, list[dict[str, float]]]],
    tell: Callable[[str], None],
) -> None:
    for job in jobs:
        guest = _guest(job.name)
        warm, memory = guest.image(1), guest.image(job.passes)
        for host in hosts.values():
            host.run_to_end(warm, _PROGRAM_S_MAX)
        for number in range(rounds):
            for kind, host in hosts.items():
                host.load(memory)
                before = [time.monotonic(), *Running("", [host.pid, servers[kind]]).cpu_s()]
                host.run_loaded(_PROGRAM_S_MAX)
                after = [time.monotonic(), *Running("", [host.pid, servers[kind]]).cpu_s()]
                seconds, host_s, server_s = (b - a for a, b in zip(before, after, strict=True))
                operations = len(guest.rows) * job.passes
                figures = {
                    "per_s": operations / seconds,
                    "host_cpu_us": host_s / operations * 1e6,
                    "server_cpu_us": server_s / operations * 1e6,
                }
                raw.setdefault(job.name, {}).setdefault(kind, []).append(figures)
                tell(f"round {number + 1} {job.name} {kind}: {figures['per_s']:.0f}/s")


def _summary(raw: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for job in JOBS:
        if job.name not in raw:
            continue
        medians = {
            kind: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for kind, runs in raw[job.name].items()
        }
        cpu = {kind: row["host_cpu_us"] + row["server_cpu_us"] for kind, row in medians.items()}
        summary[job.name] = {
            "medians": medians,
            "ratio": _ratio(raw[job.name], THROUGH),
            "bare_ratio": _ratio(raw[job.name], BARE),
            "cpu_ratio": round(cpu[DIRECT] / cpu[THROUGH], 3),
            "least": job.least,
        }
    return summary


def _ratio(runs: dict[str, list[dict[str, float]]], kind: str) -> float:
    """Return the median of a host's rounds, each as a part of the direct host's of that round."""
    pairs = zip(runs[kind], runs[DIRECT], strict=True)
    return round(statistics.median(one["per_s"] / other["per_s"] for one, other in pairs), 3)
