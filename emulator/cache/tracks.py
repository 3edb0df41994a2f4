"""The directory of cached tracks: which are new, which are on the disk, which go first.

A track is known by its key: the volume's index above, the track number below. Its image is an
immutable `bytes`, so a reader, the journal, an epoch and the disk writer can share one object and
nobody copies or locks. Dirty tracks are newer than the disk and never leave; which clean ones leave
`shares.py` and `replacement.py` say. Pure book-keeping: reading and writing disks is asked for
elsewhere.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from emulator.cache.ahead import Ahead
from emulator.cache.memory import IMAGE_BYTES, directory_bytes, tracks_within
from emulator.cache.shares import Shares
from emulator.channel.blocks import TRACK_BYTES

TRACK_BITS: Final = 40
TRACK_MASK: Final = (1 << TRACK_BITS) - 1
ZERO_TRACK: Final = bytes(TRACK_BYTES)


def track_key(volume: int, track: int) -> int:
    """Return the key of a track of a volume.

    >>> divmod(track_key(3, 7), 1 << TRACK_BITS)
    (3, 7)
    """
    return volume << TRACK_BITS | track


class TrackCache:
    """All tracks in memory, with a bound on their number."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.tracks_max = tracks_within(size_bytes)
        self.dirty: dict[int, bytes] = {}
        self.clean: dict[int, bytes] = {}
        self.seen: dict[int, bool] = {}
        """Keys of cached tracks that were used; whoever finds a track in `clean` marks it here."""
        self.fresh: dict[int, None] = {}
        """Keys accepted since the last journal write was taken."""
        self.undurable: dict[int, None] = {}
        """Keys whose journal write is under way."""
        self.pinned_tracks = 0
        """Old and frozen images that epochs hold beyond what is cached here."""
        self.evictions: list[int] = []
        """By volume, how many clean tracks had to leave."""
        self.ahead_used: list[int] = []
        """By volume, how many tracks that were read ahead were used."""
        self.ahead_unused: list[int] = []
        """By volume, how many of them left, or were written, before anybody used them."""
        self.ahead = Ahead(self.tracks_max)
        self._entered = 0
        self._shares = Shares(self.tracks_max, self.seen, self.clean)
        # Per volume: a volume's tracks get dirty in the order of the journal, so that the first
        # one here is the oldest.
        self._oldest_lsn: list[dict[int, int]] = []
        self._writing_lsn: dict[int, int] = {}
        self._reading: dict[int, int] = {}
        self._overtaken: dict[int, int] = {}
        self._overtakes = 0

    def add_volume(self, share: float = 0.0) -> int:
        """Make room in the directory for one more volume and return its index.

        `share` is the part of the cache that is its own; 0 lets it share the rest with others.
        """
        self._oldest_lsn.append({})
        self._shares.add_volume(share)
        self.evictions.append(0)
        self.ahead_used.append(0)
        self.ahead_unused.append(0)
        return len(self._oldest_lsn) - 1

    def get(self, key: int) -> bytes | None:
        """Return the newest image of a track, or None when it is not cached (C10)."""
        image = self.clean.get(key)
        if image is None:
            image = self.dirty.get(key)
            if image is None:
                return self._take_ahead(key)
        self.seen[key] = True
        return image

    def _take_ahead(self, key: int) -> bytes | None:
        """Give a track that was read ahead its place among those that were asked for."""
        image = self.ahead.take(key)
        if image is not None:
            self.ahead_used[key >> TRACK_BITS] += 1
            self._enter(key, image)
        return image

    def peek(self, key: int) -> bytes | None:
        """Return the newest image without counting it as a use."""
        return self.dirty.get(key) or self.clean.get(key) or self.ahead.images.get(key)

    def put(self, key: int, image: bytes, lsn: int) -> bytes | None:
        """Make `image` the newest contents, journalled at or after `lsn`; return the old image.

        None means that the old contents are not in memory.
        """
        old = self.dirty.get(key)
        if old is None:
            old = self.clean.pop(key, None)
        self.dirty[key] = image
        waiting = self._oldest_lsn[key >> TRACK_BITS]
        if key not in waiting:
            waiting[key] = lsn
        if self._reading and key in self._reading:
            self._overtakes += 1
            self._overtaken[key] = self._overtakes
        return old

    def put_many(
        self, keys: Sequence[int], images: Sequence[bytes], lsn: int
    ) -> list[bytes | None]:
        """Do as `put` for tracks of one volume; return the old image of each.

        Whole dictionaries are changed in one go, because every track that a host or the other
        site writes passes here. Of a key that comes twice the last image counts, and each time
        the old one from before all of them is returned.
        """
        dirty, clean = self.dirty, self.clean
        olds = [dirty.get(key) for key in keys]
        if clean and None in olds:
            olds = [
                clean.pop(key, None) if old is None else old
                for key, old in zip(keys, olds, strict=True)
            ]
        dirty.update(zip(keys, images, strict=True))
        note = self._oldest_lsn[keys[0] >> TRACK_BITS].setdefault
        for key in keys:
            note(key, lsn)
        if self._reading:
            for key in keys:
                if key in self._reading:
                    self._overtakes += 1
                    self._overtaken[key] = self._overtakes
        return olds

    def put_fresh(
        self, keys: Sequence[int], images: Sequence[bytes], lsn: int
    ) -> list[bytes | None]:
        """Do as `put_many` for contents that the journal does not hold durably yet.

        Until `write_durable`, such a track does not go to the disk: the disk must never be ahead
        of the journal.
        """
        self.fresh.update(dict.fromkeys(keys))
        return self.put_many(keys, images, lsn)

    def write_taken(self) -> None:
        """Note that a journal write with everything fresh is under way."""
        self.undurable.update(self.fresh)
        self.fresh = {}

    def write_durable(self) -> None:
        """Note that the journal holds everything durably that was taken."""
        self.undurable = {}

    # Reading a miss. A disk read that a write overtakes must never become the cached image.

    def read_begun(self, keys: Iterable[int]) -> int:
        """Note that tracks are being read; return a mark, to be given back at the end."""
        for key in keys:
            self._reading[key] = self._reading.get(key, 0) + 1
        return self._overtakes

    def read_done(self, key: int, image: bytes, mark: int) -> bytes | None:
        """Take what was read; return the newest image, or None if it must be read again."""
        # By mark, since another reader of the same track may have begun before the write.
        overtaken = self._overtaken.get(key, 0) > mark
        self._read_ended(key)
        newest = self.dirty.get(key) or self.clean.get(key)
        if newest is not None:
            return newest
        if overtaken:
            # Written, destaged and evicted while we read: the disk has newer contents now.
            return None
        if self.ahead.take(key) is not None:
            self.ahead_used[key >> TRACK_BITS] += 1
        self._enter(key, image)
        self.evict()
        return image

    def add_ahead(self, images: Mapping[int, bytes]) -> None:
        """Keep tracks that nobody asked for; they are what the disk has, and the newest."""
        for key, image in images.items():
            if self.peek(key) is None:
                gone = self.ahead.add(key, image, self._entered)
                if gone is not None:
                    self.ahead_unused[gone >> TRACK_BITS] += 1
        self.evict()

    def _enter(self, key: int, image: bytes) -> None:
        self.clean[key] = image
        self._entered += 1
        self._shares.of(key >> TRACK_BITS).enter(key)

    def read_is_old(self, key: int, mark: int) -> bool:
        """Return whether what was read from the disk is not the newest any more."""
        return self._overtaken.get(key, 0) > mark or key in self.dirty or key in self.clean

    def read_failed(self, keys: Iterable[int]) -> None:
        """Note that a disk read gave nothing."""
        for key in keys:
            self._read_ended(key)

    def _read_ended(self, key: int) -> None:
        count = self._reading.pop(key)
        if count > 1:
            self._reading[key] = count - 1
        else:
            self._overtaken.pop(key, None)

    # Destage.

    def dirty_tracks(self) -> int:
        """Return how many tracks are newer than their disk."""
        return len(self.dirty)

    def waiting_tracks(self, volume: int) -> int:
        """Return how many dirty tracks of a volume no disk write is under way for."""
        return len(self._oldest_lsn[volume])

    def waiting_lsn(self, volume: int) -> int | None:
        """Return from where the journal is needed for tracks that no write is under way for."""
        return next(iter(self._oldest_lsn[volume].values()), None)

    def oldest_lsn(self, volume: int, without: Collection[int] = ()) -> int | None:
        """Return from where the journal is still needed for tracks not yet on the disk.

        Tracks that are being written and in `without` do not count.
        """
        waiting = self.waiting_lsn(volume)
        if not self._writing_lsn:
            return waiting
        writing = min(
            (
                lsn
                for key, lsn in self._writing_lsn.items()
                if key >> TRACK_BITS == volume and key not in without
            ),
            default=None,
        )
        return min((lsn for lsn in (waiting, writing) if lsn is not None), default=None)

    def destage_begun(
        self, volume: int, tracks_max: int, slot_tracks: int = 1
    ) -> list[tuple[int, bytes]]:
        """Choose tracks for writing; return (key, image) in device order.

        The oldest go first, since the journal waits for them, and take their dirty neighbours
        along: a disk writes a run at the cost of one track. With `slot_tracks`, whatever is dirty
        in one slot of so many tracks is chosen together or not at all: a disk that keeps each slot
        as one piece is never given half a change.
        """
        waiting = self._oldest_lsn[volume]
        keys: list[int] = []
        if slot_tracks > 1:
            keys = self._whole_slots(waiting, tracks_max, slot_tracks)
            for key in keys:
                self._writing_lsn[key] = waiting.pop(key)
        else:
            for seed in list(islice(waiting, tracks_max)):
                if len(keys) >= tracks_max:
                    break
                if seed in waiting and self._may_go(seed):
                    self._take_run(waiting, seed, keys, tracks_max)
        keys.sort()
        dirty = self.dirty
        return [(key, dirty[key]) for key in keys]

    def _may_go(self, key: int) -> bool:
        """Return whether a dirty track may be written: journalled, and not being written now."""
        return key not in self._writing_lsn and key not in self.fresh and key not in self.undurable

    def _whole_slots(self, waiting: Iterable[int], tracks_max: int, slot_tracks: int) -> list[int]:
        """Return the dirty tracks of the slots that were dirty first."""
        keys: list[int] = []
        seen: set[int] = set()
        for key in waiting:
            if len(keys) >= tracks_max:
                break
            first = key - (key & TRACK_MASK) % slot_tracks
            if first in seen:
                continue
            seen.add(first)
            slot = [one for one in range(first, first + slot_tracks) if one in self.dirty]
            if all(map(self._may_go, slot)):
                keys += slot
        return keys

    def _take_run(
        self, waiting: dict[int, int], seed: int, keys: list[int], tracks_max: int
    ) -> None:
        """Take a track and its neighbours on both sides, as far as they can go."""
        for step, key in ((1, seed), (-1, seed - 1)):
            while len(keys) < tracks_max and key in waiting and self._may_go(key):
                self._writing_lsn[key] = waiting.pop(key)
                keys.append(key)
                key += step  # noqa: PLW2901 - walks away from the seed

    def destage_again(self, key: int) -> bytes | None:
        """Return the newest image of a track whose write failed, if the journal has it durably.

        The track stays being written; what a host wrote into it since goes along.
        """
        if key in self.fresh or key in self.undurable:
            return None
        self._oldest_lsn[key >> TRACK_BITS].pop(key, None)
        return self.dirty[key]

    def held_image(self, key: int) -> bytes | None:
        """Return the image of a track that is being written, if the journal has it durably.

        None as well when a host has written into it since, which the next try takes along.
        """
        if key in self.fresh or key in self.undurable:
            return None
        return None if key in self._oldest_lsn[key >> TRACK_BITS] else self.dirty[key]

    def held_lsn(self, key: int) -> int:
        """Return from where the journal is needed for a track that is being written."""
        return self._writing_lsn[key]

    def journalled_anew(self, key: int, image: bytes, lsn: int) -> None:
        """Note that the journal holds a track that is being written durably at `lsn` as well."""
        waiting = self._oldest_lsn[key >> TRACK_BITS]
        if self.dirty.get(key) is image and key in self._writing_lsn and key not in waiting:
            self._writing_lsn[key] = lsn

    def destage_done(self, written: Iterable[tuple[int, bytes]]) -> int | None:
        """Note that the disk took these images; return the oldest lsn among them."""
        oldest: int | None = None
        for key, image in written:
            lsn = self._writing_lsn.pop(key)
            oldest = lsn if oldest is None or lsn < oldest else oldest
            if self.dirty[key] is image and key not in self._oldest_lsn[key >> TRACK_BITS]:
                if self.ahead.drop(key):
                    self.ahead_unused[key >> TRACK_BITS] += 1
                self._enter(key, self.dirty.pop(key))
        self.evict()
        return oldest

    def destage_failed(self, volume: int, written: Iterable[tuple[int, bytes]]) -> None:
        """Note that the disk refused; the tracks stay dirty, oldest first."""
        failed = {key: self._writing_lsn.pop(key) for key, _image in written}
        both = self._oldest_lsn[volume] | failed
        self._oldest_lsn[volume] = dict(sorted(both.items(), key=lambda item: item[1]))

    def evict(self) -> None:
        """Let clean tracks go until the bound holds."""
        over = self.held_tracks() - self.tracks_max
        while over > 0:
            over -= 1
            key = self.ahead.give_way(self._entered)
            if key is None:
                key = self._shares.choose()
                if key is not None:
                    del self.clean[key]
                    self.evictions[key >> TRACK_BITS] += 1
                    continue
                key = self.ahead.drop_any()
                if key is None:
                    return
            self.ahead_unused[key >> TRACK_BITS] += 1

    def held_tracks(self) -> int:
        """Return how many images are in memory, for whatever reason."""
        return len(self.clean) + len(self.dirty) + len(self.ahead.images) + self.pinned_tracks

    def free_tracks(self) -> int:
        """Return how many more images there is room for before any has to leave."""
        return max(0, self.tracks_max - self.held_tracks())

    def held_bytes(self) -> int:
        """Return what images and directory take now, counted as `memory.py` does."""
        known = max(len(self.clean) + len(self.dirty), self._shares.ghosts())
        return self.held_tracks() * IMAGE_BYTES + directory_bytes(max(1, known))

    def full(self) -> bool:
        """Return whether there is no room for more dirty tracks."""
        return len(self.dirty) + self.pinned_tracks >= self.tracks_max
