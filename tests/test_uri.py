"""URIs of lines and disks: what they say, and what is wrong with those that say nothing."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import BenchError
from emulator.units import duration_ns, size_bytes
from emulator.uri import parse_uri, scheme_of

KNOWN = {"peer": "the other end", "mtu": "largest packet", "flag": "yes or no"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("usb://1209:f00d", ("usb", "1209:f00d", "")),  # urlsplit(...).port raises here
        ("sim://A-B", ("sim", "A-B", "")),  # and .hostname would say a-b
        ("raw:///a#1.img", ("raw", "", "/a#1.img")),  # and .path would end at #
        ("raw:///a%20b%3F%25.img", ("raw", "", "/a b?%.img")),
        ("udp://[::1]:7001", ("udp", "[::1]:7001", "")),
        ("mem:64MiB", ("mem", "", "64MiB")),
        ("mem://64MiB", ("mem", "64MiB", "")),
        ("pty:", ("pty", "", "")),
        ("pty://?", ("pty", "", "")),
        ("PTY:///", ("pty", "", "/")),
        ("nbd+unix:///vol0", ("nbd+unix", "", "/vol0")),
    ],
)
def test_parts_come_out_as_written(text: str, parts: tuple[str, str, str]) -> None:
    uri = parse_uri(text, KNOWN)
    assert (uri.scheme, uri.authority, uri.path) == parts
    assert (uri.text, uri.query) == (text, {})
    assert scheme_of(text) == uri.scheme


def test_query_values_keep_everything_but_escapes() -> None:
    uri = parse_uri("udp://a:1?peer=b:2%26c?d/e#f=g", KNOWN)
    assert uri.query == {"peer": "b:2&c?d/e#f=g"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a URI"),
        ("/dev/ttyUSB0", "is not a URI"),
        ("7up://x", "is not a URI"),
        ("udp://a\n:1", "control characters"),
        (
            "udp://a?pear=1",
            "unknown key 'pear'; did you mean peer? udp: takes peer (the other",
        ),
        ("udp://a?zzz=1", "unknown key 'zzz'; udp: takes peer"),
        ("udp://a?peer", "peer has no value; write peer=..."),
        ("udp://a?peer=", "peer has no value"),
        ("udp://a?peer=1&peer=2", "peer is given twice"),
        ("udp://a?peer=1&&mtu=2", "unknown key ''"),
        ("raw:///50%.img", "a % must be written as %25"),
        ("udp://a?peer=5%", "a % must be written as %25"),
    ],
)
def test_what_cannot_be_read_names_the_uri_and_the_fix(text: str, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        parse_uri(text, KNOWN)
    assert said in str(caught.value)
    assert text in str(caught.value) or repr(text) in str(caught.value)


def test_values_are_read_once_and_refused_with_their_key() -> None:
    uri = parse_uri("x:?mtu=0x5DC&flag=yes&peer=30s", KNOWN)
    assert uri.integer("mtu", 1, 1, 9000) == 1500
    assert uri.flag("flag")
    assert uri.read("peer", duration_ns, 0) == 30_000_000_000
    assert uri.choice("flag", 0, {"yes": 7}) == 7
    for attempt, said in (
        (lambda: uri.integer("mtu", 1, 1, 1000), "mtu=0x5DC cannot be used; it must lie from 1"),
        (lambda: uri.integer("flag", 1, 1, 1000), "flag=yes cannot be used; write a whole number"),
        (lambda: uri.flag("mtu"), "mtu=0x5DC cannot be used; write 1 or 0"),
        (lambda: uri.read("peer", size_bytes, 0), "peer: '30s' is not a size"),
        (lambda: uri.choice("flag", 0, {"yess": 1}), "did you mean yess? choose one of yess"),
    ):
        with pytest.raises(BenchError, match="x:") as caught:
            attempt()
        assert said in str(caught.value)


def test_values_not_given_are_as_usual() -> None:
    uri = parse_uri("x:", KNOWN)
    assert uri.integer("mtu", 7, 1, 9) == 7
    assert uri.flag("flag", default=True)
    assert uri.read("peer", size_bytes, 5) == 5
    assert uri.choice("peer", "a", {"b": "c"}) == "a"


@given(st.text(max_size=60))
def test_any_text_is_a_uri_or_the_users_error(text: str) -> None:
    with contextlib.suppress(BenchError):
        assert parse_uri(text, KNOWN).text == text
