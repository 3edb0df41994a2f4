"""A nonvolatile store in memory: what is durable, what is under way, what a crash leaves.

Steps that make something durable are done one after another, as the store's own thread does
them. Each is a point at which a site can die: before it, in the middle of it, or after it and
before anyone is told.
"""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from emulator.node.requests import NvsSave, NvsWrite
from emulator.nvs.areas import (
    MAP_BYTES,
    MAP_START,
    RING_START,
    SLOT_BYTES,
    decode_superblock,
    encode_superblock,
)
from emulator.nvs.journal import HEAD_BYTES
from emulator.nvs.recovery import Entry, Recovery
from emulator.wire.checksum import Buffer
from rig.faults.plan import Drawn, Plan
from rig.faults.storage import AFTER, BEFORE, DURING, Piece, crash_figures, torn
from rig.sim.config import SiteHardware
from rig.sim.scheduler import Scheduler

FRAGILE_BYTES = 32
"""The first bytes of an entry's head: a flipped bit there always shows."""
Save = NvsWrite | NvsSave


class _Step:
    """One thing made durable; `request` is done with the last step of it."""

    __slots__ = ("body", "pieces", "request")

    def __init__(
        self, pieces: list[Piece], request: Save | None, body: dict[str, Any] | None
    ) -> None:
        self.pieces = pieces
        self.request = request
        self.body = body


def pieces_of(runs: Sequence[tuple[int, Sequence[Buffer]]]) -> list[Piece]:
    """Return runs of buffers as plain pieces."""
    return [(offset, b"".join(buffers)) for offset, buffers in runs]


class SimulatedNvs:
    """The store of one site."""

    def __init__(
        self, site: str, hardware: SiteHardware, scheduler: Scheduler, plan: Plan, seed: int
    ) -> None:
        self.uri = f"nvs:{site}"
        self.hardware = hardware
        self.ring_bytes = hardware.ring_bytes
        self.image = bytearray(RING_START + self.ring_bytes)
        self.body: dict[str, Any] | None = None
        """What the durable superblock says."""
        self.done: Callable[[Save], None] = _nobody
        self.durable: Callable[[Save], None] = _nobody
        """Told the moment something is durable, before the site itself knows."""
        self.crash: Callable[[int, int], None] = _no_crash
        """Asked to crash the site: a pattern for what is torn, and for how long it is down."""
        self.damaged: list[Piece] = []
        """What lay where something was lost or has rotted since the last start."""
        self.rotten = False
        self.syncs = False
        """Whether a store with a battery waits for its medium all the same."""
        self._scheduler = scheduler
        self._dice = Random(f"{seed}/nvs.{site}")
        self._fault_dice = Random(f"{seed}/nvs.{site}/faults")
        self._place = plan.place(f"nvs.{site}", self._draw)
        self._waiting: deque[_Step] = deque()
        self._busy: _Step | None = None
        self._sequence = 0
        self._life = 0

    def _draw(self, _size_bytes: int) -> Drawn | None:
        dice = self._fault_dice
        if dice.random() >= self.hardware.crash:
            return None
        return "crash", crash_figures(dice)

    def answers_at_once(self) -> bool:
        """Return whether what is written is safe at once, in memory with a battery."""
        return self.hardware.battery and not self.syncs

    # What a store is asked.

    def load(self) -> dict[str, Any] | None:
        """Return what the superblock says, or None when the store is new."""
        found = decode_superblock(self.read(0, 2 * SLOT_BYTES))
        self._sequence = found.sequence if found else 0
        self.body = found.body if found else None
        return self.body

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes that are durable."""
        return bytes(memoryview(self.image)[offset : offset + length])

    def map_bytes(self, devices: int) -> bytes:
        """Return the dirty maps of the first devices."""
        return self.read(MAP_START, devices * MAP_BYTES)

    def write(self, request: NvsWrite, pieces: list[Piece]) -> None:
        """Begin to make a write durable, which consists of these pieces."""
        self._waiting.append(_Step(pieces, request, None))
        self._next()

    def save(self, request: NvsSave) -> None:
        """Begin to make a superblock durable, and what is to be durable before it."""
        if request.runs:
            self._waiting.append(_Step(pieces_of(request.runs), None, None))
        self._sequence += 1
        offset, data = encode_superblock(self._sequence, request.body)
        self._waiting.append(_Step([(offset, data)], request, request.body))
        self._next()

    def _next(self) -> None:
        life = self._life
        while self._busy is None and self._waiting and life == self._life:
            step = self._busy = self._waiting.popleft()
            fault = self._place.next(sum(len(data) for _offset, data in step.pieces))
            figures = fault.figures if fault is not None else (AFTER + 1, 0, 0)
            if figures[0] == BEFORE:
                self.crash(0, figures[2])
                return
            if self.answers_at_once():
                self._end(step, figures, life)
            else:
                wait_ns = int(self.hardware.nvs_latency_ns * (0.5 + self._dice.random()))
                self._scheduler.after(wait_ns, lambda: self._end(step, figures, life))  # noqa: B023

    def _end(self, step: _Step, figures: tuple[int, ...], life: int) -> None:
        if life != self._life:
            return
        phase, pattern, down_ns = figures
        if phase == DURING:
            self.crash(pattern, down_ns)
            return
        self._apply(step.pieces)
        self._busy = None
        if step.body is not None:
            self.body = step.body
        if step.request is not None:
            self.durable(step.request)
        if phase == AFTER:
            self.crash(0, down_ns)
            return
        if step.request is not None:
            self.done(step.request)
        self._next()

    def _apply(self, pieces: list[Piece]) -> None:
        for offset, data in pieces:
            self.image[offset : offset + len(data)] = data

    def power_lost(self, pattern: int) -> None:
        """Lose what is not durable; of the step under way, the pattern says what is."""
        self._life += 1
        if self._busy is not None:
            self._apply(torn(self._busy.pieces, pattern))
        self._busy = None
        self._waiting.clear()

    # What a worn battery or a bad cell does.

    def lose_tail(self, entries: int) -> None:
        """Lose the newest entries of the journal, as memory does when its battery fails."""
        for entry in self._entries()[-entries:]:
            self._damage(entry.head.lsn % self.ring_bytes, bytes(HEAD_BYTES))

    def rot(self, pattern: int) -> None:
        """Flip a bit of an entry that later entries prove to have been durable."""
        heads = [entry.head for entry in self._entries()]
        newest = max((head.durable_lsn for head in heads), default=0)
        proven = [head.lsn for head in heads if head.lsn < newest]
        if proven:
            place = proven[pattern % len(proven)] % self.ring_bytes + pattern % FRAGILE_BYTES
            byte = self.image[RING_START + place] ^ 1 << pattern % 8
            self._damage(place, bytes([byte]))
            self.rotten = True

    def restore(self) -> None:
        """Put back what was damaged, as from a copy of the store."""
        for offset, data in reversed(self.damaged):
            self.image[offset : offset + len(data)] = data
        self.forget_damage()

    def forget_damage(self) -> None:
        """Go on with what is there."""
        self.damaged.clear()
        self.rotten = False

    def _damage(self, place: int, data: bytes) -> None:
        offset = RING_START + place
        self.damaged.append((offset, self.read(offset, len(data))))
        self.image[offset : offset + len(data)] = data

    def _entries(self) -> list[Entry]:
        """Return the entries of the journal that a start would read."""
        body = self.load()
        if body is None:
            return []
        chain = body["trim_chain"]
        walk = Recovery(
            self.read,
            self.ring_bytes,
            body["trim_lsn"],
            self.uri,
            None if chain is None else bytes.fromhex(chain),
        )
        # What rotted before lies there until it is trimmed, whatever became of it.
        walk.judge = lambda _damage: ""
        return list(walk.entries())

    def after_power_loss(self, pattern: int) -> "Remains":
        """Return what the store would hold if power were lost now."""
        return Remains(self.image, [] if self._busy is None else torn(self._busy.pieces, pattern))


class Remains:
    """A store as it would be with some pieces laid over it; the store itself stays as it is."""

    def __init__(self, image: bytearray, pieces: list[Piece]) -> None:
        self._image = image
        self._pieces: list[Piece] = []
        self._start, self._end = len(image), 0
        """All pieces lie between these."""
        self.write(pieces)

    def write(self, pieces: list[Piece]) -> None:
        """Lay more pieces over it."""
        for offset, data in pieces:
            self._start = min(self._start, offset)
            self._end = max(self._end, offset + len(data))
        self._pieces.extend(pieces)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes as they would be."""
        end = offset + length
        found = memoryview(self._image)[offset:end]
        if self._end <= offset or end <= self._start:
            return bytes(found)
        whole = bytearray(found)
        for start, data in self._pieces:
            first, last = max(start, offset), min(start + len(data), end)
            if first < last:
                whole[first - offset : last - offset] = data[first - start : last - start]
        return bytes(whole)


def _nobody(_request: Save) -> None:
    """Stand in until a site runs."""


def _no_crash(_pattern: int, _down_ns: int) -> None:
    """Stand in until a site runs."""
