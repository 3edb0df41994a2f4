"""Small scopes, tried out whole: every pattern of loss, every point at which a site can die.

What a random campaign finds with luck is found here for certain, in a run of a few writes.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from emulator.clock import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS
from rig.faults.plan import Fault
from rig.faults.storage import AFTER, BEFORE, DURING
from rig.sim.config import SiteHardware, WayConfig, WorldConfig
from rig.sim.run import Outcome, run_world
from rig.sim.violation import Violation

LOSS_PACKETS: Final = 10
LOSS_WRITES: Final = 6
CRASH_WRITES: Final = 40
DOWN_NS: Final = 50 * MILLISECOND_NS
REST_NS: Final = 4 * SECOND_NS
"""Both sites come to rest in this time: tracks go to the disks, and the journals are trimmed."""
TORN_PATTERN: Final = 12345


def small(writes: int, ack: str) -> WorldConfig:
    """Return a world with two small volumes and fast parts, in which nothing goes wrong."""
    way = WayConfig(latency_ns=200 * MICROSECOND_NS)
    site = SiteHardware(nvs_latency_ns=50 * MICROSECOND_NS, disk_latency_ns=400 * MICROSECOND_NS)
    return replace(
        WorldConfig(seed=1, writes=writes, ack=ack),
        volumes=(8 * 4096, 4 * 4096),
        ways=(way, way),
        sites=(site, site),
        think_ns=500 * MICROSECOND_NS,
    )


def tight(writes: int, ack: str) -> WorldConfig:
    """Return a small world that must destage and trim while hosts write, and rests in the end."""
    config = small(writes, ack)
    site = replace(config.sites[0], cache_bytes=24 * 4400, ring_bytes=192 * 1024)
    return replace(config, sites=(site, site), rest_ns=REST_NS)


def losses(packets: int = LOSS_PACKETS) -> Iterator[Outcome]:
    """Lose every subset of the first packets of each end in turn; yield each outcome."""
    # Lost greetings are repeated more and more slowly, and the last of them is to be lost as well.
    config = replace(small(LOSS_WRITES, "remote-nvs"), rest_ns=REST_NS)
    for pattern in range(1 << packets):
        # Odd bits are packets of one end and even bits of the other, as they take turns.
        faults = [
            Fault(f"line.{('A-B', 'B-A')[number & 1]}", number >> 1, "drop")
            for number in range(packets)
            if pattern >> number & 1
        ]
        yield _whole(run_world(config, faults), faults)


def crashes(writes: int = CRASH_WRITES, ack: str = "remote-nvs") -> Iterator[Outcome]:
    """Kill each site before, during and after each step that makes something durable.

    The first outcome is that of the run without a crash, whose steps they are.
    Those are the writes of its store, and the writes and flushes of its disks. They go on until
    the sites are at rest, so that the journal is trimmed among them.
    """
    config = tight(writes, ack)
    calm = run_world(config, [])
    yield calm
    for place, steps in durable_steps(calm).items():
        for number in range(steps):
            for phase in (BEFORE, DURING, AFTER):
                faults = [Fault(place, number, "crash", (phase, TORN_PATTERN + number, DOWN_NS))]
                yield _whole(run_world(config, faults), faults)


def durable_steps(calm: Outcome) -> dict[str, int]:
    """Return how many durable steps each place has taken in a run without a crash."""
    return {
        place: steps
        for place, steps in calm.steps.items()
        if place.startswith(("nvs.", "disk.")) and not place.endswith(".read")
    }


def _whole(outcome: Outcome, faults: list[Fault]) -> Outcome:
    """Return an outcome; a fault that did not happen means that nothing was tried."""
    if outcome.violation is None and outcome.faults != faults:
        missed = [fault for fault in faults if fault not in outcome.faults]
        if missed:
            outcome.violation = Violation("blind", f"never came to {missed}")
    return outcome
