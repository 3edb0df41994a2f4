"""Up to where a group's host writes lie on their disks, flushed: what write-through waits for.

A write is early when it is complete once the nonvolatile store has it, and through when it is
complete once its disk has it (patent p.7, "often"). A device may be configured so; every device
is from the moment the store cannot be relied on (W4).
"""

from collections import deque
from typing import Final

# Nobody waits as long as writes complete early; then this is near enough to say what is at risk.
STEP_BYTES: Final = 1 << 20


class Through:
    """Which writes, by csn, have reached their disks."""

    def __init__(self) -> None:
        self.csn = 0
        """Every host write up to here lies on its disk."""
        self.exact = False
        """Some host waits: every write is noted, not one in a while."""
        self._noted_lsn = -STEP_BYTES
        self._waiting: deque[tuple[int, int]] = deque()

    def note(self, csn: int, lsn: int) -> None:
        """Note that the tracks of every write up to `csn` became dirty at `lsn` or before."""
        if self.exact or lsn - self._noted_lsn >= STEP_BYTES:
            self._noted_lsn = lsn
            self._waiting.append((csn, lsn))

    def reached(self, needed_lsn: int | None) -> None:
        """Take note that the disks lack nothing that became dirty before `needed_lsn`."""
        waiting = self._waiting
        while waiting and (needed_lsn is None or waiting[0][1] < needed_lsn):
            self.csn = max(self.csn, waiting.popleft()[0])
