"""Reading, writing and flushing through a file descriptor; what raw images and devices share.

Offsets travel with every call, so threads never share a position. Python itself goes on after a
signal (EINTR); short reads and writes, which any file system may give, are carried on here. The
kinds differ in how they open and how they zero, which they add.
"""

import errno
import os
from collections.abc import Sequence
from typing import Final

from emulator.disk.base import Runs, check_range, check_writable, disk_errors, merged
from emulator.disk.many_writes import ManyWrites
from emulator.errors import DeviceError

IOV_MAX: Final = (
    1024  # what Linux takes in one call (UIO_MAXIOV); POSIX promises less and none use it
)
ZEROS: Final = bytes(64 * 1024)
ZEROS_AT_ONCE: Final = 64  # buffers of zeros in one call: 4 MiB


class DescriptorDisk:
    """A disk behind an open file descriptor, which it owns."""

    def __init__(self, uri: str, descriptor: int, size_bytes: int, *, writable: bool) -> None:
        self.uri = uri
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._writable = writable
        self._many = ManyWrites(descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        check_range(self, offset, length)
        with disk_errors(self.uri):
            data = os.pread(self._descriptor, length, offset)
            if len(data) == length:
                return data
            parts = [data]
            done = len(data)
            while done < length:
                data = os.pread(self._descriptor, length - done, offset + done)
                if not data:
                    cause = f"ends after {offset + done} of {self.size_bytes} bytes; was it cut?"
                    raise DeviceError(self.uri, cause)
                parts.append(data)
                done += len(data)
            return b"".join(parts)

    def write(self, runs: Runs) -> None:
        """Write every run whole; runs that touch the same bytes need calls of their own."""
        check_writable(self.uri, writable=self._writable)
        for offset, buffers in runs:
            check_range(self, offset, sum(map(len, buffers)))
        for offset, buffers in self._many.write(runs):
            at = offset
            for first in range(0, len(buffers), IOV_MAX):
                at = self._write_piece(at, buffers[first : first + IOV_MAX])

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros by writing them; kinds that know better do better."""
        check_writable(self.uri, writable=self._writable)
        check_range(self, offset, length)
        at, end = offset, offset + length
        while at < end:
            whole, rest = divmod(end - at, len(ZEROS))
            count = min(whole, ZEROS_AT_ONCE)
            at = self._write_piece(at, [ZEROS] * count if count else [ZEROS[:rest]])

    def flush(self) -> None:
        """Return when everything written so far survives a loss of power."""
        with disk_errors(self.uri):
            os.fdatasync(self._descriptor)

    def truncate(self, size_bytes: int) -> None:
        """Cut the file off, for images that know where they end."""
        check_writable(self.uri, writable=self._writable)
        with disk_errors(self.uri):
            os.ftruncate(self._descriptor, size_bytes)

    def forget(self, offset: int, length: int) -> None:
        """Have the next read come from the medium, as far as the system can forget."""
        with disk_errors(self.uri):
            os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data) as the file system keeps them; else all is data."""
        check_range(self, offset, length)
        runs: list[tuple[int, bool]] = []
        at, end = offset, offset + length
        while at < end:
            data = self._seek(at, os.SEEK_DATA, end)
            hole = self._seek(data, os.SEEK_HOLE, end) if data < end else end
            if hole <= at:  # the file changed under us; say the safe thing
                hole = end
            runs += [(data - at, False), (hole - data, True)]
            at = hole
        return merged(runs)

    def close(self) -> None:
        """Let go of the file; closing twice does nothing."""
        if self._descriptor >= 0:
            self._many.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def _write_piece(self, offset: int, buffers: Sequence[bytes]) -> int:
        """Write at most `IOV_MAX` buffers whole and return the offset behind them."""
        size = sum(map(len, buffers))
        with disk_errors(self.uri):
            done = os.pwritev(self._descriptor, buffers, offset)
            rest = memoryview(b"".join(buffers) if done < size else b"")
            while done < size:
                step = os.pwrite(self._descriptor, rest[done:], offset + done)
                if step == 0:
                    cause = f"takes no more bytes at {offset + done}; is it full?"
                    raise DeviceError(self.uri, cause)
                done += step
        return offset + size

    def _seek(self, offset: int, whence: int, end: int) -> int:
        """Return where the next data or hole begins, at most `end`."""
        try:
            return min(os.lseek(self._descriptor, offset, whence), end)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return end
            if error.errno == errno.EINVAL:  # the file system does not know holes
                return offset if whence == os.SEEK_DATA else end
            with disk_errors(self.uri):
                raise
