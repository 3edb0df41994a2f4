"""Who is primary, through hand-overs, crashes at every step and promotions by force (R1-R5)."""

import pytest

from emulator.channel.blocks import TRACK_BYTES, Outcome
from emulator.copy.levels import AckLevel
from emulator.copy.states import PairState, Role
from emulator.events import JournalOverflow
from tests.node.history import History, Host
from tests.node.world import Site, World

pytestmark = pytest.mark.sources


class Pair:
    """Two sites in duplex, with a history behind them."""

    def __init__(self, seed: object, **changes) -> None:
        self.world = World(seed, **changes)
        self.history = History(self.world)
        self.world.start()
        self.a, self.b = self.world.a, self.world.b
        self.host = Host(self.history, self.a)
        self.write(6)
        self.duplex()

    def write(self, count: int, host: Host | None = None) -> None:
        for number in range(count):
            data = self.world.dice.randbytes(TRACK_BYTES if number % 2 else 1500)
            (host or self.host).write(number % 2, (number % 15) * TRACK_BYTES, data)

    def primaries(self) -> list[Site]:
        return [
            site
            for site in self.world.sites.values()
            if site.alive and site.group.role is Role.PRIMARY
        ]

    def duplex(self) -> None:
        def ready() -> bool:
            found = self.primaries()
            if len(found) != 1:
                return False
            group = found[0].group
            return group.state is PairState.DUPLEX and group.stream.applied_csn == group.csn

        self.world.run(ready, 30_000)

    def same(self) -> None:
        for site in self.world.sites.values():
            assert not self.history.differing(site, self.history.newest)

    def move_host(self) -> Host:
        (primary,) = self.primaries()
        self.history.hosts.clear()
        self.host = Host(self.history, primary)
        return self.host

    def reboot(self, site: Site) -> None:
        self.world.boot(site)
        self.world.run(lambda: site.serving)


def test_the_role_is_handed_over_and_back():
    pair = Pair("over and back")
    for giver, taker in ((pair.a, pair.b), (pair.b, pair.a)):
        answers: list = []
        giver.pair.hand_over(answers.append)
        pair.world.run(lambda answers=answers: bool(answers), 5000)
        assert answers == [None]
        assert pair.primaries() == [taker]
        assert giver.group.role is Role.SECONDARY
        pair.duplex()
        pair.move_host()
        pair.write(5)
        pair.duplex()
        pair.same()
    generations = [generation.number for generation in pair.a.group.lineage]
    assert len(set(generations)) == 3
    assert [g.parent for g in pair.a.group.lineage] == [0, *generations[:2]]
    assert pair.b.group.lineage == pair.a.group.lineage


def test_the_old_primary_refuses_hosts_and_writes_that_waited():
    pair = Pair("refuses")
    pair.a.pair.hand_over(lambda _problem: None)
    pair.write(3)
    pair.world.run(lambda: pair.b.group.role is Role.PRIMARY, 5000)
    pair.world.run(lambda: not pair.host.open, 5000)
    assert pair.host.outcomes[Outcome.READ_ONLY] == 3
    assert pair.history.acked_csn == pair.b.group.csn


def test_no_copying_follows_a_hand_over():
    """Both stand at one position, so there is nothing to copy (R5 a)."""
    pair = Pair("nothing to copy")
    copied = pair.a.pair.primary.copied_tracks
    pair.a.pair.hand_over(lambda _problem: None)
    pair.world.run(lambda: pair.b.group.role is Role.PRIMARY, 5000)
    pair.duplex()
    assert pair.a.pair.primary.copied_tracks == copied
    assert pair.b.pair.primary.copied_tracks == 0


@pytest.mark.parametrize("victim", ["A", "B"])
@pytest.mark.parametrize("fuse", range(1, 7))
def test_a_crash_at_each_step_of_a_hand_over(victim, fuse):
    """At every instant one primary or none; in the end one, and nothing acknowledged lost (X19)."""
    pair = Pair(f"step/{victim}/{fuse}")
    pair.world.after_step = lambda: None if len(pair.primaries()) <= 1 else pytest.fail("two (R1)")
    site = pair.world.sites[victim]
    pair.a.pair.hand_over(lambda _problem: None)
    site.fuse = fuse
    for _ in range(400):
        if not site.alive:
            break
        pair.world.step()
    if site.alive:
        site.fuse = 0
    else:
        pair.world.rest(2)
        pair.reboot(site)
    pair.world.run(lambda: len(pair.primaries()) == 1, 30_000)
    pair.duplex()
    (primary,) = pair.primaries()
    assert primary.group.csn >= pair.history.acked_csn
    pair.move_host()
    pair.write(4)
    pair.duplex()
    pair.same()


def test_the_line_cut_at_each_moment_of_a_hand_over():
    for moment in range(1, 30, 2):
        pair = Pair(f"cut/{moment}")
        pair.world.after_step = lambda pair=pair: (
            None if len(pair.primaries()) <= 1 else pytest.fail("two (R1)")
        )
        answers: list = []
        pair.a.pair.hand_over(answers.append)
        for _ in range(moment):
            pair.world.step()
        pair.world.cut()
        pair.world.rest(5)
        pair.world.heal()
        pair.duplex()
        assert len(answers) == 1
        pair.move_host()
        pair.write(2)
        pair.duplex()
        pair.same()


def test_suspending_ends_a_hand_over_and_the_freeze():
    """The operator changes their mind while the last writes are on their way."""
    pair = Pair("suspended")
    pair.write(4)
    answers: list = []
    pair.a.pair.hand_over(answers.append)
    pair.a.pair.suspend()
    pair.write(2)
    pair.world.run(lambda: bool(answers) and not pair.host.open, 5000)
    assert "stays primary" in answers[0]
    assert pair.primaries() == [pair.a]
    assert not pair.a.group.frozen


@pytest.mark.parametrize("state", ["suspended", "frozen", "secondary"])
def test_a_hand_over_that_cannot_be_is_refused_at_once(state):
    pair = Pair(f"refused/{state}")
    answers: list = []
    if state == "suspended":
        pair.a.pair.suspend()
    elif state == "frozen":
        pair.a.group.frozen = True
    (pair.b if state == "secondary" else pair.a).pair.hand_over(answers.append)
    assert len(answers) == 1
    assert state in answers[0]
    assert pair.primaries() == [pair.a]


# By force.


def forced(pair: Pair) -> list:
    answers: list = []
    pair.b.pair.force("the other site burns", answers.append)
    pair.world.run(lambda: bool(answers), 5000)
    return answers


def test_after_a_forced_promotion_the_old_primary_steps_down_if_it_lost_nothing():
    pair = Pair("steps down")
    pair.a.crash(power=False)
    pair.world.rest(50)
    assert forced(pair) == [None]
    assert pair.b.group.lineage[-1].reason == "forced: the other site burns"
    pair.move_host()
    pair.write(5)
    pair.reboot(pair.a)
    pair.duplex()
    assert pair.primaries() == [pair.b]
    pair.same()
    assert pair.a.group.lineage == pair.b.group.lineage


def test_after_a_forced_promotion_a_primary_with_more_is_left_alone():
    """Both have what the other lacks: nothing is changed, and both say so (R5 d)."""
    pair = Pair("fork")
    pair.world.cut()
    pair.write(5)
    pair.world.run(lambda: not pair.host.open, 5000)
    ours = [bytes(image) for image in pair.history.newest]
    pair.a.crash(power=False)
    assert forced(pair) == [None]
    fork_csn = pair.b.group.csn
    assert not pair.history.differing(pair.b, pair.history.prefix(fork_csn))
    del pair.history.log[fork_csn:]
    pair.history.newest = [bytearray(image) for image in pair.history.prefix(fork_csn)]
    pair.move_host()
    pair.write(3)
    pair.world.run(lambda: not pair.host.open, 5000)
    pair.reboot(pair.a)
    pair.world.heal()
    pair.world.run(lambda: pair.b.group.state is PairState.REFUSED, 10_000)
    pair.world.rest(3000)
    assert {site.group.state for site in (pair.a, pair.b)} == {PairState.REFUSED}
    assert not pair.history.differing(pair.a, [bytearray(image) for image in ours])
    assert not pair.history.differing(pair.b, pair.history.newest)


@pytest.mark.parametrize("steps", range(2, 40, 3))
def test_a_promotion_by_force_in_the_middle_of_records_under_way(steps):
    """What was taken is applied whole before the new generation begins, and nothing after (R2)."""
    pair = Pair(f"under way/{steps}", slow_ns=2_000_000)
    pair.write(14)
    for _ in range(steps):
        pair.world.step()
    answers: list = []
    pair.b.pair.force("now", answers.append)
    pair.world.run(lambda: bool(answers), 10_000)
    assert answers == [None]
    group = pair.b.group
    fork = group.lineage[-1]
    assert fork.csn == group.csn == group.stream.acked.csn
    assert group.stream.acked.generation == fork.number
    assert not pair.history.differing(pair.b, pair.history.prefix(fork.csn))
    pair.a.crash(power=False)
    pair.world.rest(100)
    ghost = pair.b.ghost()
    assert ghost.group.role is Role.PRIMARY
    assert not pair.history.differing(ghost, pair.history.prefix(fork.csn))


def test_a_copy_that_is_not_whole_cannot_be_promoted():
    world = World("not whole", slow_ns=3_000_000)
    history = History(world)
    world.start()
    world.run(lambda: world.b.group.state is PairState.COPYING, 5000)
    answers: list = []
    world.b.pair.force("now", answers.append)
    assert "no consistent copy" in answers[0]
    assert world.b.group.role is Role.SECONDARY
    assert history.acked_csn == 0


def test_a_stranger_is_never_written_over_not_even_when_the_journal_overflows():
    """A secondary of another history is refused; giving up order changes nothing in that (R5 e)."""
    stranger = Pair("another history")
    pair = Pair("ours")
    pair.b.crash(power=False)
    pair.b.nvs = stranger.b.nvs.copy()
    pair.b.disks = [disk.copy() for disk in stranger.b.disks]
    pair.reboot(pair.b)
    before = [pair.b.image(index) for index in range(2)]
    pair.world.run(lambda: pair.a.group.state is PairState.REFUSED, 10_000)
    assert "no common history" in pair.a.group.reason
    for _ in range(40):
        pair.host.write(0, 0, pair.world.dice.randbytes(60_000))
        pair.world.rest(20)
    assert any(isinstance(event, JournalOverflow) for event in pair.a.events)
    pair.world.rest(3000)
    pair.world.run(lambda: not pair.host.open, 20_000)
    assert pair.a.group.state is PairState.REFUSED or pair.b.group.state is PairState.REFUSED
    assert [pair.b.image(index) for index in range(2)] == before
    assert pair.b.group.consistent


def test_both_sites_lose_power_together():
    """They come up again with no operator, and without a full copy (X22)."""
    pair = Pair("power", ack=AckLevel.REMOTE_NVS)
    pair.write(8)
    pair.world.rest(0.4)
    for site in (pair.a, pair.b):
        site.crash(power=True)
    pair.host.open.clear()
    for site in (pair.a, pair.b):
        pair.world.boot(site)
    pair.world.run(lambda: pair.a.serving and pair.b.serving, 10_000)
    pair.history.check_primary(pair.a)
    pair.history.check_secondary(pair.b)
    pair.duplex()
    pair.same()
    assert pair.a.pair.primary.copied_tracks == 0
