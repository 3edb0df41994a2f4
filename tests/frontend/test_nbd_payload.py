"""A write's data, whatever parts it comes in, is handed on in the pieces that a volume takes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.channel.blocks import PIECE_BYTES, pieces_of
from emulator.frontend.nbd_payload import WriteBegun
from emulator.frontend.nbd_rules import Refusal

HANDLE = b"\0" * 8


@given(
    offset=st.integers(0, 2 * PIECE_BYTES),
    length=st.integers(1, 3 * PIECE_BYTES),
    cuts=st.lists(st.integers(1, PIECE_BYTES + 5000), max_size=12),
    behind=st.integers(0, 40),
)
def test_parts_of_any_size_become_the_volumes_pieces(offset, length, cuts, behind):
    data = random.Random(length).randbytes(length)
    stream = memoryview(data + b"\xff" * behind)
    begun = WriteBegun(0, HANDLE, offset, length, None)
    at = 0
    for size in [*cuts, *[length + behind] * 2]:
        if begun.missing_bytes:
            stop = begun.take(stream[: at + size], at)
            assert stop == min(at + size, length)
            at = stop
    assert at == length
    assert not begun.missing_bytes
    assert begun.pieces == pieces_of(offset, data)
    assert all(type(piece) is bytes for piece in begun.pieces)


@pytest.mark.parametrize("size", [1, 4096, PIECE_BYTES])
def test_what_is_refused_is_passed_over(size):
    begun = WriteBegun(0, HANDLE, 0, PIECE_BYTES + 1, Refusal(1, "no"))
    stream, at = memoryview(bytes(PIECE_BYTES + 100)), 0
    while begun.missing_bytes:
        at = begun.take(stream[: at + size], at)
    assert at == PIECE_BYTES + 1
    assert not begun.pieces
    assert begun.held_bytes == 0


def test_a_write_that_fits_stays_whole_where_it_lies():
    """Also across a multiple of the piece: a track of a CKD device must not be torn."""
    data = bytes(PIECE_BYTES)
    (piece,) = pieces_of(PIECE_BYTES - 4096, data)
    assert piece is data
