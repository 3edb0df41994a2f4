"""Virtual time: what happens next, and nothing in between.

Events of one instant come in an order that is drawn from the seed, so that nothing relies on the
order in which they were planned.
"""

import heapq
from collections.abc import Callable
from random import Random


class Scheduler:
    """The queue of everything that is going to happen."""

    def __init__(self, dice: Random) -> None:
        self.now_ns = 0
        self.events = 0
        self._dice = dice
        self._queue: list[tuple[int, int, int, Callable[[], None]]] = []
        self._serial = 0

    def at(self, time_ns: int, action: Callable[[], None]) -> None:
        """Let something happen at a time, or now if that has passed."""
        self._serial += 1
        time_ns = max(time_ns, self.now_ns)
        heapq.heappush(self._queue, (time_ns, self._dice.getrandbits(16), self._serial, action))

    def after(self, wait_ns: int, action: Callable[[], None]) -> None:
        """Let something happen a while from now."""
        self.at(self.now_ns + wait_ns, action)

    def step(self) -> bool:
        """Let the next thing happen; return False when nothing is planned."""
        if not self._queue:
            return False
        self.now_ns, _tie, _serial, action = heapq.heappop(self._queue)
        self.events += 1
        action()
        return True
