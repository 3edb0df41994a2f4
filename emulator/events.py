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
class BatteryChanged(Event):
    """The nonvolatile store's battery failed, and writes go through, or is back (W4)."""

    store: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreLost(Event):
    """The nonvolatile store takes nothing more: writes go through from now on (W4).

    Until `store-drained`, the group's writes after `csn_on_disk` lie in memory alone.
    """

    store: str
    group: str
    csn_on_disk: int
    csn_accepted: int
    reason: str


@dataclass(frozen=True, slots=True)
class StoreDrained(Event):
    """Everything that the lost store had to keep has reached its disk."""

    group: str
    csn: int


@dataclass(frozen=True, slots=True)
class StoreStale(Event):
    """The nonvolatile store was lost in the last run: its journal is older than the disks."""

    store: str
    reason: str


@dataclass(frozen=True, slots=True)
class JournalDamaged(Event):
    """A journal entry that had been safe cannot be read, and what becomes of it (W3)."""

    group: str
    lsn: int
    csn: int
    """The last write of the entry; 0 when its header cannot be read either."""
    action: str


@dataclass(frozen=True, slots=True)
class JournalRepaired(Event):
    """What a damaged journal entry held was fetched from the other site, and is on the disks."""

    group: str
    lsn: int
    tracks: int
    """How many tracks were not what they are at the other site."""


@dataclass(frozen=True, slots=True)
class TrackDamaged(Event):
    """A track is not what was written, or cannot be read (bit rot, lost or misdirected write)."""

    device: str
    track: int
    cause: str


@dataclass(frozen=True, slots=True)
class TrackRepaired(Event):
    """A damaged track has its contents again."""

    device: str
    track: int
    source: str


@dataclass(frozen=True, slots=True)
class TrackLost(Event):
    """A damaged track cannot be had from anywhere now; its reads are refused."""

    device: str
    track: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChecksumsChanged(Event):
    """A device's checksum file is new, was lost, or does not fit its disk."""

    device: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScrubPassed(Event):
    """Every track of a device was read and compared with its checksum once more."""

    device: str
    tracks: int
    learned: int
    damaged: int


@dataclass(frozen=True, slots=True)
class AttachmentChanged(Event):
    """An operator did something to a control unit; `unreachable` names the devices it has lost."""

    unit: str
    action: str
    part: str
    unreachable: tuple[str, ...]


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
class HostOrdered(Event):
    """A host ordered something of the copy by a channel program; queries only if refused."""

    device: str
    order: str
    argument: str
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CaptureStopped(Event):
    """Packets are no longer captured; the data path goes on."""

    path: str
    reason: str
