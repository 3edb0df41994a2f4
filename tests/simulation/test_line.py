"""The simulated line's own books: a packet counts as damaged when it is."""

from random import Random

import pytest

from rig.faults.plan import Fault, Plan
from rig.sim.config import WayConfig
from rig.sim.line import Way
from rig.sim.scheduler import Scheduler

PACKET = bytes(range(70))


@pytest.mark.parametrize(
    ("kind", "figures", "damaged"),
    [
        ("flip", (69 * 8 + 7,), 1),
        ("flip", (70 * 8,), 0),
        ("flip", (3, 9_000), 1),
        ("truncate", (69,), 1),
        ("duplicate", (), 0),
    ],
)
def test_a_packet_counts_as_damaged_when_it_is(kind, figures, damaged):
    scheduler = Scheduler(Random(1))
    way = Way("A-B", WayConfig(), scheduler, Plan([Fault("line.A-B", 0, kind, figures)]), seed=1)
    way.carried.packet = lambda data: None
    arrived: list[bytes] = []
    way.arrive = lambda packet: not arrived.append(packet)
    way.put(PACKET)
    scheduler.run_to(10**9, 10**6)
    assert way.received_damaged == damaged == sum(packet != PACKET for packet in arrived)
