"""Have the memory of the nonvolatile store before hosts need it.

A store is memory that is there. A file is not: the kernel makes room for each of its pages when
it is first written, which costs several times as much as writing a page that is there already.
So the pages are brought in once, at the start, beside everything else and at the lowest priority.

Only where a write counts once it is in memory: beside an fdatasync nobody would feel it.
"""

import contextlib
import ctypes
import mmap
import os
import threading
from pathlib import Path
from typing import Final

# Brought in at once: little enough that mapping it does not count, and that a stop waits little.
PIECE_BYTES: Final = 8 << 20
# At most this share of the memory that the machine has to spare.
SPARE_SHARE: Final = 2
_LOWEST_PRIORITY: Final = 19
_POPULATE_READ: Final = 22  # MADV_POPULATE_READ of linux/mman.h, since Linux 5.14
_MAP_FAILED: Final = ctypes.c_void_p(-1).value


class Warming:
    """The pages of an open file, brought into memory in order, until stopped."""

    def __init__(self, file: int, start: int, end: int) -> None:
        """`start` is a multiple of the page size; `end` is the file's, which stays open."""
        self._file = file
        self._start = start
        self._end = min(end, start + spare_bytes() // SPARE_SHARE)
        self._stopped = threading.Event()
        self.warmed_bytes = 0
        self.under_way = True

    def run(self) -> None:
        """Bring in every page; what the kernel cannot do is left to the first write."""
        try:
            self._bring_in_all()
        finally:
            self.under_way = False

    def _bring_in_all(self) -> None:
        with contextlib.suppress(OSError):
            # On Linux this is the priority of the calling thread alone.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        for at in range(self._start, self._end, PIECE_BYTES):
            size = min(PIECE_BYTES, self._end - at)
            if self._stopped.is_set() or not _bring_in(self._file, at, size):
                return
            self.warmed_bytes += size

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopped.set()


def spare_bytes() -> int:
    """Return how much memory the machine could give without swapping; 0 if that is not known."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _bring_in(file: int, offset: int, size: int) -> bool:
    """Bring one piece of a file into memory; return whether the kernel could.

    Called through ctypes, which lets other threads run meanwhile; the module `mmap` does not.
    """
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    arguments = (ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, file)
    place = library.mmap(None, *arguments, ctypes.c_int64(offset))
    if place == _MAP_FAILED:
        return False
    try:
        pages = ctypes.c_void_p(place)
        return not library.madvise(pages, ctypes.c_size_t(size), _POPULATE_READ)
    finally:
        library.munmap(ctypes.c_void_p(place), ctypes.c_size_t(size))
