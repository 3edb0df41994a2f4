"""Whose clean track leaves: volumes with a share of the cache of their own, and all the others.

A share is what a volume is entitled to when everybody wants more. What it does not use others may
have; it gets it back from whoever is furthest above its own share. Volumes without one have the
rest together. Tracks that wait for their disks count for nobody: they cannot leave.
"""

from collections.abc import Container

from emulator.cache.replacement import Replacement


class Shares:
    """The pools of clean tracks, each with its order of leaving."""

    def __init__(self, tracks_max: int, seen: dict[int, bool], cached: Container[int]) -> None:
        self._tracks_max = tracks_max
        self._seen = seen
        self._cached = cached
        self._rest = self._pool(1.0)
        self._entitled = [1.0]
        self._pools = [self._rest]
        self._of_volume: list[Replacement] = []

    def add_volume(self, share: float = 0.0) -> None:
        """Take one more volume, with a part of the cache of its own if `share` is above 0."""
        if not share:
            self._of_volume.append(self._rest)
            return
        pool = self._pool(share)
        self._pools.append(pool)
        self._entitled.append(share)
        self._entitled[0] -= share
        self._rest.resize(int(self._entitled[0] * self._tracks_max))
        self._of_volume.append(pool)

    def _pool(self, share: float) -> Replacement:
        return Replacement(int(share * self._tracks_max), self._seen, self._cached)

    def of(self, volume: int) -> Replacement:
        """Return the pool that a volume's tracks are in."""
        return self._of_volume[volume]

    def choose(self) -> int | None:
        """Return the key of the clean track that is to leave; None if there is none."""
        pools = self._pools
        if len(pools) == 1:
            return self._rest.choose()
        places = sum(map(len, pools))
        above = sorted(
            range(len(pools)), key=lambda at: self._entitled[at] * places - len(pools[at])
        )
        for at in above:
            key = pools[at].choose()
            if key is not None:
                return key
        return None

    def ghosts(self) -> int:
        """Return how many tracks that left are remembered."""
        return sum(pool.ghosts for pool in self._pools)
