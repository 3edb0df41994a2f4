"""What a simulated run is made of, as plain data."""

from dataclasses import dataclass, field

from emulator.clock import MICROSECOND_NS, MILLISECOND_NS
from rig.faults.packets import PacketRates
from rig.faults.storage import DiskRates


@dataclass(frozen=True, slots=True)
class WayConfig:
    """One direction of the line."""

    latency_ns: int = MILLISECOND_NS
    jitter_ns: int = 0
    rate_bytes_per_s: int = 0
    """0: as fast as it is given."""
    rates: PacketRates = field(default_factory=PacketRates)


@dataclass(frozen=True, slots=True)
class SiteHardware:
    """What one site's parts are like."""

    nvs_latency_ns: int = 100 * MICROSECOND_NS
    battery: bool = False
    disk_latency_ns: int = MILLISECOND_NS
    cache_bytes: int = 1 << 20
    ring_bytes: int = 1 << 20
    crash: float = 0.0
    """Chance of a crash at each step that makes something durable."""
    disk: DiskRates = field(default_factory=DiskRates)
    sums: bool = False
    """Whether the disks have checksum files."""
    scrub_bytes_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Deed:
    """Something done to the world at a time: power cut, line cut, operator's order."""

    time_ns: int
    do: str
    target: str
    for_ns: int = 0
    figures: tuple[int, ...] = ()

    def ends_ns(self) -> int:
        """Return when it is over."""
        return self.time_ns if self.do == "clock" else self.time_ns + self.for_ns


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """A whole run."""

    seed: int
    writes: int = 150
    ack: str = "nvs"
    on_link_loss: str = "continue"
    secondary_reads: bool = False
    volumes: tuple[int, ...] = (16 * 4096,)
    """Size of each volume in bytes."""
    mtu_bytes: int = 1400
    mtu_bytes_later: int = 1400
    """After a restart of the site: lines come back with other properties."""
    rate_known: bool = False
    ways: tuple[WayConfig, WayConfig] = (WayConfig(), WayConfig())
    sites: tuple[SiteHardware, SiteHardware] = (SiteHardware(), SiteHardware())
    think_ns: int = 10 * MILLISECOND_NS
    outstanding: int = 4
    sectors_max: int = 16
    """Longest host write."""
    reads: float = 0.2
    zeros: float = 0.05
    repeats: float = 0.1
    """Chance that a write repeats what lies there, all of it or all but one sector."""
    redrive: float = 0.0
    """Chance that a host sends a write again that is still under way."""
    deeds: tuple[Deed, ...] = ()
    rest_ns: int = 0
    """How long the sites have nothing to do before everything heals."""


def calm(seed: int, writes: int = 150) -> WorldConfig:
    """Return a world in which nothing goes wrong.

    >>> calm(7).seed
    7
    """
    return WorldConfig(seed, writes)
