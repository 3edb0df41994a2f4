"""Ranges of received numbers against a plain set, and the ACK that carries them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from emulator.link.acknowledgements import (
    NUMBER_AHEAD_MAX,
    RANGES_HELD_MAX,
    Ack,
    ReceivedNumbers,
    ack_ranges_max,
    decode_ack,
    encode_ack,
)

WORDS = st.integers(0, 2**32 - 1)


def ranges_of(numbers: set[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges[::-1]


@given(st.lists(st.integers(1, 60), max_size=80))
def test_ranges_are_those_of_a_set(numbers):
    received, model = ReceivedNumbers(), set()
    for number in numbers:
        word = received.why_not_new(number)
        assert word == ("again" if number in model else "")
        if not word:
            in_order = received.add(number)
            assert in_order == (number == max(model, default=0) + 1)
            model.add(number)
        assert received.largest == max(model)
        assert received.newest(100) == ranges_of(model)
        assert received.newest(2) == ranges_of(model)[:2]


def test_too_many_gaps_forget_the_oldest_and_what_is_older_is_stale():
    received = ReceivedNumbers()
    for number in range(1, 2 * RANGES_HELD_MAX + 3, 2):
        received.add(number)
    assert len(received.newest(10_000)) == RANGES_HELD_MAX
    assert received.why_not_new(1) == "stale"
    assert received.why_not_new(2) == ""
    assert received.why_not_new(3) == "again"


def test_a_number_far_ahead_is_not_believed():
    received = ReceivedNumbers()
    received.add(1)
    assert received.why_not_new(1 + NUMBER_AHEAD_MAX) == ""
    assert received.why_not_new(2 + NUMBER_AHEAD_MAX) == "ahead"
    assert received.why_not_new(0) == "stale"


@given(st.sets(st.integers(1, 200), min_size=1, max_size=60), WORDS, WORDS, WORDS)
def test_an_ack_comes_back_as_it_was(numbers, kept, window, delay_us):
    ranges = ranges_of(numbers)
    ack = Ack(kept, window, max(numbers), delay_us, ranges)
    assert decode_ack(encode_ack(ack)) == ack
    assert decode_ack(memoryview(encode_ack(ack))) == ack


def test_an_ack_of_nothing():
    ack = Ack(0, 4096, 0, 0, [])
    assert decode_ack(encode_ack(ack)) == ack


def test_a_delay_beyond_the_field_is_cut():
    read = decode_ack(encode_ack(Ack(0, 1, 0, 2**40, [])))
    assert read is not None
    assert read.delay_us == 2**32 - 1


def test_acks_that_cannot_be_true_are_none():
    for ranges in (
        [(3, 2)],  # backwards
        [(0, 5)],  # numbers begin at 1
        [(3, 4)],  # not up to the largest
        [(4, 5), (1, 3)],  # touch
        [(2, 5), (1, 4)],  # overlap
        [(1, 1), (4, 5)],  # rising
        [],  # none at all
    ):
        assert decode_ack(encode_ack(Ack(0, 1, 5, 0, ranges))) is None, ranges
    good = encode_ack(Ack(0, 1, 5, 0, [(4, 5)]))
    assert decode_ack(good) is not None
    assert decode_ack(good + b"x") is None
    assert decode_ack(good[:-1]) is None
    assert decode_ack(b"") is None


@given(st.binary(max_size=100))
def test_any_bytes_are_an_ack_or_none(payload):
    assert decode_ack(payload) is None or isinstance(decode_ack(payload), Ack)


def test_the_smallest_packet_has_room_for_a_range():
    assert ack_ranges_max(96) == 1
    assert ack_ranges_max(1500) == 32
    dice = random.Random(1)
    for _ in range(50):
        size = dice.randrange(96, 600)
        payload = encode_ack(Ack(0, 0, 0, 0, [(1, 1)] * ack_ranges_max(size)))
        assert len(payload) + 46 <= size
