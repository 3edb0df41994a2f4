"""When the superblock is written: when the copy asks, and to free journal room.

One save is under way at a time. Whoever asks meanwhile is served by the next one, which has
everything up to then. Trimming goes through here as well: the journal may be overwritten only
once the superblock says durably that recovery starts later (W2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.clock import SECOND_NS
from emulator.copy.kept import to_superblock
from emulator.node.guard import StoreState
from emulator.node.requests import NvsSave, ShellRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.node.processor import Processor

# Trim when this share of the ring can be freed; sooner when hosts are quiet.
TRIM_SHARE: Final = 16
IDLE_TRIM_NS: Final = SECOND_NS // 2


class Saving:
    """The superblock, and who waits for it."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._asked: list[Callable[[], None]] = []
        self._wanted = False
        self._serving: list[Callable[[], None]] = []
        self._under_way = 0
        self._considered_lsn = 0
        self._last_save_ns = 0
        self._saved_disks_lsn = 0
        self.saves = 0

    def ask(self, done: Callable[[], None] | None = None) -> None:
        """Want the superblock durable as it is now."""
        self._wanted = True
        if done is not None:
            self._asked.append(done)

    def idle(self) -> bool:
        """Return whether no save is wanted or under way."""
        return not self._wanted and not self._under_way

    def request(self, requests: list[ShellRequest]) -> None:
        """Ask for a save if one is wanted and none is under way."""
        processor = self._processor
        if not self._wanted or self._under_way or not processor.ready or processor.guard.is_lost:
            return
        self._wanted = False
        self._serving, self._asked = self._asked, []
        self._under_way = processor.new_number()
        self._last_save_ns = processor.now_ns
        requests.append(NvsSave(self._under_way, processor.map_pieces(), self.body()))

    def body(self) -> dict[str, object]:
        """Return what must survive, as the superblock says it."""
        processor = self._processor
        journal = processor.journal
        trim_lsn = self.trim_candidate()
        for pair in processor.pairs.values():
            pair.secondary.note_copied()
        for group in processor.groups.values():
            group.through.reached(
                processor.destage.needed_lsn([place.site_index for place in group.volumes])
            )
        empty = trim_lsn == journal.durable_lsn
        return {
            "format": 1,
            "site": processor.config.name,
            "trim_lsn": trim_lsn,
            "durable_lsn": journal.durable_lsn,
            "trim_chain": journal.durable_chain.hex() if empty else None,
            "disks_lsn": self._disks_lsn(),
            "battery": processor.guard.state is StoreState.BATTERY_FAILED,
            "disks": {
                name: [sums.identity, sums.version]
                for name, sums in zip(processor.volumes, processor.sums.devices, strict=True)
                if sums is not None
            },
            "groups": {name: to_superblock(group) for name, group in processor.groups.items()},
        }

    def _disks_lsn(self) -> int:
        """Return from where the disks need the journal; before, only other sites may.

        A start replays contents from here on: its time is that of the live tail alone.
        """
        processor = self._processor
        lsns = [
            processor.journal.durable_lsn,
            processor.destage.needed_lsn(),
            processor.hollow.retained_lsn(),
        ]
        lsns.extend(pair.secondary.retained_lsn() for pair in processor.pairs.values())
        return max(self._saved_disks_lsn, min(lsn for lsn in lsns if lsn is not None))

    def trim_candidate(self) -> int:
        """Return up to where nobody needs the journal any more."""
        processor = self._processor
        journal = processor.journal
        if not processor.ready:
            return journal.trim_lsn
        lsns = [
            journal.durable_lsn,
            processor.destage.needed_lsn(),
            processor.mending.scanning_lsn,
            processor.hollow.retained_lsn(),
        ]
        lsns.extend(group.retained_lsn() for group in processor.groups.values())
        for pair in processor.pairs.values():
            lsns.append(pair.primary.retained_lsn())
            lsns.append(pair.secondary.retained_lsn())
        return max(journal.trim_lsn, min(lsn for lsn in lsns if lsn is not None))

    def consider_trim(self, *, idle: bool, starved: bool) -> None:
        """Want a save if that frees enough of the journal; anything, if a host waits for room."""
        processor = self._processor
        journal = processor.journal
        if not processor.ready or journal.trim_lsn == journal.tail_lsn:
            return
        step = journal.ring_bytes // TRIM_SHARE
        if starved:
            if not self._under_way and self.trim_candidate() > journal.trim_lsn:
                self.ask()
        elif idle and processor.now_ns - self._last_save_ns > IDLE_TRIM_NS:
            if (
                self.trim_candidate() > journal.trim_lsn
                or self._disks_lsn() > self._saved_disks_lsn
            ):
                self.ask()
        elif (
            journal.used_bytes() > step
            and journal.tail_lsn - self._considered_lsn > step // 4
            and not self._under_way
        ):
            self._considered_lsn = journal.tail_lsn
            freed = self.trim_candidate() - journal.trim_lsn
            if max(freed, self._disks_lsn() - self._saved_disks_lsn) >= step:
                self.ask()

    def saved(self, request: NvsSave) -> None:
        """Take note that a save is durable."""
        self._under_way = 0
        self.saves += 1
        self._saved_disks_lsn = request.body["disks_lsn"]
        self._processor.journal.trimmed(request.body["trim_lsn"])
        serving, self._serving = self._serving, []
        for done in serving:
            done()
