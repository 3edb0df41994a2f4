"""Compare what a site would serve with what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cache.tracks import TRACK_BITS
from emulator.channel.blocks import TRACK_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from emulator.node.processor import Processor
    from rig.sim.history import Images


def first_difference(
    processor: Processor,
    disks: Sequence[bytearray],
    expected: Images,
    unknown: AbstractSet[tuple[int, int]] = frozenset(),
) -> tuple[int, int] | None:
    """Return the first (volume, track) whose newest contents are not the expected ones.

    Those of `unknown` tracks may be anything.
    """
    peek = processor.cache.peek
    for volume, image in enumerate(expected):
        # Slices of bytes are compared as blocks of memory; views would be, byte for byte.
        disk, first = disks[volume], volume << TRACK_BITS
        for track, start in enumerate(range(0, len(image), TRACK_BYTES)):
            wanted = image[start : start + TRACK_BYTES]
            cached = peek(first | track)
            if cached is None:
                differs = disk[start : start + TRACK_BYTES] != wanted
            else:
                differs = cached[: len(wanted)] != wanted
            if differs and (volume, track) not in unknown:
                return volume, track
    return None
