"""HELLO packets, the sessions they make, and who is let in."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import BenchError
from emulator.link.handshake import why_unfit
from emulator.link.hello import (
    Hello,
    decode_hello,
    encode_hello,
    hello_packet_bytes,
    session_field,
    session_id,
)
from emulator.link.settings import LinkSettings
from emulator.wire.layout import PacketType
from emulator.wire.packet import Packet, decode_packet
from tests.link.world import settings

NONCES = st.integers(1, 2**64 - 1)
WORDS = st.integers(0, 2**32 - 1)
NAMES = st.text(max_size=60).filter(lambda name: len(name.encode()) <= 255)
HELLOS = st.builds(
    Hello, NONCES, st.integers(0, 2**64 - 1), WORDS, WORDS, st.booleans(), NAMES, NAMES
)


@given(HELLOS)
def test_a_hello_comes_back_as_it_was(hello):
    data = encode_hello(hello)
    assert len(data) == hello_packet_bytes(hello.link, hello.site)
    packet = decode_packet(data)
    assert isinstance(packet, Packet)
    assert packet.type == PacketType.HELLO
    assert packet.session == 0
    assert decode_hello(packet.payload) == hello


@given(HELLOS, st.integers(0, 200))
def test_a_hello_cut_short_is_none(hello, length):
    payload = encode_hello(hello)[42:-4]
    if length < len(payload):
        assert decode_hello(payload[:length]) is None
    assert decode_hello(payload + b"x") is None


@given(st.binary(max_size=120))
def test_any_bytes_are_a_hello_or_none(payload):
    hello = decode_hello(payload)
    assert hello is None or isinstance(hello, Hello)


def test_a_hello_without_nonce_or_with_a_strange_flag_is_none():
    good = bytearray(encode_hello(Hello(1, 0, 1500, 9, True, "A-B", "A"))[42:-4])
    assert decode_hello(good) is not None
    assert decode_hello(bytes(8) + good[8:]) is None
    good[24] = 2
    assert decode_hello(good) is None


def test_a_name_that_is_no_text_is_shown_all_the_same():
    payload = struct.pack(">QQIIBBB", 1, 0, 1500, 9, 1, 1, 1) + b"\xff\xfe"
    hello = decode_hello(payload)
    assert hello is not None
    assert hello.link == "\ufffd"


@given(NONCES, NONCES)
def test_both_ends_make_the_same_session_and_tell_the_directions_apart(mine, theirs):
    assert session_id(mine, theirs) == session_id(theirs, mine)
    assert session_id(mine, theirs) > 0
    if mine != theirs:
        ways = {session_field(mine, theirs), session_field(theirs, mine)}
        assert ways == {session_id(mine, theirs), session_id(mine, theirs) + 1}


def test_another_nonce_makes_another_session():
    made = {session_id(1, other) for other in range(2, 2000)}
    assert len(made) == 1998


FIT = Hello(7, 0, 1500, 4096, True, "A-B", "B")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"site": "A"}, "loop: the other end also says it is site 'A'"),
        ({"link": "A-C"}, "calls this link 'A-C', here it is 'A-B'"),
        ({"site": "C"}, "is site 'C', expected 'B'"),
        ({"plaintext": False}, "the other end does not allow an unsealed link"),
        ({"mtu_bytes": 95}, "takes packets of 95 bytes only"),
    ],
)
def test_each_reason_to_refuse_names_what_is_wrong(changes, words):
    assert why_unfit(settings(), FIT) is None
    reason = why_unfit(settings(), FIT._replace(**changes))
    assert reason is not None
    assert words in reason


def test_an_end_that_does_not_allow_plaintext_says_so_itself():
    reason = why_unfit(settings(lab_plaintext=False), FIT)
    assert reason is not None
    assert reason.startswith("this end does not allow an unsealed link")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mtu_bytes": 95}, "set mtu to 96"),
        ({"mtu_bytes": 100, "name": "a-link-with-a-very-long-name"}, "set mtu to 102"),
        ({"window_bytes": 4095}, "window of 4095 bytes"),
        ({"window_bytes": 2**32}, "window of 4294967296 bytes"),
        ({"rate_bytes_per_s": 0.0}, "rate 0.0"),
        ({"name": ""}, "link name ''"),
        ({"peer": "x" * 256}, "peer name"),
        ({"peer": "A"}, "both ends are site 'A'"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_fix(changes, words):
    with pytest.raises(BenchError) as caught:
        settings(**changes)
    assert words in str(caught.value)


def test_packets_beyond_what_the_layout_counts_are_not_made():
    assert settings(mtu_bytes=10**6).packet_bytes_max == 0xFFFF + 46
    assert isinstance(settings(), LinkSettings)
