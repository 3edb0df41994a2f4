"""From the opening of a line to its end: keep-alive, silence, closing, and what never overlaps."""

import pytest

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.link.events import LinkDown, LinkUp
from emulator.link.link import Link
from emulator.link.packetizer import RECORD_NUMBER_MAX, RECORD_NUMBERS_SPARE
from emulator.link.states import LinkState
from emulator.wire.layout import PacketType
from tests.link.world import World, check_bytes, entropy, payloads, send_all, settings


def test_an_idle_link_stays_up_and_costs_a_packet_a_second():
    world = World(1).up()
    sent = world.ab.offered
    world.rest(1000)
    assert world.is_up
    assert world.a.of(LinkDown) == []
    assert 990 < world.ab.offered - sent < 1010


def test_silence_ends_the_session_within_its_time_and_not_before():
    world = World(2).up()
    send_all(world, world.a, payloads(10, 100))
    world.ab.cut = world.ba.cut = True
    world.rest(1.9)
    assert world.is_up
    took_ns = world.run(lambda: world.a.of(LinkDown) and world.b.of(LinkDown), 10)
    assert took_ns < 2.2 * SECOND_NS
    assert world.a.of(LinkDown) == [LinkDown("no answer")]


@pytest.mark.parametrize("seed", range(8))
def test_a_lossy_idle_line_does_not_flap(seed):
    world = World(seed, {"loss": 0.3}).up()
    world.rest(300)
    assert len(world.a.of(LinkDown)) <= 2
    assert world.is_up


def test_a_slow_line_waits_longer_by_its_own_measure():
    slow = {"mtu_bytes": 256, "rate_bytes_per_s": 96.0}
    ways = {"rate_bytes_per_s": 96.0}
    world = World(3, ways, settings(**slow), settings("B", "A", **slow)).up()
    records = payloads(10, 2000, 3)
    send_all(world, world.a, records, 3000)
    world.rest(100)
    assert world.a.of(LinkDown) == world.b.of(LinkDown) == []
    assert world.a.link.counters.sent_again_packets == 0
    world.ab.cut = world.ba.cut = True
    took_ns = world.run(lambda: world.a.of(LinkDown), 200)
    assert took_ns > 20 * SECOND_NS


def test_closing_is_told_to_the_other_end():
    world = World(4).up()
    world.a.link.close(world.now_ns, "maintenance")
    world.run(lambda: world.b.of(LinkDown), 1)
    assert world.a.of(LinkDown) == [LinkDown("maintenance")]
    assert world.b.of(LinkDown) == [LinkDown("closed by the other end: 'maintenance'")]
    assert world.a.link.state is LinkState.DOWN
    assert world.b.link.state is LinkState.HELLO
    world.rest(10)
    assert world.a.link.next_deadline_ns() is None
    check_bytes(world)
    world.a.link.start(world.now_ns)
    world.run(lambda: world.is_up, 5)
    assert [type(event) for event in world.a.log] == [LinkUp, LinkDown, LinkUp]


def test_a_close_on_a_paced_line_does_not_wait_for_its_turn():
    slow = {"mtu_bytes": 256, "rate_bytes_per_s": 960.0}
    world = World(5, None, settings(**slow), settings("B", "A", **slow)).up()
    world.a.link.send(1, 2, 1, [bytes(5000)])
    world.settle()
    world.a.link.close(
        world.now_ns, "a reason longer than forty bytes, with an umlaut: \u00fc\u00fc"
    )
    (packet,) = world.a.link.outgoing(world.now_ns, 10)
    assert packet[3] == PacketType.CLOSE
    assert len(packet) <= 96


def test_a_lost_line_ends_the_session_and_can_come_back():
    world = World(6).up()
    world.a.link.line_lost(world.now_ns, "USB device unplugged")
    world.settle()
    assert world.a.of(LinkDown) == [LinkDown("USB device unplugged")]
    assert world.a.link.outgoing(world.now_ns, 10) == []
    assert world.a.link.next_deadline_ns() is None
    assert world.a.link.rtt_ns is None
    world.rest(1)
    world.a.link.start(world.now_ns)
    world.run(lambda: world.is_up and len(world.b.of(LinkUp)) == 2, 5)
    assert world.b.of(LinkDown) == [LinkDown("peer restarted")]


def test_losing_or_closing_what_was_never_up_says_nothing():
    world = World(7)
    world.a.link.close(world.now_ns, "never mind")
    world.a.link.start(world.now_ns)
    world.a.link.line_lost(world.now_ns, "gone")
    assert world.a.link.events() == []


def test_each_up_has_one_down_on_a_line_that_flaps():
    world = World(8, {"loss": 0.1, "replay": 0.2, "duplicate": 0.2})
    world.start()
    for _ in range(20):
        cut = world.dice.random() < 0.5
        world.ab.cut = cut and world.dice.random() < 0.7
        world.ba.cut = cut and world.dice.random() < 0.7
        if world.a.link.state is LinkState.UP:
            world.a.link.send(1, 2, 3, [bytes(3000)])
        world.rest(5 * world.dice.random())
    world.ab.cut = world.ba.cut = False
    world.run(lambda: world.is_up, 30)
    for end in (world.a, world.b):
        kinds = [type(event) for event in end.log if isinstance(event, LinkUp | LinkDown)]
        assert kinds == [LinkUp, LinkDown] * (len(kinds) // 2) + [LinkUp]
        assert len(end.of(LinkUp)) == end.link.counters.sessions > 2


def test_a_session_with_another_packet_size_mixes_with_nothing():
    world = World(9, {"delay_ns": 200 * MILLISECOND_NS}).up()
    first = world.ab.offered
    world.ab.drop = lambda nth, _: nth == first + 3
    world.a.link.send(1, 2, 1, [bytes(range(256)) * 40])
    world.settle()  # fragments of 1454 bytes fly, all but one
    world.a.link.line_lost(world.now_ns, "other speed")
    world.a.link = Link(settings(mtu_bytes=200), entropy("slow"))
    world.a.link.start(world.now_ns)
    world.run(lambda: world.is_up and len(world.b.of(LinkUp)) == 2, 10)
    assert world.b.of(LinkUp)[1].mtu_bytes == 200
    world.a.link.send(1, 2, 1, [b"other" * 500])
    world.run(lambda: world.b.got, 10)
    assert [event.data for event in world.b.got] == [b"other" * 500]


def test_when_record_numbers_are_used_up_a_new_session_begins():
    last = RECORD_NUMBER_MAX - RECORD_NUMBERS_SPARE
    world = World(10).up()
    for end in (world.a, world.b):
        session = end.link._session
        session.sender.packetizer._last = session.sender.packetizer.kept = last - 2
        session.receiver.assembler.kept = last - 2
    assert world.a.link.send(1, 2, 1, [b"x"]) == last - 1
    assert world.a.link.room_bytes() > 0
    assert world.a.link.send(1, 2, 2, [b"y"]) == last
    assert world.a.link.room_bytes() == 0
    assert world.a.link.send(1, 2, 2, [b"control"]) == last + 1
    world.run(lambda: world.a.of(LinkDown), 5)
    assert world.a.of(LinkDown) == [LinkDown("record numbers used up")]
    assert [event.data for event in world.b.got] == [b"x", b"y", b"control"]
    world.run(lambda: world.is_up, 5)
    assert world.a.link.send(1, 2, 3, [b"z"]) == 1


def test_packet_numbers_near_any_power_of_two_are_nothing_special():
    for bits in (16, 31, 32, 48):
        world = World(11, {"loss": 0.2}).up()
        for end, other in ((world.a, world.b), (world.b, world.a)):
            end.link._session.sender.number = 2**bits - 5
            other.link._session.receiver.numbers.largest = 2**bits - 5
        records = payloads(10, 3000, bits)
        send_all(world, world.a, records)
        assert [event.data for event in world.b.got] == records


def test_the_round_trip_is_measured():
    world = World(12, {"delay_ns": 30 * MILLISECOND_NS}).up()
    send_all(world, world.a, payloads(50, 1000))
    assert 59 * MILLISECOND_NS < world.a.link.rtt_ns < 66 * MILLISECOND_NS
    # B sent no data, and yet knows it from its acknowledgements.
    world.rest(5)
    assert 59 * MILLISECOND_NS < world.b.link.rtt_ns < 66 * MILLISECOND_NS


def test_a_process_that_was_stopped_for_a_minute_notices():
    world = World(13).up()
    later_ns = world.now_ns + 60 * SECOND_NS
    world.a.link.wake(later_ns)
    assert world.a.link.state is LinkState.HELLO
    assert LinkDown("no answer") in world.a.link.events()
