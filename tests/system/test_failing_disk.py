"""A disk that refuses writes: nothing is lost, hosts go on as long as there is room."""

import random
import resource

import pytest

from emulator.errors import UnavailableError
from rig.host.nbd_client import connect_nbd
from tests.system.sites import until

MIB = 1 << 20
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
