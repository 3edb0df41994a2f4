"""How full something is, how fast it empties, and how long hosts wait for it: never a cliff.

From `begin` on, hosts are slowed; at `full` they get no more than what drains. In between the
allowed rate falls smoothly: it is the drain rate divided by how far the fill has come. So the
fill settles where demand and drain meet, and no write waits long for many before it.
"""

from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS

# What drains is measured over at least this long: trims and flushes come in lumps.
WINDOW_NS: Final = 50 * MILLISECOND_NS
# One wait in a row: a host that is slowed is never stopped by this.
WAIT_NS_MAX: Final = 100 * MILLISECOND_NS
# Before anything has drained, suppose that all of it would take so long.
FIRST_GUESS_S: Final = 4
# Beyond `full` the waits grow steeply, so that the rest is never used up by a burst.
STEEP: Final = 10


class Gauge:
    """One thing that fills: the journal's ring, or the cache's dirty tracks."""

    def __init__(self, begin: float, full: float) -> None:
        self._begin = begin
        self._full = full
        self._since_ns: int | None = None
        self._drained_before = 0
        self.drain_per_s = 0.0

    def drained(self, total: int, now_ns: int) -> None:
        """Take note of how much has drained since the beginning of time."""
        if self._since_ns is None:
            self._since_ns, self._drained_before = now_ns, total
            return
        took_ns = now_ns - self._since_ns
        if took_ns < WINDOW_NS:
            return
        now = (total - self._drained_before) * SECOND_NS / took_ns
        self.drain_per_s = (self.drain_per_s * 3 + now) / 4 if self.drain_per_s else now
        self._since_ns, self._drained_before = now_ns, total

    def wait_ns(self, level: int, size: int, arrived: int) -> int:
        """Return how long hosts wait after so much has arrived."""
        fill = level / size
        if fill <= self._begin or not arrived:
            return 0
        share = (fill - self._begin) / (self._full - self._begin)
        if fill > self._full:
            share += STEEP * (fill - self._full) / (1 - self._full)
        rate = (
            max(self.drain_per_s, size / FIRST_GUESS_S / STEEP)
            if self.drain_per_s
            else (size / FIRST_GUESS_S)
        )
        return min(WAIT_NS_MAX, int(arrived * share / rate * SECOND_NS))
