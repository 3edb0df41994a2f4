"""Native URIs name a line and a device, and each mistake in them is told."""

import pytest

from emulator.errors import BenchError
from emulator.frontend.native_uri import parse_native_uri


@pytest.mark.parametrize(
    ("text", "line", "device"),
    [
        ("native+pty:///?link=/t/a", "pty:///?link=/t/a", None),
        ("native+pty:///?link=/t/a&device=0a00", "pty:///?link=/t/a", 0x0A00),
        ("NATIVE+tcp://h:1?device=FFFF&listen=1", "tcp://h:1?listen=1", 0xFFFF),
        ("native+tcp://h:1?device=0000", "tcp://h:1", 0),
    ],
)
def test_the_device_is_taken_out_of_the_lines_keys(text, line, device):
    assert parse_native_uri(text) == (line, device)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("udp://h:1", r"write native\+ before"),
        ("native+udp://h:1?device=A00", "write four hexadecimal digits"),
        ("native+udp://h:1?device=0A00&device=0A01", "given twice"),
    ],
)
def test_mistakes_are_told(text, told):
    with pytest.raises(BenchError, match=told):
        parse_native_uri(text)
