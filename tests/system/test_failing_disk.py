"""A disk that refuses writes: nothing is lost, hosts go on as long as there is room."""

import random
import resource

import pytest

from emulator.errors import UnavailableError
from rig.host.nbd_client import connect_nbd
from tests.system.sites import until
from tests.system.strace import failing

KIB = 1 << 10
MIB = 1 << 20
TRACK = 4 * KIB
UNAVAILABLE = 69


def test_a_disk_that_refuses_writes(two_sites):
    """The far end of A's image cannot be written: reported, served from the cache, kept (X7)."""
    bench = two_sites(size_bytes=64 * MIB)
    bench.start()
    bench.wait("duplex", 60)
    data = random.Random(1).randbytes(MIB)
    # No file of this process may be written beyond 32 MiB, which only the image's end is.
    resource.prlimit(bench.a.pid, resource.RLIMIT_FSIZE, (32 * MIB, -1))
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, data)
        volume.write(48 * MIB, data)
        (event, *_) = until(lambda: bench.a.events("disk-failed"), "the refusal is reported")
        assert event["operation"] == "write"
        assert volume.read(48 * MIB, MIB) == data
    assert bench.a.status()["devices"]["vol0"]["state"] == "refuses"
    bench.wait("identical")
    # On: it cannot bring everything to the disk, says so, and the journal keeps what is missing.
    assert bench.a.terminate(60) == UNAVAILABLE
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(48 * MIB, MIB) == data
    bench.finish()


def test_store_and_disk_that_refuse_writes_together(two_sites):
    """Nothing can be kept anywhere: no write is acknowledged from then on, and the site stops."""
    bench = two_sites()
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"before" * 100)
        resource.prlimit(bench.a.pid, resource.RLIMIT_FSIZE, (4096, -1))
        with pytest.raises(UnavailableError):
            volume.write(4096, b"after" * 100)
    assert bench.a.ended() == UNAVAILABLE
    assert bench.a.events("disk-failed")
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(0, 600) == b"before" * 100


@pytest.mark.needs("strace")
def test_a_flush_that_failed_once_is_not_believed_the_second_time(two_sites):
    """The kernel forgets what it could not write: only writing it anew helps (K9)."""
    bench = two_sites(device='scrub = "0B"\n')
    failing(bench.a, "fdatasync", bench.a.image, "1")
    bench.start("A")
    data = random.Random(2).randbytes(MIB)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, data)
        (event,) = until(lambda: bench.a.events("disk-failed"), "the failed flush is reported")
        assert event["operation"] == "flush"
        assert bench.a.status()["devices"]["vol0"]["state"] == "failed"
        volume.write(4 * MIB, data)
        assert volume.read(MIB, len(data)) == data, "hosts are served"
        until(lambda: bench.a.status()["nvs"]["used_bytes"] >= 2 * MIB, "all is journalled")
    bench.a.kill()
    # What the kernel forgot: nothing of it came to the disk, though a second flush would succeed.
    with bench.a.image.open("r+b") as image:
        image.truncate(0)
        image.truncate(16 * MIB)
    bench.a.prefix = ()
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, len(data)) == data
        assert volume.read(4 * MIB, len(data)) == data
    bench.start("B")
    bench.finish()
    assert bench.a.image.read_bytes()[4 * MIB : 5 * MIB] == data


@pytest.mark.needs("strace")
def test_a_disk_that_cannot_be_read_is_read_at_the_other_site(two_sites):
    """Latent sector errors, here all over the disk: hosts notice nothing but the time (K1)."""
    bench = two_sites(device='scrub = "0B"\n')
    bench.start()
    bench.wait("duplex")
    data = random.Random(3).randbytes(16 * TRACK)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, data)
    bench.wait("identical")
    for site in bench.sites.values():
        until(lambda site=site: not site.status()["nvs"]["used_bytes"], "all is on the disk")
    bench.a.kill()
    failing(bench.a, "pread64", bench.a.image, "1+")
    bench.start("A")
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, len(data)) == data
    assert bench.a.status()["repaired_tracks"] == {"the other site": 16}
    first = MIB // TRACK
    damaged = bench.a.events("track-damaged")
    assert {event["track"] for event in damaged} == set(range(first, first + 16))
    assert {event["cause"] for event in damaged} == {"Input/output error"}
    # Nobody has it any more: refused, and said.
    bench.b.kill()
    with connect_nbd(bench.a.uri) as volume, pytest.raises(UnavailableError):
        volume.read(8 * MIB, TRACK)
    assert [event["track"] for event in bench.a.events("track-lost")] == [8 * MIB // TRACK]
