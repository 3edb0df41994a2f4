"""Where hosts connect: listening sockets, and a session for each connection.

A session that is `prompt` has its answers sent as soon as it has them; the others' go out together,
once a turn.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from emulator.channel.blocks import BlockVolume
from emulator.clock import MILLISECOND_NS
from emulator.errors import CannotRunHere, UnavailableError
from emulator.events import Event, HostConnected, HostGone
from emulator.frontend.nbd import NbdSession
from emulator.frontend.shared_device import SharedDevice
from emulator.frontend.shared_session import SharedSession
from emulator.frontend.uri import ServeKind, parse_serve_uri
from emulator.node.connection import READ_BYTES, HostConnection, Session
from emulator.node.loop import READABLE, WRITABLE, Loop
from emulator.node.stale import remove_stale_socket

CONNECTIONS_MAX: Final = 256
KEEP_ALIVE_S: Final = 15
_BACKLOG: Final = 64
# Hosts of shared devices wait for nothing that is due to less than some milliseconds.
WAKE_NS: Final = 2 * MILLISECOND_NS


class HostServer:
    """All listening sockets of a site and their connections."""

    def __init__(self, loop: Loop, emit: Callable[[Event], None]) -> None:
        self._loop = loop
        self._emit = emit
        self._listeners: list[tuple[socket.socket, str | None]] = []
        self._connections: dict[int, HostConnection] = {}
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._shared: list[SharedDevice] = []
        self._answered = 0
        self._woken_ns = 0
        self.spoke = False
        """Whether a host sent something since this was last cleared."""

    def listen(self, uri: str, exports: Mapping[str, BlockVolume]) -> None:
        """Serve `exports` at a URI over NBD; the first one is the default."""
        self._listen(uri, lambda _address: NbdSession(exports))

    def listen_shared(self, uri: str, devices: Mapping[int, SharedDevice]) -> None:
        """Serve count-key-data devices at a URI to Hercules hosts, by their numbers."""
        self._shared += devices.values()
        self._listen(uri, lambda address: SharedSession(devices, address.rpartition(":")[0]))

    def _listen(self, uri: str, make: Callable[[str], Session]) -> None:
        where = parse_serve_uri(uri)
        family = socket.AF_UNIX
        if where.kind is not ServeKind.UNIX:
            family = socket.AF_INET6 if ":" in where.address[0] else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        path = None
        try:
            if family == socket.AF_UNIX:
                path = str(where.address)
                remove_stale_socket(uri, path)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where.address)
            listener.listen(_BACKLOG)
            listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        except PermissionError as error:
            listener.close()
            raise CannotRunHere(f"{uri}: {error.strerror}; choose a place you may use") from error
        except UnavailableError:
            listener.close()
            raise
        except OSError as error:
            listener.close()
            raise UnavailableError(
                f"{uri}: {error.strerror}; another program has it, choose another one"
            ) from error
        self._listeners.append((listener, path))
        self._loop.add(listener.fileno(), lambda _events: self._accept(listener, uri, make))

    def _accept(self, listener: socket.socket, uri: str, make: Callable[[str], Session]) -> None:
        try:
            connection, peer = listener.accept()
        except OSError:
            return
        if len(self._connections) >= CONNECTIONS_MAX:
            connection.close()
            return
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A host whose machine has died must not keep a device for ever.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_S)
        address = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else uri
        host = HostConnection(connection, make(address), address)
        self._connections[host.file] = host
        self._loop.add(host.file, partial(self._ready, host))
        self._emit(HostConnected(address))

    def _ready(self, host: HostConnection, events: int) -> None:
        if events & ~WRITABLE and host.watching & READABLE:
            host.read(self._buffer)
            self.spoke = True
            if host.session.prompt and not host.gone:
                host.write()
                if host.session.settled and host.drained() and not host.gone:
                    self._answered += 1
        elif events & ~(READABLE | WRITABLE):
            host.gone = "the host hung up"

    def take_answered(self) -> int:
        """Return how many events were dealt with wholly since the last call: no turn is needed."""
        count, self._answered = self._answered, 0
        return count

    def wake(self, now_ns: int) -> None:
        """Do what has become due for the hosts of shared devices; not at every turn's pace."""
        if now_ns < self._woken_ns + WAKE_NS:
            return
        self._woken_ns = now_ns
        for device in self._shared:
            device.wake(now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` is due even if nothing happens."""
        due = [device.next_deadline_ns() for device in self._shared]
        first_ns: int | None = min((at for at in due if at is not None), default=None)
        return first_ns if first_ns is None else max(first_ns, self._woken_ns + WAKE_NS)

    def send(self, *, paused: bool) -> None:
        """Send replies, and stop or go on reading."""
        ended: list[HostConnection] = []
        for host in self._connections.values():
            if not host.gone:
                host.write()
            if host.gone or (host.session.closed and host.drained()):
                ended.append(host)
                continue
            wanted = host.wanted_events(paused=paused)
            if wanted != host.watching:
                host.watching = wanted
                self._loop.change(host.file, wanted)
        for host in ended:
            self._end(host)

    def _end(self, host: HostConnection) -> None:
        self._loop.remove(host.file)
        del self._connections[host.file]
        host.session.disconnected()
        host.socket.close()
        self._emit(HostGone(host.address, host.gone or host.session.ended_because))

    def close_listeners(self) -> None:
        """Take no new hosts, and refuse new operations of those that are here."""
        for listener, path in self._listeners:
            self._loop.remove(listener.fileno())
            listener.close()
            if path is not None:
                with contextlib.suppress(OSError):
                    os.unlink(path)  # noqa: PTH108 - a name that bind made
        self._listeners.clear()
        for host in self._connections.values():
            host.session.closing()

    def quiet(self) -> bool:
        """Return whether no host waits for an answer."""
        return all(
            not host.session.requests_pending and host.drained()
            for host in self._connections.values()
        )

    def close(self) -> None:
        """Hang up on everybody."""
        for host in list(self._connections.values()):
            self._end(host)

    def counts(self) -> dict[str, Any]:
        """Return figures for the status."""
        found: dict[str, Any] = {"connections": len(self._connections)}
        if self._shared:
            found["shared"] = {device.store.name: device.counts() for device in self._shared}
        return found
