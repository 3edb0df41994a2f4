"""The front path beside its peers: the same fio jobs on each, in turn, several rounds.

Figures of one run are compared with each other and with nothing else: the machine's mood changes
all of them alike. The median of the rounds counts.
"""

import contextlib
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.errors import UnavailableError
from emulator.units import size_bytes
from rig.host.console import ask
from rig.measure.peers import Running, nbdkit, qemu_mirror, tool, two_sites

OURS = "dualcopy"
SETTLE_S = 60.0


@dataclass(frozen=True)
class Job:
    """One fio job."""

    name: str
    mode: str
    block: str
    depth: int


JOBS = {
    "randwrite-4k-16": Job("randwrite-4k-16", "randwrite", "4k", 16),
    "randwrite-64k-16": Job("randwrite-64k-16", "randwrite", "64k", 16),
    "randread-4k-16": Job("randread-4k-16", "randread", "4k", 16),
    "randwrite-4k-1": Job("randwrite-4k-1", "randwrite", "4k", 1),
    "write-1m-4": Job("write-1m-4", "write", "1m", 4),
}


@dataclass(frozen=True)
class Options:
    """How to measure."""

    size: str = "256MiB"
    cache: str = "1GiB"
    nvs: str = "4GiB"
    seconds: int = 4
    rounds: int = 3
    jobs: tuple[str, ...] = ("randwrite-4k-16", "randwrite-64k-16")
    peers: tuple[str, ...] = ("nbdkit", "qemu")
    sync: tuple[str, ...] = ("battery",)


def measure(folder: Path, options: Options, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run every job on every peer in every round; return figures, medians and ratios."""
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(start) for name, start in _peers(folder, options).items()
        }
        for number in range(options.rounds):
            for job in options.jobs:
                for name, peer in running.items():
                    figures = _fio(peer, JOBS[job], options)
                    raw.setdefault(job, {}).setdefault(name, []).append(figures)
                    tell(f"round {number + 1} {job} {name}: {figures['iops']:.0f} IOPS")
                    _settle(peer)
    return {"options": options.__dict__, "raw": raw, "jobs": _summary(raw)}


def _peers(folder: Path, options: Options) -> dict[str, AbstractContextManager[Running]]:
    size = size_bytes(options.size)
    known = {"nbdkit": nbdkit, "qemu": qemu_mirror}
    found: dict[str, AbstractContextManager[Running]] = {
        f"{OURS}-{sync}": two_sites(folder, size, sync=sync, cache=options.cache, nvs=options.nvs)
        for sync in options.sync
    }
    for name in options.peers:
        found[name] = known[name](folder, size)
    return found


def _fio(peer: Running, job: Job, options: Options) -> dict[str, float]:
    before = peer.cpu_s()
    command = [
        tool("fio"),
        "--name=front",
        "--ioengine=nbd",
        f"--uri={peer.uri}",
        f"--rw={job.mode}",
        f"--bs={job.block}",
        f"--iodepth={job.depth}",
        f"--size={size_bytes(options.size)}",
        "--time_based",
        f"--runtime={options.seconds}",
        "--output-format=json",
        "--randrepeat=1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    start = done.stdout.find("{")
    if done.returncode or start < 0:
        raise UnavailableError(f"fio failed on {peer.uri}: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout[start:])["jobs"][0]
    side = found["read" if "read" in job.mode else "write"]
    used = [after - was for after, was in zip(peer.cpu_s(), before, strict=True)]
    figures = {
        "iops": side["iops"],
        "mib_per_s": side["bw_bytes"] / 2**20,
        "mean_us": side["clat_ns"]["mean"] / 1000,
        "p99_us": side["clat_ns"]["percentile"]["99.000000"] / 1000,
    }
    for number, seconds in enumerate(used):
        figures[f"cpu_us_per_operation_{number}"] = seconds * 1e6 / max(1, side["total_ios"])
    return figures


def _settle(peer: Running) -> None:
    """Let a copy catch up, so that one job's leftovers do not burden the next peer's."""
    limit_s = time.monotonic() + SETTLE_S
    while peer.console is not None:
        lag = ask(peer.console, "status")["groups"]["g0"]["lag"]
        if not lag["records"]:
            return
        if time.monotonic() > limit_s:
            raise UnavailableError(f"the copy does not catch up: {lag}")
        time.sleep(0.02)  # noqa: TID251 - waits for another program, bounded


def _summary(raw: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for job, peers in raw.items():
        medians = {
            name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for name, runs in peers.items()
        }
        ratios = {
            f"{ours}/{name}": round(medians[ours]["iops"] / medians[name]["iops"], 3)
            for ours in medians
            if ours.startswith(OURS)
            for name in medians
            if not name.startswith(OURS)
        }
        summary[job] = {"medians": medians, "iops_ratios": ratios}
    return summary
