"""One thread's event loop: epoll, and helper threads whose results come back to it.

Our own and small, because the data path needs no more: callbacks by descriptor, and workers for
what blocks (disks, fdatasync). See ADR 0011 for what asyncio would cost here.
"""

import contextlib
import os
import queue
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from emulator.clock import MICROSECOND_NS, SECOND_NS

Handler = Callable[[int], None]
READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
# A wait that ends within this is spent awake. To sleep and be woken costs more than it saves: the
# peer pays for the waking, and both for the time until it is done (ADR 0028).
LOOK_OUT_NS: Final = 60 * MICROSECOND_NS


class Loop:
    """Calls a handler for each descriptor that is ready.

    Once `look_out` was called, a wait that follows a short one begins awake; until one is long
    after all. With one processor none does: the peer needs it.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._may_look_out = len(os.sched_getaffinity(0)) > 1
        self._looks_out = False
        self._short_wait = False

    def add(self, file: int, handler: Handler, events: int = READABLE) -> None:
        """Have `handler(events)` called when `file` is ready."""
        self._epoll.register(file, events)
        self._handlers[file] = handler

    def change(self, file: int, events: int) -> None:
        """Change what `file` is watched for."""
        self._epoll.modify(file, events)

    def remove(self, file: int) -> None:
        """Watch `file` no more; it may be closed already."""
        if self._handlers.pop(file, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(file)

    def look_out(self) -> None:
        """Wait awake for what comes soon: somebody has spoken who waits for each answer."""
        self._looks_out = self._may_look_out

    def run_once(self, timeout_s: float) -> int:
        """Wait at most so long, and call the handlers of what is ready; return how many were."""
        ready = self._wait(timeout_s) if timeout_s > 0 else self._epoll.poll(0)
        for file, events in ready:
            handler = self._handlers.get(file)
            if handler is not None:
                handler(events)
        return len(ready)

    def _wait(self, timeout_s: float) -> list[tuple[int, int]]:
        poll, clock = self._epoll.poll, time.monotonic_ns
        begun_ns = clock()
        end_ns = begun_ns + min(LOOK_OUT_NS, int(timeout_s * SECOND_NS))
        if self._short_wait and self._looks_out:
            while True:
                ready = poll(0)
                if ready:
                    return ready
                if clock() >= end_ns:
                    break
        ready = poll(timeout_s)
        self._short_wait = clock() < end_ns
        self._looks_out &= self._short_wait
        return ready

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()


class Workers:
    """Helper threads, each doing its own jobs in order; results are handed over in the loop."""

    def __init__(self, loop: Loop) -> None:
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop = loop
        self._done: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._threads: list[tuple[threading.Thread, queue.SimpleQueue[Any]]] = []
        loop.add(self._wake, self._deliver)

    def worker(self, name: str) -> Callable[[Callable[[], Any], Callable[[Any], None]], None]:
        """Start a thread; return the function that gives it a job and takes its result.

        A job that raises has the exception as its result.
        """
        jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        thread = threading.Thread(target=self._run, args=(jobs,), name=name, daemon=True)
        thread.start()
        self._threads.append((thread, jobs))

        def submit(job: Callable[[], Any], done: Callable[[Any], None]) -> None:
            jobs.put((job, done))

        return submit

    def _run(self, jobs: queue.SimpleQueue[Any]) -> None:
        while (item := jobs.get()) is not None:
            job, done = item
            try:
                result = job()
            except Exception as error:  # noqa: BLE001 - handed to the loop, which judges it
                result = error
            self._done.append((done, result))
            os.eventfd_write(self._wake, 1)

    def _deliver(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._done:
            done, result = self._done.popleft()
            done(result)

    def close(self) -> None:
        """Let every thread finish its jobs, and end."""
        for _thread, jobs in self._threads:
            jobs.put(None)
        for thread, _jobs in self._threads:
            thread.join()
        self._loop.remove(self._wake)
        os.close(self._wake)


def watch_stop_signals(loop: Loop, stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM and SIGINT, and have the loop wake up for it."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())
    loop.add(read_end, lambda _events: _forget(read_end))


def _forget(read_end: int) -> None:
    os.read(read_end, 64)
