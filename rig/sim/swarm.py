"""How a seed chooses a world.

Every seed is another world: each kind of fault is off in half of them and anything from rare to
frequent in the others, so that faults are also seen alone (swarm testing).
"""

import math
from dataclasses import replace
from random import Random

from emulator.clock import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS
from rig.faults.packets import PacketRates
from rig.faults.storage import SECTOR_BYTES, DiskRates
from rig.sim.config import Deed, SiteHardware, WayConfig, WorldConfig
from rig.sim.swarm_stores import alarms, checked, mishaps, unsafe

TRACK_SECTORS = 8
# Small rings overflow within a run; each must still hold a copied record of a whole volume.
RING_BYTES_MIN = 512 * 1024
_ACKS = ("nvs",) * 5 + ("remote-nvs",) * 3 + ("remote-applied",) * 2 + ("remote-received",)
# Share of sites with disks that do harm without a word; nothing more can be said of those tracks.
SILENT = 0.06
# Share of worlds with large volumes and long writes; each costs as much as ten others.
LARGE = 0.04
# Share of worlds whose volumes are larger than the caches, so that tracks are evicted while others
# are read.
CROWDED = 0.2
# Share of worlds with two operators at odds.
QUARREL = 0.08
# Share of worlds in which a journal loses its end; as many with a promotion by force. A history
# that has forked stays so: such worlds see little else.
FORKS = 0.1
# Chance of a crash beside a write or a flush of a disk, which are fewer than those of a journal.
DISK_CRASH = (0.002, 0.1)
REST_NS_MAX = 6 * SECOND_NS


class Swarm:
    """Chooses a world by its seed."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(f"{seed}/swarm")
        # What was added later has chance of its own, so that a seed still means its old world.
        self._later_dice = Random(f"{seed}/swarm/later")
        self._seed = seed

    def _between(self, low: float, high: float) -> float:
        """Return a number whose logarithm is spread evenly."""
        return math.exp(self._dice.uniform(math.log(low), math.log(high)))

    def _sometimes(self, low: float, high: float, chance: float = 0.5) -> float:
        return self._between(low, high) if self._dice.random() < chance else 0.0

    def _way(self) -> WayConfig:
        dice = self._dice
        latency_ns = int(self._between(0.1, 300) * MILLISECOND_NS)
        return WayConfig(
            latency_ns,
            int(latency_ns * dice.random()) if dice.random() < 0.5 else 0,
            int(self._between(50_000, 100_000_000)) if dice.random() < 0.6 else 0,
            self._packet_rates(),
        )

    def _packet_rates(self) -> PacketRates:
        return PacketRates(
            drop=self._sometimes(0.001, 0.2),
            bit_error_rate=self._sometimes(1e-7, 1e-5),
            burst_begin=self._sometimes(0.0005, 0.02, 0.3),
            burst_end=self._between(0.05, 0.5),
            truncate=self._sometimes(0.001, 0.05, 0.3),
            pad=self._sometimes(0.001, 0.05, 0.3),
            duplicate=self._sometimes(0.001, 0.1),
            late=self._sometimes(0.001, 0.1),
            replay=self._sometimes(0.001, 0.05, 0.3),
            forge=self._sometimes(0.001, 0.05, 0.3),
            reflect=self._sometimes(0.001, 0.05, 0.3),
            spoil=self._sometimes(0.0002, 0.005, 0.15),
        )

    def _hardware(self, volumes_bytes: int) -> SiteHardware:
        dice = self._dice
        ring_min = max(RING_BYTES_MIN, 3 * volumes_bytes)
        return SiteHardware(
            nvs_latency_ns=int(self._between(20, 20_000) * MICROSECOND_NS),
            battery=dice.random() < 0.2,
            disk_latency_ns=int(self._between(50, 30_000) * MICROSECOND_NS),
            cache_bytes=int(self._between(64, 512)) * 4400,
            ring_bytes=int(self._between(ring_min, 2 * ring_min)) // 64 * 64,
            crash=self._sometimes(0.0005, 0.02),
            disk=DiskRates(
                write_error=self._sometimes(0.001, 0.1, 0.3),
                read_error=self._sometimes(0.001, 0.1, 0.2),
                flush_error=self._sometimes(0.001, 0.02, 0.15),
                slow=self._sometimes(0.001, 0.05, 0.3),
                latent=self._sometimes(0.001, 0.05, 0.15),
                crash=self._disk_crash(),
                **self._silent(),
            ),
        )

    def _disk_crash(self) -> float:
        dice = self._later_dice
        return math.exp(dice.uniform(*map(math.log, DISK_CRASH))) if dice.random() < 0.3 else 0.0

    def _silent(self) -> dict[str, float]:
        """Return how often a disk does harm without a word: in few worlds, there one way."""
        if self._dice.random() >= SILENT:
            return {}
        kind = self._dice.choice(("rot", "lost", "misdirected", "lie"))
        return {kind: self._between(0.002, 0.1)}

    def world(self, writes: int) -> WorldConfig:
        """Return the whole choice."""
        dice = self._dice
        sizes = [
            max(1, int(self._between(4, 48) * TRACK_SECTORS)) * SECTOR_BYTES
            for _ in range(dice.choice((1, 1, 2, 3)))
        ]
        volumes_bytes = sum(sizes)
        think_ns = int(self._between(0.2, 60) * MILLISECOND_NS)
        # Packets that are tiny beside the volumes only cost time.
        mtu_min = 300 if volumes_bytes > 100_000 else 160
        config = WorldConfig(
            self._seed,
            writes,
            ack=dice.choice(_ACKS),
            on_link_loss=dice.choice(("continue", "continue", "continue", "hold")),
            secondary_reads=dice.random() < 0.5,
            volumes=tuple(sizes),
            mtu_bytes=int(self._between(mtu_min, 9000)),
            mtu_bytes_later=int(self._between(mtu_min, 9000)),
            rate_known=dice.random() < 0.5,
            ways=(self._way(), self._way()),
            sites=(self._hardware(volumes_bytes), self._hardware(volumes_bytes)),
            think_ns=think_ns,
            outstanding=dice.choice((1, 2, 4, 8)),
            sectors_max=dice.choice((1, 8, 16, 64)),
            reads=dice.choice((0.0, 0.1, 0.4)),
            zeros=dice.choice((0.0, 0.05, 0.2)),
            repeats=dice.choice((0.0, 0.2, 0.5)),
            redrive=dice.choice((0.0, 0.0, 0.02, 0.1)),
        )
        if dice.random() < LARGE:
            config = self._large(config)
        elif self._later_dice.random() < CROWDED:
            config = self._crowded(config)
        span_ns = max(SECOND_NS, writes * think_ns) + 4 * config.ways[0].latency_ns
        deeds = [*self._deeds(span_ns), *self._quarrel(span_ns), *alarms(self._seed, span_ns)]
        config = unsafe(checked(config))
        deeds += mishaps(config, span_ns)
        in_order = tuple(sorted(deeds, key=lambda deed: deed.time_ns))
        config = replace(config, deeds=in_order, rest_ns=self._rest_ns())
        return self._forking(config, span_ns) if dice.random() < FORKS else config

    def _rest_ns(self) -> int:
        """Return how long the sites have time to flush and to trim while all may still go wrong."""
        dice = self._later_dice
        return int(dice.random() * REST_NS_MAX) if dice.random() < 0.25 else 0

    def _crowded(self, config: WorldConfig) -> WorldConfig:
        """Return a world in which a busy host's tracks do not fit into the caches."""
        dice = self._later_dice
        tracks = 80 + dice.randrange(160)
        size_bytes = tracks * TRACK_SECTORS * SECTOR_BYTES
        sites = [
            replace(site, cache_bytes=0, ring_bytes=max(site.ring_bytes, 3 * size_bytes))
            for site in config.sites
        ]
        ways = [replace(way, rate_bytes_per_s=0) for way in config.ways]
        return replace(
            config,
            volumes=(size_bytes,),
            mtu_bytes=max(1400, config.mtu_bytes),
            mtu_bytes_later=max(1400, config.mtu_bytes_later),
            sites=(sites[0], sites[1]),
            ways=(ways[0], ways[1]),
            think_ns=min(config.think_ns, int(dice.uniform(0.3, 5) * MILLISECOND_NS)),
            outstanding=max(4, config.outstanding),
            sectors_max=dice.choice((16, 64, 128)),
        )

    def _quarrel(self, span_ns: int) -> list[Deed]:
        """Return the orders of two operators who both want the role at their own site."""
        dice = self._later_dice
        if dice.random() >= QUARREL:
            return []
        time_ns = int(span_ns * dice.random())
        deeds: list[Deed] = []
        for _ in range(8 + dice.randrange(12)):
            time_ns += int(dice.random() * 300) * MILLISECOND_NS
            deeds.append(Deed(time_ns, "role", dice.choice("AB"), 0))
        return deeds

    def _forking(self, config: WorldConfig, span_ns: int) -> WorldConfig:
        """Return a world in which a site soon loses what the other has got of its journal."""
        dice = self._dice
        entries = dice.choice((0, 2, 3, 4, 6, 8))
        wait_ns = int(self._between(1, 1_000) * MILLISECOND_NS)
        time_ns = int(span_ns * self._between(0.1, 0.4))
        figures = (entries, dice.getrandbits(16))
        deed = Deed(time_ns, "battery", dice.choice("AAAB"), wait_ns, figures)
        ring_bytes = max(RING_BYTES_MIN, 3 * sum(config.volumes)) // 64 * 64
        sites = [
            replace(site, ring_bytes=ring_bytes, crash=0.0, disk=replace(site.disk, crash=0.0))
            for site in config.sites
        ]
        ways = [
            replace(way, latency_ns=min(way.latency_ns, config.think_ns), rate_bytes_per_s=0)
            for way in config.ways
        ]
        later = [found for found in config.deeds if found.time_ns > time_ns + wait_ns]
        others = [found for found in later if found.do not in ("role", "force", "suspend")]
        return replace(
            config,
            ack="nvs",
            on_link_loss="continue",
            sectors_max=64,
            ways=(ways[0], ways[1]),
            sites=(sites[0], sites[1]),
            deeds=tuple(sorted([*others, deed], key=lambda found: found.time_ns)),
        )

    def _large(self, config: WorldConfig) -> WorldConfig:
        """Return a world of few long writes, in which an epoch takes several records."""
        tracks = 300 + self._dice.randrange(200)
        size_bytes = tracks * TRACK_SECTORS * SECTOR_BYTES
        sites = [
            replace(site, cache_bytes=16 << 20, ring_bytes=6 * size_bytes) for site in config.sites
        ]
        ways = [replace(way, rate_bytes_per_s=0) for way in config.ways]
        return replace(
            config,
            writes=max(1, config.writes // 5),
            volumes=(size_bytes,),
            mtu_bytes=9000,
            mtu_bytes_later=9000,
            sites=(sites[0], sites[1]),
            ways=(ways[0], ways[1]),
            sectors_max=1024,
        )

    def _deeds(self, span_ns: int) -> tuple[Deed, ...]:
        dice = self._dice
        deeds: list[Deed] = []
        kinds = ("crash", "cut", "carrier", "pause", "role", "suspend", "freeze")
        for kind in kinds:
            if dice.random() < 0.5:
                continue
            for _ in range(1 + dice.randrange(3)):
                targets = {
                    "crash": ("A", "B", "A", "B", "both"),
                    "cut": ("A-B", "B-A", "both"),
                    "carrier": ("both",),
                }
                figures: tuple[int, ...] = ()
                if kind == "crash":
                    figures = (dice.randrange(2), dice.getrandbits(16))
                elif kind == "role" and dice.random() < 0.5:
                    # Which site dies so soon after the order that it is in the middle of it.
                    figures = (dice.randrange(2), int(self._between(0.01, 500) * MILLISECOND_NS))
                deeds.append(
                    Deed(
                        int(dice.random() * span_ns),
                        kind,
                        dice.choice(targets.get(kind, ("A", "B"))),
                        int(self._between(1, 6_000) * MILLISECOND_NS),
                        figures,
                    )
                )
        if dice.random() < 0.2:
            ahead_ns = int(self._between(1, 3_600_000) * MILLISECOND_NS)
            deeds.append(Deed(int(dice.random() * span_ns), "clock", dice.choice("AB"), ahead_ns))
        if dice.random() < FORKS:
            wait_ns = int(self._between(1, 6_000) * MILLISECOND_NS)
            deeds.append(Deed(int(dice.random() * span_ns), "force", dice.choice("AB"), wait_ns))
        deeds.sort(key=lambda deed: deed.time_ns)
        return tuple(deeds)


def swarm(seed: int, writes: int = 150) -> WorldConfig:
    """Return the world that a seed chooses."""
    return Swarm(seed).world(writes)
