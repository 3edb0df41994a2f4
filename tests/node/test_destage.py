"""Destage: what is written when, and from where the journal is still needed (W2)."""

from emulator.cache.tracks import ZERO_TRACK, TrackCache, track_key
from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import DeviceError
from emulator.node.destage import DESTAGE_TRACKS, RETRY_NS, WRITES_MAX, ZERO_RUN_TRACKS, Destage
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
    assert again.runs == write.runs
    assert bench.destage.failures == 1


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
