"""How long an answer takes, and how long to wait before doubting that it comes.

Relies on samples that cannot be mistaken, because a packet sent again has a new number. The
estimate is that of TCP and QUIC (RFC 6298, RFC 9002). Leaves what to do about silence to
`sender.py`.
"""

from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.link.timing import ACK_DELAY_NS

RTO_NS_INITIAL: Final = SECOND_NS
"""Wait before the first sample: longer than one hop over a satellite (540 ms)."""

RTO_NS_MIN: Final = 50 * MILLISECOND_NS
"""A shell that shares its machine is late by tens of milliseconds now and then."""

RTO_NS_MAX: Final = 4 * SECOND_NS
"""Longest wait when backing off, unless the line itself needs longer: healing is noticed."""

_LINE_PACKETS: Final = 4
_GRAIN_NS: Final = MILLISECOND_NS


class RoundTrip:
    """The round trip of one session."""

    __slots__ = (
        "_backoff",
        "_line_ns",
        "base_ns",
        "latest_ns",
        "min_ns",
        "smooth_ns",
        "varies_ns",
    )

    def __init__(self, packet_ns: int) -> None:
        # Our packet, theirs and the acknowledgement may each wait for one of full size.
        self._line_ns = _LINE_PACKETS * packet_ns
        self.base_ns = RTO_NS_INITIAL + self._line_ns
        """How long an answer may take when nothing is wrong."""
        self._backoff = 0
        self.smooth_ns: int | None = None
        self.varies_ns = 0
        self.latest_ns = 0
        self.min_ns = 0

    def sample(self, round_trip_ns: int, delay_ns: int) -> None:
        """Take one measured round trip and how long the other end says it held the answer."""
        round_trip_ns = max(round_trip_ns - delay_ns, 1)
        if self.smooth_ns is None or round_trip_ns < self.min_ns:
            self.min_ns = round_trip_ns
        self.latest_ns = round_trip_ns
        if self.smooth_ns is None:
            self.smooth_ns = round_trip_ns
            self.varies_ns = round_trip_ns // 2
        else:
            self.varies_ns += (abs(self.smooth_ns - round_trip_ns) - self.varies_ns) // 4
            self.smooth_ns += (round_trip_ns - self.smooth_ns) // 8
        wait_ns = self.smooth_ns + max(4 * self.varies_ns, _GRAIN_NS)
        self.base_ns = max(RTO_NS_MIN, wait_ns + ACK_DELAY_NS) + self._line_ns

    def timeout_ns(self) -> int:
        """Return how long to wait now: doubled for each time-out in a row, up to a bound."""
        base_ns = self.base_ns
        if not self._backoff:
            return base_ns
        return min(base_ns << self._backoff, max(RTO_NS_MAX, 2 * base_ns))

    def timed_out(self) -> int:
        """Note a time-out; return how many there were in a row."""
        self._backoff = min(self._backoff + 1, 16)  # beyond any bound of the wait
        return self._backoff

    def answered(self) -> None:
        """Note that something new was acknowledged."""
        self._backoff = 0

    def loss_ns(self, *, reordering: bool) -> int:
        """Return the age at which a packet is lost if a later one was acknowledged."""
        trip_ns = max(self.smooth_ns or 0, self.latest_ns)
        wait_ns = trip_ns + (4 * self.varies_ns if reordering else trip_ns // 8)
        return max(wait_ns, _GRAIN_NS)
