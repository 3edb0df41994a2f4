"""Many writes at many places of a file by one call of the system: Linux native AIO (io_submit).

A thread that writes one track after another gives the interpreter back with every track and waits
for it again, and so does the thread that answers hosts meanwhile; measured, that more than doubled
the slowest answers. Through the page cache the kernel does all writes of a call, one after
another, before the call returns, and the interpreter changes hands once.

    many = ManyWrites(descriptor)
    rest = many.write(runs)        the runs that are not on the disk whole, to be written otherwise
    many.close()

Where the system has no such calls, or refuses one, all runs are left over: whoever writes them by
the usual calls sees the error of the system.
"""

import ctypes
import errno
import functools
import platform
import struct
import threading
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Final, NamedTuple

from emulator.disk.base import Runs

EVENTS_MAX: Final = 512
# Fewer runs than this cost as much one by one.
RUNS_MIN: Final = 4
_PWRITEV: Final = 8  # IOCB_CMD_PWRITEV of linux/aio_abi.h
# struct iocb as words: data, flags, opcode and file, vector, count, offset, two more; every machine
# that is listed below has the low half of a word first.
_CONTROL_WORDS: Final = 8
_CONTROL_BYTES: Final = 8 * _CONTROL_WORDS
_VECTOR_BYTES: Final = 16  # struct iovec: start, length
_POINTER_BYTES: Final = 8
_EVENT_WORDS: Final = 4  # struct io_event: data, control block, result, result 2
# setup, destroy, submit, getevents; other machines that Linux knows have the newer table.
_NUMBERS: Final = {"x86_64": (206, 207, 209, 208), "aarch64": (0, 1, 2, 4), "riscv64": (0, 1, 2, 4)}


class _Calls(NamedTuple):
    setup: Callable[..., int]
    destroy: Callable[..., int]
    submit: Callable[..., int]
    getevents: Callable[..., int]


class ManyWrites:
    """Writes of many runs to one file at once; several threads may use it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._context: ctypes.c_ulong | None = None
        self._usable = True
        self._lock = threading.Lock()

    def write(self, runs: Runs) -> Runs:
        """Write as many runs as the system takes; return those that were not written whole."""
        if len(runs) < RUNS_MIN or not self._usable or not self._lock.acquire(blocking=False):
            return runs
        try:
            calls = self._open()
            if calls is None:
                return runs
            rest: list[tuple[int, list[bytes]]] = []
            for first in range(0, len(runs), EVENTS_MAX):
                part = runs[first : first + EVENTS_MAX]
                sizes = self._submit(calls, part)
                rest.extend(
                    (offset, list(buffers))
                    for (offset, buffers), done in zip(part, sizes, strict=True)
                    if done != sum(map(len, buffers))
                )
            return rest
        finally:
            self._lock.release()

    def close(self) -> None:
        """Give back what the system keeps for these writes."""
        with self._lock:
            self._usable = False
            calls = _calls()
            if calls is not None and self._context is not None:
                calls.destroy(self._context)
                self._context = None

    def _open(self) -> _Calls | None:
        calls = _calls()
        if calls is not None and self._context is None:
            context = ctypes.c_ulong(0)
            if calls.setup(ctypes.c_long(EVENTS_MAX), ctypes.byref(context)) < 0:
                calls = None
            else:
                self._context = context
        self._usable = calls is not None
        return calls

    def _submit(self, calls: _Calls, runs: Runs) -> list[int]:
        """Return how many bytes of each run were written; less than nothing for a failure."""
        count = len(runs)
        buffers = [buffer for _offset, found in runs for buffer in found]
        starts = (ctypes.c_char_p * len(buffers))(*buffers)
        vectors = array("Q", bytes(_VECTOR_BYTES * len(buffers)))
        vectors[0::2] = array("Q", memoryview(starts).cast("B").cast("Q").tolist())
        vectors[1::2] = array("Q", map(len, buffers))
        counts = [len(found) for _offset, found in runs]
        first = vectors.buffer_info()[0]
        controls = array("Q", bytes(_CONTROL_BYTES * count))
        for word, values in (
            (0, range(count)),
            (2, [_PWRITEV | self._descriptor << 32] * count),
            (3, [first + _VECTOR_BYTES * done for done in accumulate(counts[:-1], initial=0)]),
            (4, counts),
            (5, [offset for offset, _found in runs]),
        ):
            controls[word::_CONTROL_WORDS] = array("Q", values)
        first = controls.buffer_info()[0]
        blocks = array("Q", range(first, first + len(controls) * 8, _CONTROL_BYTES))
        taken = calls.submit(self._context, ctypes.c_long(count), _pointer(blocks))
        self._usable = taken > 0
        sizes = [-errno.EAGAIN] * count
        events = (ctypes.c_int64 * (_EVENT_WORDS * count))()
        while taken > 0:
            # Until the system has answered, it may still read the buffers.
            wanted = ctypes.c_long(taken)
            answered = calls.getevents(self._context, wanted, wanted, events, None)
            if answered < 0:
                if ctypes.get_errno() == errno.EINTR:
                    continue
                # Forbidden, perhaps: what was written is not known, and is written again.
                self._usable = False
                break
            for at in range(0, answered * _EVENT_WORDS, _EVENT_WORDS):
                sizes[events[at]] = events[at + 2]
            taken -= answered
        return sizes


def _pointer(words: "array[int]") -> ctypes.c_void_p:
    return ctypes.c_void_p(words.buffer_info()[0])


@functools.cache
def _calls() -> _Calls | None:
    """Return the system's calls; None on a machine that has none that we know."""
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None or platform.system() != "Linux" or struct.calcsize("P") != _POINTER_BYTES:
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return _Calls(*(functools.partial(call, ctypes.c_long(number)) for number in numbers))
