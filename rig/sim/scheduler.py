"""Virtual time: what happens next, and nothing in between.

Events of one instant come in an order that is drawn from the seed, so that nothing relies on the
order in which they were planned.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random


class Scheduler:
    """The queue of everything that is going to happen."""

    def __init__(self, dice: Random) -> None:
        self.now_ns = 0
        self.events = 0
        self._tie = dice.getrandbits
        self._queue: list[tuple[int, int, int, Callable[[], None]]] = []
        self._serial = 0

    def at(self, time_ns: int, action: Callable[[], None]) -> None:
        """Let something happen at a time, or now if that has passed."""
        self._serial = serial = self._serial + 1
        now_ns = self.now_ns
        if time_ns < now_ns:  # noqa: PLR1730  a call of `max` costs as much as all the rest
            time_ns = now_ns
        heappush(self._queue, (time_ns, self._tie(16), serial, action))

    def after(self, wait_ns: int, action: Callable[[], None]) -> None:
        """Let something happen a while from now."""
        self.at(self.now_ns + wait_ns, action)

    def run_to(self, time_ns: int, events_max: int) -> bool:
        """Let things happen until this time is reached; return False when nothing is planned.

        Ends early after so many events in all: somebody goes round in circles.
        """
        queue = self._queue
        events = self.events
        try:
            while queue:
                self.now_ns, _tie, _serial, action = heappop(queue)
                events += 1
                action()
                if self.now_ns >= time_ns or events > events_max:
                    return True
        finally:
            self.events = events
        return False
