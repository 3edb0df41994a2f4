"""A CKD device that several Hercules hosts share: who owns it, and who must be told what.

One `SharedDevice` stands in front of one track store; each connection is a `SharedSession`
(`shared_session.py`) that asks here. Relies on the store for contents and durability. What the
protocol cannot say decides the rules:

- A WRITE that was received in full is made durable, whatever becomes of its connection: a host
  cannot be told that it failed, and would not send the data again.
- A host that comes back with its id within the grace owns what it owned. After that its channel
  program and its reservation end, so that the others do not wait for ever.
- A host that is to read anew is told so by its next START: the tracks that others changed, or
  everything, also when the volume was not writable here in between (a switch of roles).
- While the volume is not for hosts here, a START is answered late: after the grace, the
  connection is closed instead. An error as answer would be ignored by the host.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from emulator.channel.blocks import Outcome
from emulator.clock import SECOND_NS
from emulator.events import Event, HostLostDevice
from emulator.frontend.shared_clients import Client, Connection
from emulator.frontend.shared_identity import SharedIdentity
from emulator.frontend.shared_uri import GRACE_NS
from emulator.frontend.shared_wire import CLIENTS_MAX, IDLE_S_MAX
from emulator.frontend.shared_writes import RETRY_NS, SharedWrites, Tracks

_IDS: Final = 0xFFFF


class SharedDevice:
    """One device, its hosts and its owner."""

    def __init__(
        self,
        number: int,
        store: Tracks,
        identity: SharedIdentity,
        emit: Callable[[Event], None],
        *,
        grace_ns: int = GRACE_NS,
        first_id: int = 1,
    ) -> None:
        self.number = number
        self.store = store
        self.identity = identity
        self.grace_ns = grace_ns
        self.now_ns = 0
        self.owner: Client | None = None
        self.contended = False
        """A host had to wait for the device since the last `wake`."""
        self.reserved = False
        self.writes = SharedWrites(store, emit, grace_ns)
        self._emit = emit
        self._last_id = (first_id - 1) % _IDS
        self._clients: dict[int, Client] = {}
        self._waiters: deque[Client] = deque()
        self._unusable_since_ns: int | None = None
        store.watch(self._changed)

    # Coming and going.

    def connect(self, client_id: int, host: str, connection: Connection) -> Client | str:
        """Take on a host, by the id that it had before or with a new one; or say why not."""
        known = self._clients.get(client_id)
        if known is not None and known.connection is not None:
            if known.host != host:
                return "already connected"
            # It knows better than we do that its old connection is dead.
            known.connection.hang_up("the host connected again")
        if known is None:
            if not self._make_room():
                return "too many connections"
            known = Client(client_id or self._fresh_id(), host, connection, self.now_ns)
            self._clients[known.id] = known
        known.connection = connection
        known.spoke_ns = self.now_ns
        known.came_back = bool(client_id)
        known.forget_all()
        return known

    def _fresh_id(self) -> int:
        while True:
            self._last_id = self._last_id % _IDS + 1
            if self._last_id not in self._clients:
                return self._last_id

    def _make_room(self) -> bool:
        """Return whether another host may connect; one that was silent for long must go."""
        here = [client for client in self._clients.values() if client.connection is not None]
        if len(here) < CLIENTS_MAX:
            return True
        idle_ns = self.now_ns - IDLE_S_MAX * SECOND_NS
        for client in sorted(here, key=lambda client: client.spoke_ns):
            if client.spoke_ns <= idle_ns and not client.in_program and client is not self.owner:
                assert client.connection is not None
                client.connection.hang_up(f"silent for {IDLE_S_MAX} s, and others want to connect")
                self.leave(client)
                return True
        return False

    def lost(self, client: Client, connection: Connection) -> None:
        """Take note that a connection is gone; the host may come back."""
        if client.connection is connection:
            client.connection = None
            client.gone_ns = self.now_ns
            if client in self._waiters:
                self._waiters.remove(client)

    def leave(self, client: Client) -> None:
        """Take note that a host has said good-bye: what it owned is free."""
        client.connection = None
        self._clients.pop(client.id, None)
        if client in self._waiters:
            self._waiters.remove(client)
        if self.owner is client:
            self.reserved = False
            self._free()

    # Owning the device.

    def usable(self) -> bool:
        """Return whether the volume is for hosts here now."""
        return self.store.writable() or self.store.readable()

    def start(self, client: Client) -> bool:
        """Make a host the owner; False means that `granted` will be called."""
        if self.owner is client or (self.owner is None and not self._waiters and self.usable()):
            self._grant(client)
            return True
        self.contended = True
        if client not in self._waiters:
            self._waiters.append(client)
        return False

    def free_for(self, client: Client) -> bool:
        """Return whether a START would be granted at once."""
        return self.owner is client or (self.owner is None and self.usable())

    def _grant(self, client: Client) -> None:
        self.owner = client
        client.in_program = True
        client.came_back = False
        client.may_write = self.store.writable()
        if not client.may_write:
            # What the other site sends changes tracks without a word to hosts.
            client.forget_all()

    def end(self, client: Client) -> None:
        """End a channel program; a reservation keeps the device."""
        client.in_program = False
        client.came_back = False
        if not self.reserved:
            self._free()

    def _free(self) -> None:
        self.owner = None
        while self._waiters and self.usable():
            client = self._waiters.popleft()
            connection = client.connection
            if connection is not None:
                self._grant(client)
                # If it is done with the device at once, it has freed it for the others already.
                connection.granted()
                return

    def _changed(self, track: int) -> None:
        """Tell every host but the one that wrote; also of writes by other front ends."""
        writer = self.writes.writer(track)
        for client in self._clients.values():
            if client is not writer:
                client.note_change(track)

    # Time.

    def wake(self, now_ns: int) -> None:
        """Do what has become due."""
        self.now_ns = now_ns
        self.contended = bool(self._waiters)
        self.writes.wake(now_ns)
        if self._clients:
            self._watch_hosts(now_ns)
            self._watch_volume(now_ns)

    def _watch_hosts(self, now_ns: int) -> None:
        gone = [
            client
            for client in self._clients.values()
            if client.connection is None and now_ns - client.gone_ns >= self.grace_ns
        ]
        for client in gone:
            if self.owner is client:
                held = "reservation" if self.reserved else "channel program"
                reason = f"it lost its connection and did not come back; its {held} has ended"
                self._emit(HostLostDevice(self.store.name, client.host, reason))
            self.leave(client)

    def _watch_volume(self, now_ns: int) -> None:
        if self.usable():
            if self._unusable_since_ns is not None:
                self._unusable_since_ns = None
                for client in self._clients.values():
                    client.forget_all()
            if self.owner is None and self._waiters:
                self._free()
            return
        if self._unusable_since_ns is None:
            self._unusable_since_ns = now_ns
        if now_ns - self._unusable_since_ns >= self.grace_ns:
            for client in [*self._waiters]:
                if client.connection is not None:
                    client.connection.hang_up(Outcome.NOT_HERE.value)

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` is due even if nothing happens."""
        retry_ns = self.writes.next_deadline_ns()
        due = [] if retry_ns is None else [retry_ns]
        due += [
            client.gone_ns + self.grace_ns
            for client in self._clients.values()
            if client.connection is None
        ]
        if self._waiters and self._unusable_since_ns is not None:
            due.append(self.now_ns + RETRY_NS)
        return min(due, default=None)

    def counts(self) -> dict[str, int]:
        """Return figures for the status."""
        return {
            "hosts": sum(client.connection is not None for client in self._clients.values()),
            "waiting": len(self._waiters),
            "reserved": int(self.reserved),
            "lost_updates": self.writes.lost_updates,
        }
