"""Carry out what the processor asks: disks and the nonvolatile store, side by side or in order.

What blocks is done by helper threads: each disk has one that reads and one that writes, and a
store that waits for its medium has one of its own, so that its writes keep their order.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from emulator.disk.base import Disk
from emulator.errors import DeviceError, MisuseError
from emulator.node.loop import Workers
from emulator.node.processor import Processor
from emulator.node.requests import (
    DiskFlush,
    DiskRead,
    DiskWrite,
    NvsRead,
    NvsSave,
    NvsWrite,
    ShellRequest,
)
from emulator.nvs.recovery import Entry, Recovery
from emulator.nvs.store import NvsStore

Submit = Callable[[Callable[[], Any], Callable[[Any], None]], None]
# Journal read in one go; the loop stands still for about 10 ms meanwhile.
JOURNAL_READ_BYTES_MAX = 8 << 20


class Carrier:
    """The site's disks and nonvolatile store, and the threads that wait for them."""

    def __init__(
        self, store: NvsStore, workers: Workers, fail: Callable[[DeviceError], None]
    ) -> None:
        self.disks: list[Disk] = []
        self._store = store
        self._workers = workers
        self._fail = fail
        self._readers: list[Submit] = []
        self._writers: list[Submit] = []
        self._nvs = None if store.battery else workers.worker("nvs")

    def add_disk(self, name: str, disk: Disk) -> None:
        """Take on the next device's disk."""
        self.disks.append(disk)
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
                case DiskRead(_, device, offset, length):
                    self._readers[device](partial(self.disks[device].read, offset, length), done)
                case DiskWrite(_, device):
                    self._writers[device](partial(_write_disk, self.disks[device], request), done)
                case DiskFlush(_, device):
                    self._writers[device](self.disks[device].flush, done)

    def _write_nvs(self, processor: Processor, request: NvsWrite | NvsSave, now_ns: int) -> None:
        job = partial(_write_store, self._store, request)
        if self._nvs is not None:
            self._nvs(job, partial(self._done, processor, request))
            return
        # Nothing to wait for: what the kernel has counts.
        try:
            job()
        except DeviceError as error:
            self._fail(error)
            return
        processor.completed(request, None, now_ns)

    def _read_journal(self, request: NvsRead) -> list[Entry]:
        """Return whole entries from the first lsn on: all asked for, or the first 8 MiB."""
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
        if isinstance(result, DeviceError) and isinstance(request, NvsWrite | NvsSave):
            self._fail(result)
            return
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


def _write_disk(disk: Disk, request: DiskWrite) -> None:
    for offset, length in request.zeros:
        disk.zero(offset, length)
    if request.runs:
        disk.write(request.runs)
