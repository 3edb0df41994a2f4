"""The host: writes what nobody else has written, and checks everything it reads.

Every write carries its own number in each of its sectors, so that a sector says which write it is
of. Writes that are under way never overlap, as with one operating system; reads may overlap
writes and then may see either contents. A host that lost its site does again what was not
answered, on whichever site lets it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from emulator.channel.blocks import TRACK_BYTES, Outcome
from emulator.clock import MILLISECOND_NS
from rig.faults.storage import SECTOR_BYTES
from rig.sim.contents import Contents
from rig.sim.operations import Operation
from rig.sim.reading import check_read
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from random import Random

    from rig.sim.config import WorldConfig
    from rig.sim.history import Change
    from rig.sim.operations import HostSite
    from rig.sim.scheduler import Scheduler

RETRY_NS = 20 * MILLISECOND_NS
# A host that is paced is not read from; it tries again with its next turn on the wire.
PACED_NS = 5 * MILLISECOND_NS
TRIES_MAX = 6
FULL_MAX = 6
FAILED_MAX = 64


class Host:
    """One host with several operations under way."""

    def __init__(
        self, config: WorldConfig, scheduler: Scheduler, dice: Random, sites: list[HostSite]
    ) -> None:
        self.config = config
        self.writes_left = config.writes
        self.reads = 0
        self.refusals = 0
        self.redone = 0
        self.redriven = 0
        self.answered_writes = 0
        self._scheduler = scheduler
        self._dice = dice
        self._sites = sites
        self.unknown: AbstractSet[tuple[int, int]] = frozenset()
        """(volume, track) whose contents nothing can promise any more."""
        self._where = 0
        self._full = 0
        self._contents = Contents(config, dice)
        self._under_way: list[Operation] = []
        self._again: list[Operation] = []
        self._early: deque[Operation] = deque(maxlen=FAILED_MAX)
        """The last ones answered from memory (A0), which the journal may not have whole."""
        self._failed: deque[Operation] = deque(maxlen=FAILED_MAX)
        self._answered: dict[str, int] = {}
        self._steps = True
        scheduler.after(0, self._step)

    def finished(self) -> bool:
        """Return whether everything was written and answered."""
        return not (self.writes_left or self._under_way or self._again)

    # Sending.

    def _step(self) -> None:
        if self.finished():
            self._steps = False
            return
        site = self._sites[self._where]
        wait_ns = int(self.config.think_ns * (0.2 + 1.6 * self._dice.random()))
        if not self.writes_left:
            # Nothing is left but to wait for answers; reading on meanwhile only takes time.
            wait_ns = max(wait_ns, RETRY_NS)
        if not site.open_to_hosts():
            self._where = 1 - self._where
            wait_ns = max(wait_ns, RETRY_NS)
        elif site.pacing():
            wait_ns = max(wait_ns, PACED_NS)
        elif self._only_reads():
            # On a slow disk, one who went on reading would never be done.
            pass
        elif len(self._under_way) < self.config.outstanding:
            operation = self._choose()
            if operation is not None:
                self._send(site, operation)
            self._full = 0
        else:
            # All that may be under way is: the longer that lasts, the less often to look again.
            self._full = min(self._full + 1, FULL_MAX)
            wait_ns <<= self._full
        self._scheduler.after(wait_ns, self._step)

    def _only_reads(self) -> bool:
        """Return whether all writes are answered, and some reads are not."""
        return not (self.writes_left or self._again) and all(
            operation.data is None for operation in self._under_way
        )

    def _choose(self) -> Operation | None:
        if self._again:
            return self._again.pop(0)
        config, dice = self.config, self._dice
        if config.redrive and dice.random() < config.redrive:
            return self._redriven()
        volume = dice.randrange(len(config.volumes))
        sectors = config.volumes[volume] // SECTOR_BYTES
        size = 1 + dice.randrange(min(config.sectors_max, sectors))
        first = dice.randrange(sectors - size + 1)
        # Whole tracks are what file systems write; other writes are cut to any sector.
        if dice.random() < 0.6 and size >= 8:
            first, size = first & ~7, size & ~7
        operation = Operation(self, volume, first * SECTOR_BYTES, size * SECTOR_BYTES)
        if dice.random() < config.reads or not self.writes_left:
            return operation
        for other in self._under_way:
            if other.data is not None and other.overlaps(
                volume, operation.offset, operation.length
            ):
                return None
        self.writes_left -= 1
        operation.data = self._contents.of(operation, self._sites[self._where].contents())
        return operation

    def _redriven(self) -> Operation | None:
        """Return a write once more that is still under way: the host has lost its patience."""
        for operation in self._under_way:
            if operation.data is not None:
                again = Operation(self, operation.volume, operation.offset, operation.length)
                again.data = operation.data
                self.redriven += 1
                return again
        return None

    def _send(self, site: HostSite, operation: Operation) -> None:
        operation.site, operation.life = site, site.life
        operation.csn = operation.journalled_bytes = 0
        operation.after_csn = self._answered.get(site.name, 0)
        place = (operation.volume, operation.offset, operation.length)
        if operation.data is None:
            now = site.contents()
            if now is not None:
                start = operation.offset
                operation.before = bytes(now[operation.volume][start : start + operation.length])
            early = (found for found in self._early if found.journalled_bytes < found.length)
            operation.rivals = [
                other
                for other in (*self._under_way, *early)
                if other.data is not None and other.overlaps(*place)
            ]
        else:
            for other in self._under_way:
                if other.data is None and other.overlaps(*place):
                    other.rivals.append(operation)
        self._under_way.append(operation)
        site.submit(operation)

    def write_anew(self, volume: int, track: int) -> None:
        """Write a track that no disk has any more, as a user does from a backup."""
        start = track * TRACK_BYTES
        operation = Operation(
            self, volume, start, min(TRACK_BYTES, self.config.volumes[volume] - start)
        )
        if any(other.overlaps(volume, start, operation.length) for other in self._waiting()):
            return
        operation.data = self._contents.of(operation, self._sites[self._where].contents())
        self._again.append(operation)
        if not self._steps:
            self._steps = True
            self._scheduler.after(0, self._step)

    def _waiting(self) -> Iterator[Operation]:
        return (found for found in (*self._under_way, *self._again) if found.data is not None)

    # Answers.

    def completed(self, operation: Operation, outcome: Outcome, data: list[bytes]) -> None:
        """Take the outcome of an operation."""
        if operation not in self._under_way or operation.life != operation.site.life:
            return
        self._under_way.remove(operation)
        if outcome is Outcome.DONE and operation.data is None:
            self.reads += 1
            check_read(operation, b"".join(data), self.unknown)
        elif outcome is Outcome.DONE:
            self._swap_csn(operation)
            self.answered_writes += 1
            early = operation.site.answers_early()
            if early:
                self._early.append(operation)
            if operation.csn:
                self._note_answer(operation)
            elif not early:
                raise Violation("A1", f"a write was answered at {operation.site.name} unjournalled")
        elif outcome in (Outcome.READ_ONLY, Outcome.NOT_HERE):
            self.refusals += 1
            self._where = 1 - self._where
            if operation.data is not None:
                self._again.append(operation)
        elif outcome is Outcome.DEVICE or (
            outcome is Outcome.DAMAGED and operation.site.damaged(operation)
        ):
            # As hosts do: some more tries, then the application is told.
            # A part of it may have been taken before, and is journalled with the turn's end.
            # What is damaged does not get better by asking again.
            operation.tries += 1 if outcome is Outcome.DEVICE else TRIES_MAX
            self._failed.append(operation)
            if operation.tries < TRIES_MAX:
                self._again.append(operation)
        else:
            raise Violation("host", f"an operation inside the volume ended as {outcome.name}")

    def _note_answer(self, operation: Operation) -> None:
        site = operation.site
        self._answered[site.name] = max(self._answered.get(site.name, 0), operation.csn)
        site.answered(operation)

    def _swap_csn(self, operation: Operation) -> None:
        """Of equal writes take the first csn: nobody saw whose it is, and it is answered first."""
        for other in self._under_way:
            if (
                other.csn > 0
                and (not operation.csn or other.csn < operation.csn)
                and other.data == operation.data
                and other.offset == operation.offset
            ):
                operation.csn, other.csn = other.csn, operation.csn

    def site_died(self, site: HostSite) -> None:
        """Do again, or give up, what a site did not answer before it died."""
        self._answered.pop(site.name, None)
        for operation in [found for found in self._early if found.site is site]:
            self._early.remove(operation)
        for operation in [found for found in self._under_way if found.site is site]:
            self._under_way.remove(operation)
            if operation.data is not None and self._dice.random() < 0.7:
                self.redone += 1
                self._again.append(operation)

    # The journal.

    def journalled(self, site_name: str, csn: int, change: Change) -> None:
        """Take note that a change has its csn; it must be one that this host asked for (O1, O2)."""
        candidates = self._asked_for(site_name, change)
        if not candidates:
            raise Violation(
                "O1",
                f"csn {csn} at {site_name} writes {len(change.data)} bytes at {change.offset} of "
                f"volume {change.volume} that no host asked for",
            )
        # Of equal writes nobody can tell which it is: one that has no csn yet, the oldest at best.
        fresh = [operation for operation in candidates if not operation.csn]
        found = (fresh or candidates)[0]
        if csn <= found.after_csn:
            raise Violation(
                "O2",
                f"csn {csn} at {site_name} was asked for after csn {found.after_csn} was answered",
            )
        found.journalled_bytes += len(change.data)
        if fresh or len(candidates) == 1:
            found.csn = csn
        if fresh and found in self._early:
            self._note_answer(found)

    def _asked_for(self, site_name: str, change: Change) -> list[Operation]:
        """Return the writes under way that a change may be of."""
        return [
            operation
            for operation in (*self._early, *self._under_way, *self._failed)
            if operation.site.name == site_name and operation.writes(change)
        ]
