"""Keep large buffers out of the heap in which the small images of the cache live.

A record or a host's write comes and goes in a moment; an image that was cut from it stays. From
one heap, each buffer freed between images leaves a hole that a larger one does not fit into, and
the resident set grows by a fifth. With memory of its own a buffer is given back whole. glibc does
so from 128 KiB on, but raises that bound as soon as such a buffer is freed; setting it keeps it.
"""

import ctypes

LARGE_BUFFER_BYTES = 128 * 1024
_M_MMAP_THRESHOLD = -3  # from glibc's malloc.h


def keep_large_buffers_apart() -> None:
    """Fix the size from which a buffer has memory of its own; without glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES)
