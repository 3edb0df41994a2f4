"""How many bytes may be in flight on a line whose rate or buffer nobody told us.

Relies on what was acknowledged and what was lost in each round trip. Leaves a known rate to
`pacing.py`. Lost packets alone are no sign of a full buffer: bit errors lose them too. So the
limit shrinks only if a large part of a round trip was lost, and then to what got through.
"""

from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS

INITIAL_BYTES: Final = 64 * 1024
"""First flight on a line of unknown rate: fits the default socket buffers of every system."""

INITIAL_PACKETS_MIN: Final = 4
"""... and of any packet size, or the first round trips would be spent waiting."""

FLOOR_PACKETS: Final = 8
"""Never fewer packets than this: three later ones must be able to show that one was lost."""

LOSS_CUT_PERCENT: Final = 15
"""A full buffer loses about what was sent too much; radio lines lose a few in a hundred."""

_RATE_HEADROOM_NS: Final = 100 * MILLISECOND_NS
_GROWTH_SHIFT: Final = 4


class Congestion:
    """The limit on bytes in flight, in one direction of one session."""

    __slots__ = (
        "_acked",
        "_ceiling",
        "_floor",
        "_lost",
        "_opening",
        "_packet",
        "_rate",
        "_round_end",
        "limit_bytes",
        "limited",
    )

    def __init__(self, packet_bytes: int, rate_bytes_per_s: float | None, ceiling: int) -> None:
        initial = INITIAL_BYTES if rate_bytes_per_s is None else int(rate_bytes_per_s)
        self.limit_bytes = max(initial, INITIAL_PACKETS_MIN * packet_bytes)
        self.limited = False
        """Whether the limit held something back in this round trip."""
        self._packet = packet_bytes
        self._floor = FLOOR_PACKETS * packet_bytes
        self._rate = rate_bytes_per_s
        self._ceiling = max(ceiling, self.limit_bytes)
        self._opening = True
        self._round_end = 0
        self._acked = 0
        self._lost = 0

    def acknowledged(self, size_bytes: int) -> None:
        """Note bytes that got through."""
        self._acked += size_bytes

    def lost(self, size_bytes: int) -> None:
        """Note bytes given up as lost."""
        self._lost += size_bytes

    def round_over(self, largest: int, sent: int, trip_ns: int) -> None:
        """Judge a round trip once a packet sent after it began is acknowledged.

        `largest` is the newest packet acknowledged, `sent` the newest one sent.
        """
        if largest < self._round_end:
            return
        part_lost = self._lost * 100 > LOSS_CUT_PERCENT * (self._acked + self._lost)
        if part_lost and (self.limited or self._lost >= self._floor):
            self._opening = False
            floor = self._floor_bytes(trip_ns)
            self.limit_bytes = min(self.limit_bytes, max(floor, self._acked))
        elif self.limited and not part_lost:
            step = self.limit_bytes >> (0 if self._opening else _GROWTH_SHIFT)
            self.limit_bytes = min(self._ceiling, self.limit_bytes + step + self._packet)
        self.limited = False
        self._round_end = sent + 1
        self._acked = self._lost = 0

    def silent(self, trip_ns: int) -> None:
        """Start anew: for several time-outs nothing got through."""
        self.limit_bytes = min(self.limit_bytes, self._floor_bytes(trip_ns))
        self._opening = True

    def _floor_bytes(self, trip_ns: int) -> int:
        if self._rate is None:
            return self._floor
        # On a line of known rate the clock keeps us honest: whatever is lost, keep it filled.
        return self._floor + int(self._rate * (trip_ns + _RATE_HEADROOM_NS) / SECOND_NS)
