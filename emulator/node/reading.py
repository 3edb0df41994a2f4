"""Read tracks that are not cached, so that whoever waits gets the newest images (C10)."""

from collections.abc import Callable, Iterable, Sequence

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, TrackCache
from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import DeviceError
from emulator.node.requests import DiskRead

# One disk read; longer runs are split so that a reader in front of the queue waits less.
READ_TRACKS_MAX = 256

Images = dict[int, bytes]
Done = Callable[[Images | DeviceError], None]


class _Read:
    """One reader's wish: its images so far, and how many disk reads are still out."""

    __slots__ = ("done", "error", "images", "mark", "open_reads")

    def __init__(self, done: Done) -> None:
        self.done = done
        self.images: Images = {}
        self.mark = 0
        self.open_reads = 0
        self.error: DeviceError | None = None


class Reading:
    """All reads under way."""

    def __init__(self, cache: TrackCache, sizes: Sequence[int]) -> None:
        self._cache = cache
        self._sizes = sizes
        self._number = 0
        self._reads: dict[int, tuple[_Read, range]] = {}
        self.requests: list[DiskRead] = []

    def read(self, keys: Iterable[int], done: Done) -> None:
        """Gather the newest images of `keys`; `done` may be called at once.

        What `done` is given is the newest at that moment, also of tracks that were cached when
        the reading began: each is watched until the last disk read has ended.
        """
        wish = _Read(done)
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
            self._request(wish, missing)
        else:
            done(wish.images)

    def _request(self, wish: _Read, missing: list[int]) -> None:
        start = 0
        for at in range(1, len(missing) + 1):
            if (
                at == len(missing)
                or missing[at] != missing[at - 1] + 1
                or at - start == READ_TRACKS_MAX
            ):
                keys = range(missing[start], missing[at - 1] + 1)
                self._number += 1
                wish.open_reads += 1
                self._reads[self._number] = (wish, keys)
                self.requests.append(self._disk_read(self._number, keys))
                start = at

    def _disk_read(self, number: int, keys: range) -> DiskRead:
        device = keys.start >> TRACK_BITS
        offset = (keys.start & TRACK_MASK) * TRACK_BYTES
        length = min(len(keys) * TRACK_BYTES, self._sizes[device] - offset)
        return DiskRead(number, device, offset, length)

    def completed(self, number: int, result: bytes | DeviceError) -> None:
        """Take what the disk gave for one request."""
        wish, keys = self._reads.pop(number)
        if isinstance(result, DeviceError):
            wish.error = result
            result = b""
        for at, key in enumerate(keys):
            image = result[at * TRACK_BYTES : (at + 1) * TRACK_BYTES]
            wish.images[key] = image.ljust(TRACK_BYTES, b"\x00")
        wish.open_reads -= 1
        if not wish.open_reads:
            self._finish(wish)

    def _finish(self, wish: _Read) -> None:
        if wish.error is not None:
            self._cache.read_failed(wish.images)
            wish.done(wish.error)
            return
        again: list[int] = []
        for key, image in wish.images.items():
            newest = self._cache.read_done(key, image, wish.mark)
            if newest is None:
                again.append(key)
            else:
                wish.images[key] = newest
        if again:
            wish.mark = self._cache.read_begun(wish.images)
            self._request(wish, again)
        else:
            wish.done(wish.images)
