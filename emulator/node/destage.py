"""Bring dirty tracks to their disks, and know from where the journal is still needed (W2).

Data is flushed before anything is trimmed: a track counts as on the disk only when a flush that
began after its write has ended.
"""

from collections.abc import Iterable
from typing import NamedTuple

from emulator.cache.tracks import TRACK_MASK, ZERO_TRACK, TrackCache
from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import DeviceError
from emulator.node.requests import DiskFlush, DiskWrite

# One write to a disk: long enough to gather neighbours, short enough not to hold up a read.
DESTAGE_TRACKS = 512
WRITES_MAX = 2
# Host quiet for this long: the disk's time is free (idle-first).
IDLE_NS = 50 * MILLISECOND_NS
RETRY_NS = SECOND_NS
# A shorter run of zero tracks is written as data; one call to punch a hole costs about as much.
ZERO_RUN_TRACKS = 16


class _Batch(NamedTuple):
    device: int
    written: list[tuple[int, bytes]]


class _Disk:
    """What is under way for one device."""

    __slots__ = (
        "broken",
        "flushing",
        "flushing_lsn",
        "retry_ns",
        "unflushed_lsn",
        "unflushed_tracks",
        "writes",
    )

    def __init__(self) -> None:
        self.writes = 0
        self.unflushed_lsn: int | None = None
        self.unflushed_tracks = 0
        self.flushing = False
        self.flushing_lsn: int | None = None
        self.retry_ns = 0
        self.broken = False


class Destage:
    """All writing to disks."""

    def __init__(
        self, cache: TrackCache, sizes: list[int], slot_tracks: list[int] | None = None
    ) -> None:
        self._cache = cache
        self._sizes = sizes
        # How many tracks of each device make one slot, which goes to the disk whole (ADR 0012).
        self._slot_tracks = slot_tracks or [1] * len(sizes)
        self._disks = [_Disk() for _ in sizes]
        self._number = 0
        self._batches: dict[int, _Batch] = {}
        self._flushes: dict[int, int] = {}
        self.requests: list[DiskWrite | DiskFlush] = []
        self.written_tracks = 0
        self.writes = 0
        self.flushes = 0
        self.failures = 0

    def run(self, now_ns: int, *, pressed: bool) -> None:
        """Ask for writes and flushes; `pressed` when tracks must go now."""
        if not pressed:
            return
        for device, disk in enumerate(self._disks):
            if disk.broken or now_ns < disk.retry_ns:
                continue
            while disk.writes < WRITES_MAX and self._cache.waiting_tracks(device):
                written = self._cache.destage_begun(
                    device, DESTAGE_TRACKS, self._slot_tracks[device]
                )
                if not written:
                    break
                self._number += 1
                disk.writes += 1
                self._batches[self._number] = _Batch(device, written)
                self.requests.append(self._write(self._number, device, written))

    def flush(self) -> None:
        """Ask for a flush of every device that has been written since its last one."""
        for device, disk in enumerate(self._disks):
            if disk.unflushed_lsn is None or disk.flushing or disk.broken:
                continue
            self._number += 1
            disk.flushing = True
            disk.flushing_lsn, disk.unflushed_lsn = disk.unflushed_lsn, None
            disk.unflushed_tracks = 0
            self._flushes[self._number] = device
            self.requests.append(DiskFlush(self._number, device))

    def _write(self, number: int, device: int, written: list[tuple[int, bytes]]) -> DiskWrite:
        runs: list[tuple[int, list[bytes]]] = []
        zeros: list[tuple[int, int]] = []
        for start, images in _runs(written):
            offset = (start & TRACK_MASK) * TRACK_BYTES
            if images[0] is ZERO_TRACK and len(images) >= ZERO_RUN_TRACKS:
                length = len(images) * TRACK_BYTES
                zeros.append((offset, min(length, self._sizes[device] - offset)))
                continue
            over = offset + len(images) * TRACK_BYTES - self._sizes[device]
            if over > 0:
                images[-1] = images[-1][: TRACK_BYTES - over]
            runs.append((offset, images))
        return DiskWrite(number, device, [(offset, images) for offset, images in runs], zeros)

    def completed(self, number: int, error: DeviceError | None, now_ns: int) -> None:
        """Take the outcome of a write or flush."""
        if number in self._flushes:
            self._flushed(self._flushes.pop(number), error)
            return
        device, written = self._batches.pop(number)
        disk = self._disks[device]
        disk.writes -= 1
        if error is not None:
            self.failures += 1
            disk.retry_ns = now_ns + RETRY_NS
            self._cache.destage_failed(device, written)
            return
        disk.retry_ns = 0
        self.writes += 1
        self.written_tracks += len(written)
        oldest = self._cache.destage_done(written)
        disk.unflushed_lsn = _oldest((disk.unflushed_lsn, oldest))
        disk.unflushed_tracks += len(written)

    def _flushed(self, device: int, error: DeviceError | None) -> None:
        disk = self._disks[device]
        disk.flushing = False
        if error is None:
            self.flushes += 1
            disk.flushing_lsn = None
            return
        # After a failed flush nobody knows what the disk has, and asking again proves nothing:
        # this disk is left alone, the journal keeps everything, and a restart writes it anew.
        self.failures += 1
        disk.broken = True
        disk.unflushed_lsn = _oldest((disk.unflushed_lsn, disk.flushing_lsn))
        disk.flushing_lsn = None

    def refusing_devices(self) -> list[int]:
        """Return the devices that refused their last write, and those whose flush failed."""
        return [device for device, disk in enumerate(self._disks) if disk.broken or disk.retry_ns]

    def broken_devices(self) -> list[int]:
        """Return the devices whose flush failed."""
        return [device for device, disk in enumerate(self._disks) if disk.broken]

    def needed_lsn(self) -> int | None:
        """Return from where the journal is needed for tracks not safely on their disks."""
        found: int | None = None
        for device, disk in enumerate(self._disks):
            found = _oldest(
                (found, self._cache.oldest_lsn(device), disk.unflushed_lsn, disk.flushing_lsn)
            )
        return found

    def unflushed_tracks(self) -> int:
        """Return how many tracks were written and not flushed."""
        return sum(disk.unflushed_tracks for disk in self._disks)

    def settled(self) -> bool:
        """Return whether everything is safely on the disks."""
        return (
            not self._cache.dirty
            and not self._batches
            and all(disk.unflushed_lsn is None and not disk.flushing for disk in self._disks)
        )


def _oldest(lsns: Iterable[int | None]) -> int | None:
    return min((lsn for lsn in lsns if lsn is not None), default=None)


def _runs(written: list[tuple[int, bytes]]) -> list[tuple[int, list[bytes]]]:
    """Join neighbours of one kind: zero tracks with zero tracks, others with others."""
    runs: list[tuple[int, list[bytes]]] = []
    following = -1
    zero = False
    for key, image in written:
        is_zero = image is ZERO_TRACK
        if key == following and is_zero is zero:
            runs[-1][1].append(image)
        else:
            runs.append((key, [image]))
        following = key + 1
        zero = is_zero
    return runs
