"""When hosts are paced, and when order is given up instead (F8).

The shell stops reading from hosts while `reason` says something. A full cache waits for the
disks. A filling journal waits for whoever still needs it: disks always, another site only as long
as its group's policy and a bound allow; then the dirty map takes over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.clock import MILLISECOND_NS
from emulator.copy.levels import OnLinkLoss

if TYPE_CHECKING:
    from emulator.copy.pair import Pair
    from emulator.node.processor import Processor

# Fill of the journal at which hosts are paced.
PACE_FILL = 0.7
# A host that is paced by a slow line waits no longer than this in one go: it is never stopped.
PACE_NS_MAX = 500 * MILLISECOND_NS


class Pacing:
    """Judges each turn whether hosts must wait."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._since_ns: int | None = None
        self.reason = ""

    def judge(self) -> None:
        """Decide whether hosts are paced now, and why."""
        processor = self._processor
        cache, journal = processor.cache, processor.journal
        cache.pinned_tracks = sum(
            pair.group.stream.pinned_tracks() + pair.secondary.pinned_tracks()
            for pair in processor.pairs.values()
        )
        # Without this, clean tracks would stay until a disk write ends, however long that takes.
        cache.evict()
        if cache.full():
            self.reason = "the cache is full of tracks not yet on their disks"
        elif journal.used_bytes() > journal.ring_bytes * PACE_FILL:
            self._judge_journal()
        else:
            self.reason = ""
            self._since_ns = None

    def _judge_journal(self) -> None:
        """Find out for whom the journal fills, and wait for it or give up order."""
        processor = self._processor
        disks_lsn = processor.destage.needed_lsn()
        behind = [
            pair
            for pair in processor.pairs.values()
            if (lsn := pair.group.retained_lsn()) is not None
            and (disks_lsn is None or lsn < disks_lsn)
        ]
        if not behind:
            self.reason = "the journal waits for the disks"
            self._since_ns = None
            return
        self.reason = "the journal waits for the other site"
        if self._since_ns is None:
            self._since_ns = processor.now_ns
        waited_ns = processor.now_ns - self._since_ns
        for pair in behind:
            self._give_up_order(pair, waited_ns)

    def _give_up_order(self, pair: Pair, waited_ns: int) -> None:
        group = pair.group
        if group.on_link_loss is OnLinkLoss.CONTINUE and (
            not group.stream.flowing or waited_ns > PACE_NS_MAX
        ):
            pair.primary.overflow("the journal is full of changes that the other site lacks")
