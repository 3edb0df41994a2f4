"""Replacement policies that ours is measured against, and the bound that none can pass.

Each has `access(track)`, which returns whether the track was in the cache and puts it there.
Written after the papers: ARC (Megiddo and Modha, FAST 2003), S3-FIFO (Yang and others, SOSP 2023),
the optimum (Belady 1966). Plain, so that nobody has to trust them; not for use in a site.
"""

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import Protocol

from emulator.cache.replacement import Replacement


class Policy(Protocol):
    """What every policy here does."""

    def access(self, track: int) -> bool:
        """Return whether the track was cached; it is now."""


class Ours:
    """The policy of `emulator/cache`, driven as the track cache drives it."""

    def __init__(self, tracks: int) -> None:
        self._tracks = tracks
        self._seen: dict[int, bool] = {}
        self._clean: dict[int, None] = {}
        self._policy = Replacement(tracks, self._seen, self._clean)

    def access(self, track: int) -> bool:
        """Return whether the track was cached; it is now."""
        clean = self._clean
        if track in clean:
            self._seen[track] = True
            return True
        clean[track] = None
        self._policy.enter(track)
        if len(clean) > self._tracks:
            gone = self._policy.choose()
            assert gone is not None
            del clean[gone]
        return False


class Lru:
    """The track used longest ago leaves."""

    def __init__(self, tracks: int) -> None:
        self._tracks = tracks
        self._held: OrderedDict[int, None] = OrderedDict()

    def access(self, track: int) -> bool:
        """Return whether the track was cached; it is now."""
        held = self._held
        if track in held:
            held.move_to_end(track)
            return True
        if len(held) >= self._tracks:
            held.popitem(last=False)
        held[track] = None
        return False


class Arc:
    """Adaptive replacement: recent and frequent tracks, in shares that follow the misses."""

    def __init__(self, tracks: int) -> None:
        self._tracks = tracks
        self._target = 0
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._frequent: OrderedDict[int, None] = OrderedDict()
        self._recent_ghosts: OrderedDict[int, None] = OrderedDict()
        self._frequent_ghosts: OrderedDict[int, None] = OrderedDict()

    def access(self, track: int) -> bool:
        """Return whether the track was cached; it is now."""
        recent, frequent = self._recent, self._frequent
        if track in recent:
            del recent[track]
            frequent[track] = None
            return True
        if track in frequent:
            frequent.move_to_end(track)
            return True
        ghosts, others = self._recent_ghosts, self._frequent_ghosts
        if track in ghosts:
            step = max(1, len(others) // len(ghosts))
            self._target = min(self._tracks, self._target + step)
            del ghosts[track]
            self._replace(was_frequent=False)
            frequent[track] = None
        elif track in others:
            self._target = max(0, self._target - max(1, len(ghosts) // len(others)))
            del others[track]
            self._replace(was_frequent=True)
            frequent[track] = None
        else:
            self._make_room()
            recent[track] = None
        return False

    def _make_room(self) -> None:
        ghosts, others = self._recent_ghosts, self._frequent_ghosts
        side = len(self._recent) + len(ghosts)
        total = side + len(self._frequent) + len(others)
        if side == self._tracks:
            if ghosts:
                ghosts.popitem(last=False)
                self._replace(was_frequent=False)
            else:
                self._recent.popitem(last=False)
        elif total >= self._tracks:
            if total >= 2 * self._tracks:
                others.popitem(last=False)
            self._replace(was_frequent=False)

    def _replace(self, *, was_frequent: bool) -> None:
        count = len(self._recent)
        if count and (
            count > self._target or (was_frequent and count == self._target) or not self._frequent
        ):
            self._recent_ghosts[self._recent.popitem(last=False)[0]] = None
        else:
            self._frequent_ghosts[self._frequent.popitem(last=False)[0]] = None


class S3Fifo:
    """Three static queues: a tenth for newcomers, the rest by lazy promotion, and ghosts."""

    def __init__(self, tracks: int) -> None:
        self._tracks = tracks
        self._small_max = max(1, tracks // 10)
        self._small: deque[int] = deque()
        self._main: deque[int] = deque()
        self._uses: dict[int, int] = {}
        self._ghosts: OrderedDict[int, None] = OrderedDict()

    def access(self, track: int) -> bool:
        """Return whether the track was cached; it is now."""
        uses = self._uses
        if track in uses:
            uses[track] = min(3, uses[track] + 1)
            return True
        while len(uses) >= self._tracks:
            if len(self._small) >= self._small_max or not self._main:
                self._evict_small()
            else:
                self._evict_main()
        if track in self._ghosts:
            del self._ghosts[track]
            self._main.append(track)
        else:
            self._small.append(track)
        uses[track] = 0
        return False

    def _evict_small(self) -> None:
        while self._small:
            track = self._small.popleft()
            if self._uses[track] > 1:
                self._uses[track] = 0
                self._main.append(track)
                if len(self._main) > self._tracks - self._small_max:
                    self._evict_main()
            else:
                del self._uses[track]
                self._ghosts[track] = None
                if len(self._ghosts) > self._tracks - self._small_max:
                    self._ghosts.popitem(last=False)
                return

    def _evict_main(self) -> None:
        while self._main:
            track = self._main.popleft()
            if not self._uses[track]:
                del self._uses[track]
                return
            self._uses[track] -= 1
            self._main.append(track)


def optimal_hits(trace: Sequence[int], tracks: int) -> int:
    """Return how many hits a cache has that knows the future: who is needed last leaves."""
    never = len(trace)
    upcoming: dict[int, int] = {}
    next_use = [never] * len(trace)
    for at in range(len(trace) - 1, -1, -1):
        next_use[at] = upcoming.get(trace[at], never)
        upcoming[trace[at]] = at
    held: dict[int, int] = {}
    farthest: list[tuple[int, int]] = []
    hits = 0
    for at, track in enumerate(trace):
        if track in held:
            hits += 1
        elif len(held) >= tracks:
            while True:
                use, candidate = heapq.heappop(farthest)
                # What was used since lies deeper in the heap a second time.
                if held.get(candidate) == -use:
                    del held[candidate]
                    break
        held[track] = next_use[at]
        heapq.heappush(farthest, (-next_use[at], track))
    return hits


def known_hits(trace: Sequence[int], tracks: int, popular: Sequence[int]) -> int:
    """Return how many hits a cache has that knows every popularity, but not the future.

    The least popular track leaves; `popular` has all of them, the most popular first. Where each
    access is drawn independently nobody does better without the future (A0: Aho, Denning and
    Ullman, JACM 1971).
    """
    rank = {track: number for number, track in enumerate(popular)}
    held: dict[int, None] = {}
    worst: list[int] = []
    hits = 0
    for track in trace:
        if track in held:
            hits += 1
            continue
        if len(held) >= tracks:
            del held[popular[-heapq.heappop(worst)]]
        held[track] = None
        heapq.heappush(worst, -rank[track])
    return hits


def counting_hits(trace: Sequence[int], tracks: int) -> int:
    """Return how many hits a cache has that counts every access ever made, and forgets nothing.

    The track with the fewest leaves. Where each access is drawn independently, and nothing is
    known beforehand, the counts are all that there is to learn.
    """
    counts: Counter[int] = Counter()
    held: dict[int, None] = {}
    fewest: list[tuple[int, int, int]] = []
    hits = 0
    for at, track in enumerate(trace):
        counts[track] += 1
        if track in held:
            hits += 1
        elif len(held) >= tracks:
            while True:
                count, _at, candidate = heapq.heappop(fewest)
                # What was used since lies in the heap a second time.
                if candidate in held and counts[candidate] == count:
                    del held[candidate]
                    break
        held[track] = None
        heapq.heappush(fewest, (counts[track], at, track))
    return hits


POLICIES: dict[str, type[Ours | Lru | Arc | S3Fifo]] = {
    "dualcopy": Ours,
    "LRU": Lru,
    "ARC": Arc,
    "S3-FIFO": S3Fifo,
}
