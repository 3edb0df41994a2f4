"""Texts between the two ends: read back, and garbage is the peer's fault and nothing worse."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.copy.copied import CopiedUpTo
from emulator.copy.lineage import Generation, Position
from emulator.copy.messages import (
    TEXT_BYTES_MAX,
    PeerPosition,
    chain,
    decode_position,
    decode_text,
    encode_position,
    encode_text,
    number,
)
from emulator.errors import PeerError
from emulator.wire.checksum import CHAIN_NONE

numbers = st.integers(0, 2**64 - 1)
chains = st.binary(min_size=16, max_size=16)
generations = st.builds(Generation, numbers, numbers, numbers, chains, st.text(max_size=9))
positions = st.builds(
    PeerPosition,
    st.text(max_size=20),
    st.sampled_from(["primary", "secondary", "handing-over", "other"]),
    st.lists(generations, max_size=3),
    st.builds(Position, numbers, numbers, chains),
    st.booleans(),
    numbers,
    st.builds(CopiedUpTo, numbers, numbers),
    st.lists(st.tuples(st.text(max_size=9), numbers), max_size=3),
    numbers,
    st.text(max_size=20),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = json.loads(
    b"".join(
        encode_position(
            PeerPosition(
                "g",
                "secondary",
                [Generation(1, 0, 0, CHAIN_NONE, "created")],
                Position(1, 5, CHAIN_NONE),
                True,
                0,
                CopiedUpTo(7, 3),
                [("vol0", 4096)],
                100,
                "",
            )
        )
    )
)


@given(positions)
def test_a_position_is_read_back(said):
    assert decode_position(b"".join(encode_position(said))) == said


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_the_peers_fault(data):
    for decode in (decode_text, decode_position):
        with contextlib.suppress(PeerError):
            decode(data)


@given(field=st.sampled_from(sorted(FIELDS)), value=anything)
def test_a_position_with_one_wrong_field_is_read_or_the_peers_fault(field, value):
    data = json.dumps(FIELDS | {field: value}).encode()
    try:
        said = decode_position(data)
    except PeerError:
        return
    assert 0 <= said.position.csn < 1 << 64
    assert 0 <= said.copy_number < 1 << 64
    assert 0 <= said.epoch_tracks < 1 << 64
    assert len(said.position.chain) == 16
    assert isinstance(said.consistent, bool)


@pytest.mark.parametrize(
    "field",
    [
        "group",
        "role",
        "lineage",
        "generation",
        "csn",
        "chain",
        "copy",
        "copied_copy",
        "copied_record",
        "volumes",
        "epoch_tracks",
    ],
)
def test_a_position_that_lacks_a_field_is_the_peers_fault(field):
    data = json.dumps({name: value for name, value in FIELDS.items() if name != field}).encode()
    with pytest.raises(PeerError):
        decode_position(data)


@given(anything)
def test_numbers_and_chains_of_anything(value):
    with contextlib.suppress(PeerError):
        assert 0 <= number({"x": value}, "x") < 1 << 64
    with contextlib.suppress(PeerError):
        assert len(chain({"x": value}, "x")) == 16


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"x"', b"{", b"\xff", b"[" * 100_000])
def test_a_text_that_is_no_object_is_the_peers_fault(text):
    with pytest.raises(PeerError, match="text"):
        decode_text(text)


def test_a_text_too_long_is_not_even_read():
    with pytest.raises(PeerError, match=f"text of {TEXT_BYTES_MAX + 1} bytes"):
        decode_text(b" " * (TEXT_BYTES_MAX + 1))


def test_a_text_is_read_back():
    assert decode_text(b"".join(encode_text(a=1, b="x", c=None))) == {"a": 1, "b": "x", "c": None}
