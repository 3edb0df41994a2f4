"""URIs of served devices: what they mean and what is refused."""

import pytest

from emulator.errors import BenchError
from emulator.frontend.uri import ServeAddress, ServeKind, parse_serve_uri

TCP, UNIX = ServeKind.TCP, ServeKind.UNIX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nbd://127.0.0.1:10810/vol0", (TCP, ("127.0.0.1", 10810), "vol0")),
        ("nbd://localhost/vol0", (TCP, ("localhost", 10809), "vol0")),
        ("nbd://localhost", (TCP, ("localhost", 10809), "")),
        ("nbd://localhost:0/", (TCP, ("localhost", 0), "")),
        ("NBD://[::1]:1/a/b", (TCP, ("::1", 1), "a/b")),
        ("nbd+unix:///vol0?socket=/var/tmp/a0.sock", (UNIX, "/var/tmp/a0.sock", "vol0")),
        ("nbd+unix://?socket=a.sock", (UNIX, "a.sock", "")),
        ("nbd+unix:///my%20vol?socket=/tmp/a%3Fb", (UNIX, "/tmp/a?b", "my vol")),
    ],
)
def test_meaning(text, expected):
    assert parse_serve_uri(text) == ServeAddress(*expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a URI"),
        ("vol0", "not a URI"),
        ("http://localhost/vol0", "nbd://HOST:PORT/NAME"),
        ("nbd:///vol0", "host and port"),
        ("nbd://:10809/vol0", "host and port"),
        ("nbd://localhost:port/vol0", "host and port"),
        ("nbd://user@localhost/vol0", "host and port"),
        ("nbd://::1/vol0", "host and port"),
        ("nbd://localhost:65536/vol0", "65535"),
        ("nbd://localhost/vol0?socket=/tmp/a", "nbd+unix"),
        ("nbd://localhost/vol0?sokcet=/tmp/a", "did you mean socket"),
        ("nbd+unix:///vol0", "socket=PATH"),
        ("nbd+unix://vol0?socket=/tmp/a", "three slashes"),
        ("nbd+unix:///vol0?socket=", "no value"),
        ("nbd+unix:///vol0?socket=/" + "x" * 107, "108 bytes"),
        ("nbd+unix:vol0?socket=/tmp/a", "before its name"),
        ("nbd+unix:///%FF?socket=/tmp/a", "UTF-8"),
        ("nbd+unix:///a%00b?socket=/tmp/a", "NUL"),
        ("nbd+unix:///" + "x" * 4097 + "?socket=/tmp/a", "4096 bytes"),
        ("nbd+unix:///vol0?socket=/tmp/a%00b", "NUL"),
    ],
)
def test_nonsense_is_refused_with_the_fix(text, problem):
    with pytest.raises(BenchError) as raised:
        parse_serve_uri(text)
    assert problem in str(raised.value)
