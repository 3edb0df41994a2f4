"""A whole block device or partition as a disk: `block:///dev/sdb1`.

Everything on it will be overwritten, so a device that this machine uses for anything is refused:
mounted, swap, part of a volume manager or a RAID, and the same for its partitions. The exclusive
open makes the kernel refuse others as long as we have it.
"""

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import Final

from emulator.disk.base import (
    SECTOR_BYTES,
    asked_bytes,
    check_range,
    check_size,
    disk_errors,
    file_path,
    opening,
)
from emulator.disk.descriptor import DescriptorDisk
from emulator.disk.holders import device_users
from emulator.errors import DeviceError
from emulator.uri import Uri, parse_uri

BLKZEROOUT: Final = 0x127F  # from linux/fs.h
_RANGE: Final = struct.Struct("=QQ")
_NOT_SUPPORTED: Final = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL)


class BlockDisk(DescriptorDisk):
    """A block device that nobody else may use while it is open."""

    def __init__(self, uri: str, *, writable: bool = True) -> None:
        parsed = _parse(uri)
        descriptor = _open(parsed, writable=writable)
        try:
            size = _usable_bytes(parsed, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        super().__init__(uri, descriptor, size, writable=writable)

    @staticmethod
    def create(uri: str, size_bytes: int | None) -> None:  # noqa: ARG004  same shape for every kind
        """Refuse: devices are not made here."""
        _parse(uri).refuse("a device exists or does not; `dualcopy disk create` makes images")

    @staticmethod
    def measure(uri: str) -> int:
        """Return the size of the device, also while a site has it open."""
        parsed = _parse(uri)
        path = _device_path(parsed)
        with opening(parsed):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _usable_bytes(parsed, descriptor)
        finally:
            os.close(descriptor)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros; the device does whole sectors by itself where it can."""
        check_range(self, offset, length)
        first = -(-offset // SECTOR_BYTES) * SECTOR_BYTES
        last = (offset + length) // SECTOR_BYTES * SECTOR_BYTES
        if self._writable and first < last and self._zero_sectors(first, last - first):
            super().zero(offset, first - offset)
            super().zero(last, offset + length - last)
        else:
            super().zero(offset, length)

    def _zero_sectors(self, offset: int, length: int) -> bool:
        with disk_errors(self.uri):
            try:
                fcntl.ioctl(self._descriptor, BLKZEROOUT, _RANGE.pack(offset, length))
            except OSError as error:
                if error.errno in _NOT_SUPPORTED:
                    return False
                raise
        return True


def _parse(uri: str) -> Uri:
    return parse_uri(uri, {"size": "how much of the device to use"})


def _device_path(uri: Uri) -> str:
    path = file_path(uri)
    with opening(uri, missing="no such device; `dualcopy devices` lists what there is"):
        mode = Path(path).stat().st_mode
    if not stat.S_ISBLK(mode):
        kind = f"write raw://{path}" if stat.S_ISREG(mode) else "name a disk such as /dev/sdb1"
        uri.refuse(f"is not a block device; {kind}")
    return path


def _open(uri: Uri, *, writable: bool) -> int:
    path = _device_path(uri)
    users = device_users(Path(path).stat().st_rdev)
    if users:
        raise DeviceError(uri.text, f"device in use: {', '.join(users)}; free it first")
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_EXCL | os.O_CLOEXEC
    with opening(uri, busy="device in use by another program; stop it first"):
        return os.open(path, flags)


def _usable_bytes(uri: Uri, descriptor: int) -> int:
    """Return the size asked for, or the whole device; a shorter device is refused."""
    with disk_errors(uri.text):
        whole = os.lseek(descriptor, 0, os.SEEK_END)
    asked = asked_bytes(uri)
    if asked is None:
        return check_size(uri, whole)
    if asked > whole:
        uri.refuse(f"size={uri.query['size']} is {asked} bytes, but the device has only {whole}")
    return check_size(uri, asked)
