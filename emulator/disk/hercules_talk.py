"""One TCP connection to a control unit: requests out, answers in, one error when it breaks."""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emulator.frontend.shared_wire import HEADER, HEADER_BYTES, Header, Opcode, header

CONNECT_S = 5.0
# A program may wait for its turn, but not for ever: a unit that hangs must become an error.
ANSWER_S = 60.0
_RECEIVE_BYTES = 256 * 1024


class BrokenError(Exception):
    """The connection is of no more use; another one may be."""


class Request(NamedTuple):
    """One request of a channel program."""

    opcode: Opcode
    data: bytes = b""


class Answer(NamedTuple):
    """One answer, as it came."""

    code: int
    status: int
    data: bytes


class Talk:
    """A connection for one device."""

    def __init__(self, host: str, port: int, number: int) -> None:
        self._number = number
        self.client_id = 0
        self._held = bytearray()
        with _breaking(f"no answer at {host}:{port}"):
            self._socket = socket.create_connection((host, port), CONNECT_S)
            self._socket.settimeout(ANSWER_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, requests: Sequence[Request], flag: int = 0) -> None:
        """Send requests in one go; both known servers take queued ones in order."""
        parts = [
            part
            for opcode, data in requests
            for part in (header(opcode, flag, self._number, len(data), self.client_id), data)
        ]
        with _breaking("the connection broke"):
            self._socket.sendall(b"".join(parts))

    def receive(self) -> Answer:
        """Return the next answer."""
        head = Header(*HEADER.unpack(self._exactly(HEADER_BYTES)))
        return Answer(head.code, head.flag, self._exactly(head.length) if head.length else b"")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _exactly(self, count: int) -> bytes:
        held = self._held
        while len(held) < count:
            with _breaking("the connection broke"):
                # The server holds its next answer back until this one is acknowledged (Nagle),
                # and Linux forgets this setting again and again.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                raise BrokenError("the control unit hung up")
            held += data
        found = bytes(held[:count])
        del held[:count]
        return found


@contextlib.contextmanager
def _breaking(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BrokenError(f"{what}: {error.strerror or error}") from error
