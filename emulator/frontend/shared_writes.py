"""Writes of Hercules hosts on their way to being durable; they outlive the connection they came by.

A host cannot be told that a WRITE failed, and would not send its data again. So one that was
received in full is kept and tried until the volume takes it, or is another site's for good.
"""

from collections.abc import Callable
from typing import Final, Protocol

from emulator.channel.blocks import Outcome, Requester
from emulator.clock import MILLISECOND_NS
from emulator.events import Event, HostUpdateLost
from emulator.frontend.shared_clients import Client

RETRY_NS: Final = 100 * MILLISECOND_NS
_TRY_AGAIN: Final = (Outcome.DEVICE, Outcome.DAMAGED, Outcome.READ_ONLY, Outcome.CLOSING)


class Tracks(Protocol):
    """The device's contents; `channel/track_store.py` has them."""

    name: str
    tracks: int

    def writable(self) -> bool:
        """Return whether hosts may write here now."""

    def readable(self) -> bool:
        """Return whether hosts may read here now."""

    def watch(self, changed: Callable[[int], None]) -> None:
        """Have `changed` called with the number of each track that is written."""

    def read(self, track: int, who: Requester, cookie: int) -> bytes | None:
        """Return a track, cut behind its end marker; None means later."""

    def write(self, track: int, offset: int, data: bytes, who: Requester, cookie: int) -> None:
        """Accept a change of a track."""


class SharedWrite:
    """One WRITE."""

    __slots__ = ("client", "data", "ended", "given_up_ns", "offset", "track", "writes")

    def __init__(
        self, writes: "SharedWrites", client: Client, track: int, offset: int, data: bytes
    ) -> None:
        self.writes = writes
        self.client = client
        self.track = track
        self.offset = offset
        self.data = data
        self.ended: Outcome | None = None
        self.given_up_ns = 0

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        """Take the outcome: done, refused for good, or to be tried again."""
        self.writes.completed(self, outcome)


class SharedWrites:
    """All writes of one device's hosts."""

    def __init__(self, store: Tracks, emit: Callable[[Event], None], grace_ns: int) -> None:
        self._store = store
        self._emit = emit
        self._grace_ns = grace_ns
        self._now_ns = 0
        self._under_way: dict[int, SharedWrite] = {}
        self._again: list[SharedWrite] = []
        self._again_ns = 0
        self.lost_updates = 0

    def begin(self, client: Client, track: int, offset: int, data: bytes) -> None:
        """Give a WRITE to the store; the client's connection hears when it has ended."""
        write = SharedWrite(self, client, track, offset, data)
        client.write = write
        self._begin(write)

    def _begin(self, write: SharedWrite) -> None:
        self._under_way[write.track] = write
        self._store.write(write.track, write.offset, write.data, write, 0)

    def writer(self, track: int) -> Client | None:
        """Return who has just changed a track; None when it was no host of this device."""
        write = self._under_way.pop(track, None)
        return write.client if write is not None else None

    def completed(self, write: SharedWrite, outcome: Outcome) -> None:
        """Answer a WRITE, or keep it until the volume takes it."""
        if outcome is not Outcome.DONE:
            if self._under_way.get(write.track) is write:
                del self._under_way[write.track]
            if outcome in _TRY_AGAIN and write.client.may_write:
                self._keep(write)
                return
            self.lost(write.client, write.track, write.offset, outcome.value)
        write.ended = outcome
        write.data = b""
        if write.client.connection is not None:
            write.client.connection.write_ended(write)

    def _keep(self, write: SharedWrite) -> None:
        if not write.given_up_ns:
            write.given_up_ns = self._now_ns + self._grace_ns
        self._again.append(write)
        self._again_ns = self._now_ns + RETRY_NS

    def lost(self, client: Client, track: int, offset: int, reason: str) -> None:
        """Report an update that will never be on the volume; its host believes that it is."""
        self.lost_updates += 1
        client.forget_all()
        self._emit(HostUpdateLost(self._store.name, client.host, track, offset, reason))

    def wake(self, now_ns: int) -> None:
        """Try again what has waited long enough."""
        self._now_ns = now_ns
        if self._again and now_ns >= self._again_ns:
            again, self._again = self._again, []
            for write in again:
                self._try_again(write)

    def _try_again(self, write: SharedWrite) -> None:
        if self._store.writable() or self._now_ns < write.given_up_ns:
            self._begin(write)
            return
        # The volume is another site's by now; what this host meant to change is not there.
        reason = "the volume became the secondary of a copy meanwhile"
        self.lost(write.client, write.track, write.offset, reason)
        write.ended = Outcome.READ_ONLY
        if write.client.connection is not None:
            write.client.connection.hang_up(reason)

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` is due."""
        return self._again_ns if self._again else None
