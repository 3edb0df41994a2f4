"""The file under the nonvolatile store: the only place in this room that touches one.

`sync=fsync` survives a loss of power: a write counts once fdatasync has returned. `sync=battery`
stands for memory with a battery: a write counts once the kernel has it, which survives the loss
of this process but not of the machine.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from emulator.errors import BenchError, DeviceError, UnavailableError
from emulator.nvs.areas import (
    MAP_START,
    NVS_BYTES_MIN,
    RING_START,
    SLOT_BYTES,
    Superblock,
    decode_superblock,
    encode_superblock,
    ring_bytes,
)
from emulator.units import size_bytes, size_text
from emulator.uri import parse_uri
from emulator.wire.checksum import Buffer

_IOV_MAX: Final = 1024
_SYNC_MODES: Final = ("fsync", "battery")


class NvsStore:
    """One nonvolatile store, held exclusively while it is open."""

    def __init__(self, uri: str) -> None:
        parsed = parse_uri(uri, {"size": "64MiB", "sync": "fsync"})
        self.uri = uri
        self.sync_mode = parsed.query.get("sync", "fsync")
        if self.sync_mode not in _SYNC_MODES:
            raise BenchError(f"{uri}: sync={self.sync_mode} is unknown; write fsync or battery")
        asked = size_bytes(parsed.query["size"]) if "size" in parsed.query else None
        self._file = _open(uri, parsed.path, asked)
        self.size_bytes = os.fstat(self._file).st_size
        self.ring_bytes = ring_bytes(self.size_bytes)
        self._sequence = 0
        self._battery_failed = False

    @property
    def battery(self) -> bool:
        """Whether a write counts without waiting for the medium."""
        return self.sync_mode == "battery" and not self._battery_failed

    def set_battery(self, *, good: bool) -> None:
        """Take note that the battery failed, and bring everything to the medium; or is back."""
        self._battery_failed = not good
        self.sync()

    def load(self) -> Superblock | None:
        """Return the superblock, or None when the store is new."""
        slots = self.read(0, 2 * SLOT_BYTES)
        found = decode_superblock(slots)
        if found is None and any(slots):
            raise DeviceError(
                self.uri, "neither superblock can be read; restore the file, or remove it to begin"
            )
        self._sequence = found.sequence if found else 0
        return found

    def save(self, body: dict[str, Any]) -> None:
        """Write the superblock and wait until it is safe."""
        self._sequence += 1
        offset, data = encode_superblock(self._sequence, body)
        self.write([(offset, [data])])
        self.sync()

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes."""
        try:
            data = os.pread(self._file, length, offset)
        except OSError as error:
            raise DeviceError(self.uri, error.strerror or str(error)) from error
        if len(data) != length:
            raise DeviceError(self.uri, f"ends at {offset + len(data)}, needed {offset + length}")
        return data

    def write(self, runs: Iterable[tuple[int, Sequence[Buffer]]]) -> None:
        """Write each run of buffers at its offset; all of it, or DeviceError."""
        for offset, buffers in runs:
            try:
                _write_all(self._file, offset, buffers)
            except OSError as error:
                raise DeviceError(self.uri, error.strerror or str(error)) from error

    def sync(self) -> None:
        """Return once everything written counts, as the sync mode has it."""
        if not self.battery:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise DeviceError(self.uri, error.strerror or str(error)) from error

    def fileno(self) -> int:
        """Return the open file's descriptor."""
        return self._file

    def map_bytes(self) -> bytes:
        """Return the area of the dirty maps."""
        return self.read(MAP_START, RING_START - MAP_START)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def _write_all(file: int, offset: int, buffers: Sequence[Buffer]) -> None:
    for start in range(0, len(buffers), _IOV_MAX):
        part = buffers[start : start + _IOV_MAX]
        size = sum(map(len, part))
        done = os.pwritev(file, part, offset)
        if done != size:
            rest = b"".join(part)[done:]
            while rest:
                count = os.pwrite(file, rest, offset + done)
                done += count
                rest = rest[count:]
        offset += size


def _open(uri: str, path: str, asked_bytes: int | None) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnavailableError(f"{uri}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.fstat(file).st_size
        if size == 0:
            size = size_bytes("64MiB") if asked_bytes is None else asked_bytes
            _check_size(uri, size)
            os.posix_fallocate(file, 0, size)
            os.fsync(file)
        elif asked_bytes is not None and asked_bytes != size:
            raise BenchError(
                f"{uri}: the store exists with {size_text(size)}, size= asks for "
                f"{size_text(asked_bytes)}; write its real size, or remove the file to begin anew"
            )
        _check_size(uri, size)
    except BlockingIOError:
        os.close(file)
        raise UnavailableError(f"{uri}: in use by another process; stop that site first") from None
    except OSError as error:
        os.close(file)
        raise UnavailableError(f"{uri}: {error.strerror or error}") from error
    except BenchError:
        os.close(file)
        raise
    return file


def _check_size(uri: str, size: int) -> None:
    if size < NVS_BYTES_MIN:
        raise BenchError(
            f"{uri}: {size_text(size)} is too small; give at least {size_text(NVS_BYTES_MIN)}"
        )
