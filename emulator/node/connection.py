"""One host's connection: a socket, a session of whatever protocol, and the bytes between them."""

import socket
from collections import deque
from itertools import islice
from typing import Final, Protocol

from emulator.node.loop import READABLE, WRITABLE

# Read in one turn from one host: 4 writes of 64 KiB. The kernel hands over less at a time; while
# it is much, the rest is on its way, and writes that lie in one piece cost less.
READ_BYTES: Final = 256 * 1024
MUCH_BYTES: Final = 64 * 1024
_IOV_MAX: Final = 1024
_DONT_WAIT: Final = socket.MSG_DONTWAIT


class Session(Protocol):
    """One connection's protocol, as a machine without a socket."""

    prompt: bool

    @property
    def settled(self) -> bool:
        """Whether nothing that was asked here needs the processor, or other sessions, to go on."""

    @property
    def closed(self) -> bool:
        """Whether it is over once `outgoing` has nothing left."""

    @property
    def wants_pause(self) -> bool:
        """Whether to stop reading from the socket for now."""

    @property
    def requests_pending(self) -> int:
        """How many requests are not answered yet."""

    @property
    def ended_because(self) -> str:
        """Why it takes nothing more."""

    def receive(self, data: memoryview) -> None:
        """Take bytes from the host."""

    def outgoing(self) -> list[bytes]:
        """Return buffers for the socket."""

    def closing(self) -> None:
        """Refuse everything from now on, because the site is shutting down."""

    def disconnected(self) -> None:
        """Forget the connection, which is gone."""


class HostConnection:
    """One host's connection: moves bytes between a socket and its session."""

    def __init__(self, connection: socket.socket, session: Session, address: str) -> None:
        self.socket = connection
        self.file = connection.fileno()
        self.session = session
        self.address = address
        self.gone = ""
        self.watching = READABLE
        self._pending: deque[bytes | memoryview] = deque()

    def read(self, buffer: memoryview) -> None:
        """Take what the host sent."""
        filled = 0
        while filled < READ_BYTES:
            try:
                count = self.socket.recv_into(buffer[filled:] if filled else buffer, 0, _DONT_WAIT)
            except BlockingIOError:
                break
            except OSError as error:
                self.gone = error.strerror or str(error)
                break
            filled += count
            if not count and not filled:
                # After data the end is seen in the next turn: its replies leave before.
                self.gone = "the host hung up"
            if count < MUCH_BYTES:
                break
        if filled:
            self.session.receive(buffer[:filled])

    def write(self) -> None:
        """Send what the session has, as far as the socket takes it."""
        pending = self._pending
        while True:
            if not pending:
                pending.extend(self.session.outgoing())
                if not pending:
                    return
            buffers = list(islice(pending, _IOV_MAX))
            try:
                sent = self.socket.sendmsg(buffers, (), _DONT_WAIT)
            except BlockingIOError:
                return
            except OSError as error:
                self.gone = error.strerror or str(error)
                return
            if len(buffers) == len(pending) and sent == sum(map(len, buffers)):
                pending.clear()
                continue
            while sent:
                first = pending.popleft()
                if sent < len(first):
                    pending.appendleft(memoryview(first)[sent:])
                    break
                sent -= len(first)

    def wanted_events(self, *, paused: bool) -> int:
        """Return what the socket should be watched for."""
        reading = 0 if paused or self.session.wants_pause else READABLE
        return reading | (WRITABLE if self._pending else 0)

    def drained(self) -> bool:
        """Return whether nothing is left to send."""
        return not self._pending
