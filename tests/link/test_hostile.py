"""Garbage, forgeries, reflections and recordings change nothing, and are counted one by one."""

import random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from emulator.link.counters import REJECTED_WORDS
from emulator.link.events import LinkDown, RecordReceived
from emulator.link.receiver import CONTRADICTIONS_MAX
from emulator.link.states import LinkState
from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import Packet, decode_packet, encode_packet
from tests.link.world import World, check_bytes, payloads, send_all, settings


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


@pytest.mark.parametrize(
    ("word", "spoil"),
    [
        ("short", lambda data: data[:45]),
        ("magic", lambda data: b"\0" + data[1:]),
        ("version", lambda data: data[:2] + b"\2" + data[3:]),
        ("type", lambda data: data[:3] + b"\5" + data[4:]),
        ("length", lambda data: data[:-1]),
        ("crc", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ],
)
def test_each_word_of_the_codec_has_its_counter(word, spoil):
    world = World(8).up()
    before = dict(world.b.link.counters.rejected)
    world.inject(world.b, spoil(encode_packet(inside(world))))
    changed = {w for w, n in world.b.link.counters.rejected.items() if n != before[w]}
    assert changed == {word}
    check_bytes(world)


def test_each_word_of_the_link_has_its_counter():
    world = World(9, b=settings("B", "A", window_bytes=4096)).up()
    plain = PacketFlag.FIRST | PacketFlag.LAST
    ends = plain | PacketFlag.UNSEALED
    for word, packet in (
        ("sealed", inside(world, flags=plain)),
        ("oversize", inside(world, payload=bytes(1455))),
        ("ahead", inside(world, number=2**40)),
        ("stale", inside(world, number=0)),
        ("inconsistent", inside(world, record_length=5, flags=PacketFlag.UNSEALED)),
        ("inconsistent", inside(world, record=0)),
        ("inconsistent", inside(world, payload=b"", record_length=2**32 - 1, flags=9)),
        ("window", inside(world, record=99_999)),
        ("malformed", inside(world, type=PacketType.ACK, payload=b"no")),
        ("malformed", inside(world, type=PacketType.ACK, payload=b"\0\0\0\1" + bytes(17))),
        ("malformed", inside(world, type=PacketType.HELLO, session=0, payload=b"no")),
        ("reflected", inside(world, session=world.b.link._session.field_out)),
        ("session", inside(world, session=4)),
        ("oversize", packet_of(type=PacketType.HELLO, payload=bytes(1455))),
    ):
        before = dict(world.b.link.counters.rejected)
        world.inject(world.b, encode_packet(packet))
        changed = {w for w, n in world.b.link.counters.rejected.items() if n != before[w]}
        assert changed == {word}, packet
    assert ends & PacketFlag.UNSEALED
    assert world.b.got == []
    check_bytes(world)
    said = set(world.b.link.counters.as_dict())
    assert {f"rejected_{word}" for word in REJECTED_WORDS} <= said


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
    world.rest(100)
    # Each end says once a second that it lives, and that is all.
    assert 180 <= world.ab.offered + world.ba.offered - before <= 204


PIECES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda type_, flags, record, number, length, offset, payload, right: (
            type_, flags, record, number, length, offset, payload, right
        ),
        st.integers(1, 4),
        st.integers(0, 255),
        st.integers(0, 5),
        st.integers(0, 30),
        st.integers(0, 40),
        st.integers(0, 40),
        st.binary(max_size=40),
        st.booleans(),
    ),
)  # fmt: skip


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.lists(PIECES, max_size=30))
def test_whatever_comes_nothing_raises_and_every_byte_is_counted(pieces):
    world = World("fuzz").up()
    for piece in pieces:
        session = world.b.link._session
        if isinstance(piece, bytes):
            world.inject(world.b, piece)
            continue
        type_, flags, record, number, length, offset, payload, right = piece
        field = session.field_in if right and session else 6
        packet = Packet(
            type_, flags, 1, 0, field, number, record, 0, length, offset, payload
        )
        world.inject(world.b, encode_packet(packet))
    world.rest(1)
    check_bytes(world)
    for data in world.ba.history:
        assert isinstance(decode_packet(data), Packet)


@pytest.mark.parametrize("seed", range(6))
def test_after_any_flood_of_garbage_records_still_pass(seed):
    dice = random.Random(seed)
    world = World(seed).up()
    records = payloads(20, 2000, seed)
    for csn, record in enumerate(records, 1):
        world.a.link.send(1, 2, csn, [record])
        for _ in range(20):
            end = dice.choice((world.a, world.b))
            old = dice.choice(world.ab.history + world.ba.history)
            spoilt = bytearray(old)
            spoilt[dice.randrange(len(old))] ^= dice.randrange(1, 256)
            world.inject(end, dice.choice((dice.randbytes(dice.randrange(90)), bytes(spoilt), old)))
        world.rest(0.01)
    world.run(lambda: world.a.kept == len(records), 60)
    assert [event.data for event in world.b.got] == records
    check_bytes(world)
