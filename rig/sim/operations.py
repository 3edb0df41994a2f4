"""One read or write of a host, and what a host sees of a site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from emulator.channel.blocks import TRACK_BYTES

if TYPE_CHECKING:
    from emulator.channel.blocks import Outcome
    from rig.sim.history import Change, Images
    from rig.sim.host import Host


class HostSite(Protocol):
    """A site, as a host sees it."""

    name: str
    life: int

    def pacing(self) -> str:
        """Return why hosts are paced now; empty when they are not."""

    def open_to_hosts(self) -> bool:
        """Return whether a host can be served now."""

    def writable(self) -> bool:
        """Return whether hosts may write here now."""

    def submit(self, operation: Operation) -> None:
        """Hand an operation to the site."""

    def contents(self) -> Images | None:
        """Return what a host must read here now; None where nothing is promised."""

    def damaged(self, operation: Operation) -> bool:
        """Return whether a disk has damaged some track that an operation touches."""

    def answers_early(self) -> bool:
        """Return whether writes are complete before the journal has them (A0)."""

    def answered(self, operation: Operation) -> None:
        """Take note that a write was reported complete."""


class Operation:
    """One read or write."""

    __slots__ = (
        "after_csn",
        "before",
        "csn",
        "data",
        "host",
        "journalled_bytes",
        "length",
        "life",
        "offset",
        "rivals",
        "site",
        "through",
        "tries",
        "volume",
    )

    def __init__(self, host: Host, volume: int, offset: int, length: int) -> None:
        self.host = host
        self.volume = volume
        self.offset = offset
        self.length = length
        self.data: bytes | None = None
        """What is written; None for a read."""
        self.csn = 0
        self.journalled_bytes = 0
        self.after_csn = 0
        """The newest write that this host knew to be complete when it sent this one (O2)."""
        self.life = 0
        self.through = False
        """Whether it was sent to a site whose store could not be relied on (W4)."""
        self.tries = 0
        self.site: HostSite
        self.before = b""
        """What a read would have found when it was sent."""
        self.rivals: list[Operation] = []
        """Writes of the same place that were under way at some time during a read."""

    def overlaps(self, volume: int, offset: int, length: int) -> bool:
        """Return whether this touches a run of bytes."""
        return (
            volume == self.volume
            and offset < self.offset + self.length
            and self.offset < offset + length
        )

    def writes(self, change: Change) -> bool:
        """Return whether a change of a journal may be a part of what this writes."""
        begin, size = change.offset - self.offset, len(change.data)
        return (
            self.data is not None
            and self.volume == change.volume
            and 0 <= begin <= self.length - size
            and self.data[begin : begin + size] == change.data
        )

    def tracks(self) -> range:
        """Return the tracks that this touches."""
        return range(self.offset // TRACK_BYTES, -(-(self.offset + self.length) // TRACK_BYTES))

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        """Take the outcome from the site."""
        self.host.completed(self, outcome, data)
