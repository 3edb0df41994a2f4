"""A box in the middle of a real line that does to packets what a schedule says.

    with FaultBox(lines, ways) as box:      # two open lines, one to each site
        box.cut("A-B")

Works on every kind of line: the lines themselves cut byte streams into packets. A thread carries
what comes in at one end through one of the two ways to the other end.
"""

import contextlib
import select
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from emulator.clock import MILLISECOND_NS
from emulator.errors import LinkLost
from emulator.transport.base import Line
from rig.lines.faulty_way import FaultyWay

WAIT_MS_MAX = 20.0
"""How late an order from outside, such as a cut, may be noticed."""


class FaultBox:
    """Two lines joined by two ways; the first way leads from the first line to the second."""

    def __init__(self, lines: tuple[Line, Line], ways: tuple[FaultyWay, FaultyWay]) -> None:
        self.ways = ways
        self._lines = lines
        self._to_send: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-box", daemon=True)
        self.failure: Exception | None = None
        """What ended the box, if it was not told to end."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        for line in self._lines:
            line.close()

    def cut(self, target: str, *, cut: bool = True) -> None:
        """Cut the way of this name, or `both`, or join it again."""
        for way in self.ways:
            if target in (way.name, "both"):
                way.cut = cut

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wait()
                self._carry(time.monotonic_ns())
        except Exception as error:  # noqa: BLE001 - told to whoever runs the box
            self.failure = error

    def _wait(self) -> None:
        now_ns = time.monotonic_ns()
        due = [due_ns for way in self.ways if (due_ns := way.next_due_ns()) is not None]
        wait_ms = min([WAIT_MS_MAX, *((due_ns - now_ns) / MILLISECOND_NS for due_ns in due)])
        poll = select.poll()
        for line, waiting in zip(self._lines, self._to_send, strict=True):
            writing = waiting or line.wants_write()
            poll.register(line.fileno(), select.POLLIN | (select.POLLOUT if writing else 0))
        poll.poll(max(0.0, wait_ms))

    def _carry(self, now_ns: int) -> None:
        for line, way in zip(self._lines, self.ways, strict=True):
            with contextlib.suppress(LinkLost):  # a site that is away; the line stays
                for packet in line.receive():
                    way.put(packet, now_ns)
        for number, way in enumerate(self.ways):
            for leaving in way.leaving(now_ns):
                self._to_send[number if leaving.reflected else 1 - number].append(leaving.packet)
        for line, waiting in zip(self._lines, self._to_send, strict=True):
            self._send(line, waiting)

    def _send(self, line: Line, waiting: deque[bytes]) -> None:
        with contextlib.suppress(LinkLost):
            line.flush()
            batch = [packet[: line.mtu_bytes] for packet in waiting]
            for _ in range(line.send(batch) if batch else 0):
                waiting.popleft()
