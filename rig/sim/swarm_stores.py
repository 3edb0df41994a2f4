"""What a seed chooses besides: checksums and harm, batteries that fail, answers from memory.

Each has dice of its own, so that a seed still means its old world in all else.
"""

import math
from dataclasses import replace
from random import Random

from rig.sim.config import Deed, SiteHardware, WorldConfig

# Share of sites whose disks have checksums; and of those whose disks do harm without a word.
CHECKED = 0.3
CHECKED_SILENT = 0.4
HARM = (0.002, 0.1)
SCRUB_RATES = (0, 0, 1 << 16, 1 << 20)
# Share of worlds whose hosts are answered before anything is durable (A0).
VOLATILE = 0.06
# Share of sites one of whose disks vanishes for a while; and, of those with checksums, whose reads
# bring other places, and one of whose disks comes back as it was long ago.
GONE = 0.08
MISREAD = 0.2
OLD = 0.3
# Share of sites whose battery, if they have one, fails for a while.
ALARMS = 0.3


def checked(config: WorldConfig) -> WorldConfig:
    """Return a world in which disks may have checksums, and then do harm without a word."""
    dice = Random(f"{config.seed}/swarm/sums")
    sites: list[SiteHardware] = []
    for site in config.sites:
        found = site
        if dice.random() < CHECKED:
            found = replace(found, sums=True, scrub_bytes_per_s=dice.choice(SCRUB_RATES))
            # Dice of its own: what came before it means what it meant.
            strays = Random(f"{config.seed}/swarm/misread/{len(sites)}")
            if strays.random() < MISREAD:
                rate = math.exp(strays.uniform(*map(math.log, HARM)))
                found = replace(found, disk=replace(found.disk, misread=rate))
            if dice.random() < CHECKED_SILENT:
                kind = dice.choice(("rot", "lost", "misdirected", "lie"))
                rate = math.exp(dice.uniform(*map(math.log, HARM)))
                found = replace(found, disk=replace(found.disk, **{kind: rate}))
        sites.append(found)
    return replace(config, sites=(sites[0], sites[1]))


def unsafe(config: WorldConfig) -> WorldConfig:
    """Return a world in which the hosts' writes may be answered from memory (A0)."""
    dice = Random(f"{config.seed}/swarm/volatile")
    return replace(config, ack="volatile") if dice.random() < VOLATILE else config


def mishaps(config: WorldConfig, span_ns: int) -> list[Deed]:
    """Return which disks vanish for a while, and which are replaced by old copies."""
    dice = Random(f"{config.seed}/swarm/mishaps")
    deeds: list[Deed] = []
    for name, site in zip("AB", config.sites, strict=True):
        disk = dice.randrange(len(config.volumes))
        time_ns, for_ns = int(dice.random() * span_ns), int(dice.random() ** 3 * span_ns)
        if dice.random() < GONE:
            deeds.append(Deed(time_ns, "gone", name, for_ns, (disk,)))
        if site.sums and not site.disk.silent() and dice.random() < OLD:
            deeds.append(Deed(int(dice.random() * span_ns), "old", name, for_ns, (disk,)))
    return deeds


def alarms(seed: int, span_ns: int) -> list[Deed]:
    """Return when batteries fail, and for how long, at sites that have one."""
    dice = Random(f"{seed}/swarm/alarms")
    return [
        Deed(int(dice.random() * span_ns), "alarm", name, int(dice.random() * span_ns))
        for name in "AB"
        if dice.random() < ALARMS
    ]
