"""Run one seed, or one schedule of faults, and say what came of it."""

import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rig.faults.plan import Fault
from rig.sim.accounts import facts
from rig.sim.config import WorldConfig
from rig.sim.swarm import swarm
from rig.sim.violation import Violation
from rig.sim.world import World


@dataclass(slots=True)
class Outcome:
    """What came of one run."""

    config: WorldConfig
    faults: list[Fault] = field(default_factory=list)
    violation: Violation | None = None
    marks: dict[str, int] = field(default_factory=dict)
    fault_counts: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    events: int = 0
    virtual_ns: int = 0
    cpu_s: float = 0.0
    facts: dict[str, int] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    """How many operations of each place could have gone wrong: those before the world healed."""

    def as_object(self) -> dict[str, Any]:
        """Return the outcome for programs."""
        return {
            "seed": self.config.seed,
            "violation": self.violation.as_object() if self.violation else None,
            "events": self.events,
            "virtual_ns": self.virtual_ns,
            "cpu_s": round(self.cpu_s, 4),
            "digest": self.digest,
            "faults": self.fault_counts,
            "marks": self.marks,
            **self.facts,
        }


def run_seed(seed: int, writes: int = 150) -> Outcome:
    """Run the world that a seed chooses."""
    return run_world(swarm(seed, writes))


def run_world(config: WorldConfig, faults: Iterable[Fault] | None = None) -> Outcome:
    """Run a world; with `faults` given, those happen and no others."""
    began_s = time.process_time()
    outcome = Outcome(config)
    world: World | None = None
    try:
        world = World(config, faults)
        world.run()
    except Violation as violation:
        outcome.violation = violation
    except Exception as error:  # noqa: BLE001  whatever it is, the product has failed in a run
        frames = traceback.extract_tb(error.__traceback__)[-2:]
        where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
        outcome.violation = Violation("exception", f"{type(error).__name__}: {error} in {where}")
    if world is not None:
        _gather(outcome, world)
    outcome.cpu_s = time.process_time() - began_s
    return outcome


def _gather(outcome: Outcome, world: World) -> None:
    watch = world.watch
    outcome.faults = world.plan.happened
    outcome.fault_counts = world.plan.counts()
    outcome.steps = world.steps
    outcome.marks = dict(sorted(watch.marks.items()))
    outcome.events = world.scheduler.events
    outcome.virtual_ns = world.scheduler.now_ns
    outcome.facts = {
        "crashes": world.crashes,
        "writes": world.host.answered_writes,
        "reads": world.host.reads,
        "redone": world.host.redone,
        "redriven": world.host.redriven,
        "refusals": world.host.refusals,
        "compared_images": watch.compared_images,
        "packets": sum(way.sent_packets for way in world.ways),
        "packet_bytes": sum(way.sent_bytes for way in world.ways),
        **facts(world.sites, world.ways, watch.disk_failures),
    }
    digest = watch.digest
    digest.update(repr((outcome.facts, outcome.virtual_ns, outcome.events)).encode())
    for site in world.sites:
        digest.update(site.nvs.image)
        for disk in site.disks:
            digest.update(disk.live)
    outcome.digest = digest.hexdigest()
