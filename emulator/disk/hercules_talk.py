"""One TCP connection to a control unit: requests out, answers in, one error when it breaks."""

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from emulator.frontend.shared_wire import HEADER, HEADER_BYTES, Opcode, header

CONNECT_S: Final = 5.0
# A program may wait for its turn, but not for ever: a unit that hangs must become an error.
ANSWER_S: Final = 60.0
# More than an answer has, so that those behind it come along.
_RECEIVE_BYTES: Final = 512 * 1024
_TIMEVAL: Final = struct.Struct("@ll")


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
        self._held = memoryview(bytearray(_RECEIVE_BYTES))
        self._start = self._end = 0
        """Of the bytes in `_held` that nobody has taken."""
        with _breaking(f"no answer at {host}:{port}"):
            self._socket = socket.create_connection((host, port), CONNECT_S)
            # The kernel keeps the time: Python would ask it before every call.
            self._socket.settimeout(None)
            wait = _TIMEVAL.pack(int(ANSWER_S), 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
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
        self._have(HEADER_BYTES)
        code, status, _device, length, _id = HEADER.unpack_from(self._held, self._start)
        self._start += HEADER_BYTES
        if not length:
            return Answer(code, status, b"")
        self._have(length)
        self._start += length
        return Answer(code, status, bytes(self._held[self._start - length : self._start]))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _have(self, count: int) -> None:
        """Wait until so many bytes are here."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + count > len(self._held):
            rest = self._held[self._start : self._end].tobytes()
            self._held[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        while self._end - self._start < count:
            with _breaking("the connection broke"):
                # The server holds its next answer back until this one is acknowledged (Nagle),
                # and Linux forgets this setting again and again.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                got = self._socket.recv_into(self._held[self._end :])
            if not got:
                raise BrokenError("the control unit hung up")
            self._end += got


@contextlib.contextmanager
def _breaking(what: str) -> Iterator[None]:
    try:
        yield
    except BlockingIOError as error:
        raise BrokenError(f"{what}: no answer within {ANSWER_S:g} s") from error
    except OSError as error:
        raise BrokenError(f"{what}: {error.strerror or error}") from error
