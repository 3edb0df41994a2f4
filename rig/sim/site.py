"""One simulated site: the production processor, started, killed, paused and given orders.

It can die at any step that makes something durable, also in the middle of a turn. Leaves the
turns to `shell.py`.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from emulator.copy.states import Role
from emulator.errors import CorruptError
from emulator.events import DiskFailed
from emulator.node.console import Console
from emulator.node.guard import StoreState
from emulator.node.recovery import first_start
from emulator.node.requests import NvsSave, NvsWrite
from emulator.wire.packet import decode_packet
from rig.sim.old_images import stand
from rig.sim.shape import (
    GROUP,
    LINK,
    WatchedProcessor,
    recover,
)
from rig.sim.shell import Shell
from rig.sim.suspects import give_up_suspects, suspects_of
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.copy.pair import Pair
    from rig.faults.plan import Plan
    from rig.sim.config import SiteHardware, WorldConfig
    from rig.sim.history import Images
    from rig.sim.line import Way
    from rig.sim.operations import Operation
    from rig.sim.scheduler import Scheduler
    from rig.sim.watch import Watch


class Site(Shell):
    """A site with its disks and its store; `processor` is replaced at each start."""

    def __init__(
        self,
        name: str,
        config: WorldConfig,
        hardware: SiteHardware,
        scheduler: Scheduler,
        plan: Plan,
        way_out: Way,
        watch: Watch,
    ) -> None:
        super().__init__(name, config, hardware, scheduler, plan, way_out, watch)
        self.console: Console
        self.crashed: Callable[[Site, int, int, bool], None] = _ignore
        self._entropy = Random(f"{config.seed}/{name}/entropy")
        self._clock = Random(f"{config.seed}/{name}/clock")
        self.totals: dict[str, int] = {}
        """The link's counters, over all lives that have ended."""
        self.unread_damaged = 0

    @property
    def pair(self) -> Pair:
        """The copy of the group."""
        return self.processor.pairs[GROUP]

    # Starting and dying.

    def boot(self) -> None:
        """Start: read the store, replay the journal, then open line and hosts."""
        self.life += 1
        self.running, self.ready, self.linked, self.served = True, False, False, False
        # A monotonic clock begins somewhere with each start of the machine.
        self.ahead_ns = self._clock.getrandbits(50)
        life = self.life
        self.nvs.done = lambda request: self._finished(life, request, None)
        self.nvs.durable = lambda request: self.watch.durable(self, request)
        self.nvs.crash = lambda pattern, down_ns: self.crash(pattern, down_ns, power=True)
        for disk in self.disks:
            disk.crash = self.nvs.crash
            disk.done = lambda operation, result: self._finished(life, operation, result)
        sizes = {
            name: disk.size_bytes
            for name, disk in zip(self.site_config.devices, self.disks, strict=True)
        }
        self.nvs.syncs = False
        body = self.nvs.load()
        standing = stand(self, body)
        processor = self.processor = WatchedProcessor(
            self.site_config,
            sizes,
            self.nvs.ring_bytes,
            self.nvs.map_bytes(len(sizes)),
            self._entropy.randbytes,
            standing.sums,
        )
        self.suspects = suspects_of(processor)
        self.group, self.end = processor.groups[GROUP], processor.links[LINK]
        processor.watch, processor.site = self.watch, self
        processor.watch_link()
        self.console = Console(processor, _add_nothing)
        if body is None:
            first_start(processor)
        try:
            recover(processor, body, self.nvs.read, self.nvs.ring_bytes, self.nvs.uri)
        except CorruptError as error:
            self.refused(error)
            return
        self.watch.starting(self)
        self.wake(self.scheduler.now_ns)

    def refused(self, error: CorruptError) -> None:
        """End a start: right if the journal was damaged, and then somebody repairs it."""
        if not self.nvs.damaged or self.ready:
            raise Violation("W3", str(error)) from error
        self.watch.mark("damaged journal refused")
        self.crash(0, 0, power=False)
        self.nvs.restore()

    def go_on_starting(self) -> None:
        """Save, fetch what the journal lacked, then serve, as the production shell does."""
        if self.served:
            if self.linked and not self.processor.hollow:
                self.ready = True
                self.watch.filled(self)
            return
        life = self.life
        self.served = True

        def saved() -> None:
            if life == self.life:
                self.linked = True
                give_up_suspects(self)
                self.ready = not self.processor.hollow
                self.watch.started(self)
                self._open_line()

        self.processor.save_soon(saved)

    def _open_line(self) -> None:
        if self.carrier:
            config = self.config
            rate = self.way_out.config.rate_bytes_per_s if config.rate_known else 0
            mtu_bytes = config.mtu_bytes if self.life == 1 else config.mtu_bytes_later
            self.end.opened(self.clock_ns(), mtu_bytes, rate or None)

    def lose_battery(self, entries: int, pattern: int, down_ns: int) -> None:
        """Die, and lose the newest entries of the journal; 0 entries: one of them rots."""
        if not self.running:
            return
        self.crash(0, down_ns, power=True)
        if entries:
            self.nvs.lose_tail(entries)
        else:
            self.nvs.rot(pattern)

    def crash(self, pattern: int, down_ns: int, *, power: bool) -> None:
        """Die now; the pattern says what of unfinished writes is there."""
        if not self.running:
            return
        if self.ready:
            self.watch.dying(self)
        for event in self.processor.take_events():
            # What it was about to report in this turn; only the books still want to know.
            if isinstance(event, DiskFailed):
                self.watch.event(self, event)
        self.running = self.ready = self.linked = False
        self._forget_inbox()
        self.count_link()
        give_up_suspects(self)
        self.life += 1
        self.nvs.power_lost(pattern)
        for disk in self.disks:
            disk.power_lost(pattern, power=power)
        self.done.clear()
        self.asked.clear()
        self.left.clear()
        self.wake_ns = None
        self.crashed(self, pattern, down_ns, power)

    # What comes from outside.

    def pacing(self) -> str:
        """Return why hosts are paced now; empty when they are not."""
        pacing = self.processor.pacing
        return (pacing.reason or "slowed") if pacing.paused(self.scheduler.now_ns) else ""

    def open_to_hosts(self) -> bool:
        """Return whether a host can be served now."""
        return self.ready and not self.paused

    def writable(self) -> bool:
        """Return whether hosts may write here now."""
        return self.ready and self.group.refusal() is None

    def submit(self, operation: Operation) -> None:
        """Take an operation of a host; it is begun in the next turn."""
        operation.through = self.processor.guard.state is not StoreState.GOOD
        self.asked.append(operation)
        self.wake(self.scheduler.now_ns)

    def contents(self) -> Images | None:
        """Return what a host must read here now."""
        return self.watch.contents(self)

    def answered(self, operation: Operation) -> None:
        """Take note that a write was reported complete."""
        self.watch.answered(self, operation.csn)
        self.watch.look_at_disk(self, operation)

    def arrive(self, packet: bytes) -> bool:
        """Take a packet from the line."""
        if not (self.linked and self.carrier):
            return False
        self.inbox.append(packet)
        self.wake(self.scheduler.now_ns)
        return True

    def order(self, **words: object) -> list[dict[str, Any]]:
        """Give an operator's order; the answer is put into the list, now or later."""
        answers: list[dict[str, Any]] = []
        self.console.request(json.dumps(words).encode(), answers.append)
        self.wake(self.scheduler.now_ns)
        return answers

    def carrier_lost(self) -> None:
        """Lose the line, as the shell would see it."""
        self.carrier = False
        self._forget_inbox()
        if self.linked:
            self.left.clear()
            self.end.lost(self.clock_ns(), "carrier lost")
            self.wake(self.scheduler.now_ns)

    def _forget_inbox(self) -> None:
        """Lose what had arrived and nobody has looked at."""
        self.unread_damaged = self.unread()
        self.inbox.clear()

    def unread(self) -> int:
        """Return how many damaged packets have come that nobody has looked at, or ever will."""
        waiting = sum(isinstance(decode_packet(found), str) for found in self.inbox)
        return self.unread_damaged + waiting

    def count_link(self) -> None:
        """Add the counters of the link, which end with this life, to the site's totals."""
        counters = self.end.machine.counters
        for name, value in counters.as_dict().items():
            self.totals[name] = self.totals.get(name, 0) + value

    def carrier_back(self) -> None:
        """Have the line again."""
        self.carrier = True
        if self.linked:
            self._open_line()
            self.wake(self.scheduler.now_ns)

    def clock_jumps(self, ahead_ns: int) -> None:
        """Let the site's clock jump ahead, as after a suspended machine has woken up."""
        self.ahead_ns += ahead_ns
        if self.running:
            self.wake(self.scheduler.now_ns)

    def pause(self, *, paused: bool) -> None:
        """Stop turning, as a process that gets no time; or go on."""
        self.paused = paused
        if not paused:
            self.wake(self.scheduler.now_ns)

    def _finished(self, life: int, request: Any, result: object) -> None:  # noqa: ANN401
        if life != self.life:
            return
        if self.nvs.answers_at_once() and isinstance(request, NvsWrite | NvsSave):
            # Memory with a battery answers at once, in the middle of the turn.
            self.processor.completed(request, result, self.clock_ns())
            return
        self.done.append((request, result))
        self.wake(self.scheduler.now_ns)

    def primary(self) -> bool:
        """Return whether this site runs and is the group's primary."""
        return self.ready and self.group.role is Role.PRIMARY


def _add_nothing(_status: dict[str, Any]) -> None:
    """The console's status as it is: there are no sockets to add."""


def _ignore(_site: Site, _pattern: int, _down_ns: int, _power: bool) -> None:  # noqa: FBT001
    """Stand in until the world listens."""
