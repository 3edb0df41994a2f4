"""A site whose disk hangs on a control unit: paths and cables go, hosts notice nothing (X8)."""

import json
import random
import sys
from pathlib import Path

import pytest

from emulator.errors import BenchError
from rig.host.console import ask
from rig.host.nbd_client import connect_nbd
from tests.system.sites import Site, TwoSites, run, until

MIB = 1 << 20
UNAVAILABLE = 69


class UnitSites(TwoSites):
    """A bench whose site A reaches its device by a ring of cables and two paths."""

    def _text(self) -> str:
        unit = (
            '[site.A.control_unit.cu0]\nshape = "ring"\ndevices = ["vol0"]\npaths = 2\n'
            'patience = "200ms"\n[site.B]'
        )
        return super()._text().replace("[site.B]", unit)


@pytest.fixture
def bench(tmp_path: Path):
    made = UnitSites(tmp_path, size_bytes=16 * MIB)
    yield made
    made.close()


def order(site: Site, action: str, part: str) -> dict:
    return ask(site.console, "unit", unit="cu0", action=action, part=part)


def put(site: Site, offset: int, data: bytes) -> None:
    with connect_nbd(site.uri) as volume:
        volume.write(offset, data)


def test_a_path_and_a_cable_may_go_and_nothing_shows(bench):
    bench.start()
    bench.wait("duplex", 60)
    order(bench.a, "vary-off", "0")
    assert order(bench.a, "cut", "1")["devices"]["vol0"]["reachable"]
    put(bench.a, 0, random.Random(1).randbytes(4 * MIB))
    bench.wait("identical", 60)
    unit = until(
        lambda: (found := bench.a.status()["control_units"]["cu0"])["failovers"] and found,
        "an operation takes the other path",
    )
    assert [path["online"] for path in unit["paths"]] == [False, True]
    assert (unit["shape"], unit["cables"]) == ("ring", ["whole", "cut"])
    assert bench.a.status()["devices"]["vol0"]["state"] == "online"
    bench.finish()


def test_a_device_that_is_cut_off_is_served_from_cache_and_journal_until_it_is_back(bench):
    bench.start()
    bench.wait("duplex", 60)
    for cable in ("0", "1"):
        lost = order(bench.a, "cut", cable)
    assert not lost["devices"]["vol0"]["reachable"]
    data = random.Random(2).randbytes(2 * MIB)
    put(bench.a, MIB, data)
    events = until(lambda: bench.a.events("disk-failed"), "the failing is reported")
    assert "vol0 behind cu0: no cable reaches it; waited 0.2 s" in events[0]["reason"]
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, 2 * MIB) == data
    bench.wait("identical", 60)  # the other site is not concerned
    order(bench.a, "mend", "0")
    until(
        lambda: (
            bench.a.status()["devices"]["vol0"]["state"] == "online"
            and not bench.a.status()["cache"]["dirty_tracks"]
        ),
        "all is on the disk",
    )
    last = bench.a.events("attachment-changed")[-1]
    assert (last["action"], last["part"], last["unreachable"]) == ("mend", "0", [])
    bench.finish()


def test_a_site_that_stops_without_its_device_says_so_and_keeps_all_in_the_journal(bench):
    bench.start()
    bench.wait("duplex", 60)
    order(bench.a, "off", "vol0")
    put(bench.a, 0, b"kept" * 5120)
    bench.wait("identical", 60)
    assert bench.a.terminate(60) == UNAVAILABLE
    bench.start("A")  # the device is on again: that is the unit's own matter, not the journal's
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(0, 20_480) == b"kept" * 5120
    bench.finish()


def test_orders_for_what_is_not_there_are_refused(bench):
    bench.start("A")
    for unit, action, part, told in (
        ("cu1", "cut", "0", "no control unit 'cu1' here; there are: cu0"),
        ("cu0", "saw", "0", "'saw' is no action"),
        ("cu0", "cut", "2", "there are 0, 1"),
    ):
        with pytest.raises(BenchError, match=told):
            ask(bench.a.console, "unit", unit=unit, action=action, part=part)
    command = (sys.executable, "-m", "rig.cli", "site", "unit", "A", "cu0")
    said = run(*command, "cut", "1", "--bench", bench.path)
    assert said.splitlines()[1].split() == ["cu0", "ring", "2", "of", "2", "1", "0"]
    said = run(*command, "off", "vol0", "--bench", bench.path, "--json")
    assert json.loads(said)["devices"]["vol0"]["reachable"] is False
