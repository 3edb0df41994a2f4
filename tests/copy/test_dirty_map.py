"""The dirty map against a set: no bit is ever missing, also not on the medium (F5, F6)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.copy.dirty_map import DirtyMap
from emulator.nvs.areas import MAP_BYTES, MAP_START, RING_START

BITS = MAP_BYTES * 8
tracks = st.one_of(st.integers(1, 40), st.sampled_from([511, 4096, BITS, BITS + 1, 5 * BITS]))


def fresh(count: int, index: int = 0) -> DirtyMap:
    return DirtyMap(index, count, bytes(MAP_BYTES))


def bits_of(found: DirtyMap) -> list[int]:
    bits, bit = [], found.next_bit(0)
    while bit is not None:
        bits.append(bit)
        bit = found.next_bit(bit + 1)
    return bits


deeds = st.lists(
    st.tuples(st.sampled_from(["mark", "mark", "mark", "clear", "store", "empty"]), st.integers()),
    max_size=40,
)


@settings(max_examples=150)
@given(count=tracks, deeds=deeds)
def test_the_map_is_a_set_of_bits_and_the_medium_has_them_all(count, deeds):
    found = fresh(count)
    run = found.tracks_per_bit
    model: set[int] = set()
    stored = bytearray(MAP_BYTES)
    on_medium: set[int] = set()
    for deed, number in deeds:
        track = number % count
        if deed == "mark":
            found.mark(track)
            model.add(track // run)
        elif deed == "clear":
            found.clear(track // run)
            model.discard(track // run)
        elif deed == "empty":
            found.empty()
            model.clear()
        else:
            for offset, buffers in found.dirty_pieces():
                data = b"".join(buffers)
                stored[offset - MAP_START : offset - MAP_START + len(data)] = data
            on_medium = set(model)
            assert not found.changed()
        assert bits_of(found) == sorted(model)
        assert found.set_bits == len(model)
        assert found.dirty_tracks() <= count
        again = DirtyMap(0, count, bytes(stored))
        # What is set since the last store is not acknowledged yet; what was cleared may linger.
        assert set(bits_of(again)) == on_medium
        assert again.set_bits == len(on_medium)


@given(count=tracks)
def test_every_track_has_a_bit_and_every_bit_its_tracks(count):
    found = fresh(count)
    assert found.bits <= BITS
    assert found.tracks_per_bit & (found.tracks_per_bit - 1) == 0
    covered = 0
    for bit in (0, found.bits - 1):
        assert len(found.tracks_of(bit)) > 0
        assert found.tracks_of(bit).stop <= count
    for bit in range(min(found.bits, 50)):
        assert found.tracks_of(bit).start == covered
        covered = found.tracks_of(bit).stop


@given(count=tracks)
def test_a_full_map_has_every_bit_and_nothing_beyond(count):
    found = fresh(count)
    found.fill()
    assert found.set_bits == found.bits
    assert found.dirty_tracks() == count
    assert found.next_bit(found.bits - 1) == found.bits - 1
    assert found.next_bit(found.bits) is None
    stored = bytearray(MAP_BYTES)
    for offset, buffers in found.dirty_pieces():
        stored[offset - MAP_START : offset - MAP_START + 512] = buffers[0]
    assert DirtyMap(0, count, bytes(stored)).set_bits == found.bits


def test_a_crash_while_pieces_are_written_leaves_no_acknowledged_bit_out():
    """Pieces land in any order and torn by sector; bits stored before are all still there."""
    dice = random.Random("torn")
    for _ in range(50):
        found = fresh(BITS)
        stored = bytearray(MAP_BYTES)
        safe: set[int] = set()
        for _ in range(6):
            found.mark_all(dice.randrange(BITS) for _ in range(dice.randrange(1, 30)))
            pieces = found.dirty_pieces()
            torn = bytearray(stored)
            for offset, buffers in pieces:
                if dice.random() < 0.5:
                    torn[offset - MAP_START : offset - MAP_START + 512] = buffers[0]
            assert safe <= set(bits_of(DirtyMap(0, BITS, bytes(torn))))
            for offset, buffers in pieces:
                stored[offset - MAP_START : offset - MAP_START + 512] = buffers[0]
            safe = set(bits_of(found))


@pytest.mark.parametrize("index", [0, 1, 63])
def test_each_map_has_its_own_place(index):
    found = fresh(BITS, index)
    found.fill()
    start = MAP_START + index * MAP_BYTES
    pieces = found.dirty_pieces()
    assert pieces[0][0] == start
    assert pieces[-1][0] + 512 == start + MAP_BYTES <= RING_START
    assert sum(len(buffer) for _, buffers in pieces for buffer in buffers) == MAP_BYTES


def test_only_what_changed_is_handed_out_and_once():
    found = fresh(BITS)
    found.mark(5)
    found.mark(5)
    found.mark(512 * 8 * 3)
    assert [offset for offset, _ in found.dirty_pieces()] == [MAP_START, MAP_START + 3 * 512]
    assert found.dirty_pieces() == []
    found.mark(5)
    assert not found.changed()
    found.clear(6)
    assert not found.changed()
    found.clear(5)
    assert found.changed()


def test_a_piece_handed_out_does_not_change_under_the_writer():
    found = fresh(100)
    found.mark(1)
    (_offset, [data]) = found.dirty_pieces()[0]
    found.mark(2)
    assert data[0] == 2
