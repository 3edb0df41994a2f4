"""A serial cable in a box: two ports, and between them what a hand can do to a cable.

    with PtyBox(rate_bytes_per_s=1_600_000) as box:
        print(box.ports)            # two devices; open each as serial:///dev/pts/N
        box.cut()                   # now bytes vanish, as in a cable that was cut
        box.heal()

Each port is a pseudo-terminal; a thread carries bytes from each to the other. Like a cable without
flow control the box waits for nobody: what a port's owner does not take for a while is lost. The
only thing kinder than copper is that it is never lost while the owner is merely busy. Leaves
damage, delay and chance to others.
"""

import contextlib
import os
import select
import threading
import time
import tty
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import UnavailableError

PIECE_BYTES = 4096
"""Read at once; a pseudo-terminal gives no more."""
PATIENCE_NS = 250 * MILLISECOND_NS
"""An owner that takes nothing for so long is switched off; a busy one takes a tenth of it."""
SLACK_NS = 5 * MILLISECOND_NS
"""How much lateness of this thread is made up for, so that the mean rate is the one asked for."""


@dataclass(slots=True)
class WayCounters:
    """What came in at one port, and what became of it."""

    taken_bytes: int = 0
    delivered_bytes: int = 0
    cut_bytes: int = 0
    """Lost because the line was cut."""
    unread_bytes: int = 0
    """Lost because nobody read at the other port."""

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


class _Way:
    """One direction: at most one piece is on its way."""

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self.target = target
        self.counters = WayCounters()
        self.free_ns = 0
        self._piece = memoryview(b"")
        self._waiting_since_ns = 0
        self._deaf = False

    def is_loaded(self) -> bool:
        return bool(self._piece)

    def due_ns(self) -> int:
        """Return when there is something to do although no descriptor is ready."""
        return self._waiting_since_ns + PATIENCE_NS if self._piece else self.free_ns

    def take(self, now_ns: int, rate_bytes_per_s: float | None) -> None:
        with contextlib.suppress(BlockingIOError):
            self._piece = memoryview(os.read(self.source, PIECE_BYTES))
        self.counters.taken_bytes += len(self._piece)
        self._waiting_since_ns = now_ns
        if rate_bytes_per_s is not None:
            passing_ns = int(len(self._piece) * SECOND_NS / rate_bytes_per_s)
            self.free_ns = max(self.free_ns, now_ns - SLACK_NS) + passing_ns

    def deliver(self, now_ns: int, *, is_cut: bool) -> None:
        if is_cut:
            self.counters.cut_bytes += self._drop()
            return
        try:
            written = os.write(self.target, self._piece)
        except BlockingIOError:
            written = 0
        self.counters.delivered_bytes += written
        self._piece = self._piece[written:]
        if written:
            self._deaf = False
            self._waiting_since_ns = now_ns
        elif self._deaf or now_ns >= self.due_ns():
            self._deaf = True
            self.counters.unread_bytes += self._drop()

    def _drop(self) -> int:
        size_bytes = len(self._piece)
        self._piece = memoryview(b"")
        return size_bytes


class PtyBox:
    """Two ports joined by a line that can be cut."""

    def __init__(self, rate_bytes_per_s: float | None = None) -> None:
        self._rate_bytes_per_s = rate_bytes_per_s
        self._is_cut = False
        self._is_closing = False
        self._descriptors: list[int] = []
        inner: list[int] = []
        names: list[str] = []
        try:
            for _ in range(2):
                inside, device = os.openpty()
                # Ours stays open too: else each owner that closes the port would hang it up.
                self._descriptors += [inside, device]
                tty.setraw(device)  # before anybody writes: cooked mode echoes and changes bytes
                os.set_blocking(inside, False)
                inner.append(inside)
                names.append(os.ttyname(device))
            self._wake_end, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._close_descriptors()
            raise UnavailableError(f"no pseudo-terminal: {error.strerror}") from error
        self._descriptors += [self._wake_end, self._waker]
        self.ports = (names[0], names[1])
        self._ways = (_Way(inner[0], inner[1]), _Way(inner[1], inner[0]))
        self._thread = threading.Thread(target=self._run, name="pty-box", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_cut(self) -> bool:
        """Whether bytes vanish now."""
        return self._is_cut

    @property
    def counters(self) -> tuple[WayCounters, WayCounters]:
        """What came in at each port, in the order of `ports`."""
        return self._ways[0].counters, self._ways[1].counters

    def cut(self) -> None:
        """Lose every byte from now on, and what is on its way; nobody is told, as with a cable."""
        self._is_cut = True
        self._wake()

    def heal(self) -> None:
        """Carry bytes again."""
        self._is_cut = False
        self._wake()

    def close(self) -> None:
        """Take the ports away; a second call does nothing."""
        if self._is_closing:
            return
        self._is_closing = True
        self._wake()
        self._thread.join()
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _wake(self) -> None:
        if self._descriptors:
            with contextlib.suppress(BlockingIOError):  # full of wakes already
                os.write(self._waker, b"w")

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake_end, select.POLLIN)
        for way in self._ways:
            poll.register(way.source, 0)
        while not self._is_closing:
            ready = dict(poll.poll(self._prepare(poll)))
            if self._wake_end in ready:
                os.read(self._wake_end, PIECE_BYTES)
            now_ns = time.monotonic_ns()
            for way in self._ways:
                if not way.is_loaded() and ready.get(way.source, 0) & select.POLLIN:
                    way.take(now_ns, self._rate_bytes_per_s)
                if way.is_loaded():
                    way.deliver(now_ns, is_cut=self._is_cut)

    def _prepare(self, poll: select.poll) -> float | None:
        """Say what to watch for, and return for how many milliseconds at most."""
        now_ns = time.monotonic_ns()
        due_ns: list[int] = []
        watched = dict.fromkeys((way.source for way in self._ways), 0)
        for way in self._ways:
            if way.is_loaded():
                watched[way.target] |= select.POLLOUT
                due_ns.append(way.due_ns())
            elif way.free_ns <= now_ns:
                watched[way.source] |= select.POLLIN
            else:
                due_ns.append(way.free_ns)
        for descriptor, events in watched.items():
            poll.modify(descriptor, events)
        if not due_ns:
            return None
        return max(0.0, (min(due_ns) - now_ns) / MILLISECOND_NS)
