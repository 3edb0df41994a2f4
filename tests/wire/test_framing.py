"""Framing on byte streams: any chunking, any garbage, bounded memory."""

import itertools
import random

from hypothesis import example, given
from hypothesis import strategies as st

from emulator.wire.framing import (
    FRAMING_ERROR,
    OVERLONG_FRAME,
    FrameDecoder,
    cobs_is_fast,
    encode_frame,
    frame_bytes_max,
)

PACKETS = st.lists(st.binary(min_size=1, max_size=700), max_size=12)
# Streams rich in delimiters and code bytes, so that garbage often looks like a frame.
GARBAGE = st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([b"\0", b"\1", b"\2a", b"\xff", b"x" * 90])),
    max_size=30,
).map(b"".join)


def chunks(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    edges = [0, *places, len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def decode(stream: list[bytes], limit_bytes: int = 700) -> tuple[list[bytes], list[object], object]:
    rejects: list[object] = []
    decoder = FrameDecoder(limit_bytes, lambda raw, reason: rejects.append((raw, reason)))
    packets = [packet for chunk in stream for packet in decoder.feed(chunk)]
    return packets, rejects, (decoder.frames, decoder.errors, decoder.dropped_bytes)


@given(PACKETS, st.lists(st.integers(min_value=0), max_size=20))
@example([bytes(254), b"\xff" * 254, b"\xff" * 255, b"\0", b"\1"], [])
def test_every_chunking_gives_the_packets_back(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, packets))
    assert decode(chunks(stream, cuts)) == (packets, [], (len(packets), 0, 0))


@given(GARBAGE, st.lists(st.integers(min_value=0), max_size=20))
def test_garbage_is_judged_alike_in_every_chunking(stream: bytes, cuts: list[int]) -> None:
    whole = decode([stream], limit_bytes=32)
    assert decode(chunks(stream, cuts), limit_bytes=32) == whole
    assert decode([bytes([byte]) for byte in stream], limit_bytes=32) == whole


@given(GARBAGE, st.binary(min_size=1, max_size=32))
def test_a_packet_after_a_delimiter_survives_any_garbage(garbage: bytes, good: bytes) -> None:
    packets, _, _ = decode([garbage + b"\0" + encode_frame(good)], limit_bytes=32)
    assert packets[-1] == good


@given(st.binary(min_size=1, max_size=2000))
def test_frames_hold_no_delimiter_and_keep_to_the_stated_size(packet: bytes) -> None:
    frame = encode_frame(packet)
    assert frame.find(b"\0") == len(frame) - 1
    assert len(frame) <= frame_bytes_max(len(packet))


def test_limit_is_the_packet_not_the_frame() -> None:
    longest, too_long = bytes(100), bytes(101)
    packets, rejects, counters = decode([encode_frame(longest) + encode_frame(too_long)], 100)
    assert packets == [longest]
    assert counters[1] == 1
    assert rejects[0][1] == OVERLONG_FRAME


def test_truncated_frame_is_shown_raw() -> None:
    assert decode([b"\x09abc\0"]) == ([], [(b"\x09abc", FRAMING_ERROR)], (0, 1, 4))


def test_a_stream_without_end_holds_one_packet_at_most() -> None:
    rejects: list[bytes] = []
    decoder = FrameDecoder(1000, lambda raw, _: rejects.append(raw))
    for _ in range(10_000):
        assert decoder.feed(b"x" * 999) == []
        assert len(decoder._held) <= frame_bytes_max(1000)
    assert (decoder.errors, decoder.dropped_bytes) == (1, 9_990_000)
    assert [len(raw) <= frame_bytes_max(1000) for raw in rejects] == [True]
    assert decoder.feed(b"\0" + encode_frame(b"again")) == [b"again"]


def test_reset_forgets_half_a_frame() -> None:
    decoder = FrameDecoder(100)
    decoder.feed(encode_frame(b"first half")[:5])
    decoder.reset()
    assert decoder.feed(encode_frame(b"whole")) == [b"whole"]
    assert decoder.errors == 0


def test_flipped_bits_cost_a_few_frames_and_no_more() -> None:
    dice = random.Random(4)
    packets = [dice.randbytes(dice.randrange(1, 300)) for _ in range(400)]
    stream = bytearray(b"".join(map(encode_frame, packets)))
    flips = 25
    for place in dice.sample(range(len(stream)), flips):
        stream[place] ^= 1 << dice.randrange(8)
    received, _, _ = decode([bytes(stream)])
    # One flip spoils one frame, or by hitting or making a delimiter two.
    assert len(set(packets) - set(received)) <= 2 * flips
    assert len(set(packets) & set(received)) >= len(packets) - 2 * flips


def test_cobs_runs_as_c() -> None:
    assert cobs_is_fast(), "pip install --force-reinstall cobs: it runs in pure Python here"
