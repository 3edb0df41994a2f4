"""Garbage of every kind: each piece is counted under its own word, and nothing else happens."""

import random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from emulator.link.counters import REJECTED_WORDS
from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import Packet, decode_packet, encode_packet
from tests.link.test_hostile import inside, packet_of
from tests.link.world import World, check_bytes, payloads, settings


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


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
        packet = Packet(type_, flags, 1, 0, field, number, record, 0, length, offset, payload)
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
