"""A journal whose end is gone, or whose middle has rotted, ends a start with a clear error."""

import pytest

from rig.sim.exhaust import small
from rig.sim.site import Site
from rig.sim.world import World

pytestmark = pytest.mark.sources


@pytest.fixture
def site() -> Site:
    """A primary that has crashed with a journal of several entries, and a superblock."""
    world = World(small(40, "nvs"), [])
    found = world.sites[0]
    world.scheduler.run_to(25_000_000, 1_000_000)
    found.processor.save_soon()
    world.scheduler.run_to(30_000_000, 1_000_000)
    found.crash(0, 1 << 62, power=True)
    assert len(found.nvs._entries()) > 3
    return found


def starts(site: Site) -> list[str]:
    """Start once more; return the refusals."""
    refusals: list[str] = []
    site.refused = lambda error: refusals.append(str(error))
    site.boot()
    site.scheduler.run_to(site.scheduler.now_ns + 50_000_000, 1_000_000)
    return refusals


def test_a_journal_that_is_whole_is_taken_up(site):
    assert starts(site) == []


def test_an_end_that_the_superblock_knows_to_have_been_durable_is_missed(site):
    site.nvs.lose_tail(1000)
    (refusal,) = starts(site)
    assert "its end is lost" in refusal
    assert "copy the volume back from the other site" in refusal


def test_a_bit_that_flipped_inside_is_no_torn_tail(site):
    site.nvs.rot(12345)
    assert site.nvs.rotten
    (refusal,) = starts(site)
    assert "is damaged, but entry" in refusal


def test_what_was_put_back_is_taken_up(site):
    site.nvs.lose_tail(1000)
    site.nvs.restore()
    assert starts(site) == []
