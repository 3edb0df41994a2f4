"""The socket under an NBD client: bytes out, bytes in, and a limit on every wait.

Sending never waits on a server that itself waits for us to take its replies: `send` takes in
what comes meanwhile. Relies on nothing but the system; leaves the meaning of bytes to
`nbd_client.py`. Failures of the system become errors of ours here.
"""

import contextlib
import select
import socket
from collections.abc import Callable, Sequence

from emulator.errors import TimeLimitError, UnavailableError
from emulator.frontend.uri import ServeAddress

_RECEIVE_BYTES = 256 * 1024
_MILLISECONDS = 1000


class NbdStream:
    """A connected socket and the bytes that have come from it."""

    def __init__(self, where: ServeAddress, uri: str, timeout_s: float) -> None:
        self.uri = uri
        self.inbox = bytearray()
        self._timeout_s = timeout_s
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._peer = _connect(where, uri, timeout_s)
        self._poll = select.poll()
        self._poll.register(self._peer)

    def close(self, farewell: bytes) -> None:
        """Say `farewell`, as far as the other end still listens, and hang up."""
        if self._peer.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._peer.send(farewell)
            self._peer.close()

    def send(self, buffers: Sequence[bytes], take_replies: Callable[[], None]) -> None:
        """Send all of `buffers`; `take_replies` is called when replies come while it waits."""
        views = [memoryview(buffer) for buffer in buffers if buffer]
        while views:
            try:
                sent = self._peer.sendmsg(views)
            except BlockingIOError:
                if self._wait_for(select.POLLIN | select.POLLOUT) & select.POLLIN:
                    take_replies()
                continue
            except OSError as error:
                raise UnavailableError(f"{self.uri}: {error.strerror or error}") from error
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if sent:
                views[0] = views[0][sent:]

    def receive(self) -> None:
        """Wait until at least one more byte is in the inbox."""
        while True:
            try:
                size_bytes = self._peer.recv_into(self._buffer)
            except BlockingIOError:
                self._wait_for(select.POLLIN)
                continue
            except OSError as error:
                raise UnavailableError(f"{self.uri}: {error.strerror or error}") from error
            if not size_bytes:
                raise UnavailableError(f"{self.uri}: the server hung up")
            self.inbox += memoryview(self._buffer)[:size_bytes]
            return

    def take(self, size_bytes: int) -> bytes:
        """Wait for `size_bytes` and take them out of the inbox."""
        while len(self.inbox) < size_bytes:
            self.receive()
        piece = bytes(self.inbox[:size_bytes])
        del self.inbox[:size_bytes]
        return piece

    def _wait_for(self, events: int) -> int:
        self._poll.modify(self._peer, events)
        ready = self._poll.poll(self._timeout_s * _MILLISECONDS)
        if not ready:
            raise TimeLimitError(f"{self.uri}: the server was silent for {self._timeout_s:g} s")
        # An error or a hang-up shows when reading, after what was sent before it.
        return ready[0][1] if ready[0][1] & (select.POLLIN | select.POLLOUT) else select.POLLIN


def _connect(where: ServeAddress, uri: str, timeout_s: float) -> socket.socket:
    try:
        if isinstance(where.address, tuple):
            peer = socket.create_connection(where.address, timeout_s)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.settimeout(timeout_s)
                peer.connect(where.address)
            except OSError:
                peer.close()
                raise
    except OSError as error:
        raise UnavailableError(f"{uri}: {error.strerror or error}") from error
    peer.setblocking(False)  # noqa: FBT003 - the name of the argument cannot be written
    return peer
