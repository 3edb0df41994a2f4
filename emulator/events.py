"""What happens, as frozen data: the log, the status feed and the tests' evidence.

The core yields these and never logs. `node/runtime.py` writes them as JSON lines; the field
`event` there is the class name in lower case with hyphens.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class Recovered(Event):
    """The journal was read after a start."""

    entries: int
    bytes: int
    torn: bool


@dataclass(frozen=True, slots=True)
class LinkChanged(Event):
    """A link came up, went down or was refused."""

    link: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class PairChanged(Event):
    """A group's copy changed its state."""

    group: str
    role: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoleChanged(Event):
    """A site took or gave up the primary role of a group."""

    group: str
    role: str
    generation: str
    csn: int
    reason: str


@dataclass(frozen=True, slots=True)
class JournalOverflow(Event):
    """The journal gave up keeping order for the other site; dirty maps took over (F8)."""

    group: str
    csn: int
    reason: str


@dataclass(frozen=True, slots=True)
class CopyProgress(Event):
    """Copying from the dirty map began or ended."""

    group: str
    phase: str
    tracks: int
    csn: int


@dataclass(frozen=True, slots=True)
class RecordRejected(Event):
    """A record from the other site was not applied, and why."""

    group: str
    csn: int
    reason: str


@dataclass(frozen=True, slots=True)
class DiskFailed(Event):
    """A disk or the nonvolatile store refused an operation."""

    device: str
    operation: str
    reason: str


@dataclass(frozen=True, slots=True)
class HostConnected(Event):
    """A host opened a connection."""

    address: str


@dataclass(frozen=True, slots=True)
class HostGone(Event):
    """A host's connection ended."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class HostUpdateLost(Event):
    """A change of a track that a host believes in is not on the volume, and cannot be."""

    device: str
    host: str
    track: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class HostLostDevice(Event):
    """A host that owned a shared device was gone for too long, and owns it no more."""

    device: str
    host: str
    reason: str


@dataclass(frozen=True, slots=True)
class CaptureStopped(Event):
    """Packets are no longer captured; the data path goes on."""

    path: str
    reason: str
