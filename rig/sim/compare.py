"""Compare what a site would serve with what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cache.tracks import TRACK_BITS
from emulator.channel.blocks import TRACK_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.node.processor import Processor
    from rig.sim.history import Images


def first_difference(
    processor: Processor, disks: Sequence[bytearray], expected: Images
) -> tuple[int, int] | None:
    """Return the first (volume, track) whose newest contents are not the expected ones."""
    peek = processor.cache.peek
    for volume, image in enumerate(expected):
        size = len(image)
        disk, wanted = memoryview(disks[volume]), memoryview(image)
        for track, start in enumerate(range(0, size, TRACK_BYTES)):
            end = min(start + TRACK_BYTES, size)
            cached = peek(volume << TRACK_BITS | track)
            found = disk[start:end] if cached is None else cached[: end - start]
            if found != wanted[start:end]:
                return volume, track
    return None
