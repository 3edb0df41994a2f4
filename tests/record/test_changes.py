"""The codec of changes: what is encoded is read back, and any bytes are judged (never trusted)."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, ZERO_TRACK
from emulator.channel.blocks import TRACK_BYTES
from emulator.record.changes import (
    RECORD_HEAD_BYTES,
    RUN_TRACKS_MAX,
    BadRecordError,
    Delta,
    Extent,
    RecordHead,
    decode_changes,
    decode_head,
    encode_delta,
    encode_head,
    encode_part,
    encode_run,
    encode_run_of,
    encode_zeros,
    record_chain,
    track_pieces,
)

volumes = st.integers(0, 255)
tracks = st.integers(0, 2**32 - 1 - 8)
image = st.binary(min_size=1, max_size=8).map(lambda b: (b * TRACK_BYTES)[:TRACK_BYTES])

CHANGE = struct.Struct(">BBIHH")


@st.composite
def parts_of_one(draw):
    """One change as (encoded parts, the pieces it stands for)."""
    volume, track = draw(volumes), draw(tracks)
    key = volume << TRACK_BITS | track
    kind = draw(st.sampled_from(["part", "run", "runs", "zeros"]))
    parts: list = []
    if kind == "part":
        data = draw(st.binary(max_size=200))
        offset = draw(st.integers(0, TRACK_BYTES - len(data)))
        encode_part(parts, volume, track, offset, data)
        return parts, [(key, offset, data)]
    images = draw(st.lists(image, min_size=1, max_size=3))
    if kind == "zeros":
        encode_zeros(parts, volume, track, len(images))
        images = [ZERO_TRACK] * len(images)
    elif kind == "run":
        encode_run(parts, volume, track, b"".join(images))
    else:
        encode_run_of(parts, volume, track, images)
    return parts, [(key + number, 0, data) for number, data in enumerate(images)]


def joined(parts: list) -> bytes:
    return b"".join(bytes(part) for part in parts)


@settings(max_examples=60)
@given(st.lists(parts_of_one(), max_size=5))
def test_changes_are_read_back(changes):
    body = b"".join(joined(parts) for parts, _pieces in changes)
    found = decode_changes(body, len(changes))
    pieces = [piece for change in found for piece in track_pieces(change)]
    assert pieces == [piece for _parts, these in changes for piece in these]


def test_zeros_stay_the_one_zero_track():
    """Zeros are known by being that object: a copy of them would be sent as data."""
    parts: list = []
    encode_zeros(parts, 1, 5, 3)
    (change,) = decode_changes(joined(parts), 1)
    assert all(data is ZERO_TRACK for _key, _start, data in track_pieces(change))


def within(change: Extent | Delta, body: bytes) -> None:
    """Whatever was read lies inside tracks and inside the record."""
    if isinstance(change, Delta):
        assert change.offset + change.length <= TRACK_BYTES
        for offset, data in change.pieces:
            assert change.offset <= offset <= offset + len(data) <= change.offset + change.length
        assert sum(len(data) for _offset, data in change.pieces) <= len(body)
        return
    assert 0 <= change.tracks <= RUN_TRACKS_MAX
    if change.tracks:
        assert change.offset == 0, "whole tracks begin at their beginning"
        assert change.length == change.tracks * TRACK_BYTES
    else:
        assert change.offset + change.length <= TRACK_BYTES
    if change.data is not None:
        assert len(change.data) == change.length <= len(body)


def judge(body: bytes, count: int) -> bool:
    try:
        changes = decode_changes(body, count)
    except BadRecordError:
        return False
    assert len(changes) == count
    for change in changes:
        within(change, body)
        if isinstance(change, Extent) and change.tracks < 100:
            for key, start, data in track_pieces(change):
                assert start + len(data) <= TRACK_BYTES
                assert key & TRACK_MASK >= change.track
    return True


@given(st.binary(max_size=300), st.integers(0, 20))
def test_any_bytes_are_read_or_refused(body, count):
    judge(body, count)


forms = st.integers(0, 5)
words = st.one_of(st.integers(0, 10), st.integers(4090, 4100), st.integers(0, 65535))


@settings(max_examples=300)
@given(
    heads=st.lists(st.tuples(volumes, forms, tracks, words, words), min_size=1, max_size=3),
    tails=st.lists(st.binary(max_size=40), min_size=3, max_size=3),
)
@example(heads=[(0, 3, 1, 7, 4089)], tails=[bytes(4), b"", b""])
@example(heads=[(0, 3, 1, 7, 9)], tails=[struct.pack(">I", 2), b"", b""])
@example(heads=[(0, 4, 1, 7, 9)], tails=[struct.pack(">II", 0, 0), b"", b""])
@example(heads=[(0, 4, 1, 0, 0)], tails=[struct.pack(">II", 1 << 20, 1 << 32 - 1), b"", b""])
def test_almost_right_bytes_are_read_or_refused(heads, tails):
    body = b"".join(CHANGE.pack(*head) + tail for head, tail in zip(heads, tails, strict=False))
    judge(body, len(heads))


@settings(max_examples=60)
@given(st.lists(parts_of_one(), min_size=1, max_size=3), st.data())
def test_spoilt_changes_are_read_or_refused(changes, data):
    body = bytearray(b"".join(joined(parts) for parts, _pieces in changes))
    cut = data.draw(st.integers(0, len(body) - 1))
    assert not judge(bytes(body[:cut]), len(changes)), "a record that was cut off was taken"
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    judge(bytes(body), len(changes))


@pytest.mark.parametrize(
    ("body", "count", "error"),
    [
        (b"", 1, "cut off"),
        (b"x", 0, "left over"),
        (CHANGE.pack(0, 9, 0, 0, 0), 1, "unknown form 9"),
        (CHANGE.pack(0, 1, 0, 4000, 97), 1, "past its track"),
        (CHANGE.pack(0, 1, 0, 0, 10) + b"short", 1, "reach past the record"),
        (CHANGE.pack(0, 4, 0, 0, 0) + struct.pack(">II", 2, 4096), 1, "claims 4096 bytes"),
        (CHANGE.pack(0, 4, 0, 0, 0) + struct.pack(">II", 0, 0), 1, "run of 0 tracks"),
        (CHANGE.pack(0, 3, 0, 0, 0) + struct.pack(">I", 1 << 21), 1, "too many"),
        (CHANGE.pack(0, 2, 0, 0, 9) + struct.pack(">QBHH", 1, 1, 5, 5), 1, "outside its change"),
        (CHANGE.pack(0, 2, 0, 0, 9) + struct.pack(">QB", 1, 1), 1, "cut off"),
    ],
)
def test_the_error_says_what_and_where(body, count, error):
    with pytest.raises(BadRecordError, match=error):
        decode_changes(body, count)


def test_a_count_that_no_body_can_hold_ends_at_once():
    with pytest.raises(BadRecordError, match="cut off"):
        decode_changes(b"", 2**32 - 1)


heads = st.builds(
    RecordHead,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)


@given(heads, st.binary(max_size=20))
def test_a_header_is_read_back(head, rest):
    assert decode_head(encode_head(head) + rest) == head


@pytest.mark.parametrize("length", range(RECORD_HEAD_BYTES))
def test_a_short_header_is_refused(length):
    with pytest.raises(BadRecordError, match="shorter than its header"):
        decode_head(bytes(length))


def test_the_chain_depends_on_everything():
    base = [bytes(16), 1, 2, 3, 1, 4, b"body"]
    changed = [bytes(15) + b"\x01", 2, 3, 4, 0, 5, b"bodz"]
    chains = [record_chain(*base)]
    for at, value in enumerate(changed):
        chains.append(record_chain(*[*base[:at], value, *base[at + 1 :]]))
    assert len(set(chains)) == len(base) + 1


def test_an_unchanged_track_is_a_delta_of_nothing():
    parts: list = []
    assert encode_delta(parts, 0, 1, ZERO_TRACK, bytes(TRACK_BYTES))
    (change,) = decode_changes(joined(parts), 1)
    assert change.pieces == []
