"""`tcp:` frames on a TCP connection; one end listens, the other connects.

    tcp://127.0.0.1:7001?listen=1        and there: tcp://127.0.0.1:7001

Keys: `listen` (1: wait here for the other end) and `mtu`. A listening line serves one peer at a
time; when it has told that one's loss it waits for the next, who may already stand in line. The
descriptor to poll changes when a peer is accepted or lost. Opening the connecting end never
waits: that nobody listens yet comes out as `LinkLost`, at the opening or at the first use.
"""

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final

from emulator.errors import LinkLost
from emulator.transport.base import PACKET_BYTES_LOCAL, PACKET_BYTES_MAX, Tap, mtu_of
from emulator.transport.sockets import Address, open_error, resolve
from emulator.transport.stream import StreamLine
from emulator.uri import Uri, parse_uri

KEYS: Final = {"listen": "1: wait here for the other end", "mtu": "largest packet in bytes"}
_WAITING_MAX: Final = 1
_KEEPALIVE_SECONDS: Final = 5
_KEEPALIVE_PROBES: Final = 3
_UNACKNOWLEDGED_MS_MAX: Final = 20_000
"""A peer that vanished without a word is given up after this, as keep-alive does when idle."""


class TcpLine(StreamLine):
    """What both ends of a TCP connection do alike."""

    def __init__(self, uri: Uri, tap: Tap | None, address: Address) -> None:
        mtu_bytes = mtu_of(uri, PACKET_BYTES_LOCAL, PACKET_BYTES_MAX)
        self._connected = False
        self._socket = socket.socket(address.family, socket.SOCK_STREAM)
        self._socket.settimeout(0)
        super().__init__(
            uri.text,
            tap,
            self._socket.fileno(),
            mtu_bytes=mtu_bytes,
            loopback=address.is_loopback,
        )

    def close(self) -> None:
        """Close the connection."""
        self._connected = False
        self._descriptor = -1
        self._lost = "closed"
        self._socket.close()

    def _use(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS),
            (socket.TCP_KEEPINTVL, _KEEPALIVE_SECONDS),
            (socket.TCP_KEEPCNT, _KEEPALIVE_PROBES),
            (socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS_MAX),
        ):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


class ConnectingLine(TcpLine):
    """The end that connects."""

    def __init__(self, uri: Uri, tap: Tap | None, there: Address) -> None:
        super().__init__(uri, tap, there)
        try:
            self._use(self._socket)
            code = self._socket.connect_ex(there.sockaddr)
        except OSError as error:
            self.close()
            raise open_error(uri, f"TCP port {uri.authority}", error) from error
        if code not in (0, errno.EINPROGRESS):
            self.close()
            raise LinkLost(self.uri, os.strerror(code))

    def receive(self) -> list[bytes]:
        """Return the packets whose last byte has arrived."""
        return super().receive() if self._is_connected() else []

    def send(self, packets: Sequence[bytes]) -> int:
        """Take packets until the buffer here is full; none before the connection stands."""
        return super().send(packets) if self._is_connected() else 0

    def flush(self) -> None:
        """Go on connecting or writing."""
        if self._is_connected():
            super().flush()

    def _is_connected(self) -> bool:
        self._check_not_lost()
        if self._connected:
            return True
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._lost = os.strerror(code)
            self._check_not_lost()
        try:
            peer = self._socket.getpeername()
        except OSError:
            return False
        # Where nobody listens, one try in 28,000 draws the port it calls as its own, and TCP
        # then joins the socket with itself: we would hear ourselves and keep the port taken.
        if peer == self._socket.getsockname():
            self._lost = "Connection refused (it reached itself; nobody listens)"
            self._check_not_lost()
        self._connected = True
        return True


class ListeningLine(TcpLine):
    """The end that waits for the other."""

    def __init__(self, uri: Uri, tap: Tap | None, here: Address) -> None:
        super().__init__(uri, tap, here)
        self._listener = self._socket
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(here.sockaddr)
            self._listener.listen(_WAITING_MAX)
        except OSError as error:
            self.close()
            raise open_error(uri, f"TCP port {uri.authority}", error) from error

    def receive(self) -> list[bytes]:
        """Return the packets whose last byte has arrived; before that, accept the peer."""
        return super().receive() if self._accept() else []

    def send(self, packets: Sequence[bytes]) -> int:
        """Take packets until the buffer here is full; none while nobody is connected."""
        return super().send(packets) if self._accept() else 0

    def wants_write(self) -> bool:
        """Return whether frames are held back for a peer that is there."""
        return self._connected and super().wants_write()

    def flush(self) -> None:
        """Write what is held back, if anybody is connected."""
        if self._connected:
            super().flush()

    def close(self) -> None:
        """Close the connection and stop listening."""
        super().close()
        self._listener.close()

    def _accept(self) -> bool:
        if self._connected:
            return True
        self._check_not_lost()
        try:
            self._socket, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            raise LinkLost(self.uri, error.strerror or str(error)) from error
        self._use(self._socket)
        self._descriptor = self._socket.fileno()
        self._begin()
        self._connected = True
        return True

    def _loss(self, cause: str) -> LinkLost:
        if self._connected:  # wait for the next one
            self._socket.close()
            self._socket = self._listener
            self._descriptor = self._listener.fileno()
            self._connected = False
            self._lost = None
        return super()._loss(cause)


def open_line(uri: str, tap: Tap | None = None) -> TcpLine:
    """Listen for the other end, or begin to connect to it."""
    parsed = parse_uri(uri, KEYS)
    if parsed.path not in ("", "/"):
        parsed.refuse(f"{parsed.path!r} means nothing here; a TCP line has no path")
    address = resolve(parsed, parsed.authority, socket.SOCK_STREAM)
    if parsed.flag("listen"):
        return ListeningLine(parsed, tap, address)
    return ConnectingLine(parsed, tap, address)
