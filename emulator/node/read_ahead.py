"""Read ahead of hosts that read in sequence, where nobody waits for the device.

Gives way to demand: a window waits until the device has nothing to read that somebody waits for,
and somebody who comes to want a track that is on its way waits for that read and starts no other.
Which windows there are `cache/streams.py` says; a device that keeps several tracks in one slot is
followed, and read ahead, slot by slot. Tracks are read and held against their checksums as
any that are only looked at (`reading.py`), and kept apart until they are used (`cache/ahead.py`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, Protocol

from emulator.cache.streams import WINDOW_TRACKS_MAX, Streams
from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, TrackCache
from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import DeviceError

# One disk read of what nobody waits for, and how many of them a device has at once.
AHEAD_TRACKS_MAX: Final = 64
AHEAD_READS_MAX: Final = 2
# Windows of so many streams fit into what may be held unused.
STREAMS_HELD: Final = 4

Images = dict[int, bytes]
Came = Callable[[list[int]], None]


class Checks(Protocol):
    """Reads tracks from the disk, and gives those that are good and still the newest."""

    def check(self, keys: Sequence[int], done: Callable[[Images | DeviceError], None]) -> None:
        """Read tracks that are not cached, and cache none."""


class _Window:
    """Tracks on their way, and who has come to wait for some of them since."""

    __slots__ = ("keys", "waiting")

    def __init__(self, keys: range) -> None:
        self.keys = keys
        self.waiting: list[tuple[list[int], Came]] = []


class _Device:
    """What is read of one device."""

    def __init__(self, size_bytes: int, window_tracks_max: int, slot_tracks: int) -> None:
        self.slot_tracks = slot_tracks
        """The tracks that the disk reads as one."""
        self.tracks = -(-size_bytes // TRACK_BYTES)
        slots = -(-self.tracks // slot_tracks)
        self.streams = Streams(slots, window_tracks_max // slot_tracks)
        self.read_tracks_max = whole_slots(AHEAD_TRACKS_MAX, slot_tracks)
        self.demand_reads = 0
        self.ahead_reads = 0
        self.queue: deque[range] = deque()

    def used(self, key: int) -> range:
        """Take note that a track read ahead was used; return the slots to read ahead next."""
        slot, within = divmod(key & TRACK_MASK, self.slot_tracks)
        return self.streams.used(slot) if not within else range(0)

    def brings_window(self, key: int) -> bool:
        """Return whether the use of a track brings the next window."""
        slot, within = divmod(key & TRACK_MASK, self.slot_tracks)
        return not within and self.streams.brings_window(slot)


class ReadAhead:
    """The streams of all devices, and the tracks that are on their way for them."""

    def __init__(self, cache: TrackCache, sizes: Sequence[int], slots: Sequence[int]) -> None:
        """`slots` says of each device how many tracks its disk reads as one."""
        self._cache = cache
        window = min(WINDOW_TRACKS_MAX, cache.ahead.tracks_max // STREAMS_HELD)
        self._devices = [
            _Device(size, window, slot) for size, slot in zip(sizes, slots, strict=True)
        ]
        self._coming: dict[int, _Window] = {}

    # What hosts do.

    def demand(self, device: int, reads: int) -> None:
        """Count disk reads that somebody waits for: so many more, or less."""
        self._devices[device].demand_reads += reads

    def missed(self, missing: list[int], came: Came) -> tuple[list[int], int]:
        """Follow a host that misses tracks.

        Returns those that nobody reads yet, and how often `came` will be called with others, each
        time with tracks that were on their way.
        """
        rest, shared = missing, 0
        if self._coming:
            rest = [key for key in missing if key not in self._coming]
            shared = self._join([key for key in missing if key in self._coming], came)
        if missing[-1] - missing[0] == len(missing) - 1:
            self._follow(missing, rest)
        return rest, shared

    def _join(self, keys: list[int], came: Came) -> int:
        windows: dict[int, list[int]] = {}
        for key in keys:
            windows.setdefault(self._coming[key].keys.start, []).append(key)
        for wanted in windows.values():
            self._coming[wanted[0]].waiting.append((wanted, came))
        return len(windows)

    def _follow(self, missing: list[int], rest: list[int]) -> None:
        number = missing[0] >> TRACK_BITS
        device = self._devices[number]
        if len(rest) < len(missing):
            # The host was faster than the disk: as good as used.
            for key in missing:
                self._queue(device, key, device.used(key))
        if rest:
            device.streams.judge(self._cache.ahead_used[number], self._cache.ahead_unused[number])
            first = (rest[0] & TRACK_MASK) // device.slot_tracks
            last = (rest[-1] & TRACK_MASK) // device.slot_tracks
            self._queue(device, rest[0], device.streams.missed(first, last + 1))

    def _queue(self, device: _Device, key: int, slots: range) -> None:
        base, slot = key & ~TRACK_MASK, device.slot_tracks
        stop = min(slots.stop * slot, device.tracks)
        keys = range(base + slots.start * slot, base + stop)
        device.queue.extend(aligned_runs(keys, device.read_tracks_max, slot))

    def _unknown(self, keys: range) -> list[int]:
        """Return which of some tracks are neither cached nor on their way."""
        peek, coming = self._cache.peek, self._coming
        return [key for key in keys if key not in coming and peek(key) is None]

    # Reading.

    def wants_turn(self) -> bool:
        """Return whether a track was used that brings a window; forget those that do not."""
        cache = self._cache
        if cache.ahead.reached:
            cache.ahead.reached = [
                key
                for key in cache.ahead.reached
                if self._devices[key >> TRACK_BITS].brings_window(key)
            ]
        return bool(cache.ahead.reached)

    def go_on(self, checks: Checks) -> None:
        """Go on for streams whose windows were reached, where nobody waits for the device."""
        cache = self._cache
        reached, cache.ahead.reached = cache.ahead.reached, []
        for key in reached:
            number = key >> TRACK_BITS
            device = self._devices[number]
            if device.brings_window(key):
                device.streams.judge(cache.ahead_used[number], cache.ahead_unused[number])
                self._queue(device, key, device.used(key))
        for device in self._devices:
            while device.queue and not device.demand_reads and device.ahead_reads < AHEAD_READS_MAX:
                self._read(device, device.queue.popleft(), checks)

    def _read(self, device: _Device, keys: range, checks: Checks) -> None:
        unknown = self._unknown(keys)
        if len(unknown) < len(keys):
            # The host, or the copy, has been there meanwhile.
            runs = aligned_runs(unknown, device.read_tracks_max, device.slot_tracks)
            device.queue.extendleft(reversed(runs))
            return
        window = _Window(keys)
        device.ahead_reads += 1
        self._coming.update(dict.fromkeys(keys, window))
        checks.check(keys, partial(self._came, device, window))

    def _came(self, device: _Device, window: _Window, images: Images | DeviceError) -> None:
        device.ahead_reads -= 1
        for key in window.keys:
            del self._coming[key]
        # What is missing or damaged is left to whoever asks for it.
        if isinstance(images, dict):
            self._cache.add_ahead(images)
        for keys, came in window.waiting:
            came(keys)


def whole_slots(tracks_max: int, slot_tracks: int) -> int:
    """Return the most tracks up to `tracks_max` that are whole slots; one slot at the least.

    >>> whole_slots(64, 14), whole_slots(64, 1)
    (56, 64)
    """
    return max(tracks_max // slot_tracks, 1) * slot_tracks


def aligned_runs(keys: Sequence[int], tracks_max: int, slot_tracks: int) -> list[range]:
    """Return neighbouring keys as ranges of at most `tracks_max`, cut where a slot begins.

    What a disk keeps as one slot, it reads whole for any part of it.

    >>> aligned_runs([1, 2, 3, 7, 8], 2, 1)
    [range(1, 3), range(3, 4), range(7, 9)]
    >>> aligned_runs(range(20, 70), 28, 14)
    [range(20, 42), range(42, 70)]
    """
    if not keys:
        return []
    cuts = [at for at, (one, other) in enumerate(pairwise(keys), 1) if other != one + 1]
    found: list[range] = []
    for first, end in pairwise([0, *cuts, len(keys)]):
        start, stop = keys[first], keys[end - 1] + 1
        while start < stop:
            full = start - (start & TRACK_MASK) % slot_tracks + tracks_max
            found.append(range(start, min(full, stop)))
            start = full
    return found
