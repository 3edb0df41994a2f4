"""Who is primary: reversals planned, cut short and crashed, promotion by force, and forks.

The suite crashes a few reversals; `KILLS=20 pytest tests/system/test_roles.py` crashes as many.
"""

import contextlib
import os
import random
import threading

import pytest

from emulator.errors import DeviceError, UnavailableError
from rig.host.nbd_client import connect_nbd
from tests.system.cables import UdpCable
from tests.system.load import Load
from tests.system.sites import until

MIB = 1 << 20
EPERM = 1
KILLS = int(os.environ.get("KILLS", "4"))


def roles(bench):
    """Return the roles of the sites that answer."""
    found = {}
    for name, site in bench.sites.items():
        with contextlib.suppress(UnavailableError):
            found[name] = site.group()["role"]
    return found


def refused(site, operation):
    with pytest.raises(DeviceError) as caught, connect_nbd(site.uri) as volume:
        operation(volume)
    assert caught.value.errno == EPERM


def write_and_read(site, offset, data):
    with connect_nbd(site.uri) as volume:
        volume.write(offset, data)
        assert volume.read(offset, len(data)) == data


def test_initial_copy_while_the_host_writes(two_sites, tmp_path):
    bench = two_sites(size_bytes=32 * MIB)
    dice = random.Random(1)
    bench.a.image.write_bytes(dice.randbytes(32 * MIB))
    bench.b.image.write_bytes(dice.randbytes(32 * MIB))
    bench.start("A")
    with Load(bench.a, tmp_path / "writes", size_bytes=32 * MIB, block_bytes=6656) as load:
        load.await_acknowledged(100)
        bench.start("B")
        until(lambda: bench.b.group()["state"] == "copying", "copying begins")
        assert not bench.b.group()["consistent"]
        assert "not a usable copy" in bench.b.group()["guarantee"]
        load.await_acknowledged(500)
        bench.wait("duplex")
        load.await_acknowledged(100)
    load.verify()
    assert bench.b.group()["consistent"]
    bench.finish()


def test_secondary_refuses_hosts_inside_the_copy(two_sites):
    bench = two_sites()
    bench.start()
    bench.wait("duplex")
    refused(bench.b, lambda volume: volume.write(0, b"x" * 4096))
    refused(bench.b, lambda volume: volume.zero(0, 4096))
    refused(bench.b, lambda volume: volume.trim(0, 4096))
    refused(bench.b, lambda volume: volume.read(0, 4096))
    assert not bench.b.status()["devices"]["vol0"]["writable"]
    bench.finish()


def test_planned_reversal_and_back(two_sites, tmp_path):
    bench = two_sites()
    bench.start()
    bench.wait("duplex")
    with Load(bench.a, tmp_path / "at-a") as load:
        load.await_acknowledged(200)
        bench.a.order("role", primary="B")
        until(lambda: load.refused, "the host at A is refused")
    assert roles(bench) == {"A": "secondary", "B": "primary"}
    refused(bench.a, lambda volume: volume.write(0, b"x" * 4096))
    # On: the new primary has every write that the old one acknowledged.
    load.site = bench.b
    load.verify()
    with Load(bench.b, tmp_path / "at-b", seed=2) as second:
        second.await_acknowledged(200)
    bench.wait("identical")
    copied = bench.b.group()["copy"]["copied_tracks"]
    assert copied == 0
    bench.b.order("role", primary="A")
    second.site = bench.a
    second.verify()
    write_and_read(bench.a, 0, b"a" * 4096)
    bench.finish()


@pytest.mark.parametrize("seed", [1, 2])
def test_reversal_with_the_link_cut_in_the_middle(two_sites, tmp_path, seed):
    dice = random.Random(seed)
    with UdpCable() as cable:
        bench = two_sites(line=cable.line)
        bench.start()
        for round_number in range(3):
            bench.wait("duplex", 60)
            old, new = ("A", "B") if roles(bench)["A"] == "primary" else ("B", "A")
            journal = tmp_path / f"writes-{round_number}"
            load = Load(bench.sites[old], journal, seed=round_number + 1)
            with load, _ordered(bench.sites[old], new) as order:
                load.await_acknowledged(50)
                order.start()
                threading.Event().wait(dice.random() / 20)
                cable.cut()
                until(lambda: "suspended" in _states(bench), "a site notices")
                assert list(roles(bench).values()).count("primary") <= 1
                cable.heal()
                bench.wait("duplex", 60)
                assert sorted(roles(bench).values()) == ["primary", "secondary"]
            now = next(name for name, role in roles(bench).items() if role == "primary")
            load.site = bench.sites[now]
            load.verify()
        bench.finish()


def _states(bench):
    return [site.group()["state"] for site in bench.sites.values()]


@contextlib.contextmanager
def _ordered(site, primary):
    """A thread that gives the order for a reversal, which may fail or never be answered."""

    def give():
        with contextlib.suppress(UnavailableError, TimeoutError):
            site.order("role", primary=primary)

    thread = threading.Thread(target=give, daemon=True)
    yield thread
    thread.join(40)
    assert not thread.is_alive(), "the order is never answered"


@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.parametrize("sync", ["battery", "fsync"])
def test_kill_inside_a_reversal(two_sites, tmp_path, sync):
    """Either site dies at some moment of a reversal: one primary at most, nothing lost (X19)."""
    dice = random.Random(sync)
    bench = two_sites(sync=sync)
    bench.start()
    for number in range(KILLS):
        bench.wait("duplex", 60)
        old, new = ("A", "B") if roles(bench)["A"] == "primary" else ("B", "A")
        victim = dice.choice([old, new])
        load = Load(bench.sites[old], tmp_path / f"writes-{number}", seed=number + 1)
        with load:
            load.await_acknowledged(20)
            with _ordered(bench.sites[old], new) as order:
                order.start()
                threading.Event().wait(dice.random() / 30)
                bench.sites[victim].kill()
                seen = list(roles(bench).values())
                assert seen.count("primary") <= 1
                bench.start(victim)
                until(lambda: _settled(bench), "one primary and one secondary")
        now = next(name for name, role in roles(bench).items() if role == "primary")
        load.site = bench.sites[now]
        load.verify()
    bench.finish()


@pytest.mark.parametrize("victims", ["A", "B", "AB", ""])
def test_crash_when_the_role_is_offered_and_nobody_has_taken_it(two_sites, victims):
    """No primary at all, until the sites meet again; then the one that was to become it."""
    bench = two_sites(sync="fsync")
    bench.start()
    write_and_read(bench.a, 0, b"a" * 4096)
    bench.wait("identical")
    bench.b.pause()
    with _ordered(bench.a, "B") as order:
        order.start()
        until(lambda: bench.a.events("role-changed"), "site A has given the role up")
        assert bench.a.group()["role"] == "handing-over"
        refused(bench.a, lambda volume: volume.write(0, b"x" * 4096))
        refused(bench.a, lambda volume: volume.read(0, 4096))
        for name in victims:
            bench.sites[name].kill()
        if "B" not in victims:
            bench.b.resume()
        if victims:
            bench.start(*victims)
        until(lambda: _settled(bench), "one primary and one secondary")
    assert roles(bench) == {"A": "secondary", "B": "primary"}
    write_and_read(bench.b, 4096, b"b" * 4096)
    bench.finish()


@pytest.mark.parametrize("victims", ["A", "B", "AB", ""])
def test_crash_when_the_role_is_taken_and_the_old_primary_does_not_know(two_sites, victims):
    bench = two_sites(sync="fsync")
    bench.start()
    write_and_read(bench.a, 0, b"a" * 4096)
    bench.wait("identical")
    with _ordered(bench.a, "B") as order:
        order.start()
        until(lambda: bench.b.events("role-changed"), "site B has taken the role", pause_s=0.0005)
        bench.a.pause()
        write_and_read(bench.b, 4096, b"b" * 4096)
        for name in victims:
            bench.sites[name].kill()
        if "A" not in victims:
            bench.a.resume()
        if victims:
            bench.start(*victims)
        until(lambda: _settled(bench), "one primary and one secondary")
    assert roles(bench) == {"A": "secondary", "B": "primary"}
    with connect_nbd(bench.b.uri) as volume:
        assert volume.read(0, 8192) == b"a" * 4096 + b"b" * 4096
    bench.finish()


def test_the_role_is_taken_back_by_force_when_the_other_site_is_lost(two_sites):
    bench = two_sites()
    bench.start()
    write_and_read(bench.a, 0, b"a" * 4096)
    bench.wait("identical")
    bench.b.pause()
    with _ordered(bench.a, "B") as order:
        order.start()
        until(lambda: bench.a.events("role-changed"), "site A has given the role up")
        bench.b.kill()
        bench.a.order("role", primary="A", force="site B is lost")
        write_and_read(bench.a, 0, b"again" * 100)
        bench.start("B")
        bench.wait("duplex")
    assert roles(bench) == {"A": "primary", "B": "secondary"}
    bench.finish()


def _settled(bench):
    seen = sorted(roles(bench).values())
    assert seen.count("primary") <= 1, seen
    return seen == ["primary", "secondary"]


def test_promotion_by_force_and_the_old_primary_returns_with_more(two_sites, tmp_path):
    """A fork is refused, both sites say so, and nothing is changed (R5 d)."""
    with UdpCable() as cable:
        bench = two_sites(line=cable.line)
        bench.start()
        write_and_read(bench.a, 0, b"common" * 100)
        bench.wait("identical")
        cable.cut()
        until(lambda: _states(bench) == ["suspended"] * 2, "both sites notice")
        write_and_read(bench.a, 8192, b"only A has this")
        bench.b.order("role", primary="B", force="A is lost")
        write_and_read(bench.b, 8192, b"only B has this")
        cable.heal()
        until(lambda: _states(bench) == ["refused"] * 2, "both sites refuse")
        assert roles(bench) == {"A": "primary", "B": "primary"}
        for site in bench.sites.values():
            group = site.group()
            assert "nothing was changed" in group["reason"]
            assert "REFUSED" in group["guarantee"]
        for name, data in (("A", b"only A has this"), ("B", b"only B has this")):
            with connect_nbd(bench.sites[name].uri) as volume:
                assert volume.read(8192, len(data)) == data
        # On: the reason is kept, and a restart changes nothing.
        bench.stop("A", "B")
        bench.start()
        until(lambda: _states(bench) == ["refused"] * 2, "both sites refuse again")
        bench.stop("A", "B")


@pytest.mark.parametrize("sync", ["battery", "fsync"])
def test_promotion_by_force_and_the_old_primary_returns_with_nothing_more(two_sites, sync):
    """The killed primary had sent all it had: it follows without an operator (R5 a, b)."""
    bench = two_sites(sync=sync)
    bench.start()
    bench.wait("duplex")
    write_and_read(bench.a, 0, b"a" * 40960)
    csn = bench.a.group()["csn"]
    until(lambda: bench.b.group()["csn"] == csn, "the write has reached site B")
    bench.a.kill()
    bench.b.order("role", primary="B", force="A is lost")
    write_and_read(bench.b, 4096, b"b" * 4096)
    bench.start("A")
    bench.wait("duplex")
    assert roles(bench) == {"A": "secondary", "B": "primary"}
    assert bench.b.group()["copy"]["copied_tracks"] == 0
    bench.finish()
