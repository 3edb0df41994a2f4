"""Small scopes tried out whole: what is planted into them is seen, and nothing is left out."""

import dataclasses

from emulator.node.destage import Destage
from rig.faults.storage import AFTER, BEFORE, DURING
from rig.sim import exhaust
from rig.sim.exhaust import crashes, durable_steps, losses, tight
from rig.sim.run import run_world

WRITES = 12


def test_a_loss_that_happens_breaks_no_rule():
    assert not [outcome.violation for outcome in losses(3) if outcome.violation]


def test_the_scope_has_every_kind_of_durable_step():
    steps = durable_steps(run_world(tight(exhaust.CRASH_WRITES, "remote-nvs"), []))
    assert set(steps) == {
        *("nvs.A", "nvs.B"),
        *(
            f"disk.{site}.{disk}.{verb}"
            for site in "AB"
            for disk in "01"
            for verb in ("write", "flush")
        ),
    }
    assert all(steps.values())


def test_each_step_is_tried_in_each_phase(monkeypatch):
    monkeypatch.setattr(exhaust, "run_world", _Ran)
    monkeypatch.setattr(exhaust, "durable_steps", lambda calm: {"nvs.A": 2, "disk.B.0.flush": 1})
    tried = [
        (fault.place, fault.number, fault.figures[0]) for ran in crashes() for fault in ran.faults
    ]
    phases = (BEFORE, DURING, AFTER)
    assert tried == [
        (place, number, phase)
        for place, number in (("nvs.A", 0), ("nvs.A", 1), ("disk.B.0.flush", 0))
        for phase in phases
    ]


class _Ran:
    violation = None

    def __init__(self, config, faults):
        self.config = config
        self.faults = faults


def test_a_crash_that_never_comes_is_no_success(monkeypatch):
    monkeypatch.setattr(exhaust, "durable_steps", lambda calm: {"nvs.A": 5_000})
    monkeypatch.setattr(exhaust, "range", lambda steps: [steps], raising=False)
    (_calm, outcome, *_others) = crashes(1)
    assert outcome.violation.rule == "blind"


def test_a_loss_that_never_comes_is_no_success(monkeypatch):
    monkeypatch.setattr(exhaust, "REST_NS", 0)
    assert "blind" in {outcome.violation.rule for outcome in losses(3) if outcome.violation}


def test_no_crash_beside_a_disk_breaks_a_rule(monkeypatch):
    # All of them, and those beside the journal: `dualcopy exhaust crash`.
    def disks_of_the_secondary(calm):
        found = durable_steps(calm).items()
        return {place: steps for place, steps in found if place.startswith("disk.B")}

    monkeypatch.setattr(exhaust, "durable_steps", disks_of_the_secondary)
    outcomes = list(crashes(WRITES))
    assert len(outcomes) > 12
    assert not [(outcome.faults, outcome.violation) for outcome in outcomes if outcome.violation]


def test_a_flush_that_nobody_waits_for_is_seen(monkeypatch):
    """A mistake for the length of this test: a flush counts as done when it is asked for."""
    asks = Destage.flush

    def flush(destage: Destage, *, everywhere: bool = True) -> None:
        before = len(destage.requests)
        asks(destage, everywhere=everywhere)
        for request in destage.requests[before:]:
            destage.completed(request.number, None, 0)
        del destage.requests[before:]

    monkeypatch.setattr(Destage, "flush", flush)
    assert any(outcome.violation for outcome in crashes(WRITES))


def test_the_journal_is_trimmed_while_hosts_write():
    config = dataclasses.replace(tight(exhaust.CRASH_WRITES, "remote-nvs"), rest_ns=0)
    assert durable_steps(run_world(config, []))["disk.B.0.flush"] >= 3
