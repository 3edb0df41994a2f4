"""The shell of a simulated site: one turn after another, in virtual time.

Does what `emulator/node/runtime.py` does, in the same order: take what hosts, disks, the store
and the line have brought, turn, carry out, complete, background, send. The site may die in the
middle of a turn. Leaves starting, dying and the outside world to `site.py`.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from emulator.channel.blocks import Outcome
from emulator.clock import MICROSECOND_NS, MILLISECOND_NS
from emulator.copy.levels import AckLevel
from emulator.errors import CorruptError, DeviceError
from emulator.node.requests import (
    DiskFlush,
    DiskRead,
    DiskWrite,
    MarkDisks,
    NvsMode,
    NvsSave,
    NvsWrite,
)
from rig.sim.disk import SimulatedDisk
from rig.sim.nvs import SimulatedNvs, pieces_of
from rig.sim.old_images import OldImages
from rig.sim.shape import WatchedProcessor, device_name, read_journal, site_config
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from emulator.copy.group import Group
    from emulator.node.links import LinkEnd
    from emulator.node.processor import Processor
    from emulator.node.requests import ShellRequest
    from rig.faults.plan import Plan
    from rig.sim.config import SiteHardware, WorldConfig
    from rig.sim.line import Way
    from rig.sim.operations import Operation
    from rig.sim.scheduler import Scheduler
    from rig.sim.watch import Watch

BURST = 64
# A turn of the production loop takes some microseconds; a site that is busy turns again after it.
TURN_NS = 20 * MICROSECOND_NS
# A deadline that has passed and moves nothing would take a whole processor.
IDLE_TURNS_MAX = 300
START_TURN_NS = 10 * MILLISECOND_NS
_OF_DISKS = (DiskWrite, DiskFlush, DiskRead)


class Shell:
    """What turns a processor; `processor` and its parts are replaced at each start."""

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
        self.site_config = site_config(name, config, hardware)
        self.scheduler = scheduler
        self.watch = watch
        self.way_out = way_out
        self.nvs = SimulatedNvs(name, hardware, scheduler, plan, config.seed)
        self.disks = [
            SimulatedDisk(f"{name}.{number}", size, hardware, scheduler, plan, config.seed)
            for number, size in enumerate(config.volumes)
        ]
        self.old_images = OldImages(name, config)
        self.processor: WatchedProcessor
        self.group: Group
        """The group of the volumes."""
        self.end: LinkEnd
        self.life = 0
        self.running = False
        self.ready = False
        self.linked = False
        """Whether it uses the line: before it is ready, to fetch what a damaged journal held."""
        self.paused = False
        self.carrier = True
        self.served = False
        """Whether the start has got as far as its last save."""
        self.inbox: list[bytes] = []
        self.done: list[tuple[Any, object]] = []
        self.asked: list[Operation] = []
        self.left: deque[bytes] = deque()
        self.wake_ns: int | None = None
        self.ahead_ns = 0
        """This site's clock before the true time: it begins anywhere, and may jump ahead."""
        self.disk_errors = 0
        self.suspects: dict[int, None] = {}
        """Tracks that did not fit their checksum while the journal was replayed."""
        self._wake_serial = 0
        self._idle_turns = 0

    def go_on_starting(self) -> None:
        """Go on after the journal was replayed, in each turn until the site is ready."""
        raise NotImplementedError

    def refused(self, error: CorruptError) -> None:
        """Take note that the site ends by itself: what its store holds is damaged."""
        raise NotImplementedError

    def damaged(self, operation: Operation) -> bool:
        """Return whether a disk has damaged some track that an operation touches.

        What the other site has of it may be all that is left, and damaged as well.
        """
        volume = operation.volume
        damaged = self.disks[volume].damaged
        return any(
            track in damaged or (volume, track) in self.watch.unknown
            for track in operation.tracks()
        )

    def answers_early(self) -> bool:
        """Return whether writes are complete before the journal has them (A0)."""
        return self.group.ack is AckLevel.VOLATILE

    def clock_ns(self) -> int:
        """Return what this site takes for now; another site's clock has nothing to do with it."""
        return self.scheduler.now_ns + self.ahead_ns

    def wake(self, time_ns: int) -> None:
        """Have a turn at this time, if none comes earlier."""
        if not self.running or (self.wake_ns is not None and self.wake_ns <= time_ns):
            return
        self.wake_ns = time_ns
        self._wake_serial = serial = self._wake_serial + 1
        self.scheduler.at(time_ns, partial(self._woken, serial))

    def _woken(self, serial: int) -> None:
        if serial == self._wake_serial and self.wake_ns is not None:
            self.wake_ns = None
            if self.running and not self.paused:
                try:
                    self._turn()
                except CorruptError as error:
                    self.refused(error)

    def _turn(self) -> None:
        processor, life, now_ns = self.processor, self.life, self.scheduler.now_ns + self.ahead_ns
        if self.done or self.asked or self.inbox:
            self._take(processor, now_ns)
        processor.turn(now_ns)
        requests = processor.take_requests()
        if requests:
            self._carry_out(requests, processor, life, now_ns)
            if life != self.life:
                return
        processor.complete(now_ns)
        processor.background(now_ns)
        requests = processor.take_requests()
        if requests:
            self._carry_out(requests, processor, life, now_ns)
            if life != self.life:
                return
        more, due_ns = self._send(processor, now_ns)
        for event in processor.take_events():
            self.watch.event(self, event)
        if not self.ready and processor.ready:
            self.go_on_starting()
        if self.ready:
            self.watch.turned(self)
        self._turn_again(processor, now_ns, due_ns, more=more)

    def _turn_again(self, processor: Processor, now_ns: int, due_ns: int, *, more: bool) -> None:
        """Have the next turn when it is due."""
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
        if due_ns < now_ns + TURN_NS:  # noqa: PLR1730  comparisons cost a fraction of calls
            due_ns = now_ns + TURN_NS
        self.wake(due_ns - self.ahead_ns)

    def _take(self, processor: Processor, now_ns: int) -> None:
        done, self.done = self.done, []
        for request, result in done:
            processor.completed(request, result, now_ns)
            self.disk_errors += isinstance(result, DeviceError)
        asked, self.asked = self.asked, []
        if asked:
            processor.rhythm.host_spoke(now_ns)
        for operation in asked:
            self._begin(processor, operation)
        inbox, self.inbox = self.inbox, []
        if inbox:
            self.end.receive(inbox, now_ns)

    def _begin(self, processor: Processor, operation: Operation) -> None:
        volume = processor.volumes[device_name(operation.volume)]
        if operation.data is None:
            found = volume.read(operation.offset, operation.length, operation, 0)
            if found is not None:
                operation.completed(0, Outcome.DONE, found)
        elif operation.data.count(0) == operation.length:
            volume.zero(operation.offset, operation.length, operation, 0)
        else:
            volume.write(operation.offset, operation.data, operation, 0)

    def _carry_out(
        self, requests: list[ShellRequest], processor: Processor, life: int, now_ns: int
    ) -> None:
        for request in requests:
            if isinstance(request, _OF_DISKS):
                self.disks[request.device].submit(request)
            elif isinstance(request, NvsWrite):
                pieces = pieces_of(request.runs)
                self.watch.submitted(self, request, pieces)
                self.nvs.write(request, pieces)
            elif isinstance(request, NvsSave):
                self.nvs.save(request)
            elif isinstance(request, NvsMode):
                self.nvs.syncs = request.sync
                processor.completed(request, None, now_ns)
            elif isinstance(request, MarkDisks):
                processor.completed(request, None, now_ns)
            else:
                entries = read_journal(self.nvs.read, self.nvs.ring_bytes, self.nvs.uri, request)
                processor.completed(request, entries, now_ns)
            if life != self.life:
                return

    def _send(self, processor: Processor, now_ns: int) -> tuple[bool, int]:
        """Give the line what it takes; return whether there is more, and when to look again."""
        if not (self.linked and self.carrier):
            return False, processor.next_deadline_ns()
        end, way = self.end, self.way_out
        end.wake(now_ns)
        left, more = self.left, False
        if not left:
            left.extend(end.machine.outgoing(now_ns, BURST))
            more = len(left) == BURST
        ahead_ns = self.ahead_ns
        while left and way.room_ns() + ahead_ns <= now_ns:
            way.put(left.popleft())
        due_ns = processor.next_deadline_ns()
        if left:
            room_ns = way.room_ns() + ahead_ns
            return False, min(due_ns, room_ns) if due_ns > now_ns else room_ns
        return more, due_ns
