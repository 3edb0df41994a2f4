"""Which clean track leaves next: keep what is most likely to be used (patent p.8).

Two queues and a memory of what left. A track enters `small`, a short first-in first-out queue. At
its end it goes to `main` if it was used meanwhile, and leaves the cache if not. `main` is a clock:
a track that was used since the hand last passed moves to the back, another one leaves. So a scan
runs through `small` and touches nothing else, and a use costs no more than a mark: queues move
only when something has to leave.

What distinguishes it from S3-FIFO and CAR, whose queues it has (ADR 0015 has the measurements):

- *First uses do not count.* A track read in pieces is used several times in a row; marks made
  while it is among the newest are wiped out.
- *Proof of idleness.* A track that comes back after `distance` insertions enters `main` only if the
  hand's track is known to be idle for at least as long. A loop that is larger than the cache thus
  keeps what fits instead of replacing all of it by itself.
- *The share of `small` adapts*, as in ARC, to which queue's lost tracks are asked for again; but it
  grows only while a place in `small` is used about as often as one in `main`, and faster once the
  hand's track has been idle for longer than the cache could keep anything.

Time is counted in insertions. Leaves images to `tracks.py`: this knows keys only.
"""

from collections import OrderedDict, deque
from collections.abc import Container
from typing import Final

SMALL_SHARE_MIN: Final = 0.05
SMALL_SHARE_MAX: Final = 0.99
# Of the tracks, those inserted last whose uses do not count yet.
FRESH_SHARE: Final = 0.01
FRESH_TRACKS_MIN: Final = 4
# `small` must be at least this productive, a place and insertion, beside `main` in order to grow.
PRODUCTIVE: Final = 0.25
# Samples of the two queues' productivity that count: this part of the tracks.
SAMPLE_SHARE: Final = 8
STALE_STEPS: Final = 4
# The hand passes at most so many used tracks in one go: a host waits for it.
SWEEP_TRACKS_MAX: Final = 64


class Replacement:
    """The order in which the clean tracks of one pool leave."""

    def __init__(self, tracks_max: int, seen: dict[int, bool], cached: Container[int]) -> None:
        """Take the pool's size, the marks that a use of a track leaves, and what is clean now."""
        self._seen = seen
        self._cached = cached
        self.small_share = SMALL_SHARE_MIN
        """Part of the tracks that `small` is to have."""
        self._now = 0
        self._small: deque[int] = deque()
        self._main: deque[int] = deque()
        # When a track entered its queue; for `main`, when the hand last passed. Negative: `main`.
        self._since: dict[int, int] = {}
        self._fresh: deque[int] = deque()
        # What left, oldest first: when it had entered `small`, or 0 if it left `main`.
        self._ghosts: OrderedDict[int, int] = OrderedDict()
        self._main_ghosts = 0
        # Uses a place and insertion, as moving averages.
        self._small_yield = 0.0
        self._main_yield = 0.0
        self.resize(tracks_max)

    def resize(self, tracks_max: int) -> None:
        """Judge from now on as a pool of so many tracks does; as many are remembered."""
        self._size = max(1, tracks_max)
        self._step = 1 / self._size
        self._fresh_max = max(FRESH_TRACKS_MIN, int(self._size * FRESH_SHARE))
        self._weight = min(1.0, SAMPLE_SHARE / self._size)
        while len(self._ghosts) > self._size:
            self._forget_ghost()

    def __len__(self) -> int:
        """Return how many tracks have a place; a few of them may be dirty now."""
        return len(self._since)

    @property
    def ghosts(self) -> int:
        """How many tracks that left are remembered."""
        return len(self._ghosts)

    def enter(self, key: int) -> None:
        """Give a track that became clean a place; one that had a place was used."""
        if key in self._since:
            self._seen[key] = True
            return
        self._now += 1
        entered = self._ghosts.pop(key, None)
        if entered is None:
            self._enter_small(key)
        elif entered:
            distance = self._now - entered
            self._grow_small(distance)
            if self._may_enter_main(distance):
                self._enter_main(key)
            else:
                self._enter_small(key)
        else:
            self._main_ghosts -= 1
            small_ghosts = len(self._ghosts) - self._main_ghosts
            self._shrink_small(max(1.0, small_ghosts / (self._main_ghosts + 1)))
            self._enter_main(key)

    def choose(self) -> int | None:
        """Take the place of the track that is to leave, and return its key; None if none can."""
        sweep = 0
        while self._since:
            if self._main and len(self._small) < self.small_share * len(self._since):
                key = self._pass_hand(marked_may_leave=sweep >= SWEEP_TRACKS_MAX)
                sweep += 1
            else:
                key = self._pass_small()
            if key is not None:
                return key
        return None

    def _enter_small(self, key: int) -> None:
        self._small.append(key)
        self._since[key] = self._now
        fresh = self._fresh
        fresh.append(key)
        if len(fresh) > self._fresh_max:
            old = fresh.popleft()
            if self._since.get(old, 0) > 0:
                self._seen.pop(old, None)

    def _enter_main(self, key: int) -> None:
        self._main.append(key)
        self._since[key] = -self._now

    def _pass_small(self) -> int | None:
        """Look at the oldest of `small`; return it if it leaves."""
        key = self._small.popleft()
        since = self._since[key]
        if key not in self._cached:
            # Written since; it gets a new place when its disk has it.
            del self._since[key]
            return None
        if self._seen.pop(key, False):
            self._small_yield += (1 / max(1, self._now - since) - self._small_yield) * self._weight
            self._enter_main(key)
            return None
        self._small_yield -= self._small_yield * self._weight
        if not self._small_is_productive():
            self._shrink_small(1.0)
        del self._since[key]
        self._remember(key, since)
        return key

    def _pass_hand(self, *, marked_may_leave: bool) -> int | None:
        """Look at the hand's track; return it if it leaves."""
        key = self._main.popleft()
        if key not in self._cached:
            del self._since[key]
            return None
        if self._seen.pop(key, False) and not marked_may_leave:
            self._keep(key)
            return None
        self._main_yield -= self._main_yield * self._weight
        del self._since[key]
        self._remember(key, 0)
        self._main_ghosts += 1
        return key

    def _keep(self, key: int) -> None:
        """Move the hand's track, which was used, to the back."""
        idle = max(1, self._now + self._since[key])
        self._main_yield += (1 / idle - self._main_yield) * self._weight
        self._enter_main(key)

    def _may_enter_main(self, distance: int) -> bool:
        """Return whether a track that comes back may enter: there is room, or an idler one."""
        main = self._main
        if not main or len(main) < (1 - self.small_share) * len(self._since):
            return True
        key = main[0]
        if self._seen.pop(key, False):
            main.popleft()
            self._keep(key)
            return False
        return self._now + self._since[key] >= distance

    def _grow_small(self, distance: int) -> None:
        steps = STALE_STEPS if self._main_is_stale() else 1
        # Beyond the size of the cache no share of it would have kept the track.
        if distance <= self._size and (steps > 1 or self._small_is_productive()):
            small_ghosts = len(self._ghosts) - self._main_ghosts
            weight = max(1.0, self._main_ghosts / (small_ghosts + 1))
            share = self.small_share + steps * weight * self._step
            self.small_share = min(SMALL_SHARE_MAX, share)

    def _shrink_small(self, steps: float) -> None:
        self.small_share = max(SMALL_SHARE_MIN, self.small_share - steps * self._step)

    def _small_is_productive(self) -> bool:
        return self._small_yield > PRODUCTIVE * self._main_yield

    def _main_is_stale(self) -> bool:
        """Return whether the hand's track has been idle for twice what the cache can keep."""
        if not self._main:
            return False
        key = self._main[0]
        return key not in self._seen and self._now + self._since[key] > 2 * self._size

    def _remember(self, key: int, entered: int) -> None:
        self._ghosts[key] = entered
        if len(self._ghosts) > self._size:
            self._forget_ghost()

    def _forget_ghost(self) -> None:
        _key, entered = self._ghosts.popitem(last=False)
        self._main_ghosts -= not entered
