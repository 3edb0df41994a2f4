"""Text with units, read once at the edge; inside, sizes are bytes and times nanoseconds."""

import re
from typing import Final

from emulator.clock import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS
from emulator.errors import BenchError

_SIZE_SCALE: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_TIME_SCALE: Final = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "min": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}
_RATE_SCALE: Final = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}


def size_bytes(text: str) -> int:
    """Read a size such as 64MiB.

    >>> size_bytes("64MiB")
    67108864
    """
    found = re.fullmatch(r"(\d+)\s*(B|KiB|MiB|GiB|TiB)?", text.strip())
    if not found:
        msg = f"{text!r} is not a size; write for example 64MiB"
        raise BenchError(msg)
    return int(found[1]) * _SIZE_SCALE[found[2] or "B"]


def duration_ns(text: str) -> int:
    """Read a length of time such as 30s or 1.5ms.

    >>> duration_ns("1.5ms")
    1500000
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min|h)", text.strip())
    if not found:
        msg = f"{text!r} is not a length of time; write for example 30s"
        raise BenchError(msg)
    return round(float(found[1]) * _TIME_SCALE[found[2]])


def rate_bytes_per_s(text: str) -> float:
    """Read a line rate such as 1.5Mbit as bytes a second.

    >>> rate_bytes_per_s("8kbit")
    1000.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(bit|kbit|Mbit|Gbit)", text.strip())
    if not found:
        msg = f"{text!r} is not a rate; write for example 1.5Mbit"
        raise BenchError(msg)
    return float(found[1]) * _RATE_SCALE[found[2]] / 8


def size_text(value_bytes: int) -> str:
    """Write a size the way `size_bytes` reads it, rounded for people.

    >>> size_text(67108864), size_text(1536), size_text(512)
    ('64MiB', '1.5KiB', '512B')
    """
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value_bytes >= _SIZE_SCALE[unit]:
            return f"{value_bytes / _SIZE_SCALE[unit]:.4g}{unit}"
    return f"{value_bytes}B"


def duration_text(value_ns: int) -> str:
    """Write a length of time for people.

    >>> duration_text(1500000), duration_text(90 * 10**9)
    ('1.5ms', '90s')
    """
    for unit in ("s", "ms", "us"):
        if value_ns >= _TIME_SCALE[unit]:
            return f"{value_ns / _TIME_SCALE[unit]:.4g}{unit}"
    return f"{value_ns}ns"
