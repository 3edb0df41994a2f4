"""Network namespaces: open a socket in another one, then come back.

Relies on Linux; Python has `os.setns` only from 3.12 on. Only the calling thread is moved, and
only for the length of the `with`; what was opened there stays there.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emulator.errors import CannotRunHere, UnavailableError
from emulator.uri import Uri

NAMES_FOLDER: Final = Path("/run/netns")
"""Where `ip netns add NAME` keeps its names."""
_CLONE_NEWNET: Final = 0x40000000


@contextlib.contextmanager
def inside(uri: Uri, name: str | None) -> Iterator[None]:
    """Be in the network namespace `name`, or in one given by path; None is the present one."""
    if name is None:
        yield
        return
    try:
        there = os.open(NAMES_FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise _no_entry(uri, name, error.strerror or str(error)) from error
    except OSError as error:
        raise UnavailableError(
            f"{uri.text}: no network namespace {name}: {error.strerror}; "
            f"make it with: ip netns add {name}"
        ) from error
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(uri, name, there)
        try:
            yield
        finally:
            _enter(uri, "the one before", back)
    finally:
        os.close(there)
        os.close(back)


def _enter(uri: Uri, name: str, descriptor: int) -> None:
    setns = ctypes.CDLL(None, use_errno=True).setns
    if setns(descriptor, _CLONE_NEWNET) != 0:
        raise _no_entry(uri, name, os.strerror(ctypes.get_errno()))


def _no_entry(uri: Uri, name: str, reason: str) -> CannotRunHere:
    return CannotRunHere(
        f"{uri.text}: cannot enter network namespace {name}: {reason}; "
        "run as root, or in `unshare -Urnm`"
    )
