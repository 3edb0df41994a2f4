"""Where hosts reach a device over the native channel: `native+` before the URI of any line.

    native+serial:///dev/ttyUSB0?baudrate=921600
    native+udp://127.0.0.1:7101?peer=127.0.0.1:7102&device=0A00

`device` is the device's address on the channel, four hexadecimal digits; every other key belongs
to the line. Leaves opening the line, and judging its keys, to `emulator/transport`.
"""

import re
from typing import Final, NamedTuple

from emulator.errors import BenchError

PREFIX: Final = "native+"
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f]{4}")


class NativeAddress(NamedTuple):
    """A line, and a device on it."""

    line: str
    """The line's URI."""
    device: int | None
    """The device's address; None when the URI names none."""


def is_native(text: str) -> bool:
    """Return whether a URI is one of the native channel."""
    return text.lower().startswith(PREFIX)


def parse_native_uri(text: str) -> NativeAddress:
    """Take a native URI apart into line and device.

    >>> parse_native_uri("native+serial:///dev/ttyUSB0?device=0A00&baudrate=9600")
    NativeAddress(line='serial:///dev/ttyUSB0?baudrate=9600', device=2560)
    """
    if not is_native(text):
        raise BenchError(f"{text}: write native+ before the line's URI, as native+udp://...")
    head, mark, query = text[len(PREFIX) :].partition("?")
    named = [item for item in query.split("&") if item.partition("=")[0] == "device"]
    if len(named) > 1:
        raise BenchError(f"{text}: device is given twice; keep one")
    rest = "&".join(item for item in query.split("&") if item not in named)
    device = None
    if named:
        value = named[0].partition("=")[2]
        if not _ADDRESS.fullmatch(value):
            raise BenchError(
                f"{text}: device={value} is no device address; write four hexadecimal digits, "
                "such as device=0A00"
            )
        device = int(value, 16)
    return NativeAddress(head + (mark + rest if rest else ""), device)


def device_address(name: str, index: int, given: int | None) -> int:
    """Return a device's address: the one given, else its name if that is one, else its index.

    >>> [f"{device_address(*row):04X}" for row in (("0190", 3, None), ("vol0", 3, None))]
    ['0190', '0003']
    """
    if given is not None:
        return given
    return int(name, 16) if _ADDRESS.fullmatch(name) else index
