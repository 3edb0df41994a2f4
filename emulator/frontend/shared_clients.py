"""One host that shares a device, across its connections: what it knows, owns and waits for.

A host is known by the id it was given. It may lose its connection in the middle of a channel
program and come back with that id, so everything that must survive that is here and nothing that
belongs to one connection.
"""

from typing import Final, Protocol

from emulator.channel.blocks import Outcome
from emulator.frontend.shared_wire import CHANGES_MAX, TRACK, Code

_NOTHING: Final[tuple[Code, bytes]] = (Code.OK, b"")
_EVERYTHING: Final[tuple[Code, bytes]] = (Code.PURGE, b"")


class Connection(Protocol):
    """A host's connection, as the device sees it."""

    def granted(self) -> None:
        """Take note that the device is this host's now."""

    def write_ended(self, write: "WriteUnderWay") -> None:
        """Take note that a WRITE of this host is durable, or was refused."""

    def hang_up(self, reason: str) -> None:
        """Close the connection without another word."""


class WriteUnderWay(Protocol):
    """A WRITE that was received in full."""

    track: int
    offset: int
    ended: Outcome | None
    """How it ended; None while it is not durable."""


class Client:
    """One host on one device."""

    def __init__(self, client_id: int, host: str, connection: Connection, now_ns: int) -> None:
        self.id = client_id
        self.host = host
        self.connection: Connection | None = connection
        self.spoke_ns = now_ns
        self.gone_ns = 0
        """When the connection was lost, while there is none."""
        self.in_program = False
        """Between START and END."""
        self.came_back = False
        """Connected with an id it had before, and has not begun a channel program since."""
        self.may_write = False
        """The volume took writes when this channel program began."""
        self.write: WriteUnderWay | None = None
        """The newest WRITE, until the next request shows that its answer has arrived."""
        # What others changed since this host's last START; None is everything.
        self._changed: dict[int, None] | None = None

    def note_change(self, track: int) -> None:
        """Have the next START of this host say that a track is not what it was."""
        changed = self._changed
        if changed is None or track in changed:
            return
        if len(changed) >= CHANGES_MAX:
            self._changed = None
        else:
            changed[track] = None

    def forget_all(self) -> None:
        """Have the next START of this host say that nothing is what it was."""
        self._changed = None

    def take_changes(self) -> tuple[Code, bytes]:
        """Return code and data of the answer to a START, and begin a new list."""
        changed = self._changed
        if changed is None:
            self._changed = {}
            return _EVERYTHING
        if not changed:
            return _NOTHING
        self._changed = {}
        return Code.PURGE, b"".join(map(TRACK.pack, changed))
