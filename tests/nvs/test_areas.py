"""The superblock's two slots: a torn write leaves the other one (W3)."""

import random

from hypothesis import given
from hypothesis import strategies as st

from emulator.nvs.areas import (
    MAP_START,
    MAPS_MAX,
    RING_START,
    SLOT_BYTES,
    decode_superblock,
    encode_superblock,
    ring_bytes,
)

OLD, NEW = {"trim_lsn": 64, "site": "A"}, {"trim_lsn": 128, "site": "A", "more": list(range(20))}


def slots(*writes: tuple[int, dict]) -> bytearray:
    stored = bytearray(2 * SLOT_BYTES)
    for sequence, body in writes:
        offset, data = encode_superblock(sequence, body)
        stored[offset : offset + len(data)] = data
    return stored


def test_an_empty_store_has_none():
    assert decode_superblock(bytes(2 * SLOT_BYTES)) is None


def test_the_newest_of_two_counts():
    assert decode_superblock(bytes(slots((1, OLD), (2, NEW)))) == (2, NEW)
    assert decode_superblock(bytes(slots((2, OLD), (3, NEW)))) == (3, NEW)


def test_two_writes_in_a_row_never_share_a_slot():
    offsets = [encode_superblock(sequence, OLD)[0] for sequence in range(1, 6)]
    assert offsets == [SLOT_BYTES, 0, SLOT_BYTES, 0, SLOT_BYTES]


def test_a_write_cut_at_every_byte_leaves_the_old_or_the_new():
    stored = slots((1, OLD), (2, OLD), (3, OLD))
    offset, data = encode_superblock(4, NEW)
    for cut in range(len(data) + 1):
        torn = bytearray(stored)
        torn[offset : offset + cut] = data[:cut]
        found = decode_superblock(bytes(torn))
        assert found == ((4, NEW) if cut == len(data) else (3, OLD)), cut


def test_a_flipped_bit_in_every_byte_leaves_the_other():
    stored = slots((3, OLD), (4, NEW))
    offset, data = encode_superblock(4, NEW)
    for at in range(len(data)):
        spoilt = bytearray(stored)
        spoilt[offset + at] ^= 1 << at % 8
        assert decode_superblock(bytes(spoilt)) == (3, OLD), at


def test_both_slots_spoilt_is_none():
    stored = slots((3, OLD), (4, NEW))
    stored[30] ^= 1
    stored[SLOT_BYTES + 30] ^= 1
    assert decode_superblock(bytes(stored)) is None


def test_rubbish_is_none():
    dice = random.Random("slots")
    for _ in range(20):
        assert decode_superblock(dice.randbytes(2 * SLOT_BYTES)) is None


@given(st.integers(RING_START + 64, 1 << 40))
def test_areas_do_not_overlap(size):
    assert MAP_START == 2 * SLOT_BYTES
    assert MAP_START + MAPS_MAX * 16 * 1024 == RING_START
    ring = ring_bytes(size)
    assert ring % 64 == 0
    assert RING_START + ring <= size < RING_START + ring + 64
