"""Carry out what the processor asks: disks and the nonvolatile store, side by side or in order.

What blocks is done by helper threads: each disk has one that reads and one that writes, and a
store that waits for its medium has one of its own, so that its writes keep their order.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from emulator.disk.base import Disk
from emulator.disk.read_back import read_back
from emulator.disk.sums_file import SumsFile
from emulator.errors import DeviceError, MisuseError
from emulator.node.loop import Workers
from emulator.node.processor import Processor
from emulator.node.requests import (
    DiskFlush,
    DiskRead,
    DiskWrite,
    MarkDisks,
    NvsMode,
    NvsRead,
    NvsSave,
    NvsWrite,
    ShellRequest,
)
from emulator.nvs.recovery import Entry, Recovery
from emulator.nvs.store import NvsStore

Submit = Callable[[Callable[[], Any], Callable[[Any], None]], None]
# Journal read in one go; the loop stands still for some milliseconds meanwhile.
JOURNAL_READ_BYTES_MAX: Final = 1 << 20


class Carrier:
    """The site's disks and nonvolatile store, and the threads that wait for them."""

    def __init__(self, store: NvsStore, workers: Workers) -> None:
        self.disks: list[Disk] = []
        self.sums: list[SumsFile | None] = []
        self._store = store
        self._workers = workers
        self._readers: list[Submit] = []
        self._writers: list[Submit] = []
        self._nvs = None if store.battery else workers.worker("nvs")

    def add_disk(self, name: str, disk: Disk, sums: SumsFile | None) -> None:
        """Take on the next device's disk, and the file with its checksums."""
        self.disks.append(disk)
        self.sums.append(sums)
        self._readers.append(self._workers.worker(f"read-{name}"))
        self._writers.append(self._workers.worker(f"write-{name}"))

    def carry_out(self, processor: Processor, now_ns: int) -> None:
        """Do, or begin, everything the processor asks for now."""
        for request in processor.take_requests():
            done = partial(self._done, processor, request)
            match request:
                case NvsWrite() | NvsSave():
                    self._write_nvs(processor, request, now_ns)
                case NvsRead():
                    processor.completed(request, self._read_journal(request), now_ns)
                case NvsMode():
                    self._set_mode(processor, request, now_ns)
                case MarkDisks():
                    processor.completed(request, self._mark(request), now_ns)
                case DiskRead(_, device, offset, length):
                    self._readers[device](partial(self.disks[device].read, offset, length), done)
                case DiskWrite(_, device):
                    job = partial(_write_disk, self.disks[device], self.sums[device], request)
                    self._writers[device](job, done)
                case DiskFlush(_, device, version):
                    job = partial(_flush_disk, self.disks[device], self.sums[device], version)
                    self._writers[device](job, done)

    def _write_nvs(self, processor: Processor, request: NvsWrite | NvsSave, now_ns: int) -> None:
        job = partial(_write_store, self._store, request)
        if self._nvs is not None:
            self._nvs(job, partial(self._done, processor, request))
            return
        # Nothing to wait for: what the kernel has counts.
        processor.completed(request, _outcome(job), now_ns)

    def _set_mode(self, processor: Processor, request: NvsMode, now_ns: int) -> None:
        """Sync the store from now on, or not; waited for, since it holds for what is answered."""
        if request.sync and self._nvs is None:
            self._nvs = self._workers.worker("nvs")
        job = partial(self._store.set_battery, good=not request.sync)
        processor.completed(request, _outcome(job), now_ns)

    def _mark(self, request: MarkDisks) -> DeviceError | None:
        """Mark every checksum file; waited for, since nothing may go on without it."""
        jobs: list[Callable[[], None]] = []
        for sums, unknown in zip(self.sums, request.unknown, strict=True):
            assert sums is not None, "marks were asked for without a place for them"
            jobs.append(partial(sums.forget, unknown))
        jobs += [partial(sums.mark, request.body) for sums in self.sums if sums is not None]
        for job in jobs:
            error = _outcome(job)
            if error is not None:
                return error
        return None

    def _read_journal(self, request: NvsRead) -> list[Entry] | DeviceError:
        """Return whole entries from the first lsn on: all asked for, or the first MiB."""
        try:
            return self._entries(request)
        except DeviceError as error:
            return error

    def _entries(self, request: NvsRead) -> list[Entry]:
        store = self._store
        recovery = Recovery(store.read, store.ring_bytes, request.first_lsn, store.uri)
        found: list[Entry] = []
        for entry in recovery.entries():
            found.append(entry)
            # Not one step further: behind the last entry, recovery would look for damage.
            if (
                entry.end_lsn >= request.end_lsn
                or entry.end_lsn - request.first_lsn >= JOURNAL_READ_BYTES_MAX
            ):
                break
        return found

    def _done(self, processor: Processor, request: ShellRequest, result: object) -> None:
        if isinstance(result, Exception) and not isinstance(result, DeviceError):
            raise MisuseError(f"{request}: {result!r}") from result
        processor.completed(request, result, time.monotonic_ns())


def _write_store(store: NvsStore, request: NvsWrite | NvsSave) -> None:
    store.write(request.runs)
    if isinstance(request, NvsSave):
        if request.runs:
            # The map's bits must not be younger than the superblock that relies on them.
            store.sync()
        store.save(request.body)
    else:
        store.sync()


def _outcome(job: Callable[[], None]) -> DeviceError | None:
    try:
        job()
    except DeviceError as error:
        return error
    return None


def _write_disk(disk: Disk, sums: SumsFile | None, request: DiskWrite) -> None:
    if sums is not None and request.unknown_first:
        sums.forget(request.sums)
    for offset, length in request.zeros:
        disk.zero(offset, length)
    if request.runs:
        disk.write(request.runs)
    if request.verify:
        disk.flush()
        read_back(disk, request.runs, request.zeros)
    if sums is not None and request.sums:
        sums.write(request.sums)


def _flush_disk(disk: Disk, sums: SumsFile | None, version: int) -> None:
    disk.flush()
    if sums is not None:
        sums.sync(version)
