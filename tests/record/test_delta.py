"""Deltas: what is laid over the old contents gives the new ones, and only over those (C5)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.channel.blocks import TRACK_BYTES
from emulator.record.changes import Delta, apply_delta, decode_changes, encode_delta
from emulator.record.delta import PIECES_MAX, changed_pieces

small = st.binary(min_size=0, max_size=300)


@st.composite
def rewrites(draw):
    """An old track and a new one that differs from it in a few places."""
    dice = random.Random(draw(st.integers(0, 1 << 32)))
    old = dice.randbytes(TRACK_BYTES) if draw(st.booleans()) else bytes(TRACK_BYTES)
    new = bytearray(old)
    for _ in range(draw(st.integers(0, 40))):
        length = dice.choice([1, 1, 2, 9, 100, 900])
        start = dice.randrange(TRACK_BYTES - length + 1)
        new[start : start + length] = dice.randbytes(length)
    return old, bytes(new)


def check(old: bytes, new: bytes) -> None:
    pieces = changed_pieces(old, new)
    if pieces is None:
        return
    image = bytearray(old)
    end = -1
    for offset, length in pieces:
        assert offset > end
        assert length > 0
        end = offset + length
        image[offset:end] = new[offset:end]
    assert image == new
    assert len(pieces) <= PIECES_MAX


@given(rewrites())
def test_pieces_give_the_new_track(case):
    check(*case)


@given(old=small, new=small)
def test_pieces_of_any_bytes_of_any_length(old, new):
    if len(old) != len(new):
        assert changed_pieces(old, new) is None
    check(old, new)


@given(old=small, data=st.data())
def test_pieces_of_equal_lengths(old, data):
    check(old, data.draw(st.binary(min_size=len(old), max_size=len(old))))


@settings(max_examples=60)
@given(rewrites())
def test_a_delta_is_read_back_and_applied(case):
    old, new = case
    parts = []
    if not encode_delta(parts, 3, 77, old, new):
        assert parts == []
        return
    body = b"".join(bytes(part) for part in parts)
    (change,) = decode_changes(body, 1)
    assert isinstance(change, Delta)
    assert (change.volume, change.track, change.offset, change.length) == (3, 77, 0, TRACK_BYTES)
    assert apply_delta(change, old) == new


@given(rewrites(), st.integers(0, TRACK_BYTES * 8 - 1))
@settings(max_examples=60)
def test_a_delta_on_another_base_is_refused(case, bit):
    """One wrong bit anywhere in the base, also where nothing changes (C5)."""
    old, new = case
    parts = []
    if not encode_delta(parts, 0, 0, old, new):
        return
    (change,) = decode_changes(b"".join(bytes(part) for part in parts), 1)
    wrong = bytearray(old)
    wrong[bit // 8] ^= 1 << bit % 8
    assert apply_delta(change, bytes(wrong)) is None


def test_a_hundred_changed_bytes_cost_about_a_hundred():
    dice = random.Random("hundred")
    old = dice.randbytes(TRACK_BYTES)
    new = bytearray(old)
    new[700:800] = bytes(byte ^ 0xFF for byte in old[700:800])
    parts = []
    assert encode_delta(parts, 0, 0, old, bytes(new))
    assert sum(map(len, parts)) <= 100 + 32


def test_a_change_at_either_end_is_found():
    old = bytes(TRACK_BYTES)
    assert changed_pieces(old, b"\x01" + old[1:]) == [(0, 1)]
    assert changed_pieces(old, old[1:] + b"\x01") == [(TRACK_BYTES - 1, 1)]


def test_what_is_all_new_is_not_worth_a_delta():
    dice = random.Random("new")
    assert changed_pieces(dice.randbytes(TRACK_BYTES), dice.randbytes(TRACK_BYTES)) is None


def test_the_same_contents_are_no_pieces():
    assert changed_pieces(bytes(TRACK_BYTES), bytes(TRACK_BYTES)) == []


@pytest.mark.parametrize("count", [PIECES_MAX, PIECES_MAX + 1, 200])
def test_many_pieces_become_one(count):
    old = bytes(TRACK_BYTES)
    new = bytearray(old)
    for number in range(count):
        new[number * 12] = 1
    pieces = changed_pieces(old, bytes(new))
    assert pieces is not None
    assert len(pieces) == (count if count <= PIECES_MAX else 1)
    check(old, bytes(new))


def test_near_neighbours_are_one_piece():
    old = bytes(TRACK_BYTES)
    new = bytearray(old)
    new[100] = new[109] = new[119] = 1
    assert changed_pieces(old, bytes(new)) == [(100, 10), (119, 1)]
