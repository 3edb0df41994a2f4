"""A Hercules host in front of us beside the same host at the control unit itself, in one run.

Two volumes of one control unit: one that the direct host uses, one behind a site of ours. A job
runs on both in turn, several rounds; the median counts. Figures of one run are compared with each
other and with nothing else.
"""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
_PROGRAM_S_MAX = 120.0
DIRECT, THROUGH = "direct", "through us"
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
    Job("read-cold", 0.45, "8MiB", 2),
)


@dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 3
    sync: str = "battery"
    jobs: tuple[str, ...] = tuple(job.name for job in JOBS)


def measure(folder: Path, options: Options, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run every job in front of us and directly, in every round; return figures and ratios."""
    jobs = [job for job in JOBS if job.name in options.jobs]
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    with Namespace() as space:
        images = [folder / f"{name}.ckd" for name in "ab"]
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
                with _pair(folder, space, options.sync, cache) as (hosts, site):
                    servers = {DIRECT: unit.pid, THROUGH: site}
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
def _pair(
    folder: Path, space: Namespace, sync: str, cache: str
) -> Iterator[tuple[dict[str, Hercules], int]]:
    """Run a site with that cache, a host in front of it, and a host at the control unit."""
    name = f"site-{cache}"
    bench = folder / f"{name}.toml"
    bench.write_text(_SITE.format(cache=cache, folder=folder, name=name, sync=sync))
    command = [*space.prefix, sys.executable, "-m", "rig.cli", "site", "start", "A"]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        site = stack.enter_context(
            started([*command, "--bench", str(bench)], stdout=subprocess.PIPE, stderr=log)
        )
        assert site.stdout is not None
        if not site.stdout.readline():
            raise UnavailableError(f"the site did not start; see {log.name}")
        hosts = {
            kind: stack.enter_context(
                _hercules(folder / f"{name}-{port}", space, f"0A00 3390 {place} cu=3990-6")
            )
            for kind, port, place in (
                (DIRECT, 3990, "127.0.0.1:3990:0A01"),
                (THROUGH, 3991, "127.0.0.1:3991:0A00"),
            )
        }
        for host in hosts.values():
            host.run_to_end(_guest("format").image(1), _PROGRAM_S_MAX)
        yield hosts, site.pid


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
            "ratio": round(medians[THROUGH]["per_s"] / medians[DIRECT]["per_s"], 3),
            "cpu_ratio": round(cpu[DIRECT] / cpu[THROUGH], 3),
            "least": job.least,
        }
    return summary
