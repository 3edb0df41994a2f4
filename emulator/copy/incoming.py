"""What a received record says, checked: every change lies inside its volume, every delta fits.

Turns changes into pieces of contents that can be journalled and applied. Leaves order, durability
and the link to `secondary.py`.
"""

from collections.abc import Sequence

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, TrackCache
from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.group import GroupVolume
from emulator.copy.lineage import Position
from emulator.record.changes import (
    BadRecordError,
    Delta,
    Extent,
    RecordHead,
    apply_delta,
    track_pieces,
)

Pieces = list[tuple[int, int, bytes]]
"""(key, start, data) of each change, in key order."""


class StopApplyError(Exception):
    """The copy must not go on; says why."""


def check_order(head: RecordHead, position: Position, chain: bytes) -> None:
    """Raise unless a record continues the history that ends at `position`, staged to `chain`."""
    if head.chain_before != chain or head.csn_first != position.csn + 1:
        raise StopApplyError(
            f"record of csn {head.csn_first} to {head.csn_last} does not follow csn "
            f"{position.csn}: its chain hash is another one"
        )
    if head.csn_last < head.csn_first:
        raise BadRecordError(f"record of csn {head.csn_first} to {head.csn_last} ends early")


class Incoming:
    """The volumes of a group, as records from the other site name them."""

    def __init__(self, group: str, volumes: Sequence[GroupVolume]) -> None:
        self._group = group
        self._volumes = volumes
        self._tracks = [volume.tracks for volume in volumes]

    def check_inside(self, volume: int, track: int, tracks: int) -> None:
        """Raise unless the tracks exist."""
        if volume >= len(self._tracks):
            raise BadRecordError(f"volume {volume} is not in group {self._group}")
        if track + max(1, tracks) > self._tracks[volume]:
            raise BadRecordError(
                f"track {track} with {tracks} more lies outside {self._volumes[volume].name}"
            )

    def site_keys(self, keys: Sequence[int]) -> list[int]:
        """Return the cache's keys for keys of the group, which must exist."""
        for key in keys:
            self.check_inside(key >> TRACK_BITS, key & TRACK_MASK, 0)
        return [self._volumes[key >> TRACK_BITS].site_key(key) for key in keys]

    def pieces(self, changes: Sequence[Extent | Delta], bases: dict[int, bytes]) -> Pieces:
        """Return the contents that changes bring; deltas are laid over their bases (C5).

        Raises BadRecordError for one outside its volume, StopApplyError for a delta whose base
        is another one.
        """
        found: Pieces = []
        for change in changes:
            if isinstance(change, Delta):
                self.check_inside(change.volume, change.track, 0)
                found.append(self._resolved(change, bases))
                continue
            self.check_inside(change.volume, change.track, change.tracks)
            if change.tracks == 1 and change.data is not None:
                # By far the most frequent kind.
                found.append((change.volume << TRACK_BITS | change.track, 0, bytes(change.data)))
            else:
                found += track_pieces(change)
        return found

    def _resolved(self, delta: Delta, bases: dict[int, bytes]) -> tuple[int, int, bytes]:
        key = delta.volume << TRACK_BITS | delta.track
        data = apply_delta(delta, bases[key])
        if data is None:
            raise StopApplyError(
                f"track {delta.track} of {self._volumes[delta.volume].name} is not the one that a "
                f"change was computed from; nothing of it was applied (C5)"
            )
        return key, delta.offset, data

    def put(self, cache: TrackCache, pieces: Pieces, lsn: int, bases: dict[int, bytes]) -> None:
        """Make pieces the newest contents; parts of tracks go over the newest image or a base."""
        shifts = [(volume.site_index - volume.index) << TRACK_BITS for volume in self._volumes]
        keys: list[list[int]] = [[] for _ in shifts]
        images: list[list[bytes]] = [[] for _ in shifts]
        for key, start, data in pieces:
            volume = key >> TRACK_BITS
            site_key = key + shifts[volume]
            if len(data) != TRACK_BYTES:
                image = bytearray(cache.peek(site_key) or bases[key])
                image[start : start + len(data)] = data
                cache.put(site_key, bytes(image), lsn)
                continue
            keys[volume].append(site_key)
            images[volume].append(data)
        # A track comes whole or in parts, never both, so the order between them does not matter.
        for volume_keys, volume_images in zip(keys, images, strict=True):
            if volume_keys:
                cache.put_many(volume_keys, volume_images, lsn)
