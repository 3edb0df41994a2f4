"""What one site is made of, as plain data. `rig/bench` reads bench files into these."""

from dataclasses import dataclass, field

from emulator.copy.levels import AckLevel, OnLinkLoss
from emulator.copy.stream import GATHER_NS

__all__ = [
    "GATHER_NS",
    "AckLevel",
    "ControlUnitConfig",
    "DeviceConfig",
    "GroupConfig",
    "LinkConfig",
    "OnLinkLoss",
    "SiteConfig",
]


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One device of a site: its kind, its disk and where hosts reach it."""

    name: str
    kind: str
    disk: str
    serve: tuple[str, ...] = ()
    cache_share: float = 0.0
    """Part of the site's cache that is this device's own; 0: it shares the rest with others."""
    write_through: bool = False
    """A host's write is complete only once the disk has it."""
    checksums: str = ""
    """Path of the file with a checksum for every track; empty for none."""
    verify: bool = False
    """Read back what was written before it counts as written."""
    scrub_bytes_per_s: int = 0


@dataclass(frozen=True, slots=True)
class ControlUnitConfig:
    """A control unit between a site and some of its devices."""

    name: str
    shape: str
    devices: tuple[str, ...]
    """In the order of the cable."""
    paths: int
    patience_ns: int


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """One end of a link, as this site sees it."""

    name: str
    peer: str
    line: str
    lab_plaintext: bool = False
    capture: str | None = None
    capture_interface: int = 0
    capture_interfaces: tuple[tuple[str, str], ...] = ()
    """Name and line URI of every interface of the run's capture, in order of their ids."""


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """One consistency group: whose writes go where, and how."""

    name: str
    number: int
    link: str
    peer: str
    starts_as_primary: bool
    volumes: tuple[str, ...]
    """This site's device names, in the order that gives each its index on the wire."""
    ack: AckLevel = AckLevel.NVS
    on_link_loss: OnLinkLoss = OnLinkLoss.CONTINUE
    secondary_reads: bool = False
    gather_ns: int = GATHER_NS
    """How long at most the writes of a busy host are gathered into one epoch."""


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """Everything one site's process needs to start."""

    name: str
    cache_bytes: int
    nvs: str
    console: str
    devices: dict[str, DeviceConfig] = field(default_factory=dict)
    links: dict[str, LinkConfig] = field(default_factory=dict)
    groups: dict[str, GroupConfig] = field(default_factory=dict)
    channel_capture: str | None = None
    """File for the channel programs of native hosts, as FICON frames."""
    control_units: dict[str, ControlUnitConfig] = field(default_factory=dict)
