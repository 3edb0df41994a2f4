"""A control unit on a TCP port of this machine, for the client's tests; its mishaps are orders."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.frontend.shared_host import NUMBER, Unit


class SocketUnit(Unit):
    """Serves its device to every connection, each with a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.volume.at_once = True
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.requests_left = -1
        """Hang up after so many more pieces from the client; -1 for never."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"hercules://127.0.0.1:{self.port}/{NUMBER:04X}?patience=1s"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        session = self.session("127.0.0.1")
        with connection:
            while data := self._received(connection):
                with self.lock:
                    session.receive(data)
                    answers = b"".join(session.outgoing())
                    if self.requests_left > 0:
                        self.requests_left -= 1
                    elif self.requests_left == 0:
                        self.requests_left = -1
                        break
                connection.sendall(answers)
                if session.closed:
                    break
        with self.lock:
            session.disconnected()
            self.later(10**10)

    def _received(self, connection: socket.socket) -> bytes:
        try:
            return connection.recv(1 << 20)
        except OSError:
            return b""

    def hang_up(self) -> None:
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.connections.clear()

    def close(self) -> None:
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        self.listener.close()
        self.hang_up()


@contextmanager
def control_unit() -> Iterator[SocketUnit]:
    unit = SocketUnit()
    try:
        yield unit
    finally:
        unit.close()
