"""A disk in a file, sector after sector: `raw:///var/tmp/a0.img`.

The file is locked (flock) while it is open, so that two sites, or a site and a comparison, never
use one image at once. Zeroed ranges become holes where the file system has them.
"""

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from emulator.disk.base import asked_bytes, check_range, check_size, disk_errors, file_path, opening
from emulator.disk.descriptor import DescriptorDisk
from emulator.disk.image_file import check_regular, new_file, open_locked
from emulator.uri import Uri, parse_uri

FALLOC_KEEP_SIZE: Final = 1  # from linux/falloc.h
FALLOC_PUNCH_HOLE: Final = 2
_NOT_SUPPORTED: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class RawDisk(DescriptorDisk):
    """A disk image that nobody else may use while it is open for writing."""

    def __init__(self, uri: str, *, writable: bool = True) -> None:
        parsed = _parse(uri)
        path = file_path(parsed)
        descriptor = open_locked(parsed, path, writable=writable, missing=_missing(parsed))
        try:
            size = _file_bytes(parsed, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        super().__init__(uri, descriptor, size, writable=writable)

    @staticmethod
    def create(uri: str, size_bytes: int | None) -> None:
        """Make a new image, all of it a hole; an existing file is never touched."""
        parsed = _parse(uri)
        size_bytes = asked_bytes(parsed) if size_bytes is None else size_bytes
        if size_bytes is None:
            parsed.refuse("say how large: --size 64MiB")
        path = file_path(parsed)
        check_size(parsed, size_bytes)
        with new_file(parsed, path) as descriptor:
            os.ftruncate(descriptor, size_bytes)

    @staticmethod
    def measure(uri: str) -> int:
        """Return the size of the image, also while a site has it open."""
        parsed = _parse(uri)
        path = file_path(parsed)
        with opening(parsed, missing=_missing(parsed)):
            status = Path(path).stat()
        return _file_bytes(parsed, status)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros, as a hole where the file system has holes."""
        check_range(self, offset, length)
        if not (self._writable and length and self._punch(offset, length)):
            super().zero(offset, length)

    def _punch(self, offset: int, length: int) -> bool:
        call = _fallocate()
        if call is None:
            return False
        with disk_errors(self.uri):
            mode = FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE
            while call(self._descriptor, mode, offset, length):
                number = ctypes.get_errno()
                if number in _NOT_SUPPORTED:
                    return False
                if number != errno.EINTR:  # ctypes, unlike os, does not go on by itself
                    raise OSError(number, os.strerror(number))
        return True


def _parse(uri: str) -> Uri:
    return parse_uri(uri, {"size": "the size the image must have"})


def _missing(uri: Uri) -> str:
    size = "" if "size" in uri.query else " --size 64MiB"
    return f"no such file; make it: dualcopy disk create '{uri.text}'{size}"


def _file_bytes(uri: Uri, status: os.stat_result) -> int:
    check_regular(uri, status)
    return check_size(uri, status.st_size)


@functools.cache
def _fallocate() -> Callable[[int, int, int, int], int] | None:
    """Return the C library's fallocate with 64-bit offsets, if this system has one."""
    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return cast("Callable[[int, int, int, int], int]", call)
