"""`pty:` a pair of pseudo-terminals made here; the other end is opened as a serial port.

    pty:///?link=/tmp/siteB        and there: serial:///tmp/siteB

Keys: `link` (a symbolic link to the other end, made anew at each opening), `baudrate` (only a
figure, by which the link paces itself), `mtu`. A pty has no bit rate, parity, break or modem
lines: it carries bytes. Whoever opens the other end may come and go; this end sees silence then,
never a loss.
"""

import contextlib
import hashlib
import os
import socket
import tty
from pathlib import Path
from typing import Final

from emulator.errors import UnavailableError
from emulator.transport.base import PACKET_BYTES_MAX, Tap, mtu_of
from emulator.transport.stream import StreamLine
from emulator.uri import Uri, parse_uri

KEYS: Final = {
    "link": "path of a symbolic link to the other end",
    "baudrate": "figure for pacing; a pty itself has no speed",
    "mtu": "largest packet in bytes",
}
PTY_PACKET_BYTES: Final = 8192
"""Usual `mtu`: two reads' worth of a tty; larger packets gain little there and lose more."""
BITS_PER_BYTE: Final = 10
"""On a serial line: a start bit, eight of data, a stop bit."""
BAUDRATE_MAX: Final = 50_000_000


class PtyLine(StreamLine):
    """This side of a pseudo-terminal."""

    def __init__(self, uri: Uri, tap: Tap | None) -> None:
        baudrate = uri.integer("baudrate", 0, 1, BAUDRATE_MAX)
        mtu_bytes = mtu_of(uri, PTY_PACKET_BYTES, PACKET_BYTES_MAX)
        self._link = Path(uri.query["link"]) if "link" in uri.query else None
        self._lock = _lock_link(uri, self._link)
        try:
            # Our own descriptor of the other end stays open: else each client that closes it
            # would hang up this end.
            here, self._other = _open_pair(uri)
        except BaseException:
            self._unlock()
            raise
        self.other_end = os.ttyname(self._other)
        super().__init__(
            uri.text,
            tap,
            here,
            mtu_bytes=mtu_bytes,
            loopback=True,
            rate_bytes_per_s=baudrate / BITS_PER_BYTE if baudrate else None,
        )
        try:
            self._publish()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close both sides and take the symbolic link away."""
        if self._descriptor < 0:
            return
        if self._link is not None:
            with contextlib.suppress(OSError):
                if self._link.readlink() == Path(self.other_end):
                    self._link.unlink()
        super().close()
        os.close(self._other)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _publish(self) -> None:
        if self._link is None:
            return
        fresh = self._link.with_name(f"{self._link.name}.{os.getpid()}")
        try:
            fresh.symlink_to(self.other_end)
            fresh.replace(self._link)  # a client sees the old end or the new one, never none
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise UnavailableError(
                f"{self.uri}: cannot make the symbolic link {self._link}: {error.strerror}"
            ) from error


def open_line(uri: str, tap: Tap | None = None) -> PtyLine:
    """Make a pseudo-terminal; `other_end` of the result names its other side."""
    parsed = parse_uri(uri, KEYS)
    if parsed.authority or parsed.path not in ("", "/"):
        parsed.refuse("a pty has no address; write pty:///?link=/tmp/name")
    return PtyLine(parsed, tap)


def _open_pair(uri: Uri) -> tuple[int, int]:
    try:
        here, other = os.openpty()
    except OSError as error:
        raise UnavailableError(f"{uri.text}: no pseudo-terminal: {error.strerror}") from error
    tty.setraw(other)  # before anybody can write: cooked mode would echo and change bytes
    os.set_blocking(here, False)
    return here, other


def _lock_link(uri: Uri, link: Path | None) -> socket.socket | None:
    """Hold the link's name for the life of this process, without leaving a lock file behind.

    A link left by a killed process looks like one in use, so the link itself cannot tell.
    """
    if link is None:
        return None
    _check_replaceable(uri, link)
    name = hashlib.sha256(os.fsencode(link.parent.resolve() / link.name)).hexdigest()
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0dualcopy-pty-{name}")
    except OSError as error:
        lock.close()
        raise UnavailableError(
            f"{uri.text}: another process keeps a pty under {link}; stop it or choose another link"
        ) from error
    return lock


def _check_replaceable(uri: Uri, link: Path) -> None:
    if os.path.lexists(link) and not link.is_symlink():
        uri.refuse(f"{link} exists and is no symbolic link; choose another")
