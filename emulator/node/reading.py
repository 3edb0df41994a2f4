"""Read tracks that are not cached, so that whoever waits gets the newest images (C10).

What a disk gives is held against its checksum. A track that does not fit, or that the disk does
not give at all, is mended before anyone sees it (mending.py).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, TrackCache
from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import CorruptError, DeviceError
from emulator.node.read_ahead import ReadAhead, aligned_runs, whole_slots
from emulator.node.requests import DiskRead
from emulator.node.sums import TrackSums

# One disk read; longer runs are split so that a reader in front of the queue waits less.
READ_TRACKS_MAX: Final = 256

Images = dict[int, bytes]
Done = Callable[[Images | DeviceError], None]
Bad = dict[int, DeviceError]
Mend = Callable[[Bad, Done], None]


class _Read:
    """One reader's wish: its images so far, and how many disk reads are still out."""

    __slots__ = ("bad", "done", "for_check", "images", "mark", "open_reads", "unchecked")

    def __init__(self, done: Done, *, for_check: bool) -> None:
        self.done = done
        self.for_check = for_check
        self.images: Images = {}
        self.unchecked: dict[int, None] = {}
        """Keys whose image comes from the disk."""
        self.bad: Bad = {}
        self.mark = 0
        self.open_reads = 0


class Reading:
    """All reads under way."""

    def __init__(
        self,
        cache: TrackCache,
        sizes: Sequence[int],
        sums: Sequence[TrackSums | None] | None = None,
        mend: Mend | None = None,
        slots: Sequence[int] | None = None,
    ) -> None:
        """`slots` says of each device how many tracks its disk reads as one; 1 if not given."""
        self._cache = cache
        self._sizes = sizes
        self._slots = list(slots or [1] * len(sizes))
        self._sums = list(sums or [None] * len(sizes))
        self._mend = mend or _refuse
        self.ahead = ReadAhead(cache, sizes, self._slots)
        self._number = 0
        self._reads: dict[int, tuple[_Read, range]] = {}
        self.requests: list[DiskRead] = []
        self.suspects: dict[int, None] | None = None
        """While a journal is replayed: tracks that do not fit and may have been being written.

        They are taken as they are, since the journal has what was changed, and looked at later.
        """
        self.checked_tracks = 0

    def read(self, keys: Iterable[int], done: Done) -> None:
        """Gather the newest images of `keys`; `done` may be called at once.

        What `done` is given is the newest at that moment, also of tracks that were cached when
        the reading began: each is watched until the last disk read has ended.
        """
        wish = _Read(done, for_check=False)
        missing: list[int] = []
        get = self._cache.get
        for key in dict.fromkeys(keys):
            image = get(key)
            if image is None:
                missing.append(key)
            else:
                wish.images[key] = image
        if missing:
            wish.mark = self._cache.read_begun([*wish.images, *missing])
            rest, wish.open_reads = self.ahead.missed(missing, lambda keys: self._came(wish, keys))
            self._request(wish, rest)
        else:
            done(wish.images)

    def wants_turn(self) -> bool:
        """Return whether there is something to ask the shell for."""
        return bool(self.requests) or self.ahead.wants_turn()

    def take_requests(self) -> list[DiskRead]:
        """Return what the shell must read now, also ahead where nobody waits."""
        self.ahead.go_on(self)
        requests, self.requests = self.requests, []
        return requests

    def _came(self, wish: _Read, keys: list[int]) -> None:
        """Take tracks that were being read ahead when somebody came to want them."""
        found = {key: image for key in keys if (image := self._cache.get(key)) is not None}
        wish.images.update(found)
        self._request(wish, [key for key in keys if key not in found])
        self._one_ended(wish)

    def _one_ended(self, wish: _Read) -> None:
        wish.open_reads -= 1
        if not wish.open_reads:
            self._check(wish)

    def check(self, keys: Iterable[int], done: Done) -> None:
        """Read tracks from the disk only to look at them: nothing is cached, nothing is mended.

        `done` is given the images that are good, without those that have changed meanwhile.
        """
        missing = [key for key in keys if self._cache.peek(key) is None]
        wish = _Read(done, for_check=True)
        if not missing:
            done(wish.images)
            return
        wish.mark = self._cache.read_begun(missing)
        self._request(wish, missing)

    def look(self, keys: Sequence[int], done: Done) -> None:
        """Gather the newest images without mending or caching any.

        A track is left out that is damaged, or moved while others were read.
        """
        cached = {key: image for key in keys if (image := self._cache.peek(key)) is not None}

        def checked(result: Images | DeviceError) -> None:
            found = result if isinstance(result, dict) else {}
            same = {key: image for key, image in cached.items() if self._is_newest(key, image)}
            done(same | found)

        self.check([key for key in keys if key not in cached], checked)

    def _is_newest(self, key: int, image: bytes) -> bool:
        return self._cache.peek(key) is image

    def _request(self, wish: _Read, missing: list[int]) -> None:
        start = 0
        for at in range(1, len(missing) + 1):
            # Keys of two devices are never neighbours.
            if at == len(missing) or missing[at] != missing[at - 1] + 1:
                slot = self._slots[missing[start] >> TRACK_BITS]
                keys = range(missing[start], missing[at - 1] + 1)
                for run in aligned_runs(keys, whole_slots(READ_TRACKS_MAX, slot), slot):
                    self._request_run(wish, run)
                start = at

    def _request_run(self, wish: _Read, keys: range) -> None:
        self._number += 1
        wish.open_reads += 1
        self._reads[self._number] = (wish, keys)
        if not wish.for_check:
            self.ahead.demand(keys.start >> TRACK_BITS, 1)
        self.requests.append(self._disk_read(self._number, keys))

    def _disk_read(self, number: int, keys: range) -> DiskRead:
        device = keys.start >> TRACK_BITS
        offset = (keys.start & TRACK_MASK) * TRACK_BYTES
        length = min(len(keys) * TRACK_BYTES, self._sizes[device] - offset)
        return DiskRead(number, device, offset, length)

    def completed(self, number: int, result: bytes | DeviceError) -> None:
        """Take what the disk gave for one request."""
        wish, keys = self._reads.pop(number)
        if not wish.for_check:
            self.ahead.demand(keys.start >> TRACK_BITS, -1)
        if not isinstance(result, DeviceError):
            for at, key in enumerate(keys):
                image = result[at * TRACK_BYTES : (at + 1) * TRACK_BYTES]
                wish.images[key] = image.ljust(TRACK_BYTES, b"\x00")
                wish.unchecked[key] = None
        elif len(keys) > 1:
            # Perhaps only one of them cannot be read.
            for key in keys:
                self._request_run(wish, range(key, key + 1))
        else:
            wish.images[keys.start] = b""
            wish.bad[keys.start] = result
        self._one_ended(wish)

    def _check(self, wish: _Read) -> None:
        """Hold what the disk gave against its checksums; have mended what does not fit."""
        old = self._cache.read_is_old
        for key in wish.unchecked:
            sums = self._sums[key >> TRACK_BITS]
            if sums is None or old(key, wish.mark):
                continue
            self.checked_tracks += 1
            if sums.good(key & TRACK_MASK, wish.images[key]):
                continue
            if self.suspects is not None:
                self.suspects[key] = None
            else:
                wish.bad[key] = CorruptError(
                    f"track {key & TRACK_MASK}", "does not fit its checksum"
                )
        wish.unchecked = {}
        if wish.for_check:
            self._finish_check(wish)
            return
        bad = {key: cause for key, cause in wish.bad.items() if not old(key, wish.mark)}
        # The others have newer images now. Those may be evicted before the rest is mended, and
        # what the disk gave is no image then.
        wish.images.update((key, b"") for key in wish.bad if key not in bad)
        wish.bad = {}
        if bad:
            self._mend(bad, lambda mended: self._mended(wish, mended))
        else:
            self._finish(wish)

    def _mended(self, wish: _Read, mended: Images | DeviceError) -> None:
        if isinstance(mended, DeviceError):
            self._cache.read_failed(wish.images)
            wish.done(mended)
            return
        wish.images.update(mended)
        self._finish(wish)

    def _finish_check(self, wish: _Read) -> None:
        old = self._cache.read_is_old
        fresh = {key: image for key, image in wish.images.items() if not old(key, wish.mark)}
        bad = {key: cause for key, cause in wish.bad.items() if key in fresh}
        self._cache.read_failed(wish.images)
        if bad:
            self._mend(bad, _ignore)
        wish.done({key: image for key, image in fresh.items() if key not in bad})

    def _finish(self, wish: _Read) -> None:
        again: list[int] = []
        cache = self._cache
        for key, image in wish.images.items():
            if image:
                newest = cache.read_done(key, image, wish.mark)
            else:
                newest = cache.get(key)
                cache.read_failed([key])
            if newest is None:
                again.append(key)
            else:
                wish.images[key] = newest
        if again:
            wish.mark = cache.read_begun(wish.images)
            self._request(wish, again)
        else:
            wish.done(wish.images)


def _refuse(bad: Bad, done: Done) -> None:
    """Stand in where nothing can be mended."""
    done(next(iter(bad.values())))


def _ignore(_mended: Images | DeviceError) -> None:
    """A check needs no images."""
