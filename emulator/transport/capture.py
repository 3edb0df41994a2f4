"""Captures: the file into which every line of a run writes its packets, for Wireshark to read.

One pcapng file serves a whole run. Every process of the run knows the full table of interfaces
from the bench file, so all of them derive the same head; the first writes it, the others
compare. From then on each appends whole batches under a lock on the file. A process killed in the
middle of a batch leaves half a block; whoever appends next cuts that off first, so the file
stays readable.

Relies on `pcapng.py` for the bytes and on the event loop to call `flush` each turn: what a
killed process had not flushed is lost. A full disk stops the capture and nothing else (the data
path goes on). Reading is `rig.capture`.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import BenchError, UnavailableError
from emulator.transport.base import Direction, Tap
from emulator.transport.pcapng import (
    FLAG_CRC_ERROR,
    FLAG_INBOUND,
    FLAG_OUTBOUND,
    LINK_TYPE_ETHERNET,
    Interface,
    append_packet,
    head_bytes,
    link_type,
    whole_block_bytes,
)
from emulator.wire.checksum import Buffer
from emulator.wire.packet import decode_packet

ENVIRONMENT_SWITCH: Final = "DUALCOPY_PCAP"
ETHERNET_HEADER_BYTES: Final = 14

BATCH_BYTES_MAX: Final = 256 * 1024
"""Written at once when a turn gathers this much: large enough to make the system call cheap."""
HELD_BYTES_MAX: Final = 8 * 1024 * 1024
"""Kept while another process holds the file; more means that process is stuck."""
OPEN_WAIT_NS: Final = 2 * SECOND_NS
FLUSH_WAIT_NS: Final = MILLISECOND_NS
"""Longest stay of the event loop; another process's write of one batch takes a tenth of it."""

_MODE: Final = 0o600  # a capture holds the contents of disks
_BLOCK_LENGTHS_BYTES: Final = 8


@dataclass(slots=True)
class CaptureCounters:
    """What this process has put into the file, and what it could not."""

    packets: int = 0
    bytes: int = 0
    packets_lost: int = 0


class CaptureWriter:
    """Appends the packets of this process's lines to the capture file of a run.

    `stopped` says why when the capture had to end early; packets are then counted as lost.
    """

    def __init__(
        self,
        path: str,
        interfaces: Sequence[Interface],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.interfaces = tuple(interfaces)
        self.counters = CaptureCounters()
        self.stopped: str | None = None
        self._clock_ns = clock_ns
        self._head = head_bytes(_application(), self.interfaces)
        self._batch = bytearray()
        self._kept = (0, 0)
        self._wait_ns = FLUSH_WAIT_NS
        self._file = _open(path)
        try:
            self._end = self._enter_run()
        except BaseException:
            os.close(self._file)
            raise

    def tap(self, interface_id: int) -> Tap:
        """Return the function that a line calls with each of its packets."""
        ethernet = link_type(self.interfaces[interface_id].uri) == LINK_TYPE_ETHERNET
        skip = ETHERNET_HEADER_BYTES if ethernet else 0
        clock_ns = self._clock_ns

        def record(direction: Direction, data: Buffer, comment: str | None) -> None:
            flags = FLAG_INBOUND if direction is Direction.RECEIVED else FLAG_OUTBOUND
            # What we send without a remark is as we made it; the rest may have met a bad line.
            if flags == FLAG_INBOUND or comment is not None:
                found = decode_packet(memoryview(data)[skip:] if skip else data)
                if isinstance(found, str):
                    flags |= FLAG_CRC_ERROR
                    comment = comment or f"damaged: {found}"
            self.add(interface_id, clock_ns(), flags, data, comment)

        return record

    def add(
        self, interface_id: int, time_ns: int, flags: int, data: Buffer, comment: str | None
    ) -> None:
        """Record a frame with its stamp and the flags of its direction."""
        counters = self.counters
        if self.stopped is not None:
            counters.packets_lost += 1
            return
        append_packet(self._batch, interface_id, time_ns, flags, data, comment)
        counters.packets += 1
        counters.bytes += len(data)
        if len(self._batch) >= BATCH_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what the taps gathered; called by the event loop each turn."""
        if not self._batch or self.stopped is not None:
            return
        try:
            with self._locked(self._wait_ns) as held:
                if held:
                    self._append()
                    self._wait_ns = FLUSH_WAIT_NS
                    return
        except OSError as error:
            self._stop(error.strerror or str(error))
            return
        # Asked again each turn, but waited for only once: the data path goes first.
        self._wait_ns = 0
        if len(self._batch) >= HELD_BYTES_MAX:
            self._stop("another process holds the file and does not let go")

    def close(self) -> None:
        """Write the rest and close the file."""
        if self._file < 0:
            return
        self._wait_ns = OPEN_WAIT_NS
        self.flush()
        if self._batch:
            self._stop("closed while another process held the file")
        os.close(self._file)
        self._file = -1
        self.stopped = self.stopped or "closed"

    def _enter_run(self) -> int:
        """Write the head, or see that the file has ours; return where the whole blocks end."""
        try:
            with self._locked(OPEN_WAIT_NS) as held:
                if not held:
                    msg = f"{self.path}: another process holds the file and does not let go"
                    raise UnavailableError(msg)
                found = os.pread(self._file, len(self._head), 0)
                # Whoever wrote a part of the head was killed at it.
                if len(found) < len(self._head) and self._head.startswith(found):
                    os.ftruncate(self._file, 0)
                    self._write(self._head, 0)
                    return len(self._head)
                if found == self._head:
                    return self._mended(len(self._head), os.fstat(self._file).st_size)
        except OSError as error:
            raise _unavailable(self.path, error) from error
        msg = f"{self.path} belongs to another run; remove it or choose another name"
        raise UnavailableError(msg)

    def _append(self) -> None:
        size = os.fstat(self._file).st_size
        if size < len(self._head):
            self._stop("another program emptied the file")
            return
        if size != self._end:
            size = self._mended(self._end if size > self._end else len(self._head), size)
        self._write(self._batch, size)
        self._end = size + len(self._batch)
        self._kept = (self.counters.packets, self.counters.bytes)
        self._batch.clear()

    def _write(self, data: bytes | bytearray, size: int) -> None:
        """Append all of `data` to the file of `size` bytes, or leave the file as it was."""
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def _mended(self, start: int, size: int) -> int:
        """Cut off the half block that a killed process left; return where whole blocks end.

        `start` is the end of some whole block. The last block is found from its length, which
        a block also carries at its end; only when that fails are all blocks gone through.
        """
        if size == start or self._ends_whole(size):
            return size
        while length := self._whole_block(start, size):
            start += length
        os.ftruncate(self._file, start)
        return start

    def _ends_whole(self, size: int) -> bool:
        length = int.from_bytes(os.pread(self._file, 4, max(size - 4, 0)), "little")
        if not 0 < length <= size - len(self._head):
            return False
        return self._whole_block(size - length, size) == length

    def _whole_block(self, start: int, size: int) -> int:
        """Return the length of the packet block at `start`, or 0 if none lies there whole."""
        lengths = os.pread(self._file, _BLOCK_LENGTHS_BYTES, start)
        length = whole_block_bytes(lengths, size - start)
        if length and os.pread(self._file, 4, start + length - 4) == lengths[4:]:
            return length
        return 0

    def _stop(self, reason: str) -> None:
        """End the capture; the data path does not notice."""
        self.stopped = f"{self.path}: capture stopped: {reason}"
        counters = self.counters
        counters.packets_lost += counters.packets - self._kept[0]
        counters.packets, counters.bytes = self._kept
        self._batch.clear()

    @contextlib.contextmanager
    def _locked(self, wait_ns: int) -> Iterator[bool]:
        """Hold the file's lock, or say False when others kept it for `wait_ns`."""
        deadline_ns = time.monotonic_ns() + wait_ns
        while not _try_lock(self._file):
            if time.monotonic_ns() >= deadline_ns:
                yield False
                return
            os.sched_yield()
        try:
            yield True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def capture_from_environment(
    environ: Mapping[str, str], site: str, interfaces: Sequence[Interface]
) -> CaptureWriter | None:
    """Open the capture that DUALCOPY_PCAP asks for, such as `/tmp/{site}-{pid}.pcapng`.

    It records every link of this process without a word in the bench file.
    """
    pattern = environ.get(ENVIRONMENT_SWITCH)
    if not pattern:
        return None
    try:
        path = pattern.format(pid=os.getpid(), site=site)
    except (LookupError, ValueError, AttributeError) as error:
        msg = f"{ENVIRONMENT_SWITCH}={pattern}: only {{pid}} and {{site}} can stand in braces"
        raise BenchError(msg) from error
    return CaptureWriter(path, interfaces)


def join_taps(taps: Sequence[Tap]) -> Tap | None:
    """Return one tap that feeds all of `taps`, or None when there are none."""
    if len(taps) < 2:
        return taps[0] if taps else None

    def record(direction: Direction, data: Buffer, comment: str | None) -> None:
        for tap in taps:
            tap(direction, data, comment)

    return record


def _application() -> str:
    try:
        return f"dualcopy {version('dualcopy')}"
    except PackageNotFoundError:  # run from the source tree
        return "dualcopy"


def _open(path: str) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise _unavailable(path, error) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        msg = f"{path} is no ordinary file; a capture needs one"
        raise UnavailableError(msg)
    return file


def _unavailable(path: str, error: OSError) -> UnavailableError:
    return UnavailableError(f"{path}: cannot capture: {error.strerror or error}")


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
