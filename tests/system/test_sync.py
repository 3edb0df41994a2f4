"""ack = remote-nvs: a write is acknowledged when the other site has it, or honestly without."""

import pytest

from emulator.errors import TimeLimitError
from emulator.frontend.nbd_protocol import Command
from emulator.nvs.areas import SLOT_BYTES, decode_superblock
from rig.host.nbd_client import connect_nbd
from tests.system.load import Load
from tests.system.sites import until


def suspended(bench):
    until(lambda: bench.a.group()["state"] == "suspended", "site A notices that B is gone")


@pytest.mark.parametrize("ack", ["remote-nvs", "remote-applied"])
def test_acknowledged_writes_survive_the_loss_of_the_primary(two_sites, tmp_path, ack):
    bench = two_sites(ack=ack, sync="fsync")
    bench.start()
    bench.wait("duplex")
    assert "DUPLEX-SYNC" in bench.a.group()["guarantee"]
    with Load(bench.a, tmp_path / "writes") as load:
        load.await_acknowledged(300)
        bench.a.kill()
    bench.a.image.unlink()
    bench.a.nvs.unlink()
    bench.b.order("role", primary="B", force="site A burnt down")
    load.site = bench.b
    assert load.verify().acknowledged >= 300
    bench.b.kill()


def test_writes_made_while_the_copy_became_duplex_survive_too(two_sites, tmp_path):
    """A-sync: the state says DUPLEX only when nothing acknowledged is here alone."""
    bench = two_sites(ack="remote-nvs", size_bytes=64 << 20)
    bench.start("A")
    with Load(bench.a, tmp_path / "writes") as load:
        load.await_acknowledged(300)
        bench.start("B")
        until(lambda: "DUPLEX-SYNC" in bench.a.group()["guarantee"], "duplex is reached")
        bench.a.kill()
    bench.b.order("role", primary="B", force="site A burnt down")
    load.site = bench.b
    load.verify()
    bench.b.kill()


def test_hold_completes_nothing_without_the_other_site(two_sites):
    bench = two_sites(ack="remote-nvs", on_link_loss="hold")
    bench.start()
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"before" * 100)
    bench.b.kill()
    with pytest.raises(TimeLimitError), connect_nbd(bench.a.uri, timeout_s=5) as volume:
        volume.write(0, b"during" * 100)
    assert bench.a.group()["waiting_replies"] <= 1
    # On: reads go on, and what waits is completed when the other site is back.
    with connect_nbd(bench.a.uri) as volume:
        ticket = volume.submit(Command.WRITE, 4096, b"waits" * 100)
        assert volume.unanswered == {ticket}
        bench.start("B")
        volume.wait(ticket)
    bench.finish()


def test_continue_completes_once_leaving_duplex_is_durable(two_sites):
    bench = two_sites(ack="remote-nvs", on_link_loss="continue", sync="fsync")
    bench.start()
    bench.wait("duplex")
    bench.b.kill()
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"alone" * 100)
    # On: it was answered, so the superblock says that the copy is not duplex (A-honest).
    (event,) = [e for e in bench.a.events("pair-changed") if e["before"] == "duplex"]
    assert event["after"] == "suspended"
    bench.a.kill()
    with bench.a.nvs.open("rb") as store:
        kept = decode_superblock(store.read(2 * SLOT_BYTES))
    assert kept.body["groups"]["g0"]["state"] == "suspended"
    bench.start("A")
    group = bench.a.group()
    assert group["state"] == "suspended"
    assert "DUPLEX" not in group["guarantee"]
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(0, 500) == b"alone" * 100
    bench.start("B")
    bench.finish()


def test_no_answer_before_the_link_is_known_to_be_lost(two_sites):
    """Between the loss and its notice writes wait: they are neither lost nor a lie."""
    bench = two_sites(ack="remote-nvs", on_link_loss="continue")
    bench.start()
    bench.wait("duplex")
    bench.b.kill()
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"x" * 4096)
        assert bench.a.group()["state"] == "suspended"
    suspended(bench)
    bench.start("B")
    bench.finish()
