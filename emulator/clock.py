"""Lengths of time in nanoseconds. The core is given `now_ns`; it never reads a clock."""

from typing import Final

MICROSECOND_NS: Final = 1_000
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
