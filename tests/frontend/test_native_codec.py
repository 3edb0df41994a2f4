"""Messages of the native channel survive the way to bytes and back; other bytes are told apart."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.channel.ccw import Ccw
from emulator.errors import PeerError
from emulator.frontend.native_codec import decode_message, encode_message
from emulator.frontend.native_layout import Ending
from emulator.frontend.native_messages import (
    Attach,
    Attached,
    Attention,
    AttentionTaken,
    Detach,
    DeviceRow,
    Ended,
    Halt,
    Start,
    Transfer,
)

BYTE, HALF, WORD = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1)
NUMBER = st.integers(1, 2**64 - 1)
NAME = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40)
DATA = st.binary(max_size=300)
CCW = st.builds(
    lambda command, data, flags, target: Ccw(command, len(data), data, flags, target),
    BYTE,
    DATA,
    BYTE,
    HALF,
)
MESSAGES = st.one_of(
    st.builds(Attach, NUMBER, NAME),
    st.builds(Attached, NUMBER, st.lists(st.builds(DeviceRow, HALF, NAME, NAME)).map(tuple)),
    st.builds(
        Start, st.integers(0, 1023), HALF, NUMBER, NUMBER, st.lists(CCW, min_size=1).map(tuple)
    ),
    st.builds(
        Ended,
        HALF,
        NUMBER,
        st.sampled_from(Ending),
        BYTE,
        BYTE,
        st.binary(max_size=32),
        HALF,
        HALF,
        WORD,
        NAME,
        st.lists(st.builds(Transfer, HALF, DATA)).map(tuple),
    ),
    st.builds(Halt, HALF, NUMBER),
    st.builds(Attention, HALF, WORD, BYTE, NAME),
    st.builds(AttentionTaken, HALF, WORD),
    st.just(Detach()),
)


def encoded(message):
    return b"".join(bytes(part) for part in encode_message(message))


def told(raw):
    """Decode bytes that may be anything; nothing but a PeerError may come of it."""
    with contextlib.suppress(PeerError):
        assert encoded(decode_message(raw)) is not None


@given(MESSAGES)
def test_a_message_comes_back(message):
    assert decode_message(encoded(message)) == message


@given(MESSAGES, st.data())
@settings(max_examples=300)
def test_a_spoilt_message_is_a_message_or_told(message, data):
    raw = bytearray(encoded(message))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for spoilt in (bytes(raw), bytes(raw[:cut]), bytes(raw) + b"\0"):
        told(spoilt)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x03\x01")
def test_bytes_are_a_message_or_told(raw):
    told(raw)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"\x03", "1 bytes is too short"),
        (b"\x09\x01", "type 9 are unknown"),
        (b"\x05\x02" + bytes(10), "speaks version 2"),
        (encoded(Halt(1, 2)) + b"x", "HALT message: 1 bytes follow its end"),
        (encoded(Start(0, 1, 1, 1, (Ccw(3, 1, b"x"),)))[:-1], "1 bytes are announced at byte"),
        (encoded(Start(0, 1, 1, 1, ())), "the number of CCWs is 0"),
        (encoded(Attach(0, "x")), "the host's number is 0"),
    ],
)
def test_what_is_wrong_with_a_message_is_told(raw, told):
    with pytest.raises(PeerError, match=told):
        decode_message(raw)
