"""What a cached track is said to take, held against what the interpreter takes."""

import sys
import tracemalloc

import pytest

from emulator.cache.memory import (
    HOLES_SHARE,
    IMAGE_BYTES,
    directory_bytes,
    ghosts_bytes,
    table_bytes,
    tracks_within,
)
from emulator.cache.tracks import TrackCache
from emulator.channel.blocks import TRACK_BYTES


@pytest.mark.parametrize("entries", [1, 7, 100, 682, 683, 1365, 5461, 5462, 6000])
def test_a_table_takes_no_more_than_said_however_long_its_entries_come_and_go(entries):
    table = dict.fromkeys(range(entries), 0)
    largest = sys.getsizeof(table)
    for key in range(entries, 9 * entries):
        del table[key - entries]
        table[key] = 0
        largest = max(largest, sys.getsizeof(table))
    assert largest <= table_bytes(entries)


def test_an_image_takes_what_is_said_in_steps_of_the_allocator():
    assert sys.getsizeof(bytes(TRACK_BYTES)) <= IMAGE_BYTES < sys.getsizeof(bytes(TRACK_BYTES)) + 24


@pytest.mark.parametrize("size_bytes", [1 << 20, 5 << 20, 64 << 20, 1 << 30])
def test_the_tracks_fill_the_size_and_no_more(size_bytes):
    def total(tracks):
        return tracks * IMAGE_BYTES + directory_bytes(tracks)

    tracks = tracks_within(size_bytes)
    assert total(tracks) <= size_bytes - size_bytes // HOLES_SHARE < total(tracks + 1)
    assert directory_bytes(tracks) > ghosts_bytes(tracks) > table_bytes(tracks)


@pytest.mark.parametrize("size_bytes", [3 << 20, 4 << 20])
def test_a_cache_that_was_full_of_anything_stays_within_its_size(size_bytes):
    """Clean, used, evicted, dirty, destaged: whatever came and went, the bench's word is kept."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cache = TrackCache(size_bytes)
    cache.add_volume()
    most = 0
    for key in range(4 * cache.tracks_max):
        name = key + (1 << 30)
        cache.read_begun([name])
        cache.read_done(name, key.to_bytes(8, "big") * (TRACK_BYTES // 8), 0)
        cache.get(name - 5)
        if key % 3 == 0:
            cache.put(name - 3, bytes(range(256)) * (TRACK_BYTES // 256), key)
        if key % 64 == 0:
            cache.destage_done(cache.destage_begun(0, 40))
            most = max(most, tracemalloc.get_traced_memory()[0] - before)
            assert cache.held_bytes() <= size_bytes
    tracemalloc.stop()
    assert cache.evictions[0] > cache.tracks_max
    assert size_bytes * 0.75 < most <= size_bytes
