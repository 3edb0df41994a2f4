"""One simulated site: the production processor, in a shell made of virtual time.

Does what `emulator/node/runtime.py` does, in the same order: take what hosts, disks, the store
and the line have brought, turn, carry out, complete, background, send. The site can die at any
step that makes something durable, also in the middle of a turn.
"""

from __future__ import annotations

import json
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

from emulator.channel.blocks import Outcome
from emulator.clock import MICROSECOND_NS, MILLISECOND_NS
from emulator.copy.levels import AckLevel, OnLinkLoss
from emulator.copy.states import Role
from emulator.errors import CorruptError, DeviceError
from emulator.node.config import DeviceConfig, GroupConfig, LinkConfig, SiteConfig
from emulator.node.console import Console
from emulator.node.processor import Processor
from emulator.node.recovery import Replay, first_start, restore
from emulator.node.requests import NvsRead, NvsSave, NvsWrite
from emulator.nvs.recovery import Recovery
from emulator.wire.packet import decode_packet
from rig.sim.disk import Operation as DiskOperation
from rig.sim.disk import SimulatedDisk
from rig.sim.nvs import Save, SimulatedNvs
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator.copy.group import Group
    from emulator.copy.pair import Pair
    from emulator.nvs.recovery import Entry
    from emulator.wire.checksum import Buffer
    from rig.faults.plan import Plan
    from rig.sim.config import SiteHardware, WorldConfig
    from rig.sim.history import Images
    from rig.sim.host import Operation
    from rig.sim.line import Way
    from rig.sim.scheduler import Scheduler
    from rig.sim.watch import Watch

LINK, GROUP, GROUP_NUMBER = "ab", "G", 1
BURST = 64
# A turn of the production loop takes some microseconds; a site that is busy turns again after it.
TURN_NS = 20 * MICROSECOND_NS
# A deadline that has passed and moves nothing would take a whole processor.
IDLE_TURNS_MAX = 300
START_TURN_NS = 10 * MILLISECOND_NS


def site_config(name: str, config: WorldConfig, cache_bytes: int) -> SiteConfig:
    """Return what a bench file would say of this site."""
    peer = "B" if name == "A" else "A"
    devices = {
        device: DeviceConfig(device, "fba", f"mem:{name}.{device}")
        for device in (f"V{number}" for number in range(len(config.volumes)))
    }
    group = GroupConfig(
        GROUP,
        GROUP_NUMBER,
        LINK,
        peer,
        name == "A",
        tuple(devices),
        AckLevel(config.ack),
        OnLinkLoss(config.on_link_loss),
        config.secondary_reads,
    )
    link = LinkConfig(LINK, peer, "sim://A-B", lab_plaintext=True)
    return SiteConfig(name, cache_bytes, f"nvs:{name}", "", devices, {LINK: link}, {GROUP: group})


class WatchedProcessor(Processor):
    """The production processor; what it sends is shown to the checkers first."""

    watch: Watch
    site: Site

    def link_send(self, link: str, kind: int, group: int, csn: int, parts: Sequence[Buffer]) -> int:
        """Queue a record on a link."""
        if self.links[link].up:
            self.watch.sending(self.site, kind, parts)
        return super().link_send(link, kind, group, csn, parts)


class Site:
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
        self.name = name
        self.config = config
        self.site_config = site_config(name, config, hardware.cache_bytes)
        self.scheduler = scheduler
        self.watch = watch
        self.way_out = way_out
        self.nvs = SimulatedNvs(name, hardware, scheduler, plan, config.seed)
        self.disks = [
            SimulatedDisk(f"{name}.{number}", size, hardware, scheduler, plan, config.seed)
            for number, size in enumerate(config.volumes)
        ]
        self.processor: WatchedProcessor
        self.console: Console
        self.life = 0
        self.running = False
        self.ready = False
        self.paused = False
        self.carrier = True
        self._served = False
        """Whether the start has got as far as its last save."""
        self.crashed: Callable[[Site, int, int, bool], None] = _ignore
        self._entropy = Random(f"{config.seed}/{name}/entropy")
        self._inbox: list[bytes] = []
        self._done: list[tuple[Any, object]] = []
        self._asked: list[Operation] = []
        self._left: deque[bytes] = deque()
        self._wake_ns: int | None = None
        self._wake_serial = 0
        self._idle_turns = 0
        self.totals: dict[str, int] = {}
        """The link's counters, over all lives that have ended."""
        self.unread_damaged = 0
        self.disk_errors = 0

    @property
    def group(self) -> Group:
        """The group of the volumes."""
        return self.processor.groups[GROUP]

    @property
    def pair(self) -> Pair:
        """The copy of the group."""
        return self.processor.pairs[GROUP]

    # Starting and dying.

    def boot(self) -> None:
        """Start: read the store, replay the journal, then open line and hosts."""
        self.life += 1
        self.running, self.ready, self._served = True, False, False
        life = self.life
        self.nvs.done = lambda request: self._finished(life, request, None)
        self.nvs.durable = lambda request: self.watch.durable(self, request)
        self.nvs.crash = lambda pattern, down_ns: self.crash(pattern, down_ns, power=True)
        for disk in self.disks:
            disk.done = lambda operation, result: self._finished(life, operation, result)
        sizes = {
            name: disk.size_bytes
            for name, disk in zip(self.site_config.devices, self.disks, strict=True)
        }
        body = self.nvs.load()
        processor = self.processor = WatchedProcessor(
            self.site_config,
            sizes,
            self.nvs.ring_bytes,
            self.nvs.map_bytes(),
            self._entropy.randbytes,
        )
        processor.watch, processor.site = self.watch, self
        self.console = Console(processor, _add_nothing)
        trim_lsn = 0
        if body is None:
            first_start(processor)
        else:
            restore(processor, body, self.nvs.uri)
            trim_lsn = body["trim_lsn"]
        self.watch.starting(self)
        recovery = Recovery(self.nvs.read, self.nvs.ring_bytes, trim_lsn, self.nvs.uri)
        processor.journal.trim_lsn = processor.journal.tail_lsn = trim_lsn
        try:
            processor.start(Replay(processor, recovery, self.nvs.uri).run())
        except CorruptError as error:
            raise Violation("W3", str(error)) from error
        self.wake(self.scheduler.now_ns)

    def _go_on_starting(self) -> None:
        """After the journal: save, then serve, as the production shell does."""
        life = self.life
        self._served = True

        def saved() -> None:
            if life == self.life:
                self.ready = True
                self.watch.started(self)
                self._open_line()

        self.processor.save_soon(saved)

    def _open_line(self) -> None:
        if self.carrier:
            config = self.config
            rate = self.way_out.config.rate_bytes_per_s if config.rate_known else 0
            mtu_bytes = config.mtu_bytes if self.life == 1 else config.mtu_bytes_later
            self.processor.links[LINK].opened(self.scheduler.now_ns, mtu_bytes, rate or None)

    def crash(self, pattern: int, down_ns: int, *, power: bool) -> None:
        """Die now; the pattern says what of unfinished writes is there."""
        if not self.running:
            return
        if self.ready:
            self.watch.dying(self)
        self.running = self.ready = False
        self._forget_inbox()
        self.count_link()
        self.life += 1
        self.nvs.power_lost(pattern)
        for disk in self.disks:
            disk.power_lost(pattern, power=power)
        self._done.clear()
        self._asked.clear()
        self._left.clear()
        self._wake_ns = None
        self.crashed(self, pattern, down_ns, power)

    # What comes from outside.

    def open_to_hosts(self) -> bool:
        """Return whether a host can be served now."""
        return self.ready and not self.paused

    def writable(self) -> bool:
        """Return whether hosts may write here now."""
        return self.ready and self.group.refusal() is None

    def submit(self, operation: Operation) -> None:
        """Take an operation of a host; it is begun in the next turn."""
        self._asked.append(operation)
        self.wake(self.scheduler.now_ns)

    def contents(self) -> Images | None:
        """Return what a host must read here now."""
        return self.watch.contents(self)

    def answered(self, csn: int) -> None:
        """Take note that a write up to `csn` was reported complete."""
        self.watch.answered(self, csn)

    def arrive(self, packet: bytes) -> bool:
        """Take a packet from the line."""
        if not (self.ready and self.carrier):
            return False
        self._inbox.append(packet)
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
        if self.ready:
            self._left.clear()
            self.processor.links[LINK].lost(self.scheduler.now_ns, "carrier lost")
            self.wake(self.scheduler.now_ns)

    def _forget_inbox(self) -> None:
        """Lose what had arrived and nobody has looked at."""
        self.unread_damaged += sum(isinstance(decode_packet(found), str) for found in self._inbox)
        self._inbox.clear()

    def count_link(self) -> None:
        """Add the counters of the link, which end with this life, to the site's totals."""
        counters = self.processor.links[LINK].machine.counters
        for name, value in counters.as_dict().items():
            self.totals[name] = self.totals.get(name, 0) + value

    def carrier_back(self) -> None:
        """Have the line again."""
        self.carrier = True
        if self.ready:
            self._open_line()
            self.wake(self.scheduler.now_ns)

    def pause(self, *, paused: bool) -> None:
        """Stop turning, as a process that gets no time; or go on."""
        self.paused = paused
        if not paused:
            self.wake(self.scheduler.now_ns)

    def _finished(self, life: int, request: Any, result: object) -> None:  # noqa: ANN401
        if life != self.life:
            return
        if self.nvs.hardware.battery and isinstance(request, NvsWrite | NvsSave):
            # Memory with a battery answers at once, in the middle of the turn.
            self.processor.completed(request, result, self.scheduler.now_ns)
            return
        self._done.append((request, result))
        self.wake(self.scheduler.now_ns)

    # Turning.

    def wake(self, time_ns: int) -> None:
        """Have a turn at this time, if none comes earlier."""
        if not self.running or (self._wake_ns is not None and self._wake_ns <= time_ns):
            return
        self._wake_ns = time_ns
        self._wake_serial += 1
        serial = self._wake_serial
        self.scheduler.at(time_ns, lambda: self._woken(serial))

    def _woken(self, serial: int) -> None:
        if serial == self._wake_serial and self._wake_ns is not None:
            self._wake_ns = None
            if self.running and not self.paused:
                self._turn()

    def _turn(self) -> None:
        processor, life, now_ns = self.processor, self.life, self.scheduler.now_ns
        self._take(processor, now_ns)
        processor.turn(now_ns)
        self._carry_out(processor, life, now_ns)
        if life != self.life:
            return
        processor.complete(now_ns)
        processor.background(now_ns)
        self._carry_out(processor, life, now_ns)
        if life != self.life:
            return
        more, due_ns = self._send(processor, now_ns)
        for event in processor.take_events():
            self.watch.event(self, event)
        if processor.ready and not self._served:
            self._go_on_starting()
        self.watch.turned(self)
        if due_ns <= now_ns and not more:
            self._idle_turns += 1
            if self._idle_turns > IDLE_TURNS_MAX:
                raise Violation("resources", f"{self.name} turns without end and does nothing")
        else:
            self._idle_turns = 0
        if more or processor.busy():
            due_ns = now_ns + TURN_NS
        elif not self.ready:
            # The production shell waits this long at most while it recovers.
            due_ns = min(due_ns, now_ns + START_TURN_NS)
        self.wake(max(due_ns, now_ns + TURN_NS))

    def _take(self, processor: Processor, now_ns: int) -> None:
        done, self._done = self._done, []
        for request, result in done:
            processor.completed(request, result, now_ns)
            self.disk_errors += isinstance(result, DeviceError)
        asked, self._asked = self._asked, []
        if asked:
            processor.host_spoke(now_ns)
        for operation in asked:
            self._begin(processor, operation)
        inbox, self._inbox = self._inbox, []
        if inbox:
            processor.links[LINK].receive(inbox, now_ns)

    def _begin(self, processor: Processor, operation: Operation) -> None:
        volume = processor.volumes[f"V{operation.volume}"]
        if operation.data is None:
            found = volume.read(operation.offset, operation.length, operation, 0)
            if found is not None:
                operation.completed(0, Outcome.DONE, found)
        elif operation.data.count(0) == operation.length:
            volume.zero(operation.offset, operation.length, operation, 0)
        else:
            volume.write(operation.offset, operation.data, operation, 0)

    def _carry_out(self, processor: Processor, life: int, now_ns: int) -> None:
        for request in processor.take_requests():
            if isinstance(request, NvsWrite):
                self.watch.submitted(self, request)
                self._save(request)
            elif isinstance(request, NvsSave):
                self._save(request)
            elif isinstance(request, NvsRead):
                processor.completed(request, self._read_journal(request), now_ns)
            else:
                self._disk(request)
            if life != self.life:
                return

    def _save(self, request: Save) -> None:
        self.nvs.submit(request)

    def _disk(self, request: DiskOperation) -> None:
        self.disks[request.device].submit(request)

    def _read_journal(self, request: NvsRead) -> list[Entry]:
        recovery = Recovery(self.nvs.read, self.nvs.ring_bytes, request.first_lsn, self.nvs.uri)
        found: list[Entry] = []
        for entry in recovery.entries():
            if entry.head.lsn >= request.end_lsn:
                break
            found.append(entry)
        return found

    def _send(self, processor: Processor, now_ns: int) -> tuple[bool, int]:
        """Give the line what it takes; return whether there is more, and when to look again."""
        due_ns = processor.next_deadline_ns()
        if not (self.ready and self.carrier):
            return False, due_ns
        end, way = processor.links[LINK], self.way_out
        end.wake(now_ns)
        more = False
        if not self._left:
            self._left.extend(end.machine.outgoing(now_ns, BURST))
            more = len(self._left) == BURST
        while self._left and way.room_ns() <= now_ns:
            way.put(self._left.popleft())
        due_ns = processor.next_deadline_ns()
        if self._left:
            return False, min(due_ns, way.room_ns()) if due_ns > now_ns else way.room_ns()
        return more, due_ns

    def primary(self) -> bool:
        """Return whether this site runs and is the group's primary."""
        return self.ready and self.group.role is Role.PRIMARY


def _add_nothing(_status: dict[str, Any]) -> None:
    """The console's status as it is: there are no sockets to add."""


def _ignore(_site: Site, _pattern: int, _down_ns: int, _power: bool) -> None:  # noqa: FBT001
    """Stand in until the world listens."""

