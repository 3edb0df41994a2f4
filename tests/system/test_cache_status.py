"""What a status says of the cache: hits, evictions, what was read ahead, and whose share it is."""

import random

from rig.host.nbd_client import connect_nbd
from tests.system.sites import until

KIB = 1 << 10
MIB = 1 << 20
TRACK = 4 * KIB
TRACKS = 16 * MIB // TRACK


def filled(bench):
    """Return a bench whose site A has all on its disk, and little of it in its cache."""
    bench.start("A")
    for number in range(bench.volumes):
        with connect_nbd(bench.a.uri_of(f"vol{number}")) as volume:
            for at in range(0, 16 * MIB, MIB):
                volume.write(at, random.Random(at).randbytes(MIB))
    bench.stop("A")
    bench.start("A")
    return bench


def read_all(volume, tracks) -> None:
    for track in tracks:
        assert len(volume.read(track * TRACK, TRACK)) == TRACK


def far_apart(dice: random.Random, count: int) -> list[int]:
    """Return tracks in an order in which nobody would take them for a stream."""
    tracks = list(range(0, 4 * count, 4))
    dice.shuffle(tracks)
    return tracks


def held(cache) -> int:
    return cache["clean_tracks"] + cache["dirty_tracks"]


def test_hits_and_evictions_are_counted_by_site_and_device(two_sites):
    bench = filled(two_sites(cache="2MiB", volumes=2))
    room = bench.a.status()["cache"]["tracks_max"]
    some = far_apart(random.Random(1), room // 2)
    # A start has in the cache what it has replayed.
    begun = bench.a.status()["cache"]
    with connect_nbd(bench.a.uri_of("vol1")) as volume:
        read_all(volume, some)
        status = bench.a.status()
        assert (status["cache"]["hits"], status["cache"]["misses"]) == (0, len(some))
        assert status["cache"]["hit_ratio"] == 0
        read_all(volume, some * 3)
        status = bench.a.status()
        assert (status["cache"]["hits"], status["cache"]["misses"]) == (3 * len(some), len(some))
        assert status["cache"]["hit_ratio"] == 0.75
        # More than fits: what comes in drives as much out.
        others = [track + 1 for track in far_apart(random.Random(2), 2 * room)]
        read_all(volume, others)
    status = bench.a.status()
    cache, device = status["cache"], status["devices"]["vol1"]["cache"]
    came = held(begun) + len(some) + len(others)
    assert cache["evictions"] - begun["evictions"] == came - held(cache)
    assert held(cache) <= room
    assert 0 <= cache["held_bytes"] <= cache["size_bytes"] == 2 * MIB
    for key in ("hits", "misses", "hit_ratio"):
        assert device[key] == cache[key]
    idle = status["devices"]["vol0"]["cache"]
    assert (idle["hits"], idle["misses"], idle["hit_ratio"]) == (0, 0, None)
    assert device["evictions"] + idle["evictions"] == cache["evictions"]


def test_what_was_read_ahead_is_told_as_used_or_not(two_sites):
    bench = filled(two_sites(cache="4MiB"))
    with connect_nbd(bench.a.uri) as volume:
        read_all(volume, range(1024))
        status = bench.a.status()["cache"]
        # The first two reads of a stream, and who overtakes the window, are not ahead of it.
        assert status["read_ahead"]["used"] > 900
        assert status["hit_ratio"] > 0.8
        assert status["read_ahead"]["unused"] == 0
        # Twenty streams that end as soon as they are followed: nobody wants what they would read.
        for start in range(1100, TRACKS - 64, (TRACKS - 1164) // 20):
            read_all(volume, range(start, start + 3))
        read_all(volume, [track + 2 for track in far_apart(random.Random(3), 800)])
    until(
        lambda: bench.a.status()["cache"]["read_ahead"]["unused"] > 20, "what nobody used has left"
    )
    told = bench.a.status()
    assert told["devices"]["vol0"]["cache"]["read_ahead"] == {
        key: told["cache"]["read_ahead"][key] for key in ("used", "unused")
    }


def kept_beside_a_busy_device(bench) -> float:
    """Return which part of what vol0 had in the cache is still there after vol1 was busy."""
    room = bench.a.status()["cache"]["tracks_max"]
    mine = far_apart(random.Random(4), room // 4)
    busy = far_apart(random.Random(5), room)
    with (
        connect_nbd(bench.a.uri_of("vol0")) as one,
        connect_nbd(bench.a.uri_of("vol1")) as other,
    ):
        read_all(one, mine * 2)
        read_all(other, busy * 6)
        before = bench.a.status()["devices"]["vol0"]["cache"]["hits"]
        read_all(one, mine)
    return (bench.a.status()["devices"]["vol0"]["cache"]["hits"] - before) / len(mine)


def test_a_share_of_the_cache_is_kept_whatever_others_do(two_sites):
    bench = filled(two_sites(cache="2MiB", volumes=2))
    without = kept_beside_a_busy_device(bench)
    assert bench.a.status()["devices"]["vol0"]["cache"]["share"] == 0
    bench.stop("A")
    bench.rewrite(device='cache_share = "40%"\n')
    bench.start("A")
    with_share = kept_beside_a_busy_device(bench)
    status = bench.a.status()
    assert status["devices"]["vol0"]["cache"]["share"] == 0.4
    assert (without < 0.2, with_share > 0.95) == (True, True), (without, with_share)
    # The busy one lives in its own share and in what nobody else has.
    assert status["devices"]["vol1"]["cache"]["evictions"] > 0
