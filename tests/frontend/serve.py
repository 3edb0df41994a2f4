"""The smallest shell that serves NBD sessions on real sockets: one thread, one selector.

Also the example of how a shell drives a session: read only while it wants no pause, and ask it
for more only when all that it gave before has left.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from emulator.frontend.nbd import NbdSession
from tests.frontend.memory_volume import MemoryVolume

RECEIVE_BYTES = 256 * 1024
BUFFERS_MAX = 1024  # IOV_MAX of Linux: more buffers in one call are an error


class Connection:
    """A session and the socket it speaks through."""

    def __init__(self, peer: socket.socket, session: NbdSession) -> None:
        self.peer = peer
        self.session = session
        self.unsent: list[memoryview] = []

    def send(self) -> None:
        """Send until the socket takes no more or nothing is left."""
        with contextlib.suppress(BlockingIOError):
            while self.unsent or self._refill():
                sent = self.peer.sendmsg(self.unsent[:BUFFERS_MAX])
                while sent:
                    size_bytes = len(self.unsent[0])
                    if sent < size_bytes:
                        self.unsent[0] = self.unsent[0][sent:]
                        break
                    sent -= size_bytes
                    del self.unsent[0]

    def _refill(self) -> bool:
        self.unsent = [memoryview(buffer) for buffer in self.session.outgoing()]
        return bool(self.unsent)


class Server:
    """Serves `volumes` on the sockets that listen, until it is stopped."""

    def __init__(self, volumes: Mapping[str, MemoryVolume], listeners: list[socket.socket]) -> None:
        self.volumes = volumes
        self.sessions: list[NbdSession] = []
        self._connections: list[Connection] = []
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(RECEIVE_BYTES)
        self._stop, self._stopped = socket.socketpair()
        self._selector.register(self._stopped, selectors.EVENT_READ)
        for listener in listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, "listener")
        self._listeners = listeners
        self._thread = threading.Thread(target=self._run, name="nbd-test-server")
        self._thread.start()

    def stop(self) -> None:
        self._stop.send(b"x")
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        try:
            while not stopping:
                for key, _ in self._selector.select():
                    if key.data == "listener":
                        self._accept(key.fileobj)
                    elif key.data is None:
                        stopping = True
                    else:
                        self._receive(key.data)
                while any(volume.settle() for volume in self.volumes.values()):
                    pass
                for connection in list(self._connections):
                    self._serve(connection)
        finally:
            for connection in list(self._connections):
                self._hang_up(connection)
            for opened in (*self._listeners, self._stop, self._stopped, self._selector):
                opened.close()

    def _accept(self, listener: socket.socket) -> None:
        peer, _ = listener.accept()
        peer.setblocking(False)
        session = NbdSession(self.volumes)
        connection = Connection(peer, session)
        self._connections.append(connection)
        self.sessions.append(session)
        self._selector.register(peer, selectors.EVENT_READ, connection)

    def _receive(self, connection: Connection) -> None:
        if connection.session.wants_pause:
            return
        try:
            got = connection.peer.recv_into(self._buffer)
        except BlockingIOError:
            return
        except ConnectionError:
            got = 0
        if got:
            connection.session.receive(memoryview(self._buffer)[:got])
        else:
            self._hang_up(connection)

    def _serve(self, connection: Connection) -> None:
        try:
            connection.send()
        except ConnectionError:
            self._hang_up(connection)
            return
        while any(volume.settle() for volume in self.volumes.values()):
            connection.send()
        if connection.session.closed and not connection.unsent:
            self._hang_up(connection)
            return
        wanted = selectors.EVENT_WRITE if connection.unsent else 0
        if not connection.session.wants_pause:
            wanted |= selectors.EVENT_READ
        key = self._selector.get_key(connection.peer) if self._knows(connection) else None
        if key is None and wanted:
            self._selector.register(connection.peer, wanted, connection)
        elif key is not None and not wanted:
            self._selector.unregister(connection.peer)
        elif key is not None:
            self._selector.modify(connection.peer, wanted, connection)

    def _knows(self, connection: Connection) -> bool:
        return connection.peer in self._selector.get_map()

    def _hang_up(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        connection.session.disconnected()
        if self._knows(connection):
            self._selector.unregister(connection.peer)
        connection.peer.close()
        self._connections.remove(connection)


@contextlib.contextmanager
def serving(volumes: Mapping[str, MemoryVolume], socket_path: Path) -> Iterator[Server]:
    """Serve on a Unix socket for as long as the block runs."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(socket_path))
    with _stopping(volumes, listener) as server:
        yield server


@contextlib.contextmanager
def serving_tcp(volumes: Mapping[str, MemoryVolume]) -> Iterator[tuple[Server, int]]:
    """Serve on a free TCP port of this machine for as long as the block runs."""
    listener = socket.create_server(("127.0.0.1", 0))
    with _stopping(volumes, listener) as server:
        yield server, listener.getsockname()[1]


@contextlib.contextmanager
def _stopping(volumes: Mapping[str, MemoryVolume], listener: socket.socket) -> Iterator[Server]:
    listener.listen()
    server = Server(volumes, [listener])
    try:
        yield server
    finally:
        server.stop()
