"""Hosts that wait to be told that their write is complete.

One queue in csn order for each group. How far it may be answered is decided by the group's
acknowledgement level; here is only the order.
"""

from collections import deque
from collections.abc import Sequence
from itertools import repeat

from emulator.channel.blocks import Outcome, Requester


class Replies:
    """The host operations of one group that are not complete yet."""

    def __init__(self) -> None:
        self.released_csn = 0
        """Up to where hosts may have been told that their writes are complete."""
        self.waiting: deque[tuple[int, Requester, int]] = deque()

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, csn: int, who: Requester, cookie: int) -> None:
        """Let an operation wait until everything up to `csn` is safe."""
        self.waiting.append((csn, who, cookie))

    def add_many(self, csn: int, who: Requester, cookies: Sequence[int]) -> None:
        """Let operations with csns from `csn` on wait, each for its own."""
        self.waiting.extend(zip(range(csn, csn + len(cookies)), repeat(who), cookies))

    def release(self, csn: int) -> None:
        """Tell every host whose operation is covered by `csn` that it is complete."""
        waiting = self.waiting
        while waiting and waiting[0][0] <= csn:
            self.released_csn, who, cookie = waiting.popleft()
            who.completed(cookie, Outcome.DONE, [])

    def refuse(self, outcome: Outcome) -> None:
        """Tell every waiting host that its operation failed."""
        while self.waiting:
            _csn, who, cookie = self.waiting.popleft()
            who.completed(cookie, outcome, [])
