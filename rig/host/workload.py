"""A host that writes known contents, and later says whether a volume still holds them.

`load` writes through our NBD client with several writes under way and keeps a journal of what
was begun and acknowledged; `verify` holds any volume against that journal: every acknowledged
write must be there, and a write that never was acknowledged may be in or out, but nothing else
may (semantics O5). Two writes that overlap are never under way at once, so their order is known.
"""

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from emulator.clock import SECOND_NS
from emulator.frontend.nbd_protocol import Command
from rig.host.write_journal import Begun, History, LoadPlan, WriteJournal, read_history

SECTOR_BYTES = 512
READ_BYTES = 2**20  # read at once while verifying
WRONG_MAX = 20  # wrong places that are told one by one


class Readable(Protocol):
    """A served volume or an open disk."""

    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes there."""


class Writable(Protocol):
    """A served volume with several writes under way: NBD, or blocks over the native channel."""

    @property
    def unanswered(self) -> frozenset[int]:
        """Tickets of what has no answer yet."""

    def submit(self, command: Command, offset: int, data: bytes) -> int:
        """Begin a write; return the ticket to wait for."""

    def wait(self, ticket: int) -> bytes:
        """Return once it is acknowledged; raise if it failed."""

    def flush(self) -> None:
        """Have everything acknowledged survive a loss of power."""


class Stop(NamedTuple):
    """When a load ends: after so many writes, or so much time; whichever is first."""

    writes: int | None
    time_ns: int | None


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did."""

    writes: int
    bytes: int
    elapsed_ns: int


@dataclass(slots=True)
class Verdict:
    """What holding a volume against a journal showed."""

    blocks: int = 0
    acknowledged: int = 0
    unsettled: int = 0
    half_written: int = 0
    """Blocks of which an unacknowledged write is there in part."""
    wrong: int = 0
    places: list[str] = field(default_factory=list)
    """The first wrong blocks, in words."""


def contents(plan: LoadPlan, number: int, offset: int) -> bytes:
    """Return what write `number` puts at `offset`."""
    if not plan.change_bytes:
        return _random_bytes(f"{plan.seed}/{number}", plan.block_bytes)
    # What all writes to a block have in common comes from its place alone; so does where they
    # differ, so that one write differs from the one before by `change_bytes` and no more.
    block = bytearray(_random_bytes(f"{plan.seed}@{offset}", plan.block_bytes))
    room = plan.block_bytes - plan.change_bytes + 1
    start = int.from_bytes(block[:8], "big") % room
    block[start : start + plan.change_bytes] = _random_bytes(
        f"{plan.seed}/{number}", plan.change_bytes
    )
    return bytes(block)


def load(
    volume: Writable,
    plan: LoadPlan,
    journal: WriteJournal,
    stop: Stop,
    *,
    rate: float | None = None,
) -> LoadResult:
    """Write until `stop`, at most `rate` times a second, with as many under way as fit."""
    writer = _Writer(volume, plan, journal)
    begun_ns = time.monotonic_ns()
    count = 0
    while (stop.writes is None or count < stop.writes) and (
        stop.time_ns is None or time.monotonic_ns() - begun_ns < stop.time_ns
    ):
        if rate:
            _pause_until(begun_ns + round(count / rate * SECOND_NS))
        writer.write()
        count += 1
    writer.finish()
    return LoadResult(count, count * plan.block_bytes, time.monotonic_ns() - begun_ns)


class _Writer:
    """Keeps writes under way and the journal true to what became of them."""

    def __init__(self, volume: Writable, plan: LoadPlan, journal: WriteJournal) -> None:
        self._volume = volume
        self._plan = plan
        self._journal = journal
        self._number = journal.last_number
        self._places = _places(plan, self._number + 1)
        self._under_way: dict[int, Begun] = {}  # by ticket

    def write(self) -> None:
        """Send the next write; waits if too many, or one on the same place, are under way."""
        offset = next(self._places)
        for ticket in [t for t, begun in self._under_way.items() if begun.offset == offset]:
            self._settle(ticket)
        self._number += 1
        self._journal.begin(self._number, offset)
        data = contents(self._plan, self._number, offset)
        try:
            ticket = self._volume.submit(Command.WRITE, offset, data)
        finally:  # also when the server has gone: what it answered before counts
            for answered in self._under_way.keys() - self._volume.unanswered:
                self._settle(answered)
        self._under_way[ticket] = Begun(self._number, offset)

    def finish(self) -> None:
        """Wait for all replies, and have what was written survive a loss of power."""
        for ticket in list(self._under_way):
            self._settle(ticket)
        self._volume.flush()

    def _settle(self, ticket: int) -> None:
        self._volume.wait(ticket)
        self._journal.acknowledge(self._under_way.pop(ticket).number)


def verify(volume: Readable, journal: Path) -> Verdict:
    """Hold a volume against what the journal says may be read from it."""
    history = read_history(journal)
    verdict = Verdict(acknowledged=history.acknowledged_count)
    for offset, found in _blocks(volume, history):
        verdict.blocks += 1
        later = history.unsettled.get(offset, [])
        verdict.unsettled += len(later)
        numbers = ([history.acknowledged[offset]] if offset in history.acknowledged else []) + later
        allowed = [contents(history.plan, number, offset) for number in numbers]
        if found in allowed:
            continue
        if offset not in history.acknowledged:
            continue  # what lay there before nobody knows
        bad = _first_bad_sector(found, allowed)
        if bad is None:
            verdict.half_written += 1
            continue
        verdict.wrong += 1
        if len(verdict.places) < WRONG_MAX:
            verdict.places.append(
                f"block at {offset}: byte {offset + bad} and on is not what write "
                f"{history.acknowledged[offset]}, the last acknowledged there, has put"
                + (f", nor write {', '.join(map(str, later))}" if later else "")
            )
    return verdict


def _places(plan: LoadPlan, first: int) -> Iterator[int]:
    """Yield where each write goes, from write `first` on."""
    blocks = plan.size_bytes // plan.block_bytes
    if plan.sequential:
        number = first
        while True:
            yield plan.start_bytes + (number - 1) % blocks * plan.block_bytes
            number += 1
    dice = random.Random(f"{plan.seed}/{first}")
    while True:
        yield plan.start_bytes + dice.randrange(blocks) * plan.block_bytes


def _blocks(volume: Readable, history: History) -> Iterator[tuple[int, bytes]]:
    """Yield every block that the journal knows and its contents, neighbours read at once."""
    size = history.plan.block_bytes
    offsets = sorted(history.acknowledged.keys() | history.unsettled.keys())
    at = 0
    while at < len(offsets):
        end = at + 1
        while end < len(offsets) and offsets[end] + size - offsets[at] <= max(READ_BYTES, size):
            end += 1
        start = offsets[at]
        data = volume.read(start, offsets[end - 1] + size - start)
        for offset in offsets[at:end]:
            yield offset, data[offset - start : offset - start + size]
        at = end


def _first_bad_sector(found: bytes, allowed: list[bytes]) -> int | None:
    """Return where `found` is like none of what is allowed, sector by sector."""
    for at in range(0, len(found), SECTOR_BYTES):
        sector = slice(at, at + SECTOR_BYTES)
        if not any(found[sector] == block[sector] for block in allowed):
            return at
    return None


def _random_bytes(key: str, length: int) -> bytes:
    return hashlib.shake_128(key.encode()).digest(length)


def _pause_until(due_ns: int) -> None:
    left_ns = due_ns - time.monotonic_ns()
    if left_ns > 0:
        threading.Event().wait(left_ns / SECOND_NS)
