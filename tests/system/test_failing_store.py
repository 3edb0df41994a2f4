"""The nonvolatile store fails while hosts write: written through, nothing lost, and said."""

import random

import pytest

from emulator.errors import BenchError, UnavailableError
from rig.host.console import ask
from rig.host.nbd_client import connect_nbd
from tests.system.sites import until
from tests.system.strace import failing

KIB = 1 << 10
MIB = 1 << 20
UNAVAILABLE = 69


def write_some(volume, dice: random.Random, model: bytearray, count: int) -> None:
    for _ in range(count):
        offset = dice.randrange(len(model) // 512 - 8) * 512
        data = dice.randbytes(dice.choice([512, 4 * KIB]))
        volume.write(offset, data)
        model[offset : offset + len(data)] = data


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", ["fdatasync", "pwritev,pwritev2"])
def test_a_store_that_fails_leaves_a_site_that_writes_through(two_sites, call):
    """W4: no early completion, reported; a crash after it loses no completed write."""
    bench = two_sites(sync="fsync")
    failing(bench.a, call, bench.a.nvs, "12+")
    bench.start("A")
    dice, model = random.Random(call), bytearray(16 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        write_some(volume, dice, model, 60)
    (lost,) = until(lambda: bench.a.events("store-lost"), "the loss is reported")
    assert lost["csn_on_disk"] <= lost["csn_accepted"]
    status = bench.a.status()
    assert status["nvs"]["state"] == "lost"
    assert status["groups"]["g0"]["guarantee"].startswith("WRITE-THROUGH")
    assert status["devices"]["vol0"]["write"] == "through"
    (drained,) = until(lambda: bench.a.events("store-drained"), "what was at risk is on the disk")
    assert drained["csn"] >= lost["csn_accepted"]
    assert bench.a.status()["nvs"]["at_risk"] == {}
    # Every completed write is on the disk: the store's old journal must not come over it.
    bench.a.kill()
    assert bench.a.image.read_bytes() == model
    bench.a.prefix = ()
    bench.start("A")
    assert bench.a.events("store-stale")
    assert bench.a.status()["nvs"]["state"] == "good"
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(0, len(model)) == model
        write_some(volume, dice, model, 20)
    bench.start("B")
    bench.finish()
    assert bench.a.image.read_bytes() == model


@pytest.mark.needs("strace")
def test_a_copy_that_was_whole_is_made_whole_again_after_a_lost_store(two_sites):
    """The copy is suspended, and says why; with a good store it gets what it lacks."""
    bench = two_sites(sync="fsync")
    failing(bench.a, "fdatasync", bench.a.nvs, "60+")
    bench.start()
    bench.wait("duplex")
    dice, model = random.Random(5), bytearray(16 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        while not bench.a.events("store-lost"):
            write_some(volume, dice, model, 10)
        write_some(volume, dice, model, 10)
    group = bench.a.group()
    assert group["state"] == "suspended"
    assert "nonvolatile store" in group["reason"]
    assert bench.a.terminate() == UNAVAILABLE, "it is not well, though nothing is lost"
    bench.a.prefix = ()
    bench.start("A")
    bench.finish()
    assert bench.a.image.read_bytes() == model


@pytest.mark.needs("strace")
def test_a_secondary_without_its_store_takes_nothing_more(two_sites):
    bench = two_sites(sync="fsync")
    failing(bench.b, "fdatasync", bench.b.nvs, "40+")
    bench.start()
    bench.wait("duplex")
    dice, model = random.Random(6), bytearray(16 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        while not bench.b.events("store-lost"):
            write_some(volume, dice, model, 10)
        write_some(volume, dice, model, 10)
    until(lambda: bench.a.group()["state"] == "suspended", "the primary goes on alone")
    assert bench.b.group()["state"] == "refused"
    bench.b.kill()
    bench.b.prefix = ()
    bench.start("B")
    bench.finish()
    assert bench.b.image.read_bytes() == model


@pytest.mark.needs("strace")
def test_a_site_with_no_place_for_the_mark_stops(two_sites):
    """Without checksum files the next start could not tell that the journal is older."""
    bench = two_sites(sync="fsync", device='checksums = "none"\n')
    failing(bench.a, "fdatasync", bench.a.nvs, "12+")
    bench.start("A")
    dice, model = random.Random(7), bytearray(16 * MIB)
    with pytest.raises(UnavailableError), connect_nbd(bench.a.uri) as volume:
        write_some(volume, dice, model, 60)
    assert bench.a.ended() == UNAVAILABLE
    assert bench.a.events("disk-failed")


@pytest.mark.needs("strace")
def test_a_store_that_fails_at_the_start_is_refused(two_sites):
    bench = two_sites(sync="fsync")
    failing(bench.a, "fdatasync", bench.a.nvs, "1+")
    code, said = bench.a.refused()
    assert code == UNAVAILABLE
    assert "dualcopy: file://" in said
    assert "Input/output error" in said
    assert "Traceback" not in said


def test_a_battery_that_fails_ends_early_completion_until_it_is_good(two_sites):
    bench = two_sites(sync="battery")
    bench.start()
    bench.wait("duplex")
    dice, model = random.Random(8), bytearray(16 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        write_some(volume, dice, model, 20)
        assert ask(bench.a.console, "battery", state="failed") == {"nvs": "battery failed"}
        write_some(volume, dice, model, 20)
        bench.a.pause()
        # What was completed is on the disk, in every part.
        assert bench.a.image.read_bytes() == model
        bench.a.resume()
        status = bench.a.status()
        assert status["nvs"]["state"] == "battery failed"
        assert "WRITE-THROUGH" in status["groups"]["g0"]["guarantee"]
        assert [event["state"] for event in bench.a.events("battery-changed")] == ["failed"]
        # A restart knows it still.
        bench.a.kill()
    bench.start("A")
    assert bench.a.status()["nvs"]["state"] == "battery failed"
    with connect_nbd(bench.a.uri) as volume:
        write_some(volume, dice, model, 20)
        assert ask(bench.a.console, "battery", state="restored") == {"nvs": "good"}
        write_some(volume, dice, model, 20)
    assert bench.a.status()["groups"]["g0"]["guarantee"].startswith("DUPLEX")
    bench.finish()
    assert bench.a.image.read_bytes() == model


def test_only_a_store_with_a_battery_has_one_that_fails(two_sites):
    bench = two_sites(sync="fsync")
    bench.start("A")
    with pytest.raises(BenchError, match="no battery"):
        ask(bench.a.console, "battery", state="failed")
    with pytest.raises(BenchError, match="failed or restored"):
        ask(bench.a.console, "battery", state="flat")


def test_a_device_that_is_written_through_completes_nothing_early(two_sites):
    """Early completion acknowledges with the disk standing still; write-through does not (2)."""
    bench = two_sites(device='write = "through"\n')
    bench.start("A")
    dice, model = random.Random(9), bytearray(16 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        write_some(volume, dice, model, 50)
        bench.a.pause()
        assert bench.a.image.read_bytes() == model
        bench.a.resume()
    assert bench.a.status()["devices"]["vol0"]["write"] == "through"
