"""Which track leaves: what scans, loops and shifts do to the order, and what never happens."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cache.replacement import (
    SMALL_SHARE_MAX,
    SMALL_SHARE_MIN,
    SWEEP_TRACKS_MAX,
    Replacement,
)


class Bench:
    """A cache of keys with the policy alone, as `tracks.py` drives it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen: dict[int, bool] = {}
        self.clean: dict[int, None] = {}
        self.policy = Replacement(size, self.seen, self.clean)
        self.left: list[int] = []

    def access(self, key: int) -> bool:
        if key in self.clean:
            self.seen[key] = True
            return True
        self.enter(key)
        return False

    def enter(self, key: int) -> None:
        self.clean[key] = None
        self.policy.enter(key)
        while len(self.clean) > self.size:
            gone = self.policy.choose()
            del self.clean[gone]
            self.left.append(gone)

    def hits(self, keys) -> int:
        return sum(map(self.access, keys))


def shuffled(keys, times: int, seed: int = 1) -> list[int]:
    dice = random.Random(seed)
    return [key for _ in range(times) for key in dice.sample(list(keys), len(keys))]


def test_without_uses_the_oldest_leaves_first():
    bench = Bench(10)
    bench.hits(range(15))
    assert bench.left == [0, 1, 2, 3, 4]


def test_a_scan_leaves_what_is_used_alone():
    bench = Bench(200)
    bench.hits(shuffled(range(150), 8))
    for start in range(1000, 4000, 100):
        bench.hits(range(start, start + 100))
        assert bench.hits(range(150)) >= 140


def test_a_scan_read_in_pieces_is_still_a_scan():
    """Each track is used three times in a row, as by a host that reads 1 KiB at a time."""
    bench = Bench(400)
    bench.hits(shuffled(range(300), 8))
    bench.hits(key for key in range(1000, 9000) for _ in range(3))
    assert bench.hits(range(300)) >= 290


@pytest.mark.parametrize("times_the_cache", [1.05, 1.2, 1.5, 1.9])
def test_a_loop_that_does_not_fit_keeps_what_fits(times_the_cache):
    bench = Bench(500)
    loop = range(int(500 * times_the_cache))
    for _ in range(10):
        bench.hits(loop)
    assert bench.hits(loop) > 0.9 * 500


def test_a_loop_that_fits_always_hits():
    bench = Bench(500)
    bench.hits(range(450))
    assert bench.hits(list(range(450)) * 5) == 450 * 5


def test_new_work_drives_out_the_old():
    bench = Bench(500)
    bench.hits(shuffled(range(400), 10))
    bench.hits(range(10_000, 12_000))
    bench.hits(shuffled(range(20_000, 20_400), 8))
    assert bench.hits(range(20_000, 20_400)) > 390


def test_a_track_that_was_written_keeps_its_place_and_counts_as_used():
    bench = Bench(10)
    bench.hits(range(10))
    del bench.clean[0]
    bench.policy.enter(0)
    bench.clean[0] = None
    assert len(bench.policy) == 10
    assert bench.seen == {0: True}


def test_what_is_dirty_is_never_chosen():
    bench = Bench(20)
    bench.hits(range(20))
    for key in range(0, 20, 2):
        del bench.clean[key]
    chosen = [bench.policy.choose() for _ in range(10)]
    assert sorted(chosen) == list(range(1, 20, 2))
    assert bench.policy.choose() is None


def test_no_host_waits_for_a_sweep_of_the_whole_cache():
    bench = Bench(4000)
    bench.hits(shuffled(range(3000), 4))
    bench.hits(range(5000, 7000))
    bench.hits(range(3000))
    marks = len(bench.seen)
    bench.policy.choose()
    assert marks - len(bench.seen) <= SWEEP_TRACKS_MAX + 40


def test_a_pool_may_change_its_size():
    bench = Bench(50)
    bench.hits(range(200))
    assert bench.policy.ghosts == 50
    bench.policy.resize(10)
    assert bench.policy.ghosts == 10


@settings(deadline=None)
@given(
    st.integers(1, 12),
    st.lists(
        st.tuples(st.sampled_from(["use", "write", "destage", "shrink"]), st.integers(0, 25)),
        max_size=200,
    ),
)
def test_whatever_happens_the_books_are_right(size, acts):
    bench = Bench(size)
    dirty: dict[int, None] = {}
    for act, key in acts:
        if act == "use" and key not in dirty:
            bench.access(key)
        elif act == "write":
            bench.clean.pop(key, None)
            dirty[key] = None
        elif act == "destage" and key in dirty:
            del dirty[key]
            bench.enter(key)
        elif act == "shrink" and bench.clean:
            gone = bench.policy.choose()
            del bench.clean[gone]
        policy = bench.policy
        assert len(bench.clean) <= size
        assert set(bench.clean) <= set(policy._since), "a clean track that can never leave"
        places = [*policy._small, *policy._main]
        assert sorted(places) == sorted(policy._since), "one place for each"
        assert set(policy._main) == {k for k, at in policy._since.items() if at < 0}
        assert policy.ghosts <= size
        assert policy._main_ghosts == sum(not at for at in policy._ghosts.values())
        assert not set(policy._ghosts) & set(policy._since)
        assert set(bench.seen) <= set(bench.clean) | set(dirty) | set(policy._since)
        assert SMALL_SHARE_MIN <= policy.small_share <= SMALL_SHARE_MAX
        assert len(policy._fresh) <= policy._fresh_max
