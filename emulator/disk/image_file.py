"""Image files as all kinds of image use them: locked while open, and never made over another."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from emulator.disk.base import disk_errors, opening
from emulator.disk.holders import lock_holder
from emulator.errors import DeviceError
from emulator.uri import Uri


def open_locked(uri: Uri, path: str, *, writable: bool, missing: str) -> int:
    """Open a file and lock it (flock): alone if it is to be written. Return its descriptor."""
    with opening(uri, missing=missing):
        descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    try:
        with disk_errors(uri.text):
            check_regular(uri, os.fstat(descriptor))
            _lock(uri, descriptor, exclusive=writable)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(uri: Uri, descriptor: int, *, exclusive: bool) -> None:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = lock_holder(os.fstat(descriptor))
        raise DeviceError(uri.text, f"image in use{holder}") from error


def check_regular(uri: Uri, status: os.stat_result) -> None:
    """Refuse what is not a plain file."""
    if stat.S_ISBLK(status.st_mode):
        uri.refuse(f"is a device; write block://{uri.path}")
    if not stat.S_ISREG(status.st_mode):
        uri.refuse("is not a file; an image is a plain file")


@contextlib.contextmanager
def new_file(uri: Uri, path: str) -> Iterator[int]:
    """Make a new file and yield its descriptor; durable at the end, gone again after an error."""
    with opening(uri, missing="its directory does not exist; make that first"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with disk_errors(uri.text):
            yield descriptor
            os.fsync(descriptor)
    except BaseException:
        Path(path).unlink()  # half an image would only be in the way
        raise
    finally:
        os.close(descriptor)
