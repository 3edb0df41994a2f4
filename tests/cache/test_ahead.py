"""What was read ahead: who leaves first, and that the cache proper does not suffer from it."""

from emulator.cache.ahead import Ahead
from emulator.cache.tracks import TrackCache
from emulator.channel.blocks import TRACK_BYTES


def image(number: int) -> bytes:
    return number.to_bytes(4, "big") * (TRACK_BYTES // 4)


def test_it_holds_an_eighth_and_the_oldest_leaves():
    ahead = Ahead(80)
    assert [ahead.add(key, image(key), 0) for key in range(12)] == [None] * 10 + [0, 1]
    assert len(ahead) == 10


def test_what_is_used_or_dropped_is_gone():
    ahead = Ahead(80)
    for key in range(4):
        ahead.add(key, image(key), 0)
    assert ahead.take(0) == image(0)
    assert ahead.take(0) is None
    assert ahead.drop(1)
    assert not ahead.drop(1)
    assert ahead.reached == [0]
    assert ahead.drop_any() == 2
    assert ahead.drop_any() == 3
    assert ahead.drop_any() is None


def test_it_gives_way_when_others_have_moved_on():
    ahead = Ahead(80)
    ahead.add(1, image(1), 100)
    assert ahead.give_way(120) is None
    assert ahead.give_way(121) == 1
    assert ahead.give_way(200) is None


def test_the_order_does_not_grow_with_what_is_used():
    ahead = Ahead(80)
    for key in range(1000):
        ahead.add(key, image(key), key)
        ahead.take(key)
    assert len(ahead._order) <= 1


def cache_with(*keys: int) -> TrackCache:
    cache = TrackCache(0)
    cache.add_volume()
    for key in keys:
        mark = cache.read_begun([key])
        cache.read_done(key, image(key), mark)
    return cache


def read_ahead(cache: TrackCache, *keys: int) -> None:
    for key in keys:
        cache.add_ahead({key: image(key)})


def test_a_use_moves_it_to_the_others_and_is_counted():
    cache = cache_with()
    read_ahead(cache, 5)
    assert cache.peek(5) == image(5)
    assert not cache.clean
    assert cache.get(5) == image(5)
    assert list(cache.clean) == [5]
    assert (cache.ahead_used, cache.ahead_unused) == ([1], [0])
    assert not cache.seen, "the first use is no second one"


def test_what_nobody_used_does_not_drive_out_what_somebody_asked_for():
    cache = cache_with(*range(cache_size := 64))
    for start in range(1000, 3000, 8):
        read_ahead(cache, *range(start, start + 8))
    assert len(cache.clean) == cache_size - 8
    assert cache.held_tracks() == cache_size
    assert sum(cache.evictions) == 8
    assert cache.ahead_unused == [2000 - 8]


def test_it_is_the_first_to_go_for_what_is_asked_for():
    cache = cache_with(*range(56))
    read_ahead(cache, *range(100, 108))
    for key in range(200, 217):
        mark = cache.read_begun([key])
        cache.read_done(key, image(key), mark)
    evicted = sum(cache.evictions)
    for key in range(300, 307):
        mark = cache.read_begun([key])
        cache.read_done(key, image(key), mark)
    assert sum(cache.evictions) == evicted
    assert cache.ahead_unused == [8 - len(cache.ahead)]


def test_a_write_makes_it_stale_for_good():
    cache = cache_with()
    read_ahead(cache, 5)
    cache.put(5, image(9), 0)
    assert cache.get(5) == cache.peek(5) == image(9)
    cache.destage_done(cache.destage_begun(0, 1))
    cache.pinned_tracks = 1000
    cache.evict()
    assert cache.peek(5) is None, "the image that was read ahead is old (C10)"
    assert cache.ahead_unused == [1]


def test_someone_who_read_it_meanwhile_needs_no_second_one():
    cache = cache_with()
    mark = cache.read_begun([5])
    cache.read_done(5, image(5), mark)
    cache.add_ahead({5: image(5)})
    assert not cache.ahead
    read_ahead(cache, 6)
    mark = cache.read_begun([6])
    cache.read_done(6, image(6), mark)
    assert not cache.ahead
    assert cache.ahead_used == [1]
