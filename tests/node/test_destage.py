"""Destage: what is written when, and from where the journal is still needed (W2)."""

import random

from emulator.cache.tracks import ZERO_TRACK, TrackCache, track_key
from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import DeviceError, NotReachedError
from emulator.node.destage import (
    AGE_NS_MAX,
    DESTAGE_TRACKS,
    FIND_NS,
    RETRY_NS,
    WRITES_MAX,
    ZERO_RUN_TRACKS,
    Destage,
)
from emulator.node.requests import DiskFlush, DiskWrite

FAILED = DeviceError("mem:", "refuses")


def image(number: int) -> bytes:
    return bytes([number % 255 + 1]) * TRACK_BYTES


class Bench:
    def __init__(self, tracks: int = 2000, odd: int = 0, volumes: int = 1) -> None:
        self.cache = TrackCache(64 << 20)
        for _ in range(volumes):
            self.cache.add_volume()
        self.size = tracks * TRACK_BYTES + odd
        self.destage = Destage(self.cache, [self.size] * volumes)
        self.now_ns = 0

    def put(self, *tracks: int, lsn: int = 0, volume: int = 0, data: bytes | None = None) -> None:
        for track in tracks:
            self.cache.put(track_key(volume, track), data or image(track), lsn)

    def run(self) -> list:
        self.destage.run(self.now_ns, pressed=True)
        return self.take()

    def take(self) -> list:
        requests, self.destage.requests[:] = list(self.destage.requests), []
        return requests

    def flush(self) -> list:
        self.destage.flush()
        return self.take()

    def done(self, request, error: DeviceError | None = None) -> None:
        self.destage.completed(request.number, error, self.now_ns)


def test_nothing_is_written_without_a_reason():
    bench = Bench()
    bench.put(1)
    bench.destage.run(0, pressed=False)
    assert bench.take() == []


def test_neighbours_are_one_run_in_device_order():
    bench = Bench()
    bench.put(7, 3, 4, 9)
    (write,) = bench.run()
    assert isinstance(write, DiskWrite)
    assert write.runs == [
        (3 * TRACK_BYTES, [image(3), image(4)]),
        (7 * TRACK_BYTES, [image(7)]),
        (9 * TRACK_BYTES, [image(9)]),
    ]


def test_a_long_run_of_zeros_is_a_hole_and_a_short_one_is_data():
    bench = Bench()
    bench.put(*range(ZERO_RUN_TRACKS), data=ZERO_TRACK)
    bench.put(100, 101, data=ZERO_TRACK)
    (write,) = bench.run()
    assert write.zeros == [(0, ZERO_RUN_TRACKS * TRACK_BYTES)]
    assert write.runs == [(100 * TRACK_BYTES, [ZERO_TRACK, ZERO_TRACK])]


def test_zeros_and_data_side_by_side_do_not_mix():
    bench = Bench()
    bench.put(*range(ZERO_RUN_TRACKS), data=ZERO_TRACK)
    bench.put(ZERO_RUN_TRACKS)
    (write,) = bench.run()
    assert write.zeros == [(0, ZERO_RUN_TRACKS * TRACK_BYTES)]
    assert write.runs == [(ZERO_RUN_TRACKS * TRACK_BYTES, [image(ZERO_RUN_TRACKS)])]


def test_nothing_is_written_beyond_the_end_of_an_odd_volume():
    bench = Bench(20, odd=512)
    bench.put(19, 20)
    (write,) = bench.run()
    assert sum(len(b) for _, buffers in write.runs for b in buffers) == TRACK_BYTES + 512
    bench.done(write)
    assert len(bench.cache.clean[20]) == TRACK_BYTES, "the cache keeps whole tracks"
    bench.put(*range(4, 21), data=ZERO_TRACK)
    (write,) = bench.run()
    assert write.zeros == [(4 * TRACK_BYTES, 16 * TRACK_BYTES + 512)]


def test_so_many_writes_are_under_way_and_no_more():
    bench = Bench()
    bench.put(*range(4 * DESTAGE_TRACKS - 50))
    writes = bench.run()
    assert len(writes) == WRITES_MAX
    assert bench.run() == []
    bench.done(writes[0])
    assert len(bench.run()) == 1


def test_the_journal_is_needed_until_a_flush_that_began_after_the_write():
    bench = Bench()
    bench.put(1, lsn=100)
    assert bench.destage.needed_lsn() == 100
    (write,) = bench.run()
    assert bench.destage.needed_lsn() == 100
    assert bench.flush() == [], "nothing has ended yet that a flush could make safe"
    bench.done(write)
    assert bench.destage.needed_lsn() == 100
    (flush,) = bench.flush()
    assert isinstance(flush, DiskFlush)
    assert bench.destage.needed_lsn() == 100
    bench.done(flush)
    assert bench.destage.needed_lsn() is None
    assert bench.destage.settled()


def test_a_write_that_ends_during_a_flush_needs_the_next_one():
    bench = Bench()
    bench.put(1, lsn=100)
    (first,) = bench.run()
    bench.done(first)
    (flush,) = bench.flush()
    bench.put(2, lsn=200)
    (second,) = bench.run()
    bench.done(second)
    assert bench.flush() == [], "one flush at a time"
    bench.done(flush)
    assert bench.destage.needed_lsn() == 200
    assert not bench.destage.settled()
    (flush,) = bench.flush()
    bench.done(flush)
    assert bench.destage.settled()


def test_a_refused_write_is_tried_again_later_and_loses_nothing():
    bench = Bench()
    bench.put(1, 2, lsn=100)
    (write,) = bench.run()
    bench.done(write, FAILED)
    assert bench.destage.needed_lsn() == 100
    assert bench.run() == []
    bench.now_ns = RETRY_NS
    (again,) = bench.run()
    assert again.runs == [(TRACK_BYTES, [image(1)])], "in smaller parts"
    assert bench.destage.failures == 1


def refuse(bench: Bench, bad: set[int], turns: int = 200) -> set[int]:
    """Let the disk refuse tracks for a while; return what it took."""
    taken: set[int] = set()
    for _ in range(turns):
        bench.now_ns += FIND_NS
        for request in bench.run() + bench.flush():
            if isinstance(request, DiskFlush):
                bench.done(request)
                continue
            tracks = {
                offset // TRACK_BYTES + number
                for offset, images in request.runs
                for number in range(len(images))
            }
            bench.done(request, FAILED if tracks & bad else None)
            taken |= tracks if not tracks & bad else set()
    return taken


def test_one_refused_track_does_not_keep_the_others_from_the_disk():
    bench = Bench()
    bench.put(*range(600), lsn=100)
    assert refuse(bench, {7, 300}) == set(range(600)) - {7, 300}
    assert sorted(bench.destage.stuck_tracks(0)) == [7, 300]
    assert bench.destage.refusing_devices() == [0]
    assert bench.destage.needed_lsn() == 100, "what the disk lacks is never trimmed"
    assert bench.destage.unwritten_lsn([0]) is None, "their hosts were told"
    # It takes them again: the tracks reach it, newest contents first of all.
    bench.put(7, lsn=500, data=image(99))
    assert bench.destage.unwritten_lsn([0]) == 500
    assert {7, 300} <= refuse(bench, set(), turns=800)
    assert bench.destage.settled()
    assert bench.destage.refusing_devices() == []


def test_a_disk_that_refuses_everything_is_not_asked_without_end():
    bench = Bench()
    bench.put(*range(500), lsn=100)
    asked = 0
    for _ in range(2000):
        bench.now_ns += FIND_NS
        for request in bench.run():
            asked += 1
            bench.done(request, FAILED)
    assert asked < 2000
    assert bench.destage.needed_lsn() == 100


def test_a_disk_that_hosts_wait_for_is_written_and_flushed_at_once():
    bench = Bench(volumes=2)
    bench.destage.write_through(1)
    bench.put(1, lsn=100)
    bench.put(1, lsn=200, volume=1)
    bench.destage.run(0, pressed=False)
    (write,) = bench.take()
    assert write.device == 1
    bench.done(write)
    bench.destage.flush(everywhere=False)
    (flush,) = bench.take()
    assert flush.device == 1
    assert bench.destage.unwritten_lsn([1]) == 200
    bench.done(flush)
    assert bench.destage.unwritten_lsn([1]) is None
    bench.destage.write_early(1)
    bench.put(2, lsn=300, volume=1)
    bench.destage.run(0, pressed=False)
    assert bench.take() == []


def test_a_track_takes_its_neighbours_along():
    """The oldest go first, in runs: a disk writes a run at the cost of a track."""
    bench = Bench(tracks=4000)
    order = list(range(2000))
    random.Random(1).shuffle(order)
    bench.put(*order)
    writes = bench.run()
    for write in writes:
        assert len(write.runs) == 1
        assert len(write.runs[0][1]) == DESTAGE_TRACKS
    first = writes[0].runs[0][0] // TRACK_BYTES
    assert first <= order[0] < first + DESTAGE_TRACKS


def test_hosts_that_never_rest_do_not_keep_a_track_from_the_disk_for_ever():
    bench = Bench()
    assert not bench.destage.too_old(AGE_NS_MAX, 100)
    bench.put(1, lsn=50)
    assert not bench.destage.too_old(2 * AGE_NS_MAX - 1, 200)
    assert bench.destage.too_old(2 * AGE_NS_MAX, 200)
    (write,) = bench.run()
    bench.done(write)
    (flush,) = bench.flush()
    bench.done(flush)
    assert not bench.destage.too_old(2 * AGE_NS_MAX, 200)


def test_a_refused_write_takes_what_was_written_meanwhile():
    bench = Bench()
    bench.put(1, lsn=100)
    (write,) = bench.run()
    bench.put(1, lsn=200, data=image(77))
    bench.done(write, FAILED)
    bench.now_ns = RETRY_NS
    (again,) = bench.run()
    assert again.runs == [(TRACK_BYTES, [image(77)])]
    assert bench.destage.needed_lsn() == 100


def test_after_a_failed_flush_the_disk_is_left_alone_and_the_journal_kept():
    """Nobody knows what the disk has; only the journal does."""
    bench = Bench(volumes=2)
    bench.put(1, lsn=100)
    bench.put(1, lsn=300, volume=1)
    for write in bench.run():
        bench.done(write)
    for flush in bench.flush():
        bench.done(flush, FAILED if flush.device == 0 else None)
    assert bench.destage.broken_devices() == [0]
    assert bench.destage.needed_lsn() == 100
    bench.put(2, lsn=400)
    bench.put(2, lsn=400, volume=1)
    bench.now_ns = 10 * RETRY_NS
    assert [write.device for write in bench.run()] == [1]
    assert bench.destage.needed_lsn() == 100
    assert not bench.destage.settled()


def test_a_flush_that_never_reached_the_disk_is_asked_again():
    bench = Bench()
    bench.put(1, lsn=100)
    (write,) = bench.run()
    bench.done(write)
    (flush,) = bench.flush()
    bench.done(flush, NotReachedError("mem:", "cut off"))
    assert (bench.destage.broken_devices(), bench.destage.refusing_devices()) == ([], [0])
    assert bench.destage.needed_lsn() == 100
    assert bench.flush() == [], "not at once"
    bench.now_ns = RETRY_NS
    bench.run()
    (flush,) = bench.flush()
    bench.done(flush)
    assert bench.destage.refusing_devices() == []
    assert bench.destage.settled()
