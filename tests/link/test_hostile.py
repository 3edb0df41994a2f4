"""Garbage, forgeries, reflections and recordings change nothing, and are counted one by one."""

import random

from emulator.link.events import LinkDown, RecordReceived
from emulator.link.receiver import CONTRADICTIONS_MAX
from emulator.link.states import LinkState
from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import Packet, encode_packet
from tests.link.world import World, check_bytes, payloads, send_all


def packet_of(**changes) -> Packet:
    """Return a DATA packet as a stranger might make it, with a good checksum."""
    flags = PacketFlag.UNSEALED | PacketFlag.FIRST | PacketFlag.LAST
    payload = changes.get("payload", b"forged")
    values = {
        "type": PacketType.DATA,
        "flags": flags,
        "kind": 1,
        "group": 0,
        "session": 0,
        "number": 1,
        "record": 1,
        "csn": 1,
        "record_length": len(payload),
        "fragment_offset": 0,
        "payload": payload,
    }
    return Packet(**(values | changes))


def inside(world: World, **changes) -> Packet:
    """Return a DATA packet that B would believe came from A, unless something is wrong with it."""
    session = world.a.link._session
    return packet_of(**({"session": session.field_out, "number": 1000, "record": 1} | changes))


def answers(world: World, end) -> list[bytes]:
    packets = end.link.outgoing(world.now_ns, 100)
    end.taken_bytes += sum(map(len, packets))
    return packets


def test_forged_packets_with_a_good_checksum_and_another_session_change_nothing():
    world = World(1).up()
    send_all(world, world.a, payloads(5, 3000))
    field = world.b.link._session.field_in
    got = len(world.b.got)
    dice = random.Random(1)
    sessions = [0, field ^ 2, field + 2, *(dice.getrandbits(32) for _ in range(200))]
    count = 0
    for session in sessions:
        for type_ in (PacketType.DATA, PacketType.ACK, PacketType.CLOSE):
            payload = dice.choice((b"", b"forged", bytes(21)))
            packet = packet_of(type=type_, session=session, number=77, record=6, payload=payload)
            world.inject(world.b, encode_packet(packet))
            count += 1
    assert answers(world, world.b) == []
    assert world.b.link.counters.rejected["session"] == count
    assert len(world.b.got) == got
    assert world.b.of(LinkDown) == []
    check_bytes(world)


def test_before_and_after_a_session_everything_is_turned_away():
    world = World(2)
    world.inject(world.b, encode_packet(packet_of()))
    assert world.b.link.counters.rejected["closed"] == 1
    world.b.link.start(world.now_ns)
    answers(world, world.b)
    world.inject(world.b, encode_packet(packet_of()))
    world.inject(world.b, encode_packet(packet_of(session=5)))
    assert world.b.link.counters.rejected["session"] == 2
    assert answers(world, world.b) == []


def test_our_own_packets_come_back_and_are_not_taken_for_the_others():
    world = World(3).up()
    records = payloads(10, 3000)
    first = len(world.ab.history)
    send_all(world, world.a, records)
    for packet in world.ab.history[first:]:
        world.inject(world.a, packet)
    for packet in world.ba.history[first:]:
        world.inject(world.b, packet)
    assert world.a.got == []
    assert world.a.link.counters.rejected["reflected"] > 10
    assert world.b.link.counters.rejected["reflected"] >= 1
    assert world.a.of(LinkDown) == []


def test_a_line_that_begins_to_reflect_goes_down_and_is_named():
    world = World(4).up()
    sent: list[bytes] = []
    world.ab.carry = lambda packet, now_ns, dice: sent.append(packet) or []
    world.ba.cut = True
    for _ in range(400):
        world.rest(0.02)
        while sent:
            world.inject(world.a, sent.pop())
    assert world.a.of(LinkDown) == [LinkDown("no answer")]
    assert world.a.link.state is LinkState.REFUSED


def test_a_recording_of_the_same_session_changes_nothing():
    world = World(5, {"loss": 0.1}).up()
    records = payloads(30, 3000)
    send_all(world, world.a, records)
    world.rest(1)
    taken = world.b.link.counters.received_data_packets
    old = [packet for packet in world.ab.history if packet[3] != PacketType.HELLO]
    for packet in old * 3:
        world.inject(world.b, packet)
    # Packets that the line had lost are new to B, though their records are not.
    assert world.b.link.counters.received_data_packets == taken
    assert [event.data for event in world.b.got] == records
    assert len(answers(world, world.b)) <= 1
    check_bytes(world)


def test_a_recording_of_an_earlier_session_changes_nothing():
    world = World(6).up()
    send_all(world, world.a, payloads(30, 3000))
    old = list(world.ab.history)
    world.restart(world.a)
    world.run(lambda: len(world.b.of(LinkDown)) == 1 and world.is_up, 5)
    got = len(world.b.got)
    for packet in old:
        world.inject(world.b, packet)
    world.rest(2)
    assert len(world.b.got) == got
    assert len(world.b.of(LinkDown)) == 1
    assert world.b.link.counters.rejected["session"] >= 30


def test_a_recording_is_no_sign_of_life():
    world = World(7).up()
    send_all(world, world.a, payloads(30, 3000))
    old = [packet for packet in world.ab.history if packet[3] != PacketType.HELLO]
    world.ab.cut = True
    for _ in range(200):
        world.rest(0.05)
        world.inject(world.b, world.dice.choice(old))
    assert LinkDown("no answer") in world.b.of(LinkDown)


def test_an_ack_of_records_never_sent_is_not_believed():
    world = World(10).up()
    world.ab.cut = True
    world.a.link.send(1, 2, 1, [bytes(5000)])
    world.settle()
    session = world.b.link._session
    for kept in (1, 2, 2**32 - 1):
        # Record 1 is on its way only in part: the congestion limit holds the rest back.
        world.a.link._session.sender.packetizer._fresh.append(
            world.a.link._session.sender.packetizer._unkept[0]
        )
        payload = kept.to_bytes(4, "big") + bytes(17)
        ack = packet_of(
            type=PacketType.ACK, flags=8, session=session.field_out, number=500, payload=payload
        )
        world.inject(world.a, encode_packet(ack))
    assert world.a.kept == 0
    assert world.a.link.counters.rejected["malformed"] == 3


def test_a_fragment_acknowledged_in_error_does_not_hang_the_link_for_ever():
    world = World(11).up()
    world.ab.drop = lambda _, packet: packet[3] == PacketType.DATA
    world.a.link.send(1, 2, 1, [b"lost"])
    world.settle()
    number = world.a.link._session.sender.number
    payload = (
        bytes(4)
        + (4096).to_bytes(4, "big")
        + number.to_bytes(8, "big")
        + bytes(4)
        + b"\1"
        + (number.to_bytes(8, "big") * 2)
    )
    ack = packet_of(
        type=PacketType.ACK,
        flags=8,
        session=world.b.link._session.field_out,
        number=500,
        payload=payload,
    )
    world.inject(world.a, encode_packet(ack))
    world.run(lambda: world.a.of(LinkDown), 30)
    assert world.a.of(LinkDown) == [LinkDown("the other end acknowledged what it does not have")]
    world.run(lambda: world.is_up, 10)


def test_contradictions_without_end_end_the_session():
    world = World(12).up()
    world.inject(world.b, encode_packet(inside(world, number=500, record=2, payload=b"first")))
    for number in range(501, 501 + CONTRADICTIONS_MAX):
        packet = inside(world, number=number, record=2, payload=b"other")
        world.inject(world.b, encode_packet(packet))
    assert world.b.of(LinkDown) == [
        LinkDown("the other end sends fragments that contradict each other")
    ]
    assert world.b.of(RecordReceived) == []


def test_acks_never_cause_acks():
    world = World(13).up()
    world.rest(2)
    before = world.ab.offered + world.ba.offered
    world.rest(10)
    # Each end says once a second that it lives, and that is all.
    assert 18 <= world.ab.offered + world.ba.offered - before <= 22
