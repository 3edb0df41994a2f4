"""Disks that vanish, come back old, or give other places; hosts answered from memory."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count, islice

from emulator.clock import MILLISECOND_NS
from rig.sim.config import Deed, WorldConfig
from rig.sim.exhaust import small
from rig.sim.run import run_world
from rig.sim.swarm import swarm


def world(seed: int, deed: Deed, ack: str = "nvs") -> WorldConfig:
    return replace(small(80, ack), seed=seed, deeds=(deed,))


def swarmed(has: Callable[[WorldConfig], bool], worlds: int) -> Counter[str]:
    """Run the first worlds of the swarm that have something; return marks and faults."""
    found: Counter[str] = Counter()
    for config in islice(filter(has, map(swarm, count())), worlds):
        outcome = run_world(config)
        assert outcome.violation is None, (config.seed, outcome.violation)
        found.update(outcome.marks)
        found.update(outcome.fault_counts)
    return found


def test_an_old_copy_of_a_disk_is_refused_or_nothing_is_lost():
    found = swarmed(lambda config: any(deed.do == "old" for deed in config.deeds), 15)
    assert found["old disk refused"] > 2


def test_a_read_of_another_place_is_noticed_and_the_next_one_is_taken():
    def strays(config: WorldConfig) -> bool:
        disks = [site.disk for site in config.sites]
        return any(disk.misread for disk in disks) and not any(
            disk.silent() or disk.latent or disk.read_error for disk in disks
        )

    found = swarmed(strays, 12)
    assert found["disk.misread"] > 10
    assert found["damaged track mended"] > 5
    assert found["damaged track lost"] == 0


def test_a_disk_that_vanishes_for_a_while_loses_nothing():
    for seed in range(12):
        gone = Deed((5 + 3 * seed) * MILLISECOND_NS, "gone", "A", 60 * MILLISECOND_NS, (0,))
        outcome = run_world(world(seed, gone), [])
        assert outcome.violation is None, (seed, outcome.violation)
        assert outcome.facts["disk_errors_happened"] == outcome.facts["disk_errors_reported"]


def test_hosts_may_be_answered_from_memory_and_then_lose_what_they_were_told():
    marks: Counter[str] = Counter()
    for seed in range(12):
        crash = Deed((8 + 2 * seed) * MILLISECOND_NS, "crash", "A", 5 * MILLISECOND_NS, (1, 0))
        outcome = run_world(world(seed, crash, ack="volatile"), [])
        assert outcome.violation is None, (seed, outcome.violation)
        marks.update(outcome.marks)
    assert marks["answered from volatile memory"] > 100
    assert marks["unanswered writes lost"] > 0
