"""Fragments in any order make whole records in order; contradictions make nothing."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.link.assembler import HELD, Assembler
from emulator.link.packetizer import (
    RECORD_BYTES_MAX,
    RECORDS_AHEAD_MAX,
    Packetizer,
    data_packet,
)
from emulator.wire.packet import Packet, decode_packet
from tests.link.world import MIB, payloads


def fragments(records: list[bytes], payload_bytes: int) -> list[Packet]:
    """Cut records as a sender does and return the packets a receiver sees."""
    packetizer = Packetizer(payload_bytes, 2**32)
    for csn, data in enumerate(records, 1):
        packetizer.add(1, 2, csn, data)
    packets = []
    while (size := packetizer.next_size()) >= 0:
        number = len(packets) + 1
        packet = decode_packet(data_packet(8, number, packetizer.take(size), again=False))
        assert isinstance(packet, Packet)
        packets.append(packet)
    return packets


def handed_on(assembler: Assembler) -> list[bytes]:
    return [event.data for event in assembler.ready]


def test_records_1_2_4_wait_for_3():
    one, two, three, four = fragments([b"1", b"2", b"3", b"4"], 100)
    assembler = Assembler(4096, 0)
    for packet in (one, two, four):
        assert assembler.receive(packet) == HELD
    assert handed_on(assembler) == [b"1", b"2"]
    assert assembler.kept == 2
    assert assembler.receive(three) == HELD
    assert handed_on(assembler) == [b"1", b"2", b"3", b"4"]
    assert assembler.kept == 4
    assert assembler.held_bytes == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=60), min_size=1, max_size=6),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_any_order_with_repeats_gives_each_record_once_in_order(records, payload_bytes, dice):
    packets = fragments(records, payload_bytes)
    arriving = packets + dice.sample(packets, len(packets) // 2)
    dice.shuffle(arriving)
    assembler = Assembler(MIB, 0)
    for packet in arriving:
        assert assembler.receive(packet) in (HELD, "again")
        done = handed_on(assembler)
        assert done == records[: len(done)]
    assert handed_on(assembler) == records
    assert assembler.held_bytes == 0
    assert assembler.unreleased_bytes == sum(map(len, records))


def test_a_record_is_never_handed_on_without_its_last_byte():
    record = bytes(range(200))
    packets = fragments([record], 7)
    for missing in range(len(packets)):
        assembler = Assembler(MIB, 0)
        for packet in packets[:missing] + packets[missing + 1 :]:
            assembler.receive(packet)
        assert assembler.ready == []
        assembler.receive(packets[missing])
        assert handed_on(assembler) == [record]


def test_fragments_that_contradict_are_refused_and_change_nothing():
    record = bytes(range(100))
    packets = fragments([record], 10)
    spoilt = [
        packets[3]._replace(payload=b"spoilt...."),  # held with other bytes
        packets[0]._replace(payload=b"spoilt...."),
        packets[6]._replace(payload=b"spoilt...."),
        packets[3]._replace(fragment_offset=35),  # overlaps
        packets[0]._replace(fragment_offset=5, flags=8),
        packets[4]._replace(record_length=101),  # another length
        packets[4]._replace(kind=2),
        packets[4]._replace(group=3),
        packets[4]._replace(csn=9),
        packets[4]._replace(fragment_offset=95),  # beyond the end
        packets[4]._replace(fragment_offset=2**32 - 1),
        packets[4]._replace(flags=9),  # says it is the first
        packets[4]._replace(flags=10),  # says it is the last
        packets[9]._replace(flags=8),  # is the last and does not say so
        packets[4]._replace(payload=b""),
        packets[4]._replace(record=0),
    ]
    for bad in spoilt:
        assembler = Assembler(MIB, 0)
        for at in (0, 1, 3, 6):
            assert assembler.receive(packets[at]) == HELD
        held = assembler.held_bytes
        assert assembler.receive(bad) == "inconsistent", bad
        assert assembler.held_bytes == held
        for packet in packets:
            assembler.receive(packet)
        assert handed_on(assembler) == [record]


def test_fragments_cut_differently_the_second_time_are_repeats():
    record = bytes(range(100))
    first, second = fragments([record], 40), fragments([record], 10)
    assembler = Assembler(MIB, 0)
    assert assembler.receive(first[0]) == HELD
    assert assembler.receive(first[1]) == HELD
    assert [assembler.receive(packet) for packet in second[:8]] == ["again"] * 8
    assert [assembler.receive(packet) for packet in second[8:]] == [HELD] * 2
    assert handed_on(assembler) == [record]


def test_a_record_longer_than_the_limit_is_refused_before_memory_is_taken():
    (packet,) = fragments([b"x" * 10], 100)
    assembler = Assembler(MIB, 0)
    longer = packet._replace(record_length=RECORD_BYTES_MAX + 1, flags=9)
    assert assembler.receive(longer) == "inconsistent"
    assert assembler.receive(longer._replace(record_length=RECORD_BYTES_MAX)) == HELD
    assert assembler.held_bytes == 10


def test_an_empty_record_is_a_record():
    records = [b"", b"a", b""]
    packets = fragments(records, 10)
    assembler = Assembler(4096, 0)
    for packet in packets[::-1]:
        assert assembler.receive(packet) == HELD
    assert handed_on(assembler) == records
    assert assembler.receive(packets[0]) == "again"


def test_beside_the_next_record_only_a_window_of_bytes_is_held():
    window = 4096
    records = [bytes([n]) * 1000 for n in range(10)]
    packets = fragments(records, 100)
    assembler = Assembler(window, 0)
    answers = [assembler.receive(packet) for packet in packets[10:]]
    assert answers.count(HELD) == 40
    assert assembler.held_bytes == 4000
    assert set(answers[40:]) == {"window"}
    # The next one in order is still taken, however full the window is.
    assert [assembler.receive(packet) for packet in packets[:10]] == [HELD] * 10
    assert handed_on(assembler) == records[:5]
    assert assembler.window_bytes == 0
    assert assembler.receive(packets[50]) == "window"
    assembler.unreleased_bytes -= 5000
    assert assembler.receive(packets[50]) == HELD


def test_a_record_larger_than_the_window_passes_when_it_is_next():
    record = random.Random(1).randbytes(50_000)
    assembler = Assembler(4096, 0)
    for packet in fragments([record], 1000)[::-1]:
        assert assembler.receive(packet) == HELD
    assert handed_on(assembler) == [record]
    assert assembler.window_bytes == 0
    assert assembler.granted_bytes == 50_000


def test_records_far_ahead_are_refused_however_small():
    (packet,) = fragments([b""], 10)
    assembler = Assembler(MIB, 0)
    ahead = packet._replace(record=RECORDS_AHEAD_MAX + 1)
    assert assembler.receive(ahead) == "window"
    assert assembler.receive(ahead._replace(record=RECORDS_AHEAD_MAX)) == HELD


@pytest.mark.parametrize("size", [100, 60_000])
def test_what_is_held_does_not_follow_a_buffer_that_the_line_uses_again(size):
    record = random.Random(2).randbytes(3 * size)
    assembler = Assembler(MIB, 0)
    for packet in fragments([record], size):
        reused = bytearray(packet.payload)
        assert assembler.receive(packet._replace(payload=memoryview(reused))) == HELD
        reused[:] = bytes(len(reused))
    assert handed_on(assembler) == [record]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 12)), max_size=40))
def test_whatever_arrives_memory_stays_within_its_bound(packets):
    window, longest = 64, 40
    assembler = Assembler(window, 0)
    for record, offset, size in packets:
        flags = (1 if offset == 0 else 0) | (2 if offset + size == longest else 0)
        assembler.receive(
            Packet(2, flags, 1, 0, 8, 1, record, 0, longest, offset, bytes([record]) * size)
        )
        assert assembler.held_bytes + assembler.unreleased_bytes <= window + longest
        assert all(event.data == bytes([n]) * longest for n, event in enumerate(assembler.ready, 1))


def test_payloads_helper_is_seeded():
    assert payloads(5, 100, 1) == payloads(5, 100, 1) != payloads(5, 100, 2)
