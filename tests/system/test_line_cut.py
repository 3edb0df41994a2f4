"""The line is cut under load: what follows moves what the other site lacks, and no more (X10)."""

import pytest

from tests.system.cables import PtyCable, UdpCable
from tests.system.load import Load
from tests.system.sites import until

MIB = 1 << 20


def copied(bench):
    return bench.a.group()["copy"]["copied_tracks"]


def suspended(bench):
    until(lambda: bench.a.group()["state"] == "suspended", "site A notices that the line is cut")


@pytest.mark.parametrize(("kind", "cuts"), [("udp", 2), ("pty", 1)])
def test_a_cut_line_is_made_up_from_the_journal(two_sites, tmp_path, kind, cuts):
    with UdpCable() if kind == "udp" else PtyCable(tmp_path) as cable:
        bench = two_sites(line=cable.line, nvs="64MiB")
        bench.start()
        bench.wait("duplex")
        with Load(bench.a, tmp_path / "writes", rate=500) as load:
            load.await_acknowledged(50)
            before = copied(bench)
            for _ in range(cuts):
                cable.cut()
                suspended(bench)
                # On: the cut stops no host.
                load.await_acknowledged(200)
                lag = bench.a.group()["lag"]
                assert lag["records"] >= 200
                assert lag["exposure_ns"] > 0
                cable.heal()
                bench.wait("duplex")
        bench.wait("identical")
        assert cable.dropped
        assert copied(bench) == before == bench.size_bytes // 4096
        assert not bench.a.events("journal-overflow")
        load.verify()
        bench.finish()


def test_a_small_journal_gives_up_order_and_copies_what_changed(two_sites, tmp_path):
    with UdpCable() as cable:
        bench = two_sites(line=cable.line, size_bytes=32 * MIB, nvs="8MiB")
        bench.start()
        bench.wait("duplex")
        before = copied(bench)
        with Load(bench.a, tmp_path / "writes", size_bytes=2 * MIB) as load:
            load.await_acknowledged(50)
            cable.cut()
            found = until(
                lambda: bench.a.events("journal-overflow"), "the journal is announced as full"
            )
            assert found[0]["group"] == "g0"
            assert found[0]["csn"] > 0
            # On: no host is stopped by a full journal (F8).
            load.await_acknowledged(2000)
            suspended(bench)
            assert 0 < bench.a.group()["copy"]["dirty_tracks"] <= 512
        cable.heal()
        bench.wait("identical")
        # Before the line is known to be cut, a copying over it may begin and be overtaken too.
        begun = [
            row["tracks"] for row in bench.a.events("copy-progress") if row["phase"] == "begun"
        ]
        assert all(0 < tracks <= 512 for tracks in begun[1:])
        assert 0 < copied(bench) - before <= sum(begun[1:])
        load.verify()
        bench.finish()


def test_overflow_survives_the_crash_of_either_site(two_sites, tmp_path):
    with UdpCable() as cable:
        bench = two_sites(line=cable.line, size_bytes=32 * MIB, nvs="8MiB", sync="fsync")
        bench.start()
        bench.wait("duplex")
        with Load(bench.a, tmp_path / "writes", size_bytes=2 * MIB) as load:
            cable.cut()
            until(lambda: bench.a.events("journal-overflow"), "the journal is announced as full")
            load.await_acknowledged(500)
            bench.a.kill()
        bench.b.kill()
        cable.heal()
        bench.start()
        bench.wait("identical")
        assert 0 < copied(bench) <= 512
        load.verify()
        bench.finish()
