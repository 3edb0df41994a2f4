"""The operator's orders on running sites: suspend, resume, freeze, run (F1, F2)."""

import pytest

from emulator.errors import TimeLimitError, UnavailableError
from emulator.frontend.nbd_protocol import Command
from rig.host.nbd_client import connect_nbd
from tests.system.load import Load
from tests.system.sites import until


def states(bench):
    return [site.group()["state"] for site in bench.sites.values()]


def test_suspend_and_resume_under_load(two_sites, tmp_path):
    bench = two_sites(nvs="64MiB")
    bench.start()
    bench.wait("duplex")
    copied = bench.a.group()["copy"]["copied_tracks"]
    with Load(bench.a, tmp_path / "writes", rate=500) as load:
        load.await_acknowledged(50)
        bench.a.order("suspend")
        until(lambda: states(bench) == ["suspended"] * 2, "both sites say that it is suspended")
        stopped = bench.b.group()["csn"]
        load.await_acknowledged(100)
        assert bench.b.group()["csn"] == stopped
        # On: it stays so through a crash of either site.
        bench.b.kill()
        bench.start("B")
        bench.a.kill()
        bench.start("A")
        until(lambda: bench.a.status()["links"]["A-B"]["state"] == "up", "the link comes back")
        load.await_acknowledged(100)
        assert bench.a.group()["suspended"]
        assert bench.a.group()["state"] == "suspended"
        assert bench.b.group()["csn"] == stopped
        bench.a.order("resume")
        bench.wait("duplex")
    assert bench.a.group()["copy"]["copied_tracks"] in (0, copied)
    load.verify()
    bench.finish()


def test_orders_for_the_primary_are_refused_by_the_secondary(two_sites):
    bench = two_sites()
    bench.start()
    bench.wait("duplex")
    for verb in ("suspend", "resume"):
        with pytest.raises(UnavailableError, match="not the primary"):
            bench.b.order(verb)
    with pytest.raises(UnavailableError, match="ask A"):
        bench.b.order("role", primary="B")
    bench.finish()


@pytest.mark.parametrize("ack", ["nvs", "remote-nvs"])
def test_freeze_holds_writes_and_run_lets_them_go(two_sites, ack):
    bench = two_sites(ack=ack, volumes=2)
    bench.start()
    bench.wait("duplex")
    with (
        connect_nbd(bench.a.uri, timeout_s=2) as volume,
        connect_nbd(bench.a.uri_of("vol1")) as other,
    ):
        volume.write(0, b"x" * 4096)
        csn = bench.a.order("freeze")["csn"]
        tickets = [volume.submit(Command.WRITE, 4096 * n, b"y" * 4096) for n in range(1, 4)]
        zero = other.submit(Command.WRITE_ZEROES, 0, length=4096)
        unaligned = other.submit(Command.WRITE, 10_000, b"z" * 5000)
        with pytest.raises(TimeLimitError):
            volume.wait(tickets[0])
        # On: reads go on, the cut is one csn for all volumes, and the copy reaches it.
        assert volume.read(0, 4096) == b"x" * 4096
        bench.wait("identical")
        assert bench.a.group()["csn"] == bench.b.group()["csn"] == csn
        assert bench.a.order("run")["csn"] == csn
        for ticket in tickets:
            volume.wait(ticket)
        other.wait(zero)
        other.wait(unaligned)
        assert volume.read(4096, 4096) == b"y" * 4096
    assert bench.a.group()["csn"] == csn + 5
    bench.finish()


def test_a_frozen_group_does_not_hand_over_and_a_crash_ends_the_freeze(two_sites):
    bench = two_sites()
    bench.start()
    bench.wait("duplex")
    bench.a.order("freeze")
    with pytest.raises(UnavailableError, match="frozen"):
        bench.a.order("role", primary="B")
    bench.a.kill()
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"x" * 4096)
    bench.finish()
