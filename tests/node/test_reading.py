"""Reading what is not cached: whoever waits gets the newest at the end, never a mixture (C10)."""

from emulator.cache.tracks import TrackCache, track_key
from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import DeviceError
from emulator.node.reading import READ_TRACKS_MAX, Reading


def image(number: int) -> bytes:
    return bytes([number]) * TRACK_BYTES


class Bench:
    def __init__(self, tracks: int = 40, odd: int = 0) -> None:
        self.cache = TrackCache(0)
        self.cache.add_volume()
        self.cache.add_volume()
        self.size = tracks * TRACK_BYTES + odd
        self.reading = Reading(self.cache, [self.size, self.size])
        self.disk = bytearray(self.size)
        self.answers: list = []

    def read(self, *keys: int) -> None:
        self.reading.read(keys, self.answers.append)

    def take(self) -> list:
        requests, self.reading.requests[:] = list(self.reading.requests), []
        return requests

    def answer(self, request) -> None:
        data = bytes(self.disk[request.offset : request.offset + request.length])
        assert len(data) == request.length
        self.reading.completed(request.number, data)

    def destage(self) -> None:
        """Bring every dirty track to the disk, and let it leave the cache."""
        written = self.cache.destage_begun(0, 1000)
        for key, data in written:
            at = key * TRACK_BYTES
            self.disk[at : at + TRACK_BYTES] = data[: self.size - at]
        self.cache.destage_done(written)
        self.cache.clean.clear()


def test_what_is_cached_is_given_at_once():
    bench = Bench()
    bench.cache.put(3, image(3), 0)
    bench.read(3)
    assert bench.answers == [{3: image(3)}]
    assert bench.take() == []


def test_neighbours_are_read_together_and_others_apart():
    bench = Bench()
    bench.cache.put(2, image(9), 0)
    bench.disk[:] = b"".join(image(track) for track in range(40))
    bench.read(0, 1, 2, 3, 4, 7)
    requests = bench.take()
    assert [(r.offset // TRACK_BYTES, r.length // TRACK_BYTES) for r in requests] == [
        (0, 2), (3, 2), (7, 1),
    ]  # fmt: skip
    for request in reversed(requests):
        assert bench.answers == []
        bench.answer(request)
    assert bench.answers == [{key: image(9 if key == 2 else key) for key in (0, 1, 2, 3, 4, 7)}]


def test_a_long_run_is_read_in_parts():
    bench = Bench(READ_TRACKS_MAX + 5)
    bench.read(*range(READ_TRACKS_MAX + 5))
    assert [r.length // TRACK_BYTES for r in bench.take()] == [READ_TRACKS_MAX, 5]


def test_the_last_track_of_an_odd_volume_ends_in_zeros():
    bench = Bench(2, odd=512)
    bench.disk[2 * TRACK_BYTES :] = b"x" * 512
    bench.read(2)
    (request,) = bench.take()
    assert request.length == 512
    bench.answer(request)
    assert bench.answers == [{2: b"x" * 512 + bytes(TRACK_BYTES - 512)}]


def test_a_write_during_the_read_is_what_is_given():
    bench = Bench()
    bench.read(5)
    (request,) = bench.take()
    bench.cache.put(5, image(1), 0)
    bench.answer(request)
    assert bench.answers == [{5: image(1)}]


def test_a_write_destaged_and_gone_during_the_read_is_read_again():
    bench = Bench()
    bench.read(5)
    (request,) = bench.take()
    old = bytes(bench.disk[request.offset :][: request.length])
    bench.cache.put(5, image(1), 0)
    bench.destage()
    bench.reading.completed(request.number, old)
    assert bench.answers == []
    (again,) = bench.take()
    bench.answer(again)
    assert bench.answers == [{5: image(1)}]
    assert not bench.cache._reading
    assert not bench.cache._overtaken


def test_a_cached_track_that_changes_while_others_are_read_is_given_as_it_is_at_the_end():
    """The two edges of one write: one was cached, the other had to be read."""
    bench = Bench()
    bench.cache.put(4, image(1), 0)
    bench.read(4, 9)
    (request,) = bench.take()
    bench.cache.put(4, image(2), 0)
    bench.answer(request)
    assert bench.answers[0][4] == image(2)


def test_the_same_when_it_has_left_the_cache_by_then():
    bench = Bench()
    bench.cache.put(4, image(1), 0)
    bench.read(4, 9)
    (request,) = bench.take()
    bench.cache.put(4, image(2), 0)
    bench.destage()
    bench.answer(request)
    assert bench.answers == []
    (again,) = bench.take()
    assert (again.offset, again.length) == (4 * TRACK_BYTES, TRACK_BYTES)
    bench.answer(again)
    assert bench.answers[0][4] == image(2)


def test_two_readers_of_one_busy_track_both_end():
    bench = Bench()
    for version in range(1, 6):
        bench.read(5)
        bench.cache.put(5, image(version), 0)
        bench.destage()
        bench.read(5)
        bench.cache.put(5, image(version), 0)
        bench.destage()
        for request in bench.take():
            bench.answer(request)
    for _ in range(10):
        for request in bench.take():
            bench.answer(request)
    assert len(bench.answers) == 10
    assert not bench.cache._reading


def test_a_disk_that_refuses_is_an_error_once_every_read_has_ended():
    bench = Bench()
    bench.read(1, 5)
    first, second = bench.take()
    bench.reading.completed(first.number, DeviceError("mem:", "refuses"))
    assert bench.answers == []
    bench.answer(second)
    assert [str(answer) for answer in bench.answers] == ["mem:: refuses"]
    assert bench.cache.peek(1) is None
    assert not bench.cache._reading
    bench.read(1)
    bench.answer(bench.take()[0])
    assert bench.answers[1] == {1: image(0)}


def test_what_a_disk_refused_is_no_image_after_newer_ones_have_left():
    bench = Bench()
    mended: list = []
    reading = Reading(
        bench.cache, [bench.size], mend=lambda bad, done: mended.append((list(bad), done))
    )
    bench.reading = reading
    refused = DeviceError("file:/a", "no")
    bench.read(0, 5)
    first, second = bench.take()
    bench.read(5)
    (other,) = bench.take()
    bench.disk[5 * TRACK_BYTES : 6 * TRACK_BYTES] = image(5)
    bench.answer(other)
    assert bench.answers.pop() == {5: image(5)}
    # Another reader has got it: it is not bad. Then it is evicted, while the rest is mended.
    reading.completed(second.number, refused)
    reading.completed(first.number, refused)
    ((keys, done),) = mended
    assert keys == [0]
    bench.cache.clean.clear()
    done({0: image(9)})
    assert bench.answers == []
    (again,) = bench.take()
    bench.answer(again)
    assert bench.answers == [{0: image(9), 5: image(5)}]


def test_a_track_asked_for_twice_is_read_once():
    bench = Bench()
    bench.read(5, 5)
    (request,) = bench.take()
    bench.answer(request)
    assert bench.answers == [{5: image(0)}]
    assert not bench.cache._reading


def test_volumes_do_not_mix():
    bench = Bench()
    bench.read(track_key(0, 5), track_key(1, 5))
    assert [(r.device, r.offset) for r in bench.take()] == [
        (0, 5 * TRACK_BYTES), (1, 5 * TRACK_BYTES),
    ]  # fmt: skip


# Reading ahead.


class Streaming(Bench):
    def __init__(self) -> None:
        super().__init__(tracks=400)
        self.cache.ahead.tracks_max = 64
        self.reading = Reading(self.cache, [self.size, self.size])
        self.disk[:] = b"".join(image(track % 251) for track in range(400))

    def serve(self, *keys: int) -> None:
        """Read as a host, and let the disk answer all that somebody waits for."""
        self.read(*keys)
        for request in self.take():
            self.answer(request)

    def look(self) -> list[tuple[int, int]]:
        self.reading.ahead.go_on(self.reading)
        self.asked = self.take()
        return [(r.offset // TRACK_BYTES, r.length // TRACK_BYTES) for r in self.asked]


def test_a_stream_is_read_ahead_of_and_then_found():
    bench = Streaming()
    bench.serve(0, 1, 2, 3)
    assert bench.look() == []
    bench.serve(4, 5, 6, 7)
    assert bench.look() == [(8, 4)]
    bench.answer(bench.asked[0])
    assert len(bench.cache.ahead) == 4
    bench.serve(8, 9)
    assert bench.answers[-1] == {8: image(8), 9: image(9)}
    assert bench.cache.ahead_used == [2, 0]
    assert bench.look() == [(12, 8)]


def test_nothing_is_read_ahead_while_somebody_waits_for_the_device():
    bench = Streaming()
    bench.serve(0, 1, 2, 3)
    bench.read(4, 5, 6, 7)
    (request,) = bench.take()
    assert bench.look() == []
    bench.answer(request)
    assert bench.look() == [(8, 4)]


def test_who_comes_to_want_it_waits_for_the_same_read():
    bench = Streaming()
    bench.serve(0, 1, 2, 3)
    bench.serve(4, 5, 6, 7)
    bench.look()
    bench.read(8, 9, 10, 11, 12)
    (rest,) = bench.take()
    assert (rest.offset // TRACK_BYTES, rest.length // TRACK_BYTES) == (12, 1)
    before = len(bench.answers)
    bench.answer(rest)
    assert len(bench.answers) == before
    bench.answer(bench.asked[0])
    assert bench.answers[-1] == {key: image(key) for key in range(8, 13)}
    assert not bench.cache.ahead
    assert not bench.cache._reading


def test_a_write_between_reading_ahead_and_the_wish_is_not_missed():
    """The wish begins after the write, but what it waits for was read before."""
    bench = Streaming()
    bench.serve(0, 1, 2, 3)
    bench.serve(4, 5, 6, 7)
    bench.look()
    old = bytes(bench.disk[8 * TRACK_BYTES : 12 * TRACK_BYTES])
    bench.cache.put(9, image(200), 0)
    bench.destage()
    bench.read(8, 9)
    assert bench.take() == []
    bench.reading.completed(bench.asked[0].number, old)
    (again,) = bench.take()
    assert again.offset == 9 * TRACK_BYTES
    bench.answer(again)
    assert bench.answers[-1] == {8: image(8), 9: image(200)}
    assert not bench.cache._reading
    assert not bench.cache._overtaken


def test_a_disk_that_refuses_to_be_read_ahead_harms_only_who_asks_itself():
    bench = Streaming()
    bench.serve(0, 1, 2, 3)
    bench.serve(4, 5, 6, 7)
    bench.look()
    bench.read(8)
    bench.reading.completed(bench.asked[0].number, DeviceError("mem:", "refuses"))
    before = len(bench.answers)
    for request in bench.take():
        bench.reading.completed(request.number, DeviceError("mem:", "refuses"))
    (request,) = bench.take()
    bench.answer(request)
    assert bench.answers[before:] == [{8: image(8)}]
    assert not bench.cache._reading
    assert not bench.reading.ahead._coming


def test_what_was_cached_meanwhile_is_not_read_ahead():
    bench = Streaming()
    bench.serve(0, 1, 2, 3)
    bench.read(4, 5, 6, 7)
    (request,) = bench.take()
    bench.cache.put(9, image(9), 0)
    bench.answer(request)
    assert bench.look() == [(8, 1), (10, 2)]


# Devices that keep several tracks in one slot.


class Slotted(Streaming):
    def __init__(self) -> None:
        super().__init__()
        self.cache.ahead.tracks_max = 200
        self.reading = Reading(self.cache, [self.size, self.size], slots=[14, 14])

    def serve_slot(self, slot: int) -> None:
        self.serve(*range(14 * slot, 14 * slot + 14))


def test_slots_are_read_ahead_whole():
    bench = Slotted()
    for slot in range(3):
        bench.serve_slot(slot)
        assert bench.look() == []
    bench.serve_slot(3)
    assert bench.look() == [(56, 42)]
    bench.answer(bench.asked[0])
    bench.read(*range(56, 70))
    assert bench.reading.wants_turn()
    assert bench.look() == [(98, 42)]


def test_only_the_beginning_of_a_window_brings_the_next():
    bench = Slotted()
    for slot in range(4):
        bench.serve_slot(slot)
    bench.look()
    bench.answer(bench.asked[0])
    bench.read(*range(70, 84))
    assert not bench.reading.wants_turn()
    assert bench.look() == []


def test_long_reads_are_cut_where_a_slot_begins():
    bench = Slotted()
    bench.read(*range(7, 300))
    assert [(r.offset // TRACK_BYTES, r.length // TRACK_BYTES) for r in bench.take()] == [
        (7, 245), (252, 48),
    ]  # fmt: skip
