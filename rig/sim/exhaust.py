"""Small scopes, tried out whole: every pattern of loss, every point at which a site can die.

What a random campaign finds with luck is found here for certain, in a run of a few writes.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from emulator.clock import MICROSECOND_NS, MILLISECOND_NS
from rig.faults.plan import Fault
from rig.sim.config import SiteHardware, WayConfig, WorldConfig
from rig.sim.nvs import AFTER, BEFORE, DURING
from rig.sim.run import Outcome, run_world

LOSS_PACKETS: Final = 10
LOSS_WRITES: Final = 6
CRASH_WRITES: Final = 40
DOWN_NS: Final = 50 * MILLISECOND_NS
TORN_PATTERN: Final = 12345


def small(writes: int, ack: str) -> WorldConfig:
    """Return a world with two small volumes and fast parts, in which nothing goes wrong."""
    way = WayConfig(latency_ns=200 * MICROSECOND_NS)
    site = SiteHardware(nvs_latency_ns=50 * MICROSECOND_NS, disk_latency_ns=100 * MICROSECOND_NS)
    return replace(
        WorldConfig(seed=1, writes=writes, ack=ack),
        volumes=(8 * 4096, 4 * 4096),
        ways=(way, way),
        sites=(site, site),
        think_ns=500 * MICROSECOND_NS,
    )


def losses(packets: int = LOSS_PACKETS) -> Iterator[Outcome]:
    """Lose every subset of the first packets of each end in turn; yield each outcome."""
    config = small(LOSS_WRITES, "remote-nvs")
    for pattern in range(1 << packets):
        # Odd bits are packets of one end and even bits of the other, as they take turns.
        faults = [
            Fault(f"line.{('A-B', 'B-A')[number & 1]}", number >> 1, "drop")
            for number in range(packets)
            if pattern >> number & 1
        ]
        yield run_world(config, faults)


def crashes(writes: int = CRASH_WRITES, ack: str = "remote-nvs") -> Iterator[Outcome]:
    """Kill each site before, during and after each step that makes something durable."""
    config = small(writes, ack)
    for site in "AB":
        for number in range(_steps(config, site)):
            for phase in (BEFORE, DURING, AFTER):
                figures = (phase, TORN_PATTERN + number, DOWN_NS)
                yield run_world(config, [Fault(f"nvs.{site}", number, "crash", figures)])


def _steps(config: WorldConfig, site: str) -> int:
    """Return how many steps a site's store takes in a run without a crash."""
    outcome = run_world(config, [])
    assert outcome.violation is None, str(outcome.violation)
    return outcome.facts[f"nvs_steps_{site}"]
