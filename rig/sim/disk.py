"""A disk in memory with a volatile cache: what is read, what is durable, what power takes.

Two queues, as a site has two threads for each disk: one for writes and flushes, one for reads.
"""

from collections import deque
from collections.abc import Callable
from random import Random

from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import DeviceError
from emulator.node.requests import DiskFlush, DiskRead, DiskWrite
from rig.faults.plan import Fault, Plan
from rig.faults.storage import (
    AFTER,
    BEFORE,
    DURING,
    SECTOR_BYTES,
    DiskChance,
    Piece,
    torn,
)
from rig.sim.config import SiteHardware
from rig.sim.image import Image
from rig.sim.pieces import apply, pieces_of, tracks_of
from rig.sim.scheduler import Scheduler
from rig.sim.sums import SimulatedSums

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
        self.durable = Image(self._dice.randbytes(size_bytes))
        self.live = Image(self.durable)
        self.done: Callable[[Operation, object], None] = _nobody
        chance = DiskChance(hardware.disk, Random(f"{seed}/disk.{name}/faults"))
        self._scheduler = scheduler
        self._reads = plan.place(f"disk.{name}.read", chance.read)
        self._writes = plan.place(f"disk.{name}.write", chance.write)
        self._flushes = plan.place(f"disk.{name}.flush", chance.flush)
        self.spoiled: Callable[[set[int]], None] = _ignore
        """Told which tracks have other contents now than anybody can know."""
        self.crash: Callable[[int, int], None] = _no_crash
        """Asked to crash the site: a pattern for what is torn, and for how long it is down."""
        self.sums: SimulatedSums | None = None
        """Its checksum file, if it has one."""
        if hardware.sums:
            self.sums = SimulatedSums(name, -(-size_bytes // TRACK_BYTES))
        self.damaged: set[int] = set()
        """Tracks that are not what was written, and whose checksum tells."""
        self._damaged_durable: set[int] = set()
        self.given: set[int] = set()
        """Damaged tracks that were read since the last start."""
        self._misread: set[int] = set()
        """Tracks that the last such fault has hit; the next one spares them."""
        self.gone = False
        """Nothing reaches it, as when its cable is pulled."""
        self._latent: set[int] = set()
        self._lied: list[list[Piece]] = []
        """Written, reported flushed, and still in the volatile cache."""
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
        if fault is not None and fault.kind == "crash" and fault.figures[0] == BEFORE:
            self.crash(0, fault.figures[2])
            return
        wait_ns = int(self.hardware.disk_latency_ns * (0.5 + self._dice.random()))
        if fault is not None and fault.kind == "slow":
            wait_ns *= fault.figures[0]
        life = self._life
        self._scheduler.after(wait_ns, lambda: self._end(queue, operation, fault, life))

    def _end(self, queue: int, operation: Operation, fault: Fault | None, life: int) -> None:
        if life != self._life:
            return
        dies, pattern, down_ns = _death(fault)
        if dies == DURING:
            self.crash(pattern, down_ns)
            return
        self._busy[queue] = None
        result: object = None
        if self.gone or (fault is not None and fault.kind == "error"):
            result = DeviceError(self.uri, "simulated input/output error")
            if isinstance(operation, DiskFlush):
                # As kernels do it: what could not be flushed counts as clean from now on, and no
                # later flush brings it to the medium.
                self._unflushed.clear()
        elif isinstance(operation, DiskRead):
            result = self._read(operation, fault)
        elif isinstance(operation, DiskWrite):
            self._write(operation, fault)
        elif fault is not None and fault.kind == "lie":
            self._lied.extend(self._unflushed)
            self._unflushed.clear()
        else:
            # Every write that ended has ended in this queue, before this flush began.
            self._flush()
        if self.sums is not None and result is None and isinstance(operation, DiskFlush):
            self.sums.sync(operation.version)
        if dies == AFTER:
            # With the power gone, what is written and not flushed is lost.
            self.crash(0, down_ns)
            return
        self._next(queue)
        self.done(operation, result)

    def _read(self, operation: DiskRead, fault: Fault | None) -> bytes | DeviceError:
        offset, length = operation.offset, operation.length
        if fault is not None and fault.kind == "latent":
            self._latent.add((offset + fault.figures[0] % length) // SECTOR_BYTES)
        elif fault is not None and fault.kind == "rot":
            at = offset + fault.figures[0] % length
            for image in (self.live, self.durable):
                image.put(at, bytes([image[at] ^ 0x10]))
            self._spoil({at // TRACK_BYTES}, durable=True)
        if self._latent and any(
            sector in self._latent
            for sector in range(offset // SECTOR_BYTES, -(-(offset + length) // SECTOR_BYTES))
        ):
            return DeviceError(self.uri, "simulated medium error")
        tracks = range(offset // TRACK_BYTES, -(-(offset + length) // TRACK_BYTES))
        if self.damaged:
            self.given.update(self.damaged.intersection(tracks))
        if fault is not None and fault.kind == "misread" and self._strays(set(tracks)):
            places = (self.size_bytes - length) // TRACK_BYTES + 1
            offset = fault.figures[0] % places * TRACK_BYTES
        return bytes(memoryview(self.live)[offset : offset + length])

    def _strays(self, tracks: set[int]) -> bool:
        """Return whether another place is read in their stead: where checksums tell, not twice."""
        if self._told(tracks) != tracks or tracks & self._misread:
            self._misread -= tracks
            return False
        self._misread |= tracks
        # A start that takes what it finds in tracks that were being written cannot tell either.
        self.given |= tracks
        return True

    def _write(self, operation: DiskWrite, fault: Fault | None) -> None:
        pieces = pieces_of(operation)
        if self.sums is not None:
            self.sums.write(operation.sums)
        if fault is not None and fault.kind in ("lost", "misdirected"):
            self._spoil(tracks_of(pieces))
            if fault.kind == "lost":
                return
            pieces = self._elsewhere(pieces, fault.figures[0])
            self._spoil(tracks_of(pieces))
        elif self.damaged:
            self.damaged -= tracks_of(pieces)
        apply(self.live, pieces)
        self._unflushed.append(pieces)
        if self._latent:
            for offset, data in pieces:
                last = (offset + len(data)) // SECTOR_BYTES
                self._latent.difference_update(range(-(-offset // SECTOR_BYTES), last))

    def _spoil(self, tracks: set[int], *, durable: bool = False) -> None:
        """Take note of harm without a word; nothing can be said of tracks without a checksum."""
        told = self._told(tracks)
        self.damaged |= told
        if durable:
            self._damaged_durable |= told
        self.spoiled(tracks - told)

    def _told(self, tracks: set[int]) -> set[int]:
        """Return those of some tracks that have a checksum."""
        sums = self.sums
        return set() if sums is None else {track for track in tracks if sums.known(track)}

    def _elsewhere(self, pieces: list[Piece], figure: int) -> list[Piece]:
        """Return the same bytes at other places that are on the disk."""
        found: list[Piece] = []
        for _offset, data in pieces:
            places = (self.size_bytes - len(data)) // SECTOR_BYTES + 1
            found.append((figure % places * SECTOR_BYTES, data))
        return found

    def _flush(self) -> None:
        for pieces in (*self._lied, *self._unflushed):
            apply(self.durable, pieces)
        self._lied.clear()
        self._unflushed.clear()
        self._damaged_durable = set(self.damaged)

    def maybe_damaged(self) -> set[int]:
        """Return the tracks that would not be what was written if the power went now."""
        return self.damaged | self._damaged_durable

    def lies(self) -> bool:
        """Return whether something that it has reported flushed is not."""
        return bool(self._lied)

    def heal(self) -> None:
        """Replace bad sectors, and have no more secrets about the volatile cache."""
        self._latent.clear()
        self.gone = False
        for pieces in self._lied:
            apply(self.durable, pieces)
        self._lied.clear()

    def power_lost(self, pattern: int, *, power: bool) -> None:
        """Stop; with `power` gone the volatile cache is lost in part, as the pattern says."""
        if power:
            for pieces in self._lied:
                self._spoil(tracks_of(pieces), durable=True)
        # What was not flushed may have come to the medium all the same.
        self.damaged |= self._damaged_durable
        self._damaged_durable = set(self.damaged)
        self.given.clear()
        if self.sums is not None:
            self.sums.power_lost(pattern, power=power)
            # A checksum that was not durable yet may be gone as well, and then nothing tells.
            self._spoil(self.damaged - self._told(self.damaged))
            self.damaged = self._told(self.damaged)
        self._lied.clear()
        self.durable = self.after_power_loss(pattern, power=power)
        self.live = Image(self.durable)
        self._life += 1
        self._unflushed.clear()
        self._busy = [None, None]
        for queue in self._queues:
            queue.clear()

    def after_power_loss(self, pattern: int, *, power: bool) -> Image:
        """Return what the disk would hold if its site died now."""
        image = Image(self.durable if power else self.live)
        if power:
            for pieces in self._lied:
                apply(image, pieces)
            for number, pieces in enumerate(self._unflushed):
                apply(image, torn(pieces, pattern + 2 + number if pattern > 1 else pattern))
        busy = self._busy[1]
        if isinstance(busy, DiskWrite):
            apply(image, torn(pieces_of(busy), pattern))
        return image


def _death(fault: Fault | None) -> tuple[int, ...]:
    """Return when the site dies beside an operation, the pattern, and how long it is down."""
    return fault.figures if fault is not None and fault.kind == "crash" else (AFTER + 1, 0, 0)


def _ignore(_tracks: set[int]) -> None:
    """Stand in until somebody wants to know."""


def _no_crash(_pattern: int, _down_ns: int) -> None:
    """Stand in until a site runs."""


def _nobody(_operation: Operation, _result: object) -> None:
    """Stand in until a site runs."""
