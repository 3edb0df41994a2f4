"""The file in which a device's checksums are kept, beside its image: `a0.img.sums`.

    0        slot 0 of the header     64 KiB
    64 KiB   slot 1                   64 KiB
    128 KiB  table: 8 bytes a track

The header is a JSON object in two slots, like the superblock of the nonvolatile store: whose
checksums these are, up to which version they are durable, and what the superblock would say if
the store was lost. The table is mapped privately: what was not touched takes no memory, and
nothing reaches the file but through `write`.
"""

import fcntl
import os
from collections.abc import Iterable
from typing import Any, Final

from emulator.disk.base import disk_errors
from emulator.errors import DeviceError, UnavailableError
from emulator.node.sums import ENTRY, PAGE_BYTES
from emulator.nvs.areas import SLOT_BYTES, decode_superblock, encode_superblock

TABLE_START: Final = 2 * SLOT_BYTES
_IDENTITY_BYTES: Final = 8


class SumsFile:
    """One device's checksum file, held exclusively while it is open."""

    def __init__(self, path: str, tracks: int) -> None:
        self.uri = f"file://{path}"
        self.tracks = tracks
        self._file = _open(self.uri, path, TABLE_START + tracks * ENTRY.size)
        self._sequence = 0
        self.header = self._read_header()

    def _read_header(self) -> dict[str, Any] | None:
        """Return what the header says, or None when it is new or of another device."""
        with disk_errors(self.uri):
            found = decode_superblock(os.pread(self._file, TABLE_START, 0))
        self._sequence = found.sequence if found else 0
        return found.body if found and found.body.get("tracks") == self.tracks else None

    def load(self, page: int) -> bytes:
        """Return a page of the table, of `PAGE_BYTES`; what cannot be read counts as not known."""
        try:
            return os.pread(self._file, PAGE_BYTES, TABLE_START + page * PAGE_BYTES)
        except OSError:
            return b""

    def begin(self) -> None:
        """Forget every checksum, and name the device anew."""
        with disk_errors(self.uri):
            os.ftruncate(self._file, TABLE_START)
            os.ftruncate(self._file, TABLE_START + self.tracks * ENTRY.size)
        self.header = {
            "format": 1,
            "identity": os.urandom(_IDENTITY_BYTES).hex(),
            "tracks": self.tracks,
            "version": 0,
            "store_lost": None,
        }
        self._save()

    def write(self, pieces: Iterable[tuple[int, bytes]]) -> None:
        """Write pieces of the table, each at its offset there."""
        with disk_errors(self.uri):
            for offset, piece in pieces:
                done = 0
                while done < len(piece):
                    done += os.pwrite(self._file, piece[done:], TABLE_START + offset + done)

    def forget(self, pieces: Iterable[tuple[int, bytes]]) -> None:
        """Make the entries of pieces unknown, durably."""
        self.write([(offset, bytes(len(piece))) for offset, piece in pieces])
        with disk_errors(self.uri):
            os.fdatasync(self._file)

    def sync(self, version: int) -> None:
        """Make the table durable, and say that it is up to this version."""
        assert self.header is not None
        self.header["version"] = version
        self._save()

    def mark(self, body: dict[str, Any] | None) -> None:
        """Say durably that the store was lost and what it would say; or that there is one."""
        assert self.header is not None
        self.header["store_lost"] = body
        self._save()

    def _save(self) -> None:
        assert self.header is not None
        self._sequence += 1
        offset, data = encode_superblock(self._sequence, self.header)
        with disk_errors(self.uri):
            done = os.pwrite(self._file, data, offset)
            if done != len(data):
                raise DeviceError(self.uri, f"took {done} of {len(data)} bytes; is it full?")
            os.fdatasync(self._file)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def _open(uri: str, path: str, size: int) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnavailableError(
            f"{uri}: {error.strerror}; `checksums` of the device names another place, or none"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, size)
    except BlockingIOError:
        os.close(file)
        raise UnavailableError(f"{uri}: in use by another process; stop that site first") from None
    except OSError as error:
        os.close(file)
        raise UnavailableError(f"{uri}: {error.strerror or error}") from error
    return file
