"""Make room for a Unix socket where a killed site left its own, and for nothing else.

A path that somebody answers at is taken, and one that is no socket is somebody's file: both are
refused, never removed.
"""

import os
import socket
import stat

from emulator.errors import UnavailableError


def remove_stale_socket(uri: str, path: str) -> None:
    """Remove the socket that a killed site left at `path`, if there is one."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnavailableError(f"{uri}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise UnavailableError(f"{uri}: {path} is there and is no socket; choose another place")
    with socket.socket(socket.AF_UNIX) as probe:
        # One that has a full queue answers, too.
        probe.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        except BlockingIOError:
            raise _taken(uri) from None
        except OSError as error:
            raise UnavailableError(f"{uri}: {error.strerror}") from error
        else:
            raise _taken(uri)
    try:
        os.unlink(path)  # noqa: PTH108 - a name that bind made
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnavailableError(f"{uri}: {error.strerror}") from error


def _taken(uri: str) -> UnavailableError:
    return UnavailableError(f"{uri}: another program has it; stop that, or choose another place")
