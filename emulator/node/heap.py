"""Give the cache's images a heap that is had once, in large pages, and never given back.

A site replaces images all day long. Memory that is touched for the first time costs about as much
as journalling a track does, and glibc by itself gives the top of its heap back whenever a buffer
there is freed, to touch it anew for the next one. So as much as the cache may hold is reserved at
the start: nothing of it is touched until it is needed, and then 2 MiB at a time where the machine
can do that.

A record or a host's write comes and goes in a moment; an image that was cut from it stays. From
one heap, each large buffer freed between images leaves a hole that a larger one does not fit
into. So a large buffer has memory of its own, which is given back whole.
"""

import ctypes
import gc
import mmap
from pathlib import Path
from typing import Final

LARGE_BUFFER_BYTES: Final = 512 * 1024
# Objects that may be garbage before the collector looks; Python looks after 700.
GARBAGE_OBJECTS: Final = 20_000
# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_INT_MAX: Final = 2**31 - 1
_PAD_BYTES: Final = 1 << 20
_PROBE_BYTES: Final = 64 * 1024


def reserve_heap(size_bytes: int) -> None:
    """Reserve a heap for this many bytes of images; without glibc nothing happens."""
    library = ctypes.CDLL(None, use_errno=True)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
    # The heap grows by the pad when a request does not fit into what it has left.
    mallopt(_M_TOP_PAD, min(size_bytes, _INT_MAX))
    before = _heap()
    probes: list[bytes] = []
    while _heap() == before and len(probes) < 2 * size_bytes // _PROBE_BYTES:
        probes.append(bytes(_PROBE_BYTES))
    del probes
    mallopt(_M_TOP_PAD, _PAD_BYTES)
    place = _heap()
    if place is not None:
        library.madvise(
            ctypes.c_void_p(place[0]), ctypes.c_size_t(place[1] - place[0]), mmap.MADV_HUGEPAGE
        )


def keep_collector_aside() -> None:
    """Let the collector of cycles run seldom, and not over what a site has from its start on.

    Requests and packets make no cycles, and come by the ten thousand a second; what else there is
    is collected all the same.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def _heap() -> tuple[int, int] | None:
    """Return where the heap begins and ends now."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            begin, end = line.split(maxsplit=1)[0].split("-")
            return int(begin, 16), int(end, 16)
    return None
