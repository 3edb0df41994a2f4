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
        disk, first = disks[volume], volume << TRACK_BITS
        served = [
            peek(first | track) or disk[start : start + TRACK_BYTES]
            for track, start in enumerate(range(0, len(image), TRACK_BYTES))
        ]
        # As one block of memory; only if that differs is it looked for where.
        whole = b"".join(served)
        if len(whole) > len(image):
            whole = whole[: len(image)]
        if whole == image:
            continue
        for track, found in enumerate(served):
            wanted = image[track * TRACK_BYTES : (track + 1) * TRACK_BYTES]
            if found[: len(wanted)] != wanted and (volume, track) not in unknown:
                return volume, track
    return None
