"""The front path beside its peers: the same fio jobs on each, in turn, several rounds.

Figures of one run are compared with each other and with nothing else: the machine's mood changes
all of them alike. The median of the rounds counts.
"""

import contextlib
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emulator.errors import UnavailableError
from emulator.units import size_bytes
from rig.host.console import ask
from rig.measure.peers import (
    Running,
    bare_python,
    nbdkit_cache,
    nbdkit_memory,
    qemu_mirror,
    qemu_nbd,
    tool,
    two_sites,
)

OURS = "dualcopy"
BARE = "bare-python"
SETTLE_S = 60.0


@dataclass(frozen=True)
class Job:
    """One fio job, and the peers that do the nearest thing."""

    name: str
    mode: str
    block: str
    depth: int
    peers: tuple[str, ...]

    @property
    def reads(self) -> bool:
        """Whether the host reads; every block was written before, so the cache has it."""
        return "read" in self.mode


JOBS = {
    job.name: job
    for job in (
        Job("randwrite-4k-16", "randwrite", "4k", 16, ("nbdkit-cache", "qemu-mirror", BARE)),
        Job("randwrite-64k-16", "randwrite", "64k", 16, ("nbdkit-cache", "qemu-mirror", BARE)),
        Job("write-1m-4", "write", "1m", 4, ("qemu-nbd", BARE)),
        Job("randread-4k-16", "randread", "4k", 16, ("nbdkit-memory", BARE)),
        Job("randwrite-4k-1", "randwrite", "4k", 1, ("nbdkit-memory", BARE)),
        Job("randread-4k-1", "randread", "4k", 1, ("nbdkit-memory", BARE)),
    )
}
FILL = Job("fill", "write", "1m", 4, ())
PEERS: dict[str, Callable[[Path, int], AbstractContextManager[Running]]] = {
    BARE: bare_python,
    "nbdkit-cache": nbdkit_cache,
    "nbdkit-memory": nbdkit_memory,
    "qemu-mirror": qemu_mirror,
    "qemu-nbd": qemu_nbd,
}
PROGRAMS = ("nbdkit", "qemu", "bare")


@dataclass(frozen=True)
class Options:
    """How to measure."""

    size: str = "256MiB"
    cache: str = "1GiB"
    nvs: str = "4GiB"
    seconds: int = 4
    rounds: int = 3
    jobs: tuple[str, ...] = tuple(JOBS)
    peers: tuple[str, ...] = PROGRAMS
    sync: tuple[str, ...] = ("battery",)


def measure(folder: Path, options: Options, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run every job on every peer in every round; return figures, medians and ratios."""
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(start) for name, start in _peers(folder, options).items()
        }
        for name, peer in running.items():
            # The first write of a block makes its memory; that is not what is compared.
            fio(peer, FILL, options, ("--size=" + str(size_bytes(options.size)),))
            _settle(peer)
            tell(f"filled {name}" + (f", stores in {peer.stores}" if peer.stores else ""))
        for number in range(options.rounds):
            for job in (JOBS[name] for name in options.jobs):
                for name, peer in running.items():
                    if name not in job.peers and not name.startswith(OURS):
                        continue
                    figures = fio(peer, job, options)
                    raw.setdefault(job.name, {}).setdefault(name, []).append(figures)
                    tell(f"round {number + 1} {job.name} {name}: {figures['iops']:.0f} IOPS")
                    _settle(peer)
        stores = {name: str(peer.stores) for name, peer in running.items() if peer.stores}
    return {"options": asdict(options), "stores": stores, "raw": raw, "jobs": _summary(raw)}


def _peers(folder: Path, options: Options) -> dict[str, AbstractContextManager[Running]]:
    size = size_bytes(options.size)
    found: dict[str, AbstractContextManager[Running]] = {
        f"{OURS}-{sync}": two_sites(folder, size, sync=sync, cache=options.cache, nvs=options.nvs)
        for sync in options.sync
    }
    wanted = dict.fromkeys(peer for job in options.jobs for peer in JOBS[job].peers)
    for name in wanted:
        if name.partition("-")[0] in options.peers:
            found[name] = PEERS[name](folder, size)
    return found


def fio(peer: Running, job: Job, options: Options, length: Sequence[str] = ()) -> dict[str, float]:
    """Run one fio job against a peer and return its figures."""
    before = peer.cpu_s()
    length = length or ("--time_based", f"--runtime={options.seconds}")
    command = [
        tool("fio"),
        "--name=front",
        "--ioengine=nbd",
        f"--uri={peer.uri}",
        f"--rw={job.mode}",
        f"--bs={job.block}",
        f"--iodepth={job.depth}",
        f"--size={size_bytes(options.size)}",
        *length,
        "--output-format=json",
        "--randrepeat=1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    start = done.stdout.find("{")
    if done.returncode or start < 0:
        raise UnavailableError(f"fio failed on {peer.uri}: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout[start:])["jobs"][0]
    side = found["read" if job.reads else "write"]
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
    """Let a copy catch up and a store come into memory: neither is to burden the next job."""
    limit_s = time.monotonic() + SETTLE_S
    while peer.consoles:
        found = [ask(console, "status") for console in peer.consoles]
        lag = found[0]["groups"]["g0"]["lag"]
        warming = any(status["nvs"].get("warming") for status in found)
        if not lag["records"] and not warming:
            return
        if time.monotonic() > limit_s:
            raise UnavailableError(f"not settled: lag {lag}, a store is warming: {warming}")
        time.sleep(0.02)  # noqa: TID251 - waits for another program, bounded


def _summary(raw: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for job, peers in raw.items():
        medians = {
            name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for name, runs in peers.items()
        }
        ratios = {
            f"{ours}/{name}": {
                key: round(medians[ours][key] / medians[name][key], 3)
                for key in ("iops", "mean_us", "p99_us")
            }
            for ours in medians
            if ours.startswith(OURS)
            for name in medians
            if not name.startswith(OURS)
        }
        summary[job] = {"medians": medians, "ratios": ratios}
    return summary
