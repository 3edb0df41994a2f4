"""Back-pressure instead of drops: windows that close, open, and are forgotten about."""

import pytest

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import MisuseError
from emulator.link.events import LinkDown, LinkUp
from emulator.link.link import CONTROL_BYTES_MAX
from emulator.link.packetizer import RECORD_BYTES_MAX, RECORDS_AHEAD_MAX
from emulator.link.states import LinkState
from emulator.wire.layout import PacketType
from tests.link.world import World, check_bytes, payloads, settings

WINDOW = 8192


def world_of(seed: object, ways: dict | None = None, **changes) -> World:
    changes = {"window_bytes": WINDOW, "mtu_bytes": 256} | changes
    world = World(seed, ways, settings(window_bytes=2**20), settings("B", "A", **changes)).up()
    world.b.releases = False
    return world


def held(world: World) -> int:
    assembler = world.b.link._session.receiver.assembler
    return assembler.held_bytes + assembler.unreleased_bytes


def queue(world: World, records: list[bytes]) -> None:
    for csn, record in enumerate(records, 1):
        world.a.link.send(1, 2, csn, [record])


def test_nothing_moves_beyond_the_window_until_it_is_released_and_nothing_is_lost():
    world = world_of(1)
    records = [bytes([n]) * 1024 for n in range(40)]
    queue(world, records)
    world.rest(30)
    assert len(world.b.got) == 8
    assert held(world) <= WINDOW
    assert world.a.of(LinkDown) == []
    for done in range(40):
        world.b.link.release(len(records[done]))
        world.run(lambda done=done: len(world.b.got) >= min(40, done + 8), 5)
        assert held(world) <= WINDOW
    assert [event.data for event in world.b.got] == records
    world.run(lambda: world.a.kept == 40, 1)
    assert world.a.link.counters.sent_again_packets == 0
    check_bytes(world)


def test_a_record_larger_than_the_window_passes_and_shuts_it():
    world = world_of(2)
    records = [b"small", bytes(10 * WINDOW), b"after"]
    queue(world, records)
    world.rest(10)
    assert [len(event.data) for event in world.b.got] == [5, 10 * WINDOW]
    assert held(world) == 10 * WINDOW + 5
    world.b.link.release(9 * WINDOW)
    world.rest(5)
    assert len(world.b.got) == 2
    world.b.link.release(WINDOW + 5)
    world.run(lambda: world.a.kept == 3, 1)


def test_a_lost_window_update_is_asked_for():
    world = world_of(3)
    records = [bytes(1024) for _ in range(16)]
    queue(world, records)
    world.rest(5)
    assert len(world.b.got) == 8
    world.ba.cut = True
    world.b.link.release(WINDOW)
    world.rest(0.2)
    assert world.ba.dropped > 0
    world.ba.cut = False
    assert world.run(lambda: len(world.b.got) == 16, 5) < 2 * SECOND_NS


@pytest.mark.parametrize("lost", range(1, 6))
def test_however_many_window_updates_are_lost(lost):
    world = world_of(("lost", lost))
    queue(world, [bytes(1024) for _ in range(16)])
    world.rest(5)
    first = world.ba.offered
    world.ba.drop = lambda nth, _: nth < first + lost
    world.b.link.release(WINDOW)
    world.run(lambda: len(world.b.got) == 16, 8)
    assert world.a.of(LinkDown) == []


def test_an_open_window_is_announced_without_being_asked():
    world = world_of(4)
    queue(world, [bytes(1024) for _ in range(16)])
    world.rest(0.5)
    world.b.link.release(WINDOW)
    assert world.run(lambda: len(world.b.got) == 16, 5) < 10 * MILLISECOND_NS


def test_a_slow_reader_does_not_provoke_an_ack_for_each_byte():
    world = world_of(5)
    queue(world, [bytes(1024) for _ in range(4)])
    world.rest(0.5)
    before = world.b.link.counters.sent_ack_packets
    for _ in range(4096):
        world.b.link.release(1)
        world.settle()
    assert world.b.link.counters.sent_ack_packets - before <= 3


def test_bytes_not_released_shrink_the_window_of_the_next_session_too():
    world = world_of(6)
    queue(world, [bytes(1024) for _ in range(8)])
    world.rest(0.5)
    world.restart(world.a)
    world.run(lambda: len(world.b.of(LinkUp)) == 2 and world.is_up, 5)
    queue(world, [bytes(1024) for _ in range(8)])
    world.rest(5)
    assert len(world.b.got) == 8
    world.b.link.release(8 * 1024)
    world.run(lambda: len(world.b.got) == 16, 5)
    world.b.link.line_lost(world.now_ns, "unplugged")
    world.b.link.release(8 * 1024)
    with pytest.raises(MisuseError, match="release of 1 bytes, 0 held"):
        world.b.link.release(1)


def test_the_bound_holds_on_a_bad_line_with_a_reader_that_starts_and_stops():
    ways = {"loss": 0.2, "duplicate": 0.2, "jitter_ns": 20 * MILLISECOND_NS}
    world = world_of(7, ways)
    records = payloads(200, 3000, 7)
    queue(world, records)
    released = 0
    while len(world.b.got) < len(records):
        world.rest(0.05)
        assert held(world) <= WINDOW + 3000
        if world.dice.random() < 0.3:
            while released < len(world.b.got):
                world.b.link.release(len(world.b.got[released].data))
                released += 1
    assert [event.data for event in world.b.got] == records


def test_many_small_records_are_bounded_by_number():
    world = World(8).up()
    world.ab.drop = lambda _, packet: packet[3] == PacketType.DATA and packet[28:30] == b"\0\1"
    world.ab.cut = True
    for csn in range(RECORDS_AHEAD_MAX):
        world.a.link.send(1, 2, csn, [b""])
    assert world.a.link.room_bytes() == 0
    world.ab.cut = False
    world.run(lambda: world.a.kept == RECORDS_AHEAD_MAX, 60)
    assert world.a.link.room_bytes() == world.a.link.settings.window_bytes


def test_the_queue_has_room_for_control_and_then_an_end():
    world = World(9).up()
    world.ab.cut = True
    link = world.a.link
    assert link.room_bytes() == link.settings.window_bytes
    link.send(1, 2, 1, [bytes(link.settings.window_bytes - 1)])
    assert link.room_bytes() == 1
    link.send(1, 2, 2, [bytes(RECORD_BYTES_MAX)])
    assert link.room_bytes() < 0
    link.send(1, 2, 3, [bytes(CONTROL_BYTES_MAX)])
    with pytest.raises(MisuseError, match="queue is full"):
        link.send(1, 2, 4, [b"xx"])


def test_what_cannot_be_sent_is_our_own_mistake_and_named():
    world = World(10)
    with pytest.raises(MisuseError, match="send while it is down"):
        world.a.link.send(1, 2, 3, [b"x"])
    assert world.a.link.room_bytes() == 0
    world.up()
    assert world.a.link.state is LinkState.UP
    with pytest.raises(MisuseError, match="largest is"):
        world.a.link.send(1, 2, 3, [bytes(RECORD_BYTES_MAX + 1)])
    with pytest.raises(MisuseError, match="release of -1"):
        world.a.link.release(-1)


def test_parts_are_joined_once_and_a_single_one_is_not_copied():
    world = World(11).up()
    data = b"alone" * 1000
    world.a.link.send(1, 2, 1, [data])
    assert world.a.link._session.sender.packetizer._unkept[0].data is data
    world.a.link.send(1, 2, 2, [b"a", bytearray(b"b"), memoryview(b"c")])
    changing = bytearray(b"before")
    world.a.link.send(1, 2, 3, [changing])
    changing[:] = b"after!"
    world.a.link.send(1, 2, 4, [])
    world.run(lambda: world.a.kept == 4, 1)
    assert [event.data for event in world.b.got] == [data, b"abc", b"before", b""]
