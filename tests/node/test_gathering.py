"""While a host writes without a pause its writes are gathered; a pause or the bound ends that."""

import pytest

from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import MILLISECOND_NS
from emulator.copy.levels import AckLevel
from emulator.copy.states import PairState
from emulator.copy.stream import BUSY_PAUSE_NS, WORTH_TRACKS
from tests.node.world import World


class Answers:
    """A host that only counts."""

    def __init__(self) -> None:
        self.done = 0

    def completed(self, cookie, outcome, data) -> None:
        self.done += 1


def duplex(**changes) -> World:
    world = World(1, **changes).start()
    world.run(lambda: world.a.group.state is PairState.DUPLEX)
    world.run(lambda: world.a.group.stream.acked.csn == world.a.group.csn)
    return world


def write_on(world: World, host: Answers, for_ms: int) -> int:
    """Write a track every half millisecond; return how many records were sent meanwhile."""
    stream = world.a.group.stream
    before = stream.sent_records
    volume = world.a.processor.volumes["vol0"]
    for number in range(2 * for_ms):
        data = number.to_bytes(4, "big") * (TRACK_BYTES // 4)
        world.a.processor.rhythm.host_spoke(world.now_ns)
        volume.write(0, data, host, number)
        world.wake_soon(world.a, world.now_ns)
        world.rest(0.5)
    return stream.sent_records - before


def test_a_busy_hosts_writes_are_sent_once_and_a_pause_sends_them():
    world, host = duplex(), Answers()
    group = world.a.group
    assert write_on(world, host, 50) == 0
    assert host.done >= 99, "a host does not wait for what is gathered"
    assert group.lag()["records"] == 100
    begin_ns = world.now_ns
    world.run(lambda: not group.lag()["records"])
    assert world.now_ns - begin_ns < 10 * MILLISECOND_NS
    assert group.stream.sent_records == 1
    assert world.b.image(0) == world.a.image(0)


def test_gathering_has_a_bound():
    world, host = duplex(gather_ns=20 * MILLISECOND_NS), Answers()
    assert 3 <= write_on(world, host, 100) <= 5
    assert world.a.group.lag()["exposure_ns"] < 30 * MILLISECOND_NS


@pytest.mark.parametrize("changes", [{"gather_ns": 0}, {"ack": AckLevel.REMOTE_NVS}])
def test_who_gathers_nothing_sends_each_write(changes):
    world, host = duplex(**changes), Answers()
    assert write_on(world, host, 10) >= 5


@pytest.mark.parametrize(("cache_kib", "sent"), [(1600, False), (320, True)])
def test_what_is_gathered_takes_memory_that_is_free(cache_kib, sent):
    """A cache with room for all loses nothing to it; one that is full gives an eighth."""
    tracks = 100
    sizes = {"vol0": tracks * TRACK_BYTES}
    world, host = duplex(cache_bytes=cache_kib * 1024, sizes=sizes, ring_bytes=2 << 20), Answers()
    processor = world.a.processor
    for number in range(tracks):
        processor.rhythm.host_spoke(world.now_ns)
        data = number.to_bytes(4, "big") * (TRACK_BYTES // 4)
        processor.volumes["vol0"].write(number * TRACK_BYTES, data, host, number)
        world.wake_soon(world.a, world.now_ns)
        world.rest(0.5)
    assert (processor.cache.tracks_max < tracks) is sent
    assert bool(world.a.group.stream.sent_records) is sent


def test_a_host_that_has_written_much_may_pause_for_longer():
    """A machine with much to do lets a host wait; what it then goes on to write is gathered too."""
    tracks = WORTH_TRACKS + 8
    sizes = {"vol0": tracks * TRACK_BYTES}
    world, host = duplex(cache_bytes=2 << 20, sizes=sizes, ring_bytes=2 << 20), Answers()
    processor, group = world.a.processor, world.a.group
    before = group.stream.sent_records
    for number in range(tracks):
        processor.volumes["vol0"].write(number * TRACK_BYTES, b"\1" * TRACK_BYTES, host, number)
    world.wake_soon(world.a, world.now_ns)
    begin_ns = world.now_ns
    world.run(lambda: group.stream.sent_records > before)
    assert BUSY_PAUSE_NS <= world.now_ns - begin_ns < BUSY_PAUSE_NS + 2 * MILLISECOND_NS
    world.run(lambda: not group.lag()["records"])
    assert world.b.image(0) == world.a.image(0)
