"""A site comes back without its store, or gives up what it has: who may follow whom (R5, X6)."""

import random

from rig.host.nbd_client import connect_nbd
from tests.system.sites import until

MIB = 1 << 20


def states(bench):
    return [site.group()["state"] for site in bench.sites.values()]


def running(two_sites):
    bench = two_sites()
    bench.start()
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"both have this" * 100)
    bench.wait("identical")
    return bench


def test_a_secondary_without_its_store_gets_everything_again(two_sites):
    bench = running(two_sites)
    bench.b.kill()
    bench.b.nvs.unlink()
    bench.b.image.write_bytes(random.Random(1).randbytes(16 * MIB))
    before = bench.a.group()["copy"]["copied_tracks"]
    bench.start("B")
    bench.wait("identical")
    assert bench.a.group()["copy"]["copied_tracks"] - before == 4096
    bench.finish()


def test_a_primary_without_its_store_does_not_overwrite_the_copy(two_sites):
    """It cannot know what it had acknowledged; the other site knows, and refuses."""
    bench = running(two_sites)
    bench.a.kill()
    bench.a.nvs.unlink()
    bench.a.image.write_bytes(bytes(16 * MIB))
    before = bench.b.group()["position"]
    bench.start("A")
    until(lambda: states(bench) == ["refused"] * 2, "both sites refuse")
    for site in bench.sites.values():
        assert "nothing was changed" in site.group()["reason"]
    assert bench.b.group()["position"] == before
    # On: what the copy has is reached by promoting it.
    bench.b.order("role", primary="B", force="site A lost its store")
    with connect_nbd(bench.b.uri) as volume:
        assert volume.read(0, 1400) == b"both have this" * 100
    until(lambda: states(bench) == ["refused"] * 2, "both sites refuse still")
    bench.stop("A", "B")


def test_a_fork_ends_when_one_side_gives_up_its_store(two_sites):
    bench = running(two_sites)
    bench.a.kill()
    bench.b.order("role", primary="B", force="site A is lost")
    with connect_nbd(bench.b.uri) as volume:
        volume.write(8192, b"only B has this")
    bench.b.kill()
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(8192, b"only A has this")
    bench.start("B")
    until(lambda: states(bench) == ["refused"] * 2, "both sites refuse")
    bench.a.kill()
    bench.a.nvs.unlink()
    bench.rewrite(source="B", target="A")
    bench.start("A")
    bench.wait("duplex")
    assert bench.a.group()["role"] == "secondary"
    with connect_nbd(bench.b.uri) as volume:
        assert volume.read(8192, 15) == b"only B has this"
    bench.finish()
