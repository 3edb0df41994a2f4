"""Run one site: the shell with clock, files, sockets and threads around the processor.

One thread runs everything but what blocks: each disk has a writer and a reader thread, and the
nonvolatile store one, where its fdatasync waits. `run_site` is what `dualcopy site start` calls.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import SECOND_NS
from emulator.copy.states import Role
from emulator.disk.base import Disk
from emulator.disk.opener import open_disk
from emulator.disk.sums_file import SumsFile
from emulator.node.attachments import Attachments
from emulator.node.carrier import Carrier
from emulator.node.config import SiteConfig
from emulator.node.console import Console
from emulator.node.devices import check_disk
from emulator.node.heap import keep_collector_aside, reserve_heap
from emulator.node.hosts import HostServer
from emulator.node.lines import Captures, LineEnd
from emulator.node.log import write_event
from emulator.node.loop import Loop, Workers, watch_stop_signals
from emulator.node.natives import NativeServer, open_natives
from emulator.node.operators import OperatorServer
from emulator.node.processor import Processor
from emulator.node.recovery import (
    first_start,
    restore,
    start_replay,
    start_without_journal,
)
from emulator.node.serving import serve_devices
from emulator.node.standing import judge
from emulator.node.warm import Warming
from emulator.nvs.areas import RING_START
from emulator.nvs.store import NvsStore

# How long an orderly stop waits for the other site to have everything.
DRAIN_NS: Final = 10 * SECOND_NS
# A turn that left the background out is followed by another at the latest after this.
BACKGROUND_WAIT_S: Final = 0.001
_EXIT_DEVICE: Final = 69


def run_site(config: SiteConfig, make: "Callable[[SiteConfig], SiteRuntime] | None" = None) -> int:
    """Run a site, or the one that `make` gives, until SIGTERM or SIGINT; return its exit code."""
    reserve_heap(config.cache_bytes)
    keep_collector_aside()
    site = (make or SiteRuntime)(config)
    try:
        site.start()
        return site.run()
    finally:
        site.close()


class SiteRuntime:
    """One site's process."""

    def __init__(self, config: SiteConfig) -> None:
        self.config = config
        self._loop = Loop()
        self._workers = Workers(self._loop)
        self._stop_signal = False
        self._store = self.open_store(config.nvs)
        self._warming: Warming | None = None
        self._carrier = Carrier(self._store, self._workers)
        self._closers: list[Callable[[], None]] = [self._store.close]
        self._lines: dict[str, LineEnd] = {}
        self._hosts = HostServer(self._loop, write_event)
        self._attachments = Attachments(config, write_event)
        self._publish: Callable[[], None] = _nobody
        self._natives: NativeServer | None = None

    # Starting.

    def open_store(self, uri: str) -> NvsStore:
        """Return the nonvolatile store; a harness may give one that fails."""
        return NvsStore(uri)

    def open_disk(self, uri: str) -> Disk:
        """Return a device's disk; a harness may give one that fails."""
        return open_disk(uri)

    def start(self) -> None:
        """Open everything, recover, and say that the site is ready."""
        for device in self.config.devices.values():
            disk = self._attachments.disk(device.name, self.open_disk(device.disk))
            self._closers.append(disk.close)
            check_disk(device.name, device.kind, disk)
            sums = None
            if device.checksums:
                sums = SumsFile(device.checksums, -(-disk.size_bytes // TRACK_BYTES))
                self._closers.append(sums.close)
            self._carrier.add_disk(device.name, disk, sums)
        sizes = {
            device.name: disk.size_bytes
            for device, disk in zip(self.config.devices.values(), self._carrier.disks, strict=True)
        }
        self._warm()
        superblock = self._store.load()
        self._captures = Captures(self.config.name, self.config.links)
        self._closers.append(self._captures.close)
        body = superblock.body if superblock else None
        headers = dict(zip(sizes, self._carrier.sums, strict=True))
        said = judge(self.config.nvs, body, headers)
        self.processor = Processor(
            self.config,
            sizes,
            self._store.ring_bytes,
            self._store.map_bytes(),
            os.urandom,
            said.sums,
        )
        for event in said.events:
            self.processor.emit(event)
        self._recover(body, said.lost_body)
        verbs = {"unit": self._attachments.order}
        console = Console(self.processor, self._add_status, verbs, self._report)
        groups = self.processor.groups.values()
        self.processor.audit.keep(groups)
        operators = OperatorServer(
            self._loop, self.config.console, console, self.processor.audit, groups
        )
        self._publish = operators.publish
        self._closers.append(operators.close)
        self._open_lines()
        serve_devices(
            self.config,
            self.processor.volumes,
            self.processor.track_stores,
            self._carrier.disks,
            self._hosts,
            write_event,
        )
        self._closers.append(self._hosts.close)
        self._natives = open_natives(self.config, self.processor, self._loop, write_event)
        self._closers.append(self._natives.give_back)
        watch_stop_signals(self._loop, self._stop)
        self._report()
        ready = {"event": "ready", "site": self.config.name, "pid": os.getpid()}
        sys.stdout.buffer.write(json.dumps(ready).encode() + b"\n")
        sys.stdout.buffer.flush()

    def _warm(self) -> None:
        store = self._store
        if store.battery:
            self._warming = Warming(store.fileno(), RING_START, store.size_bytes)
            self._workers.worker("nvs-warm")(self._warming.run, _warmed)

    def _recover(self, body: dict[str, Any] | None, lost_body: dict[str, Any] | None) -> None:
        processor = self.processor
        store = self._store
        if lost_body is not None:
            restore(processor, lost_body, self.config.nvs)
            start_without_journal(processor, body, lost_body)
        else:
            if body is None:
                first_start(processor)
            else:
                restore(processor, body, self.config.nvs)
            start_replay(processor, body, store.read, store.ring_bytes, self.config.nvs)
        while not processor.ready:
            self._start_turn()
        saved: list[bool] = []
        processor.save_soon(lambda: saved.append(True))
        while not saved:
            self._start_turn()
        for sums in self._carrier.sums:
            if sums is not None and lost_body is not None:
                sums.mark(None)
        if processor.hollow:
            self._open_lines()
        while processor.hollow:
            self._start_turn()

    def _start_turn(self) -> None:
        self._turn(0.01)
        if self.processor.guard.stop is not None:
            raise self.processor.guard.stop

    def _open_lines(self) -> None:
        if self._lines:
            return
        now_ns = time.monotonic_ns()
        for name, link in self.config.links.items():
            line = LineEnd(
                link, self.processor.links[name], self._loop, write_event, self._captures.taps[name]
            )
            line.open_first(now_ns)
            self._lines[name] = line

    def _stop(self) -> None:
        self._stop_signal = True

    # Running.

    def run(self) -> int:
        """Turn until told to stop, then drain."""
        wait_s = 0.0
        guard = self.processor.guard
        while not self._stop_signal and guard.stop is None:
            wait_s = self._turn(wait_s)
        if guard.stop is not None:
            return _EXIT_DEVICE
        return self._drain()

    def _wait_s(self) -> float:
        due_ns = self.processor.next_deadline_ns()
        hosts_due_ns = self._hosts.next_deadline_ns()
        if hosts_due_ns is not None:
            due_ns = min(due_ns, hosts_due_ns)
        for served in (*self._lines.values(), self._natives):
            deadline_ns = served.next_deadline_ns() if served is not None else None
            if deadline_ns is not None:
                due_ns = min(due_ns, deadline_ns)
        return max(0.0, (due_ns - time.monotonic_ns()) / SECOND_NS)

    def _turn(self, timeout_s: float) -> float:
        """Do everything that is there to do once; return how long to wait for the next turn."""
        processor = self.processor
        happened = self._loop.run_once(timeout_s)
        if self._hosts.spoke:
            self._loop.look_out()
        now_ns = time.monotonic_ns()
        if (
            happened
            and happened == self._hosts.take_answered()
            and now_ns < self._due_ns
            and not processor.reading.wants_turn()
        ):
            # Every host has its answer already, and nothing else has happened.
            return (self._due_ns - now_ns) / SECOND_NS
        natives = self._natives
        if natives is not None and natives.receive(now_ns, paused=processor.pacing.paused(now_ns)):
            self._hosts.spoke = True
            self._loop.look_out()
        if self._hosts.spoke:
            self._hosts.spoke = False
            processor.rhythm.host_spoke(now_ns)
        self._hosts.wake(now_ns)
        heard = False
        for line in self._lines.values():
            heard = line.receive(now_ns) or heard
        rhythm = processor.rhythm
        if rhythm.commit_waits(now_ns):
            self._hosts.send(paused=processor.pacing.paused(now_ns))
            return self._next_turn(now_ns, 0.0)
        processor.turn(now_ns)
        # Auditors hear of a change before it is durable, of an answer before the host, and of an
        # epoch before the other site: so none is missing when this process is killed.
        self._publish()
        self._carrier.carry_out(processor, now_ns)
        processor.complete(now_ns)
        self._publish()
        self._report()
        self._hosts.send(paused=processor.pacing.paused(now_ns))
        more = natives is not None and natives.send(now_ns)
        if not (heard or more) and rhythm.background_waits(now_ns):
            return self._next_turn(now_ns, BACKGROUND_WAIT_S)
        processor.background(now_ns)
        self._carrier.carry_out(processor, now_ns)
        self._publish()
        for line in self._lines.values():
            more = line.send(now_ns) or more
        self._captures.flush(write_event)
        self._report()
        return self._next_turn(now_ns, 0.0 if more or processor.busy() else self._wait_s())

    def _report(self) -> None:
        """Log what has happened: before a host or an operator is answered, so that it is there."""
        for event in self.processor.take_events():
            write_event(event)

    def _next_turn(self, now_ns: int, wait_s: float) -> float:
        """Note when the next turn is due, and return how long that is."""
        self._due_ns = now_ns + round(wait_s * SECOND_NS)
        return wait_s

    def _add_status(self, status: dict[str, Any]) -> None:
        status["hosts"] = self._hosts.counts()
        if self._natives is not None:
            status["channel"] = self._natives.counts()
        status["control_units"] = self._attachments.status()
        if self._warming is not None:
            status["nvs"]["warming"] = self._warming.under_way
        status["pid"] = os.getpid()
        for name, line in self._lines.items():
            status["links"][name]["line"] = {"uri": line.config.line, **line.counters()}

    # Stopping.

    def _drain(self) -> int:
        """Answer what hosts wait for, let the other site catch up, and bring all to the disks."""
        self._hosts.close_listeners()
        natives = self._natives
        assert natives is not None
        natives.close_to_programs()
        limit_ns = time.monotonic_ns() + DRAIN_NS
        self.processor.draining = True
        while time.monotonic_ns() < limit_ns and not (
            self._hosts.quiet() and natives.quiet() and self._sent()
        ):
            self._turn(0.005)
        self._hosts.close()
        natives.close(time.monotonic_ns())
        for line in self._lines.values():
            line.close(time.monotonic_ns())
        limit_ns = time.monotonic_ns() + DRAIN_NS
        guard = self.processor.guard
        while not self.processor.settled() and guard.stop is None:
            # What a disk refuses stays in the journal, and is written after the next start.
            destage = self.processor.destage
            late = time.monotonic_ns() > limit_ns
            if destage.broken_devices() or (late and destage.refusing_devices()):
                return _EXIT_DEVICE
            self._turn(0.005)
        self._save_last()
        return 0 if guard.stop is None and not guard.is_lost else _EXIT_DEVICE

    def _save_last(self) -> None:
        """Have the superblock say that everything is on the disks: the next start replays none."""
        guard = self.processor.guard
        saved: list[bool] = []
        self.processor.save_soon(lambda: saved.append(True))
        while not (saved or guard.is_lost) and guard.stop is None:
            self._turn(0.005)

    def _sent(self) -> bool:
        """Return whether every copy that can be reached has everything."""
        return all(
            pair.group.role is not Role.PRIMARY
            or not pair.group.stream.flowing
            or pair.group.stream.applied_csn == pair.group.csn
            for pair in self.processor.pairs.values()
        )

    def close(self) -> None:
        """Give everything back."""
        if self._warming is not None:
            self._warming.stop()
        self._workers.close()
        for closer in reversed(self._closers):
            closer()
        self._loop.close()


def _warmed(_nothing: object) -> None:
    """Take note of nothing: a page that was not brought in is made when it is written."""


def _nobody() -> None:
    """Tell nobody anything: the console is not open yet."""
