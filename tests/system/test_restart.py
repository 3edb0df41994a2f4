"""A restart takes up what the disks lack, and not all that the journal keeps for the other site."""

import random
import sys

from rig.host.nbd_client import connect_nbd
from tests.system.sites import run, until

MIB = 1 << 20


def test_what_is_kept_for_the_other_site_is_not_written_to_the_disk_again(two_sites):
    bench = two_sites(nvs="64MiB", device='scrub = "0B"\n')
    bench.start()
    bench.wait("duplex")
    bench.b.kill()
    data = random.Random(1).randbytes(4 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, data)
    until(lambda: not bench.a.status()["cache"]["dirty_tracks"], "all is on the disk")
    until(lambda: bench.a.status()["nvs"]["warming"] is False, "the store is in memory")
    saves = bench.a.status()["nvs"]["saves"]
    until(lambda: bench.a.status()["nvs"]["saves"] > saves, "the store knows that", 10)
    bench.a.kill()
    bench.start("A")
    status = bench.a.status()
    assert status["nvs"]["used_bytes"] > len(data), "the other site lacks it"
    assert status["cache"]["dirty_tracks"] == status["destage"]["written_tracks"] == 0
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, len(data)) == data
    bench.start("B")
    bench.finish()


def test_the_command_line_tells_a_site_of_its_battery(two_sites):
    bench = two_sites()
    bench.start("A")
    command = (sys.executable, "-m", "rig.cli", "site", "battery", "A")
    said = run(*command, "failed", "--bench", bench.path)
    assert "battery failed" in said
    assert "battery failed" in run(*command[:-2], "status", "A", "--bench", bench.path)
    assert "is good" in run(*command, "restored", "--bench", bench.path)
    run(*command, "flat", "--bench", bench.path, status=2)


def test_a_start_after_an_orderly_stop_has_nothing_to_replay(two_sites):
    bench = two_sites()
    bench.start()
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, random.Random(2).randbytes(MIB))
    bench.stop()
    bench.start()
    for site in (bench.a, bench.b):
        found = site.events("recovered")[-1]
        assert (found["entries"], found["bytes"]) == (0, 0), site.name
    bench.finish()
