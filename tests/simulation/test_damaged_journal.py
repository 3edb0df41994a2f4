"""A bit of the primary's journal flips, anywhere and at any time: no promise is broken (W3)."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from emulator.clock import MILLISECOND_NS
from rig.sim.config import Deed
from rig.sim.exhaust import small, tight
from rig.sim.run import run_world


@pytest.mark.parametrize(
    ("ack", "commonest"),
    # A busy host's writes are gathered before they are sent, so that the other site lacks them.
    [("nvs", "damaged journal refused"), ("remote-nvs", "damaged entry fetched")],
)
@pytest.mark.parametrize("make", [small, tight])
def test_what_rots_is_fetched_left_out_or_refused_and_nothing_is_lost(make, ack, commonest):
    dice = Random(f"{make.__name__}/{ack}")
    marks: Counter[str] = Counter()
    for _ in range(25):
        rot = Deed(
            time_ns=dice.randrange(5, 45) * MILLISECOND_NS,
            do="battery",
            target="A",
            for_ns=dice.choice([1, 20, 60]) * MILLISECOND_NS,
            figures=(0, dice.getrandbits(20)),
        )
        again = Deed(
            rot.ends_ns() + dice.randrange(20) * MILLISECOND_NS, "crash", "A", 10**7, (1, 7)
        )
        config = replace(make(60, ack), deeds=(rot, again))
        outcome = run_world(config, [])
        assert outcome.violation is None, (rot, again, outcome.violation)
        marks.update({mark for mark in outcome.marks if "damaged" in mark})
    assert marks[commonest] > 5
