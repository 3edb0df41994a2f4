"""Where a workload goes next: patterns of access to a number of places, drawn from a seed."""

import bisect
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Final

HOT_SHARE: Final = 0.9
"""The share of accesses that meets the hot place."""
ZIPF_EXPONENT: Final = 1.0

Pattern = Callable[[int, random.Random], Iterator[int]]


def sequential(places: int, _dice: random.Random) -> Iterator[int]:
    """Go through all places, again and again."""
    yield from itertools.cycle(range(places))


def uniform(places: int, dice: random.Random) -> Iterator[int]:
    """Meet every place as often as any other, in no order."""
    while True:
        yield dice.randrange(places)


def zipf(places: int, dice: random.Random) -> Iterator[int]:
    """Meet the nth favourite 1/n as often as the first; favourites lie anywhere."""
    order = list(range(places))
    dice.shuffle(order)
    sums = list(itertools.accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, places + 1)))
    while True:
        yield order[min(bisect.bisect(sums, dice.random() * sums[-1]), places - 1)]


def hot(places: int, dice: random.Random) -> Iterator[int]:
    """Meet one place nine times of ten, and any place else."""
    favourite = dice.randrange(places)
    while True:
        yield favourite if dice.random() < HOT_SHARE else dice.randrange(places)


PATTERNS: Final[dict[str, Pattern]] = {
    "sequential": sequential,
    "random": uniform,
    "zipf": zipf,
    "hot": hot,
}
