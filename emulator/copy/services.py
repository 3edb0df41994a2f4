"""What the copy asks of the cache processor around it, and how it waits.

Work that must wait is a generator that yields one of the requests below and is resumed with the
answer, so that it reads from top to bottom. The production processor and the simulator answer
the same requests.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from emulator.cache.tracks import TrackCache
from emulator.clock import SECOND_NS
from emulator.copy.audit import AuditFeed
from emulator.errors import DeviceError
from emulator.events import Event
from emulator.nvs.journal import Journal
from emulator.wire.checksum import Buffer

# A disk that refused to read is asked again after this; each refusal is reported.
READ_RETRY_NS: Final = SECOND_NS


class ReadTracks(NamedTuple):
    """Wait for the newest images of tracks; answered by a dict from key to image.

    A disk that cannot be read throws DeviceError into the generator.
    """

    keys: Sequence[int]


class ReadJournal(NamedTuple):
    """Wait for the journal entries from one lsn up to another; answered by a list.

    The list may end early; ask again from its last entry's end.
    """

    first_lsn: int
    end_lsn: int


class Until(NamedTuple):
    """Wait until something holds; asked again each turn."""

    ready: Callable[[], bool]


class Saved(NamedTuple):
    """Wait until the superblock, as it is now, is durable."""


Request = ReadTracks | ReadJournal | Until | Saved
Step = Generator[Request, Any, None]
Found = TypeVar("Found")
Asking = Generator[Request, Any, Found]
"""A step that ends with a value, for another step to `yield from`."""


class Services(Protocol):
    """The cache processor, as the copy sees it."""

    cache: TrackCache
    journal: Journal
    audit: AuditFeed
    now_ns: int
    epoch_tracks_max: int
    """The longest epoch that this site holds, in tracks."""

    def start(self, step: Step) -> None:
        """Run a generator until it ends, resuming it as its requests are answered."""

    def emit(self, event: Event) -> None:
        """Report what happened."""

    def fresh_number(self) -> int:
        """Return 64 random bits."""

    def link_send(self, link: str, kind: int, group: int, csn: int, parts: Sequence[Buffer]) -> int:
        """Queue a record on a link and return its number there."""

    def link_room_bytes(self, link: str) -> int:
        """Return how much may be queued on a link now; 0 while it is down."""

    def link_release(self, link: str, size_bytes: int) -> None:
        """Say that received bytes are dealt with, so that the other end may send more."""

    def link_refuse(self, link: str, reason: str) -> None:
        """End the link's session because the peer broke the protocol."""

    def save_soon(self, done: Callable[[], None] | None = None) -> None:
        """Have the superblock written as it is now; call `done` when that is durable."""


def pause(services: Services, wait_ns: int) -> Step:
    """Wait until so much time has passed."""
    end_ns = services.now_ns + wait_ns
    yield Until(lambda: services.now_ns >= end_ns)


def read_tracks(services: Services, keys: Sequence[int]) -> Asking[dict[int, bytes]]:
    """Wait for the newest images of tracks, however often the disk refuses.

    For work that nobody can take back: a copy or a recovery that ended at the first refusal
    would never be begun again.
    """
    while True:
        try:
            images: dict[int, bytes] = yield ReadTracks(keys)
        except DeviceError:
            yield from pause(services, READ_RETRY_NS)
        else:
            return images
