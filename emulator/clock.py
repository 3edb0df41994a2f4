"""Lengths of time in nanoseconds. The core is given `now_ns`; it never reads a clock."""

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
