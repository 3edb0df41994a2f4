"""Bring dirty tracks to their disks, and know from where the journal is still needed (W2).

Data is flushed before anything is trimmed: a track counts as on the disk only when a flush that
began after its write has ended. A write that fails is tried again in smaller parts until the
track that the disk refuses is alone (stuck.py); the others go on.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from emulator.cache.tracks import TRACK_MASK, ZERO_TRACK, TrackCache
from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import DeviceError, NotReachedError
from emulator.node.requests import DiskFlush, DiskWrite
from emulator.node.runs import ZERO_RUN_TRACKS, runs_of
from emulator.node.stuck import Stuck
from emulator.node.sums import ENTRY, TrackSums

# One write to a disk: long enough to gather neighbours, short enough not to hold up a read.
DESTAGE_TRACKS: Final = 512
WRITES_MAX: Final = 2
# Host quiet for this long: the disk's time is free (idle-first).
IDLE_NS: Final = 50 * MILLISECOND_NS
# Hosts may never be quiet: a track waits no longer than this for it.
AGE_NS_MAX: Final = 10 * SECOND_NS
RETRY_NS: Final = SECOND_NS
# While a refused track is being found the parts get smaller, and nobody is waited for.
FIND_NS: Final = 10 * MILLISECOND_NS


class _Batch(NamedTuple):
    device: int
    written: list[tuple[int, bytes]]
    again: bool
    """A track that was refused before, tried once more."""


class _Disk:
    """What is under way for one device."""

    __slots__ = (
        "broken",
        "doubtful",
        "flush_retry_ns",
        "flushing",
        "flushing_lsn",
        "retry_ns",
        "stuck",
        "through",
        "tracks_max",
        "unflushed_lsn",
        "writes",
    )

    def __init__(self) -> None:
        self.writes = 0
        self.unflushed_lsn: int | None = None
        self.flushing = False
        self.flushing_lsn: int | None = None
        self.retry_ns = 0
        self.flush_retry_ns = 0
        self.broken = False
        self.through = False
        """Hosts wait for this disk: it is written and flushed at once."""
        self.tracks_max = DESTAGE_TRACKS
        self.doubtful: set[int] = set()
        """Tracks of writes that failed, until each was written or refused alone."""
        self.stuck = Stuck()


class Destage:
    """All writing to disks."""

    def __init__(
        self,
        cache: TrackCache,
        sizes: list[int],
        sums: Sequence[TrackSums | None] | None = None,
        verify: Sequence[bool] | None = None,
        slot_tracks: list[int] | None = None,
    ) -> None:
        self._cache = cache
        self._sizes = sizes
        # How many tracks of each device make one slot, which goes to the disk whole (ADR 0012).
        self._slot_tracks = slot_tracks or [1] * len(sizes)
        self._disks = [_Disk() for _ in sizes]
        self._sums = list(sums or [None] * len(sizes))
        self._verify = list(verify or [False] * len(sizes))
        self._number = 0
        self._now_ns = 0
        self._batches: dict[int, _Batch] = {}
        self._flushes: dict[int, tuple[int, int]] = {}
        self._aged = (0, 0)
        self.requests: list[DiskWrite | DiskFlush] = []
        self.on_disk: Callable[[list[tuple[int, bytes]]], None] = _nobody
        """Told of tracks that a disk has taken."""
        self._hosts_wait = False
        self.refuses_tracks = False
        """Some disk refuses single tracks."""
        self.without_journal = False
        """No journal has what is being written: a crash must find old, new or unknown."""
        self.refused: list[int] = []
        """Devices that have refused something since this was last emptied."""
        self.written_tracks = 0
        self.writes = 0
        self.runs = 0
        self.flushes = 0
        self.failures = 0

    def run(self, now_ns: int, *, pressed: bool) -> None:
        """Ask for writes; `pressed` when tracks must go now, not only where hosts wait for them."""
        self._now_ns = now_ns
        if not (pressed or self._hosts_wait or self.refuses_tracks):
            return
        for device, disk in enumerate(self._disks):
            if disk.broken:
                continue
            if disk.stuck.retries:
                self._try_again(device, disk)
            if now_ns < disk.retry_ns or not (pressed or disk.through):
                continue
            while disk.writes < WRITES_MAX and self._cache.waiting_tracks(device):
                written = self._cache.destage_begun(
                    device, disk.tracks_max, self._slot_tracks[device]
                )
                if not written:
                    break
                disk.writes += 1
                self._ask(device, written, again=False)
                if disk.tracks_max < DESTAGE_TRACKS:
                    # One at a time, so that each outcome is known before the next is chosen.
                    break

    def _try_again(self, device: int, disk: _Disk) -> None:
        for key in disk.stuck.due(self._now_ns):
            image = self._cache.destage_again(key)
            if image is not None:
                disk.stuck.trying(key)
                self._ask(device, [(key, image)], again=True)

    def _ask(self, device: int, written: list[tuple[int, bytes]], *, again: bool) -> None:
        self._number += 1
        self._batches[self._number] = _Batch(device, written, again)
        self.requests.append(self._write(self._number, device, written))

    def note_sums(self, device: int, pieces: list[tuple[int, bytes]]) -> None:
        """Ask for pieces of a checksum table to be stored, with no track."""
        self._number += 1
        self._batches[self._number] = _Batch(device, [], again=True)
        self.requests.append(DiskWrite(self._number, device, [], [], pieces))

    def too_old(self, now_ns: int, tail_lsn: int) -> bool:
        """Return whether some track has waited longer for a quiet moment than it may."""
        since_ns, lsn = self._aged
        if now_ns - since_ns < AGE_NS_MAX:
            return False
        needed = self.needed_lsn()
        if needed is not None and needed < lsn:
            return True
        self._aged = (now_ns, tail_lsn)
        return False

    def write_through(self, device: int) -> None:
        """From now on hosts wait for this disk."""
        self._disks[device].through = self._hosts_wait = True

    def hosts_wait(self) -> bool:
        """Return whether hosts wait for any disk."""
        return self._hosts_wait

    def write_early(self, device: int) -> None:
        """From now on hosts do not wait for this disk."""
        self._disks[device].through = False
        self._hosts_wait = any(disk.through for disk in self._disks)

    def flush(self, *, everywhere: bool = True) -> None:
        """Ask for a flush of every device that has been written since its last one.

        Without `everywhere` only of those that hosts wait for.
        """
        for device, disk in enumerate(self._disks):
            if disk.unflushed_lsn is None or disk.flushing or disk.broken:
                continue
            if not (everywhere or disk.through) or self._now_ns < disk.flush_retry_ns:
                continue
            self._number += 1
            disk.flushing = True
            disk.flushing_lsn, disk.unflushed_lsn = disk.unflushed_lsn, None
            sums = self._sums[device]
            version = 0 if sums is None else sums.next_version()
            self._flushes[self._number] = (device, version)
            self.requests.append(DiskFlush(self._number, device, version))

    def _write(self, number: int, device: int, written: list[tuple[int, bytes]]) -> DiskWrite:
        runs: list[tuple[int, list[bytes]]] = []
        zeros: list[tuple[int, int]] = []
        pieces: list[tuple[int, bytes]] = []
        sums = self._sums[device]
        for start, images in runs_of(written):
            track = start & TRACK_MASK
            if sums is not None:
                pieces.append((track * ENTRY.size, sums.write(track, images)))
            offset = track * TRACK_BYTES
            if images[0] is ZERO_TRACK and len(images) >= ZERO_RUN_TRACKS:
                length = len(images) * TRACK_BYTES
                zeros.append((offset, min(length, self._sizes[device] - offset)))
                continue
            over = offset + len(images) * TRACK_BYTES - self._sizes[device]
            if over > 0:
                images[-1] = images[-1][: TRACK_BYTES - over]
            runs.append((offset, images))
        if sums is not None and not self.without_journal:
            # What lies between has its contents in the journal as long as it is not on the disk.
            pieces = sums.joined(pieces)
        self.runs += len(runs) + len(zeros)
        verify = self._verify[device]
        return DiskWrite(number, device, list(runs), zeros, pieces, verify, self.without_journal)

    def completed(self, number: int, error: DeviceError | None, now_ns: int) -> None:
        """Take the outcome of a write or flush."""
        if number in self._flushes:
            self._flushed(*self._flushes.pop(number), error, now_ns)
            return
        batch = self._batches.pop(number)
        disk = self._disks[batch.device]
        disk.writes -= not batch.again
        if error is not None:
            self.failures += 1
            if batch.written:
                self._refused(disk, batch, error, now_ns)
            return
        if not batch.written:
            return
        disk.retry_ns = 0
        disk.tracks_max = min(DESTAGE_TRACKS, disk.tracks_max * 2)
        if disk.stuck.retries or disk.doubtful:
            for key, _image in batch.written:
                disk.stuck.freed(key)
                disk.doubtful.discard(key)
            self.refuses_tracks = any(disk.stuck.retries for disk in self._disks)
        self.writes += 1
        self.written_tracks += len(batch.written)
        self.on_disk(batch.written)
        oldest = self._cache.destage_done(batch.written)
        disk.unflushed_lsn = _oldest((disk.unflushed_lsn, oldest))

    def _refused(self, disk: _Disk, batch: _Batch, error: DeviceError, now_ns: int) -> None:
        key = batch.written[0][0]
        unreached = isinstance(error, NotReachedError) and not batch.again
        if self._slot_tracks[batch.device] > 1 or unreached:
            # A slot goes whole or not at all, so that its tracks cannot be tried one by one; and
            # where no path led to the disk, that is no track's fault.
            self.refused.append(batch.device)
            disk.retry_ns = now_ns + RETRY_NS
            self._cache.destage_failed(batch.device, batch.written)
            return
        if batch.again or len(batch.written) == 1:
            disk.stuck.refused(key, now_ns)
            self.refuses_tracks = True
            disk.doubtful.discard(key)
            self.refused.append(batch.device)
            disk.retry_ns = now_ns + (FIND_NS if disk.stuck.bearable() else RETRY_NS)
            return
        disk.retry_ns = now_ns + FIND_NS
        disk.tracks_max = max(1, len(batch.written) // 4)
        disk.doubtful.update(key for key, _image in batch.written)
        self._cache.destage_failed(batch.device, batch.written)

    def _flushed(self, device: int, version: int, error: DeviceError | None, now_ns: int) -> None:
        disk = self._disks[device]
        disk.flushing = False
        if error is None:
            self.flushes += 1
            disk.flushing_lsn = None
            disk.flush_retry_ns = 0
            sums = self._sums[device]
            if sums is not None:
                sums.version = version
            return
        # After a failed flush nobody knows what the disk has, and asking again proves nothing:
        # this disk is left alone, the journal keeps everything, and a restart writes it anew.
        # Only a flush that never reached the disk may be asked for again.
        self.failures += 1
        self.refused.append(device)
        disk.broken = not isinstance(error, NotReachedError)
        disk.flush_retry_ns = now_ns + RETRY_NS
        disk.unflushed_lsn = _oldest((disk.unflushed_lsn, disk.flushing_lsn))
        disk.flushing_lsn = None

    def refusing_devices(self) -> list[int]:
        """Return the devices that refuse writes, in part or whole, and those whose flush failed."""
        return [
            device
            for device, disk in enumerate(self._disks)
            if disk.broken
            or disk.retry_ns
            or disk.flush_retry_ns
            or disk.stuck.retries
            or disk.doubtful
        ]

    def stuck_tracks(self, device: int) -> list[int]:
        """Return the keys of the tracks that a disk refuses."""
        return self._disks[device].stuck.keys()

    def broken_devices(self) -> list[int]:
        """Return the devices whose flush failed."""
        return [device for device, disk in enumerate(self._disks) if disk.broken]

    def needed_lsn(self, devices: Iterable[int] | None = None) -> int | None:
        """Return from where the journal is needed for tracks not safely on (these) disks."""
        found: int | None = None
        for device in range(len(self._disks)) if devices is None else devices:
            disk = self._disks[device]
            found = _oldest(
                (found, self._cache.oldest_lsn(device), disk.unflushed_lsn, disk.flushing_lsn)
            )
        return found

    def waiting_lsn(self) -> int | None:
        """Return from where the journal is needed for tracks that no write is under way for."""
        return _oldest(map(self._cache.waiting_lsn, range(len(self._disks))))

    def unflushed_lsn(self) -> int | None:
        """Return from where the journal is needed for tracks that wait for a flush."""
        return _oldest(disk.unflushed_lsn for disk in self._disks)

    def unwritten_lsn(self, devices: Iterable[int]) -> int | None:
        """Do as `needed_lsn` without refused tracks, whose hosts were told that they failed."""
        found: int | None = None
        for device in devices:
            disk = self._disks[device]
            waiting = self._cache.oldest_lsn(
                device, disk.stuck.resting() if disk.stuck.retries else ()
            )
            found = _oldest((found, waiting, disk.unflushed_lsn, disk.flushing_lsn))
        return found

    def settled(self) -> bool:
        """Return whether everything is safely on the disks."""
        return (
            not self._cache.dirty
            and not self._batches
            and all(disk.unflushed_lsn is None and not disk.flushing for disk in self._disks)
        )


def _nobody(_written: list[tuple[int, bytes]]) -> None:
    """Stand in until somebody wants to know."""


def _oldest(lsns: Iterable[int | None]) -> int | None:
    found: int | None = None
    for lsn in lsns:
        if lsn is not None and (found is None or lsn < found):
            found = lsn
    return found
