"""How fast packets may be handed to a line: a clock that says when the line is free again.

Relies on the line's rate, if it is known. Leaves how much may be in flight to `congestion.py`.
Without this a sender on a slow line queues packets faster than the line drains, takes the wait
for loss, and sends them all again.
"""

from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS

AHEAD_NS: Final = 5 * MILLISECOND_NS
"""How much line time may be handed over early: shells wake late by about a millisecond, and a
line that runs dry loses that time for good."""


class Pacer:
    """The line's clock; every packet is charged to it, whatever its kind."""

    __slots__ = ("_byte_ns", "_free_ns", "waits_ns")

    def __init__(self, rate_bytes_per_s: float | None) -> None:
        self._byte_ns = SECOND_NS / rate_bytes_per_s if rate_bytes_per_s else 0.0
        self._free_ns = 0
        self.waits_ns: int | None = None
        """When a packet that had to wait may go; None if none had to."""

    def ready(self, now_ns: int) -> bool:
        """Tell whether the line takes another packet now, and remember it if not."""
        wait_until_ns = self._free_ns - AHEAD_NS
        if wait_until_ns <= now_ns:
            return True
        self.waits_ns = wait_until_ns
        return False

    def charge(self, size_bytes: int, now_ns: int) -> None:
        """Note that a packet was handed to the line."""
        if self._byte_ns:
            # Byte streams are framed with COBS: one byte in 254 more, and two.
            cost_ns = int((size_bytes + size_bytes // 254 + 2) * self._byte_ns)
            self._free_ns = max(self._free_ns, now_ns) + cost_ns

    def wake(self, now_ns: int) -> None:
        """Forget the wait if it is over."""
        if self.waits_ns is not None and self.waits_ns <= now_ns:
            self.waits_ns = None
