"""Host operations larger than a site's memory: they pass in pieces, and both sites stay alive."""

import random

import pytest

from emulator.frontend.nbd_protocol import Command
from rig.host.nbd_client import connect_nbd
from tests.system.sites import run

MIB = 1 << 20


@pytest.mark.needs("qemu-io")
def test_zeroing_more_than_the_cache_holds(two_sites):
    bench = two_sites(size_bytes=64 * MIB, cache="2MiB", nvs="8MiB")
    dice = random.Random(1)
    bench.start()
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        for _ in range(64):
            volume.write(dice.randrange(16384) * 4096, dice.randbytes(4096))
        volume.zero(0, 64 * MIB)
        assert volume.read(32 * MIB, MIB) == bytes(MIB)
        volume.write(5000, b"after")
    run("qemu-io", "-f", "raw", "-c", "write -z 512 50M", "-c", "discard 1M 63M", bench.a.uri)
    bench.finish()


def test_the_longest_writes_through_the_smallest_store(two_sites):
    bench = two_sites(size_bytes=64 * MIB, cache="2MiB", nvs="8MiB")
    bench.start()
    data = random.Random(1).randbytes(32 * MIB)
    with connect_nbd(bench.a.uri, depth=4) as volume:
        volume.submit(Command.WRITE, 0, data)
        volume.submit(Command.WRITE, 32 * MIB, data)
        volume.submit(Command.WRITE, 4096 + 7, data[: 31 * MIB])
        volume.drain()
        assert volume.read(4096 + 7, 4 * MIB) == data[: 4 * MIB]
    bench.finish()


def test_zeroing_while_the_other_site_is_away_stops_no_host(two_sites):
    bench = two_sites(size_bytes=32 * MIB, cache="1MiB", nvs="8MiB")
    bench.start()
    bench.wait("duplex", 60)
    bench.b.kill()
    data = random.Random(1).randbytes(8 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        volume.zero(0, 32 * MIB)
        volume.write(MIB + 1, data)
        volume.zero(512, 30 * MIB)
        volume.write(3 * MIB, data)
        assert volume.read(3 * MIB, 8 * MIB) == data
    bench.start("B")
    bench.finish()
