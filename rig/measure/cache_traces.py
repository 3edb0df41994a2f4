"""Seeded traces of track numbers, each with a habit that some replacement policies fall for.

All are made for a cache of `tracks` tracks, so that they ask the same of any size.
"""

import itertools
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator

# A stream of tracks that nobody has asked for before begins far above all others.
_FRESH = 1 << 32
# How many tracks the Zipf traces know, in caches.
ZIPF_TIMES = 10
Draw = Callable[[], int]


def zipf_draw(dice: random.Random, count: int, exponent: float) -> Draw:
    """Return a function that draws tracks, the n-th of `count` with weight n^-exponent."""
    weights = list(itertools.accumulate(1 / number**exponent for number in range(1, count + 1)))
    tracks = shuffled(dice, count)
    total, roll = weights[-1], dice.random
    return lambda: tracks[bisect_left(weights, roll() * total)]


def shuffled(dice: random.Random, count: int) -> list[int]:
    """Return `count` tracks, the most popular first."""
    tracks = list(range(count))
    dice.shuffle(tracks)
    return tracks


def _zipf(exponent: float) -> Callable[[random.Random, int], Iterator[int]]:
    def trace(dice: random.Random, tracks: int) -> Iterator[int]:
        draw = zipf_draw(dice, ZIPF_TIMES * tracks, exponent)
        while True:
            yield draw()

    return trace


def scans(dice: random.Random, tracks: int) -> Iterator[int]:
    """Popular tracks, and every now and then a run over twice the cache, read once."""
    draw = zipf_draw(dice, 5 * tracks, 0.9)
    scan = itertools.count(_FRESH)
    while True:
        for _ in range(3 * tracks):
            yield draw()
        yield from itertools.islice(scan, 2 * tracks)


def pieces(dice: random.Random, tracks: int) -> Iterator[int]:
    """The scans again, by a host that reads half a track at a time."""
    for track in scans(dice, tracks):
        yield track
        yield track


def _loop(times: float) -> Callable[[random.Random, int], Iterator[int]]:
    def trace(_dice: random.Random, tracks: int) -> Iterator[int]:
        return itertools.cycle(range(int(times * tracks)))

    return trace


def loop_beside(dice: random.Random, tracks: int) -> Iterator[int]:
    """Popular tracks, and beside them a loop that alone would not fit."""
    draw = zipf_draw(dice, 5 * tracks, 0.9)
    loop = itertools.cycle(range(_FRESH, _FRESH + tracks * 3 // 2))
    while True:
        yield draw() if dice.random() < 0.5 else next(loop)


def recency(dice: random.Random, tracks: int) -> Iterator[int]:
    """What was used is used again soon or not at all, as files that people work on."""
    stack: list[int] = []
    new = itertools.count()
    while True:
        depth = int(dice.paretovariate(0.7) * tracks / 100) - tracks // 100
        is_new = dice.random() < 0.15 or depth >= len(stack)
        track = next(new) if is_new else stack.pop(-1 - depth)
        stack.append(track)
        yield track
        if len(stack) > 6 * tracks:
            del stack[: 2 * tracks]


def drift(dice: random.Random, tracks: int) -> Iterator[int]:
    """Popular tracks, whose popularity moves on to others by and by."""
    draw = zipf_draw(dice, 10 * tracks, 1.0)
    for number in itertools.count():
        yield draw() + number // (2 * tracks) * (tracks * 3 // 4)


def phases(dice: random.Random, tracks: int) -> Iterator[int]:
    """One kind of work after another, each on tracks of its own and fifteen caches long."""
    for base in itertools.count(_FRESH, _FRESH):
        size = int(tracks * dice.choice([0.75, 1.25, 2.5, 5]))
        kind = dice.choice(["zipf", "zipf", "random", "loop", "scan"])
        accesses = 15 * tracks
        if kind == "zipf":
            draw = zipf_draw(dice, size, dice.choice([0.7, 1.0, 1.2]))
            yield from (base + draw() for _ in range(accesses))
        elif kind == "random":
            yield from (base + dice.randrange(size) for _ in range(accesses))
        elif kind == "loop":
            yield from (base + number % size for number in range(accesses))
        else:
            yield from range(base, base + 4 * tracks)


def database(dice: random.Random, tracks: int) -> Iterator[int]:
    """Rows through an index of three levels, ranges of rows, a log, and at times a full scan."""
    rows = 15 * tracks
    index, log_base, heap = _FRESH, 2 * _FRESH, 3 * _FRESH
    draw = zipf_draw(dice, rows, 0.85)
    log = 0
    while True:
        roll = dice.random()
        if roll < 0.9:
            for _ in range(dice.choice([1, 1, 1, 3])):
                row = draw()
                leaf = row // 20
                yield from (index, index + 1 + leaf // 100, index + 1000 + leaf, heap + row)
            if dice.random() < 0.3:
                log += 1
                yield log_base + log
        elif roll < 0.98:
            row = draw()
            yield from range(heap + row, heap + min(row + dice.choice([8, 16, 32]), rows))
        elif roll < 0.998:
            yield from range(log_base + max(0, log - 20), log_base + log)
        else:
            row = dice.randrange(rows)
            yield from (heap + (row + number) % rows for number in range(tracks * 3 // 2))


def mixed(dice: random.Random, tracks: int) -> Iterator[int]:
    """Four hosts at once: popular tracks, a small loop in bursts, a scan, and recent work."""
    popular = _zipf(1.0)(dice, tracks * 3 // 4)
    loop = itertools.cycle(range(_FRESH, _FRESH + tracks * 3 // 4))
    scan = itertools.count(2 * _FRESH)
    recent = recency(dice, tracks)
    while True:
        roll = dice.random()
        if roll < 0.5:
            yield next(popular)
        elif roll < 0.65:
            yield from itertools.islice(loop, 50)
        elif roll < 0.66:
            yield from itertools.islice(scan, 200)
        else:
            yield 3 * _FRESH + next(recent)


TRACES: dict[str, Callable[[random.Random, int], Iterator[int]]] = {
    "zipf-0.8": _zipf(0.8),
    "zipf-1.0": _zipf(1.0),
    "zipf-1.2": _zipf(1.2),
    "scans": scans,
    "pieces": pieces,
    "loop-0.8": _loop(0.8),
    "loop-1.2": _loop(1.2),
    "loop-1.9": _loop(1.9),
    "loop-beside": loop_beside,
    "recency": recency,
    "drift": drift,
    "phases": phases,
    "database": database,
    "mixed": mixed,
}


def popularity(name: str, seed: int, tracks: int) -> list[int] | None:
    """Return a trace's tracks, most popular first; None if accesses depend on each other."""
    if not name.startswith("zipf-"):
        return None
    return shuffled(random.Random(f"{name}/{seed}"), ZIPF_TIMES * tracks)


def make_trace(name: str, seed: int, tracks: int, accesses: int) -> list[int]:
    """Return a trace; the same for the same arguments."""
    trace = TRACES[name](random.Random(f"{name}/{seed}"), tracks)
    return list(itertools.islice(trace, accesses))
