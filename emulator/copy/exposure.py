"""Since when a host's write lies at this site alone: the exposure time (V3)."""

from collections import deque
from typing import Final

# Acceptance times kept; beyond that the figure is rounded up.
TIMES_MAX: Final = 4096


class Exposure:
    """When the writes that the other site lacks were accepted."""

    def __init__(self) -> None:
        self._accepted_ns: deque[tuple[int, int]] = deque()

    def accepted(self, csn: int, now_ns: int) -> None:
        """Note that everything up to `csn` was accepted by now."""
        accepted = self._accepted_ns
        if len(accepted) < TIMES_MAX:
            accepted.append((csn, now_ns))
        else:
            # The newest note covers more writes from now on; it is then never understated.
            accepted[-1] = (csn, accepted[-1][1])

    def forget(self, csn: int) -> None:
        """Drop the times of writes that the other site has."""
        accepted = self._accepted_ns
        while accepted and accepted[0][0] <= csn:
            accepted.popleft()

    def since_ns(self, now_ns: int) -> int:
        """Return for how long the oldest write that is noted has waited."""
        return max(0, now_ns - self._accepted_ns[0][1]) if self._accepted_ns else 0
