"""A disk in memory with a volatile cache: what is read, what is durable, what power takes.

Two queues, as a site has two threads for each disk: one for writes and flushes, one for reads.
"""

from collections import deque
from collections.abc import Callable
from random import Random

from emulator.errors import DeviceError
from emulator.node.requests import DiskFlush, DiskRead, DiskWrite
from rig.faults.plan import Fault, Plan
from rig.faults.storage import DiskChance, Piece, torn
from rig.sim.config import SiteHardware
from rig.sim.scheduler import Scheduler

Operation = DiskRead | DiskWrite | DiskFlush


class SimulatedDisk:
    """One disk of a site."""

    def __init__(
        self,
        name: str,
        size_bytes: int,
        hardware: SiteHardware,
        scheduler: Scheduler,
        plan: Plan,
        seed: int,
    ) -> None:
        self.uri = f"mem:{name}"
        self.size_bytes = size_bytes
        self.hardware = hardware
        self._dice = Random(f"{seed}/disk.{name}")
        # Old contents of the disk: what is copied must not look right by chance.
        self.durable = bytearray(self._dice.randbytes(size_bytes))
        self.live = bytearray(self.durable)
        self.done: Callable[[Operation, object], None] = _nobody
        chance = DiskChance(hardware.disk, Random(f"{seed}/disk.{name}/faults"))
        self._scheduler = scheduler
        self._reads = plan.place(f"disk.{name}.read", chance.read)
        self._writes = plan.place(f"disk.{name}.write", chance.write)
        self._flushes = plan.place(f"disk.{name}.flush", chance.flush)
        self._unflushed: list[list[Piece]] = []
        self._queues: tuple[deque[Operation], deque[Operation]] = (deque(), deque())
        self._busy: list[Operation | None] = [None, None]
        self._life = 0

    def submit(self, operation: Operation) -> None:
        """Begin an operation when those before it in its queue have ended."""
        queue = 0 if isinstance(operation, DiskRead) else 1
        self._queues[queue].append(operation)
        self._next(queue)

    def _next(self, queue: int) -> None:
        if self._busy[queue] is not None or not self._queues[queue]:
            return
        operation = self._busy[queue] = self._queues[queue].popleft()
        if isinstance(operation, DiskRead):
            place = self._reads
        elif isinstance(operation, DiskWrite):
            place = self._writes
        else:
            place = self._flushes
        fault = place.next(0)
        wait_ns = int(self.hardware.disk_latency_ns * (0.5 + self._dice.random()))
        if fault is not None and fault.kind == "slow":
            wait_ns *= fault.figures[0]
        life = self._life
        self._scheduler.after(wait_ns, lambda: self._end(queue, operation, fault, life))

    def _end(self, queue: int, operation: Operation, fault: Fault | None, life: int) -> None:
        if life != self._life:
            return
        self._busy[queue] = None
        result: object = None
        if fault is not None and fault.kind == "error":
            result = DeviceError(self.uri, "simulated input/output error")
            if isinstance(operation, DiskFlush):
                # As kernels do it: what could not be flushed counts as clean from now on, and no
                # later flush brings it to the medium.
                self._unflushed.clear()
        elif isinstance(operation, DiskRead):
            offset, length = operation.offset, operation.length
            result = bytes(memoryview(self.live)[offset : offset + length])
        elif isinstance(operation, DiskWrite):
            pieces = pieces_of(operation)
            _apply(self.live, pieces)
            self._unflushed.append(pieces)
        else:
            # Every write that ended has ended in this queue, before this flush began.
            for pieces in self._unflushed:
                _apply(self.durable, pieces)
            self._unflushed.clear()
        self._next(queue)
        self.done(operation, result)

    def power_lost(self, pattern: int, *, power: bool) -> None:
        """Stop; with `power` gone the volatile cache is lost in part, as the pattern says."""
        self.durable = self.after_power_loss(pattern, power=power)
        self.live = bytearray(self.durable)
        self._life += 1
        self._unflushed.clear()
        self._busy = [None, None]
        for queue in self._queues:
            queue.clear()

    def after_power_loss(self, pattern: int, *, power: bool) -> bytearray:
        """Return what the disk would hold if its site died now."""
        image = bytearray(self.durable if power else self.live)
        if power:
            for number, pieces in enumerate(self._unflushed):
                _apply(image, torn(pieces, pattern + 2 + number if pattern > 1 else pattern))
        busy = self._busy[1]
        if isinstance(busy, DiskWrite):
            _apply(image, torn(pieces_of(busy), pattern))
        return image


def pieces_of(operation: DiskWrite) -> list[Piece]:
    """Return what a write puts where."""
    pieces = [(offset, bytes(length)) for offset, length in operation.zeros]
    pieces.extend((offset, b"".join(buffers)) for offset, buffers in operation.runs)
    return pieces


def _apply(image: bytearray, pieces: list[Piece]) -> None:
    for offset, data in pieces:
        image[offset : offset + len(data)] = data


def _nobody(_operation: Operation, _result: object) -> None:
    """Stand in until a site runs."""
