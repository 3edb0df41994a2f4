"""Tracks to be written, joined into runs."""

from typing import Final

from emulator.cache.tracks import ZERO_TRACK

# A shorter run of zero tracks is written as data; one call to punch a hole costs about as much.
ZERO_RUN_TRACKS: Final = 16


def runs_of(written: list[tuple[int, bytes]]) -> list[tuple[int, list[bytes]]]:
    """Join neighbours of one kind: zero tracks with zero tracks, others with others."""
    runs: list[tuple[int, list[bytes]]] = []
    following = -1
    zero = False
    for key, image in written:
        is_zero = image is ZERO_TRACK
        if key == following and is_zero is zero:
            runs[-1][1].append(image)
        else:
            runs.append((key, [image]))
        following = key + 1
        zero = is_zero
    return runs
