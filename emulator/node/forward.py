"""Carry tracks that a disk refuses forward in the journal, so that it can be trimmed (K3).

The journal is a ring: one track that never reaches its disk would stop it all. When such a track
lies far behind, its contents are journalled once more, as copied tracks are, and only once that
is durable does the older place count no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.nvs.journal import EntryKind
from emulator.record.body import canonical_body
from emulator.record.changes import RecordHead, encode_head
from emulator.wire.checksum import CHAIN_NONE

if TYPE_CHECKING:
    from emulator.node.processor import Processor

# A refused track is journalled anew when it lies this share of the ring behind.
BEHIND_SHARE: Final = 4
TRACKS_IN_A_TURN: Final = 16


class Forward:
    """Journals refused tracks anew."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self.under_way: dict[int, tuple[bytes, int]] = {}
        """Key -> (image, where it was journalled), until that is durable."""
        self.carried_tracks = 0

    def run(self) -> None:
        """Journal what lies too far behind, and let go of the older places of what is durable."""
        processor = self._processor
        journal, cache = processor.journal, processor.cache
        for key, (image, lsn) in list(self.under_way.items()):
            if journal.durable_lsn > lsn:
                del self.under_way[key]
                cache.journalled_anew(key, image, lsn)
        behind_lsn = journal.tail_lsn - journal.ring_bytes // BEHIND_SHARE
        for device in range(len(processor.volumes)):
            for key in processor.destage.stuck_tracks(device)[:TRACKS_IN_A_TURN]:
                if key not in self.under_way and cache.held_lsn(key) < behind_lsn:
                    self._carry(device, key)

    def _carry(self, device: int, key: int) -> None:
        processor = self._processor
        image = processor.cache.held_image(key)
        pair = processor.pairs.get(list(processor.volumes.values())[device].group.name)
        if pair is not None and pair.secondary.retained_lsn() is not None:
            # What was received lies before this in the journal and is newer: a replay would end
            # with what is older.
            return
        group = list(processor.volumes.values())[device].group
        place = next(place for place in group.volumes if place.site_index == device)
        if image is None:
            return
        group_key = place.index << TRACK_BITS | key & TRACK_MASK
        count, body = canonical_body([(group_key, 0, image)])
        head = RecordHead(
            group.generation(), 0, group.durable_csn, CHAIN_NONE, CHAIN_NONE, 1, count
        )
        if not processor.journal.fits(len(body) + 128):
            return
        parts = [encode_head(head), body]
        lsn = processor.journal.append(
            EntryKind.COPIED, group.number, group.durable_csn, group.generation(), parts
        )
        self.under_way[key] = (image, lsn)
        self.carried_tracks += 1
