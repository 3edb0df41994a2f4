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
    from rig.sim.image import Image

_ON_DISK = b""


class _Volume:
    """What is known of one volume: which tracks were right, and what has changed since."""

    def __init__(self, expected: Image, disk: Image) -> None:
        self.expected = expected
        self.disk = disk
        self._expected_changes = len(expected.changed)
        self._disk_changes = len(disk.changed)
        # By track, the cached image that was found to be as expected, or _ON_DISK.
        self.right: list[bytes | None] = [None] * -(-len(expected) // TRACK_BYTES)

    def forget_changed(self) -> None:
        """Take no track for right whose expected contents, or those on the disk, have changed."""
        right, changed = self.right, self.expected.changed
        for track in changed[self._expected_changes :]:
            right[track] = None
        self._expected_changes = len(changed)
        changed = self.disk.changed
        for track in changed[self._disk_changes :]:
            if right[track] is _ON_DISK:
                right[track] = None
        self._disk_changes = len(changed)


class Comparison:
    """What one site would serve, compared again and again with what it should.

    An image in a cache is never changed, only replaced: one that was as expected still is, unless
    the expected contents have changed since; so with a track on the disk. Every track is judged
    each time, and only those that may have become wrong are read.
    """

    def __init__(self) -> None:
        self._volumes: list[_Volume] = []

    def first_difference(
        self,
        processor: Processor,
        disks: Sequence[Image],
        expected: Images,
        unknown: AbstractSet[tuple[int, int]] = frozenset(),
        damaged: Sequence[AbstractSet[int]] = (),
    ) -> tuple[int, int] | None:
        """Return the first (volume, track) whose newest contents are not the expected ones.

        Those of `unknown` tracks may be anything, and so may what a disk has of those that are
        `damaged` on it: by volume, tracks that nobody is given without a look at the checksum.
        """
        known = self._volumes
        if not known or any(
            volume.expected is not image or volume.disk is not disk
            for volume, image, disk in zip(known, expected, disks, strict=True)
        ):
            known = self._volumes = list(map(_Volume, expected, disks))
        peek = processor.cache.peek
        for number, volume in enumerate(known):
            volume.forget_changed()
            right, first = volume.right, number << TRACK_BITS
            served = map(peek, range(first, first + len(right)))
            for track, (cached, was) in enumerate(zip(served, right, strict=True)):
                if was is (_ON_DISK if cached is None else cached):
                    continue
                span = slice(track * TRACK_BYTES, (track + 1) * TRACK_BYTES)
                wanted = volume.expected[span]
                found = volume.disk[span] if cached is None else cached[: len(wanted)]
                if found == wanted:
                    right[track] = _ON_DISK if cached is None else cached
                elif (number, track) not in unknown and not (
                    cached is None and damaged and track in damaged[number]
                ):
                    return number, track
        return None
