"""When hosts are paced, and when order is given up instead (F8).

The shell reads nothing from hosts while `paused`. A cache or journal that fills slows them
smoothly towards the rate at which it empties (gauge.py); a full cache stops them. A filling
journal waits for whoever still needs it: disks always, another site only as long as its group's
policy and a bound allow; then the dirty map takes over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import MILLISECOND_NS
from emulator.copy.levels import OnLinkLoss
from emulator.node.gauge import WAIT_NS_MAX, WINDOW_NS, Gauge

if TYPE_CHECKING:
    from emulator.copy.pair import Pair
    from emulator.node.processor import Processor

# Fill of the journal from which hosts are slowed because the disks are behind, and because
# another site is. Destage began long before.
PACE_DISKS_FILL: Final = 0.5
PACE_FILL: Final = 0.7
# Share of the cache's tracks that are dirty or pinned, from which hosts are slowed.
PACE_CACHE_FILL: Final = 0.6
# Hosts get what drains and no more from here on.
FULL: Final = 0.9
# A host that is paced by a slow line waits no longer than this in one go: it is never stopped.
PACE_NS_MAX: Final = 500 * MILLISECOND_NS
_FULL: Final = "the cache is full of tracks not yet on their disks"


class Pacing:
    """Judges each turn whether hosts must wait."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._since_ns: int | None = None
        self._seen_lsn = 0
        self._until_ns = 0
        self._stopped = False
        self._cache = Gauge(PACE_CACHE_FILL, FULL)
        self._for_disks = Gauge(PACE_DISKS_FILL, FULL)
        self._for_sites = Gauge(PACE_FILL, FULL)
        self._measure_ns = 0
        """When the gauges are next told how much has drained."""
        self.reason = ""
        self.waited_ns = 0
        """How long hosts were slowed, all in all."""

    def paused(self, now_ns: int) -> bool:
        """Return whether nothing is read from hosts now."""
        return self._stopped or now_ns < self._until_ns

    def until_ns(self) -> int | None:
        """Return when hosts are read again, if that is known."""
        return None if self._stopped or not self._until_ns else self._until_ns

    def judge(self) -> None:
        """Decide whether hosts are paced now, and why."""
        processor = self._processor
        cache, journal, now_ns = processor.cache, processor.journal, processor.now_ns
        pinned_tracks, unreadable = 0, False
        for pair in processor.pairs.values():
            stream = pair.group.stream
            pinned_tracks += stream.pinned_tracks() + pair.secondary.pinned_tracks()
            unreadable = unreadable or bool(stream.unreadable)
        cache.pinned_tracks = pinned_tracks
        if unreadable:
            self._give_up_unreadable()
        # Without this, clean tracks would stay until a disk write ends, however long that takes.
        cache.evict()
        if now_ns >= self._until_ns:
            self._until_ns = 0
        tail_lsn = journal.tail_lsn
        arrived, self._seen_lsn = tail_lsn - self._seen_lsn, tail_lsn
        self._stopped = cache.full()
        self.reason = _FULL if self._stopped else ""
        if now_ns >= self._measure_ns:
            self._measure_ns = now_ns + WINDOW_NS
            self._cache.drained(processor.destage.written_tracks, now_ns)
            self._for_disks.drained(journal.trim_lsn, now_ns)
            self._for_sites.drained(journal.trim_lsn, now_ns)
        if arrived > 0:
            dirty = cache.dirty_tracks() + cache.pinned_tracks
            tracks = -(-arrived // TRACK_BYTES)
            wait_ns = self._cache.wait_ns(dirty, cache.tracks_max, tracks)
            self._slow(wait_ns, "the cache waits for the disks")
        if journal.used_bytes() > journal.ring_bytes * PACE_DISKS_FILL:
            self._judge_journal(max(0, arrived))
        else:
            self._since_ns = None

    def _give_up_unreadable(self) -> None:
        """Give up order where the journal cannot give what the other site lacks."""
        for pair in self._processor.pairs.values():
            if pair.group.stream.unreadable:
                reason, pair.group.stream.unreadable = pair.group.stream.unreadable, ""
                pair.primary.overflow(f"the journal cannot be read: {reason}")

    def _slow(self, wait_ns: int, reason: str) -> None:
        """Let hosts wait; the reason stays for people to read while hosts are slowed."""
        if not wait_ns:
            return
        begin_ns = max(self._until_ns, self._processor.now_ns)
        end_ns = min(begin_ns + wait_ns, self._processor.now_ns + WAIT_NS_MAX)
        self.waited_ns += max(0, end_ns - begin_ns)
        self._until_ns = max(self._until_ns, end_ns)
        self.reason = self.reason or reason

    def _judge_journal(self, arrived: int) -> None:
        """Find out for whom the journal fills, and wait for it or give up order."""
        processor = self._processor
        journal = processor.journal
        used, size = journal.used_bytes(), journal.ring_bytes
        disks_lsn = processor.destage.needed_lsn()
        behind = [
            pair
            for pair in processor.pairs.values()
            if (lsn := pair.group.retained_lsn()) is not None
            and (disks_lsn is None or lsn < disks_lsn)
        ]
        if not behind:
            wait_ns = self._for_disks.wait_ns(used, size, arrived)
            self._slow(wait_ns, "the journal waits for the disks")
            self._since_ns = None
            return
        if used <= size * PACE_FILL:
            self._since_ns = None
            return
        wait_ns = self._for_sites.wait_ns(used, size, arrived)
        self._slow(wait_ns, "the journal waits for the other site")
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
