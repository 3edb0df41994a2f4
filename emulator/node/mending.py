"""Mend tracks that a disk does not give, or gives wrong: from memory, the journal, or the peer.

First the disk is asked once more: it may have given another place, or have been out of reach.

Contents are taken only if they are the ones that were written: they fit the checksum, or, for a
track without one, the other site stands at the same csn. What is mended is written anew, which
gives the disk the chance to use another place. What cannot be mended is refused to hosts, and
said; it is tried again at the next read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import SECOND_NS
from emulator.copy.entries import HOST_ENTRY
from emulator.copy.services import ReadJournal, Until, pause
from emulator.errors import CorruptError, DeviceError, UnreadableError
from emulator.events import TrackDamaged, TrackLost, TrackRepaired
from emulator.nvs.journal import EntryKind
from emulator.record.changes import (
    RECORD_HEAD_BYTES,
    Delta,
    decode_changes,
    decode_head,
    track_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emulator.copy.group import Group
    from emulator.copy.services import Asking, Step
    from emulator.node.processor import Processor
    from emulator.node.reading import Bad, Done
    from emulator.nvs.recovery import Entry

# The other site may be on its way to where the track can be compared.
PATIENCE_NS: Final = 5 * SECOND_NS
PAUSE_NS: Final = SECOND_NS // 5
# Damaged tracks named in the status; all are counted.
SHOWN_MAX: Final = 16


class Mending:
    """What is damaged, and who waits for it to be mended."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._waiting: dict[int, list[Done]] = {}
        self._causes: dict[int, DeviceError] = {}
        """Key -> what was wrong when it was last read."""
        self.damaged: dict[int, str] = {}
        """Key -> what is wrong, for tracks that are not mended."""
        self._found: dict[int, int] = {}
        self.scanning_lsn: int | None = None
        """From where the journal is being searched: it is not trimmed meanwhile."""
        self._scans = 0
        self.repaired: dict[str, int] = {}

    def mend(self, bad: Bad, done: Done) -> None:
        """Get the right contents of tracks; `done` is given all of them, or why not."""
        images: dict[int, bytes] = {}
        left = dict(bad)

        def one(key: int) -> Done:
            def take(result: dict[int, bytes] | DeviceError) -> None:
                if not left:
                    return
                if isinstance(result, DeviceError):
                    left.clear()
                    done(result)
                    return
                images.update(result)
                del left[key]
                if not left:
                    done(images)

            return take

        for key, cause in bad.items():
            self._causes[key] = cause
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.append(one(key))
                continue
            self._waiting[key] = [one(key)]
            self._note(key, cause.cause)
            self._processor.start(self._mend(key))

    def _note(self, key: int, cause: str) -> None:
        if key not in self.damaged:
            device = key >> TRACK_BITS
            self._found[device] = self._found.get(device, 0) + 1
            self.damaged[key] = cause
            self._processor.emit(TrackDamaged(self._device(key), key & TRACK_MASK, cause))

    def written(self, tracks: Iterable[tuple[int, bytes]]) -> None:
        """Take note of tracks that their disk has taken anew: whatever was wrong is over."""
        if self.damaged:
            for key, _image in tracks:
                self.damaged.pop(key, None)

    def found_on(self, device: int) -> int:
        """Return how many damaged tracks were found on a device since the start."""
        return self._found.get(device, 0)

    def damaged_on(self, device: int) -> int:
        """Return how many tracks of a device are damaged now."""
        return sum(key >> TRACK_BITS == device for key in self.damaged)

    def _device(self, key: int) -> str:
        return list(self._processor.volumes)[key >> TRACK_BITS]

    def _mend(self, key: int) -> Step:
        processor = self._processor
        source, image = "the cache", processor.cache.peek(key)
        if image is None:
            source, image = "a second read", (yield from self._from_disk(key))
        on_disk = source == "a second read" and image is not None
        if image is None:
            source, image = "the journal", (yield from self._from_journal(key))
        if image is None:
            source, image = "the other site", (yield from self._from_peer(key))
        newest = processor.cache.peek(key)
        if newest is not None:
            source, image = "the cache", newest
        waiting, cause = self._waiting.pop(key), self._causes.pop(key)
        if image is None:
            device = self._device(key)
            reason = f"{cause.cause}; neither the journal nor another site has it"
            processor.emit(TrackLost(device, key & TRACK_MASK, reason))
            uri = processor.config.devices[device].disk
            lost = CorruptError if isinstance(cause, CorruptError) else UnreadableError
            result: dict[int, bytes] | DeviceError = lost(
                uri, f"track {key & TRACK_MASK}: {reason}"
            )
        else:
            self.repaired[source] = self.repaired.get(source, 0) + 1
            self.damaged.pop(key, None)
            processor.emit(TrackRepaired(self._device(key), key & TRACK_MASK, source))
            if newest is None and not on_disk:
                # Dirty, so that the disk gets it; the journal need not keep it, for until then
                # the disk has nothing that could be taken for right.
                processor.cache.put(key, image, processor.journal.tail_lsn)
            result = {key: image}
        for done in waiting:
            done(result)

    def _right(self, key: int, image: bytes) -> bool:
        sums = self._processor.sums.devices[key >> TRACK_BITS]
        track = key & TRACK_MASK
        return sums is not None and sums.known(track) and sums.good(track, image)

    def _group(self, key: int) -> tuple[Group, int]:
        """Return the group of a track, and its key there."""
        volume = list(self._processor.volumes.values())[key >> TRACK_BITS]
        place = next(p for p in volume.group.volumes if p.site_index == key >> TRACK_BITS)
        return volume.group, place.index << TRACK_BITS | key & TRACK_MASK

    def _from_disk(self, key: int) -> Asking[bytes | None]:
        """Return what the disk gives when it is asked once more, if that is right."""
        found: list[dict[int, bytes]] = []

        def checked(result: dict[int, bytes] | DeviceError) -> None:
            found.append({} if isinstance(result, DeviceError) else result)

        self._processor.reading.check([key], checked)
        yield Until(lambda: bool(found))
        return found[0].get(key)

    def _from_journal(self, key: int) -> Asking[bytes | None]:
        """Return the contents that the journal still has, if they are the newest."""
        processor = self._processor
        group, group_key = self._group(key)
        journal = processor.journal
        at_lsn, end_lsn = journal.trim_lsn, journal.durable_lsn
        image: bytes | None = None
        self._scans += 1
        self.scanning_lsn = at_lsn if self.scanning_lsn is None else self.scanning_lsn
        try:
            while at_lsn < end_lsn and not processor.guard.is_lost:
                entries: list[Entry] = yield ReadJournal(at_lsn, end_lsn)
                if not entries:
                    break
                for entry in entries:
                    if entry.head.group == group.number:
                        image = _newest(entry, group_key, image)
                at_lsn = entries[-1].end_lsn
        except DeviceError:
            return None
        finally:
            self._scans -= 1
            if not self._scans:
                self.scanning_lsn = None
        return image if image is not None and self._right(key, image) else None

    def _from_peer(self, key: int) -> Asking[bytes | None]:
        """Return the other site's contents, if they are the ones that were here."""
        processor = self._processor
        group, group_key = self._group(key)
        pair = processor.pairs.get(group.name)
        if pair is None or not pair.fetching.up:
            return None
        limit_ns = processor.now_ns + PATIENCE_NS
        while processor.now_ns < limit_ns and pair.fetching.up:
            fetched = yield from pair.fetching.ask([group_key])
            if fetched is not None and (image := fetched.images.get(group_key)) is not None:
                sums = processor.sums.devices[key >> TRACK_BITS]
                unknown = sums is None or not sums.known(key & TRACK_MASK)
                if self._right(key, image) or (unknown and pair.fetching.same_place(fetched)):
                    return image
            yield from pause(processor, PAUSE_NS)
        return None

    def status(self, device: int) -> dict[str, object]:
        """Return what the status says of a device's damaged tracks."""
        keys = [key for key in self.damaged if key >> TRACK_BITS == device]
        return {
            "found_damaged_tracks": self.found_on(device),
            "damaged_tracks": self.damaged_on(device),
            "damaged": [key & TRACK_MASK for key in keys[:SHOWN_MAX]],
        }


def _newest(entry: Entry, key: int, image: bytes | None) -> bytes | None:
    """Return a track's contents after an entry, as far as they are known whole."""
    kind = entry.head.kind
    if kind == EntryKind.HOST:
        _first, count = HOST_ENTRY.unpack_from(entry.payload)
        start = HOST_ENTRY.size
    elif kind in (EntryKind.RECEIVED, EntryKind.COPIED):
        count, start = decode_head(entry.payload).changes, RECORD_HEAD_BYTES
    else:
        return image
    for change in decode_changes(memoryview(entry.payload)[start:], count):
        if isinstance(change, Delta):
            continue
        for found, offset, data in track_pieces(change):
            if found != key:
                continue
            if len(data) == TRACK_BYTES:
                image = data
            elif image is not None:
                image = image[:offset] + data + image[offset + len(data) :]
    return image
