"""How a site paces itself: writes that come together go to a slow store together."""

from types import SimpleNamespace

import pytest

from emulator.copy.states import Role
from emulator.node.rhythm import SLOW_STORE_NS, TOGETHER_NS_MAX, TOGETHER_SHARE, Rhythm

TOOK_NS = 400_000
START_NS = 1_000_000_000


class Store:
    """A processor with one group, as far as its rhythm looks at it."""

    def __init__(self, role: Role = Role.PRIMARY) -> None:
        self.group = SimpleNamespace(csn=0, role=role)
        self.under_way = False
        self.rhythm = Rhythm(
            SimpleNamespace(groups={"g0": self.group}, write_under_way=lambda: self.under_way)
        )
        self.now_ns = START_NS

    def commit(self, took_ns: int = TOOK_NS) -> None:
        """Write to the store what hosts have written since the last time."""
        self.rhythm.commit_begins(self.now_ns)
        self.now_ns += took_ns
        self.rhythm.commit_ends(self.now_ns)

    def waits(self, after_ns: int = 0) -> bool:
        self.now_ns += after_ns
        return self.rhythm.commit_waits(self.now_ns)


@pytest.mark.sources
def test_the_first_of_several_writes_waits_for_the_others():
    store = Store()
    store.group.csn = 16
    assert not store.waits(), "nobody knows yet how long the store takes"
    store.commit()
    assert not store.waits(), "nothing waits"
    store.group.csn += 1
    assert store.waits()
    store.group.csn += 14
    assert store.waits(10_000)
    store.group.csn += 1
    assert not store.waits(10_000), "as many as the last time are there"


@pytest.mark.sources
def test_no_write_waits_longer_than_a_part_of_what_the_store_takes():
    store = Store()
    store.group.csn = 16
    store.commit()
    store.group.csn += 1
    assert store.waits()
    assert store.waits(TOOK_NS // TOGETHER_SHARE - 1)
    assert not store.waits(1)
    store.commit()
    store.group.csn += 1
    assert not store.waits(), "a host that writes one by one waits for nobody"


@pytest.mark.sources
def test_a_medium_that_stood_still_holds_nobody_back_for_long():
    store = Store()
    store.group.csn = 16
    store.commit(5_000_000_000)
    store.group.csn += 1
    assert store.waits()
    assert not store.waits(TOGETHER_NS_MAX)


@pytest.mark.sources
def test_each_wait_has_its_own_moment():
    store = Store()
    for _ in range(3):
        store.group.csn += 16
        store.commit()
        store.group.csn += 1
        assert store.waits(TOOK_NS)
        assert not store.waits(TOOK_NS)


@pytest.mark.sources
@pytest.mark.parametrize("role", [Role.SECONDARY, Role.PRIMARY])
def test_what_is_not_worth_it_does_not_wait(role: Role):
    store = Store(role)
    store.group.csn = 16
    store.commit(SLOW_STORE_NS - 1 if role is Role.PRIMARY else TOOK_NS)
    store.group.csn += 1
    assert not store.waits(), "a battery is quick, and a copy's records are no host's writes"


@pytest.mark.sources
def test_nothing_is_held_back_while_the_store_is_at_work():
    store = Store()
    store.group.csn = 16
    store.commit()
    store.group.csn += 1
    store.under_way = True
    assert not store.waits()
