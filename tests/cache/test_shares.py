"""Who has to give when volumes with shares of their own and others want more than there is."""

import random

from emulator.cache.tracks import TRACK_BITS, TrackCache, track_key
from emulator.channel.blocks import TRACK_BYTES

SIZE = 200


def cache_of(*shares: float) -> TrackCache:
    cache = TrackCache(0)
    cache.tracks_max = SIZE
    for share in shares:
        cache.add_volume(share)
    return cache


def read(cache: TrackCache, volume: int, tracks) -> int:
    hits = 0
    for track in tracks:
        key = track_key(volume, track)
        if cache.get(key) is not None:
            hits += 1
            continue
        mark = cache.read_begun([key])
        cache.read_done(key, bytes(TRACK_BYTES), mark)
    return hits


def held(cache: TrackCache) -> list[int]:
    volumes = [key >> TRACK_BITS for key in cache.clean]
    return [volumes.count(volume) for volume in range(len(cache.evictions))]


def busy(seed: int) -> list[int]:
    dice = random.Random(seed)
    return [dice.randrange(1000) for _ in range(3000)]


def test_without_shares_the_busier_volume_gets_more():
    cache = cache_of(0, 0)
    read(cache, 0, range(100))
    read(cache, 1, busy(1))
    assert held(cache)[0] < 50
    assert cache.evictions[0] > 50


def test_a_share_is_kept_against_any_crowd():
    cache = cache_of(0.4, 0)
    read(cache, 0, range(80))
    read(cache, 1, busy(1))
    assert held(cache)[0] >= 78
    assert read(cache, 0, range(80)) >= 78


def test_what_a_share_does_not_use_others_have():
    cache = cache_of(0.4, 0)
    read(cache, 0, range(10))
    read(cache, 1, busy(1))
    assert held(cache)[1] >= 188


def test_a_volume_gets_its_share_back():
    cache = cache_of(0.4, 0.2, 0)
    read(cache, 2, busy(1))
    read(cache, 0, busy(2))
    read(cache, 1, busy(3))
    read(cache, 2, busy(4))
    assert held(cache)[0] >= 78
    assert held(cache)[1] >= 38
    assert sum(held(cache)) == SIZE


def test_a_volume_may_have_more_than_its_share_while_nobody_wants_it():
    cache = cache_of(0.1, 0)
    read(cache, 0, busy(1))
    assert held(cache) == [SIZE, 0]


def test_shares_of_the_whole_leave_the_others_what_is_not_used():
    cache = cache_of(1.0, 0)
    read(cache, 1, range(300))
    assert held(cache)[1] == SIZE
    read(cache, 0, busy(1))
    assert held(cache)[1] <= 1
    read(cache, 1, range(10))
    assert sum(held(cache)) == SIZE
