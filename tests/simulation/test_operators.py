"""Operators' orders in any sequence, to sites that may be cut off, killed or frozen just then.

Hypothesis plays two operators on a simulated bench under load. Every rule of the semantics is
watched all along; here is said what each order itself must do and must answer.
"""

import dataclasses

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.copy.pair import Pair
from emulator.copy.states import PairState, Role
from rig.sim.config import calm
from rig.sim.shape import GROUP
from rig.sim.world import LIVENESS_NS, World

QUICK = settings(
    max_examples=6,
    stateful_step_count=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
WIDE = settings(QUICK, max_examples=300, stateful_step_count=60, derandomize=False)
SITES = st.sampled_from([0, 1])
UNAVAILABLE, BENCH_FILE = 69, 2
EVENTS_MAX = 10**9


class Operators(RuleBasedStateMachine):
    """Two operators, a bench, and a host that never stops."""

    ack = "nvs"

    def __init__(self):
        super().__init__()
        config = dataclasses.replace(
            calm(7, 100_000), ack=self.ack, think_ns=8 * MILLISECOND_NS, sectors_max=8
        )
        self.world = World(config)
        self.cut = False
        self.settle(50)

    # Time.

    def settle(self, for_ms):
        """Let the bench work for a while."""
        scheduler = self.world.scheduler
        assert scheduler.run_to(scheduler.now_ns + for_ms * MILLISECOND_NS, EVENTS_MAX)

    def order(self, number, verb, **words):
        """Give an order; return its answer, or None while it is under way."""
        site = self.world.sites[number]
        if not site.ready:
            return {"ok": False, "exit_code": UNAVAILABLE, "down": True}
        answers = site.order(verb=verb, group=GROUP, **words)
        return answers[0] if answers else None

    def role(self, number):
        site = self.world.sites[number]
        return site.group.role if site.ready else None

    def primary(self):
        """Return the number of the primary that can be asked, or None."""
        return next((n for n in (0, 1) if self.role(n) is Role.PRIMARY), None)

    def group(self, number):
        return self.world.sites[number].group

    # Orders.

    @rule(ms=st.integers(1, 400))
    def wait(self, ms):
        self.settle(ms)

    @rule(number=SITES)
    def suspend(self, number):
        role, answer = self.role(number), self.order(number, "suspend")
        if role is Role.PRIMARY:
            assert answer["ok"]
            assert self.group(number).suspended
            assert self.group(number).state is not PairState.DUPLEX
        else:
            assert answer["exit_code"] == UNAVAILABLE

    @rule(number=SITES)
    def resume(self, number):
        role, answer = self.role(number), self.order(number, "resume")
        assert bool(answer["ok"]) is (role is Role.PRIMARY)
        if role is Role.PRIMARY:
            assert not self.group(number).suspended

    @rule(number=SITES)
    def freeze(self, number):
        role, answer = self.role(number), self.order(number, "freeze")
        if role is not Role.PRIMARY:
            return
        csn = answer["result"]["csn"]
        self.settle(30)
        if self.role(number) is Role.PRIMARY and self.group(number).frozen:
            # The group is cut at one csn; no host write goes beyond it until RUN (F1).
            assert self.group(number).csn == csn

    @rule(number=SITES)
    def run(self, number):
        answer = self.order(number, "run")
        if self.role(number) is Role.PRIMARY:
            assert answer["ok"]
            assert not self.group(number).frozen

    @rule(to=SITES)
    def hand_over(self, to):
        source = self.primary()
        if source is None:
            return
        answer = self.order(source, "role", primary="AB"[to])
        if source == to:
            assert answer["ok"]
        elif answer is not None:
            # Refused at once, with the reason; whoever was primary still is.
            assert answer["exit_code"] == UNAVAILABLE
            assert answer["error"]
            assert self.role(source) is Role.PRIMARY

    @rule(number=SITES, words=st.sampled_from([{"primary": "C"}, {}, {"force": ""}]))
    def nonsense(self, number, words):
        answer = self.order(number, "role", **words)
        assert answer.get("down") or answer["exit_code"] == BENCH_FILE

    # Troubles.

    @precondition(lambda self: not self.cut)
    @rule()
    def cut_the_line(self):
        self.cut = True
        self.world.deeds.cut("both", cut=True)

    @precondition(lambda self: self.cut)
    @rule()
    def join_the_line(self):
        self.cut = False
        self.world.deeds.cut("both", cut=False)

    @rule(number=SITES, down_ms=st.integers(1, 300), pattern=st.integers(0, 9))
    def kill(self, number, down_ms, pattern):
        site = self.world.sites[number]
        if site.running:
            site.crash(pattern, down_ms * MILLISECOND_NS, power=True)

    # What holds at any time.

    @invariant()
    def never_two_primaries(self):
        assert [self.role(0), self.role(1)].count(Role.PRIMARY) <= 1

    @invariant()
    def no_order_is_forgotten_by_the_status(self):
        number = self.primary()
        if number is None:
            return
        said = self.order(number, "status")["result"]["groups"][GROUP]
        group = self.group(number)
        assert (said["suspended"], said["frozen"]) == (group.suspended, group.frozen)
        assert not (said["suspended"] and said["state"] == "duplex")

    def teardown(self):
        """Whatever was ordered: taken back, the sites become equal in bounded time."""
        world = self.world
        world.host.writes_left = 0
        world._heal()
        world._until(world.converged, world.scheduler.now_ns + LIVENESS_NS)
        assert world.converged(), world._why_not()
        world._final()
        assert world.scheduler.now_ns < 3600 * SECOND_NS


class SyncOperators(Operators):
    """The same at a level at which hosts wait for the other site."""

    ack = "remote-nvs"


@pytest.mark.parametrize("machine", [Operators, SyncOperators])
def test_operators_orders_in_any_sequence(machine):
    machine.TestCase.settings = QUICK
    machine.TestCase("runTest").runTest()


def test_an_order_that_is_forgotten_is_noticed(monkeypatch):
    """A mistake for the length of this test: `run` answers, and leaves the group frozen."""
    monkeypatch.setattr(Pair, "thaw", lambda pair: None)
    Operators.TestCase.settings = settings(QUICK, phases=[Phase.generate], max_examples=30)
    with pytest.raises(AssertionError):
        Operators.TestCase("runTest").runTest()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", [Operators, SyncOperators])
def test_very_many_orders(machine):
    machine.TestCase.settings = WIDE
    machine.TestCase("runTest").runTest()
