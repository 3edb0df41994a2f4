"""Hypothesis as the nemesis: any few faults at any few operations, and every rule holds.

The swarm of `dualcopy sim` is broad; this is deep: Hypothesis chooses at most thirty faults, by
place and number, and shrinks what it finds by itself. The quick profile always tries the same
schedules, so that a change of code and nothing else can fail it; the wide one is for a machine
with time, and keeps what it finds in its database.
"""

import dataclasses

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from emulator.clock import MILLISECOND_NS
from emulator.copy.group import Group
from rig.faults.plan import Fault
from rig.sim.config import calm
from rig.sim.run import run_world
from rig.sim.schedule import Schedule, from_text, to_text

ROWS_MAX = 30
WRITES = 25
QUICK = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
WIDE = settings(QUICK, max_examples=2000, derandomize=False)

BIT = st.integers(0, 12_000)
FIGURES = {
    "drop": st.just(()),
    "duplicate": st.just(()),
    "reflect": st.just(()),
    "flip": st.lists(BIT, min_size=1, max_size=3, unique=True).map(tuple),
    "truncate": st.tuples(st.integers(0, 1500)),
    "pad": st.tuples(st.integers(1, 64)),
    "late": st.tuples(st.integers(0, 400 * MILLISECOND_NS)),
    "replay": st.tuples(st.integers(1, 64)),
    "forge": st.tuples(st.integers(0, 2**32 - 1)),
}


def rows(place, kinds, numbers):
    """Faults of one place."""
    return st.one_of(
        st.builds(Fault, st.just(place), st.integers(0, numbers), st.just(kind), figures)
        for kind, figures in kinds.items()
    )


CRASH = {"crash": st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 10**9))}
DISK = {"error": st.just(()), "slow": st.tuples(st.integers(2, 50))}
FAULTS = st.one_of(
    rows("line.A-B", FIGURES, 150),
    rows("line.B-A", FIGURES, 150),
    rows("nvs.A", CRASH, 60),
    rows("nvs.B", CRASH, 60),
    *(rows(f"disk.{site}.0.{verb}", DISK, 40) for site in "AB" for verb in ("read", "write")),
)
SCHEDULES = st.lists(FAULTS, max_size=ROWS_MAX)
WORLDS = st.builds(
    lambda seed, ack, mtu, outstanding: dataclasses.replace(
        calm(seed, WRITES), ack=ack, mtu_bytes=mtu, mtu_bytes_later=mtu, outstanding=outstanding
    ),
    st.integers(0, 3),
    st.sampled_from(["nvs", "remote-nvs", "remote-applied"]),
    st.sampled_from([300, 1400]),
    st.sampled_from([1, 4]),
)


def broken(config, faults):
    """Run it; return what was broken, with the file that repeats it."""
    violation = run_world(config, faults).violation
    return "" if violation is None else f"{violation}\n{to_text(Schedule(config, faults))}"


@QUICK
@given(WORLDS, SCHEDULES)
def test_any_few_faults_break_no_rule(config, faults):
    assert not broken(config, faults)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@WIDE
@given(WORLDS, SCHEDULES)
def test_many_few_faults_break_no_rule(config, faults):
    assert not broken(config, faults)


@QUICK
@given(WORLDS, SCHEDULES)
def test_what_is_found_can_be_written_down(config, faults):
    schedule = Schedule(config, faults, "O3")
    assert from_text(to_text(schedule)) == schedule


def test_a_mistake_is_found_and_shrunk(monkeypatch):
    """A mistake for the length of this test: hosts are answered before anything is durable."""
    monkeypatch.setattr(Group, "release", lambda group: group.replies.release(group.csn))
    search = settings(QUICK, max_examples=100, phases=[Phase.generate, Phase.shrink])
    config = calm(1, WRITES)
    found = find(SCHEDULES, lambda faults: bool(broken(config, faults)), settings=search)
    assert len(found) <= 3


def test_without_a_mistake_nothing_is_found():
    search = settings(QUICK, max_examples=5)
    with pytest.raises(NoSuchExample):
        find(SCHEDULES, lambda faults: bool(broken(calm(1, 5), faults)), settings=search)
