"""Disks that say they have written and have not: read back, and written anew (K5, `verify`).

strace answers a write for the kernel, which never sees it.
"""

import random

import pytest

from rig.host.nbd_client import connect_nbd
from tests.system.sites import until

KIB = 1 << 10
MIB = 1 << 20
TRACK = 4 * KIB


def losing(site, which: str) -> None:
    """Have writes of one track to the image lost, and taken for done: `1` the first, `1+` all."""
    site.prefix = (
        *("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", str(site.image)),
        *(
            "-e",
            "trace=pwritev,pwritev2",
            "-e",
            f"inject=pwritev,pwritev2:retval={TRACK}:when={which}",
        ),
    )


def written(bench) -> bytes:
    """Write one track, and return it when the site takes it for being on the disk."""
    data = random.Random(1).randbytes(TRACK)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, data)
        until(lambda: bench.a.status()["destage"]["flushes"], "a flush has ended")
        until(lambda: not bench.a.status()["cache"]["dirty_tracks"], "all is on the disk")
    return data


@pytest.mark.needs("strace")
def test_a_lost_write_is_read_back_and_made_again(two_sites):
    bench = two_sites(device='verify = true\nscrub = "0B"\n')
    losing(bench.a, "1")
    bench.start("A")
    data = written(bench)
    (failed,) = bench.a.events("disk-failed")
    assert failed["operation"] == "write"
    assert "reads back another than was written" in failed["reason"]
    assert bench.a.status()["devices"]["vol0"]["state"] == "online"
    bench.a.kill()
    assert bench.a.image.read_bytes()[MIB : MIB + TRACK] == data


@pytest.mark.needs("strace")
def test_without_verify_the_checksum_finds_it_later(two_sites):
    bench = two_sites(device='scrub = "0B"\n')
    losing(bench.a, "1")
    bench.start()
    bench.wait("duplex")
    data = written(bench)
    assert not bench.a.events("disk-failed")
    bench.wait("identical")
    until(lambda: not bench.a.status()["nvs"]["used_bytes"], "the journal is empty")
    bench.a.kill()
    assert bench.a.image.read_bytes()[MIB : MIB + TRACK] == bytes(TRACK)
    bench.a.prefix = ()
    bench.start("A")
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, TRACK) == data
    (repaired,) = bench.a.events("track-repaired")
    assert (repaired["track"], repaired["source"]) == (MIB // TRACK, "the other site")
    bench.finish()


@pytest.mark.needs("strace")
def test_a_disk_that_loses_every_write_is_said_and_the_journal_keeps_all(two_sites):
    bench = two_sites(device='verify = true\nscrub = "0B"\n')
    losing(bench.a, "1+")
    bench.start("A")
    data = random.Random(2).randbytes(TRACK)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, data)
        until(lambda: len(bench.a.events("disk-failed")) >= 2, "it is tried again, and said")
        status = bench.a.status()
        assert status["devices"]["vol0"]["state"] == "refuses"
        assert status["devices"]["vol0"]["refused_tracks"] == 1
        assert status["nvs"]["used_bytes"] >= TRACK
        assert volume.read(MIB, TRACK) == data
    bench.a.kill()
    bench.a.prefix = ()
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, TRACK) == data
    until(lambda: not bench.a.status()["cache"]["dirty_tracks"], "the disk has it")
    bench.a.kill()
    assert bench.a.image.read_bytes()[MIB : MIB + TRACK] == data
