"""Hosts that others wrote, while the copy runs, over every kind of line."""

import json
import random

import pytest

from tests.system.sites import run
from tests.transport.cables import uris, virtual_cable

pytestmark = pytest.mark.peers

SIZE = 16 << 20


def image(path, seed=1):
    """Make a file of SIZE with data, zeros and holes in turn."""
    chance = random.Random(seed)
    with path.open("wb") as file:
        for at in range(0, SIZE, 1 << 20):
            file.seek(at)
            file.write(chance.randbytes(300_000) + bytes(100_000))
        file.truncate(SIZE)
    return path


def fio(uri, folder, *more, size="8m"):
    """Write at random, then read everything back and check it."""
    said = run(
        *("fio", "--name=verify", "--ioengine=nbd", f"--uri={uri}", "--rw=randwrite"),
        *("--bsrange=4k-64k", "--iodepth=16", f"--size={size}", "--verify=crc32c"),
        *("--do_verify=1", "--verify_fatal=1", "--fsync=64", "--randseed=5"),
        *("--output-format=json", f"--aux-path={folder}", *more),
    )
    (job,) = json.loads(said[said.index("{") :])["jobs"]
    assert job["error"] == 0
    assert job["read"]["total_ios"] == job["write"]["total_ios"]


@pytest.mark.needs("netns", "cap_net_raw", "ip", "nsenter", "nbdcopy", "fio")
def test_raw_ethernet_between_two_ends_of_a_veth(two_sites, tmp_path):
    with virtual_cable() as veth:
        bench = two_sites(size_bytes=SIZE, line=uris("eth", tmp_path, veth))
        bench.start()
        run("nbdcopy", "--flush", image(tmp_path / "in"), bench.a.uri)
        fio(bench.a.uri, tmp_path)
        found = bench.wait("identical")
        assert found["A"]["links"]["A-B"]["mtu_bytes"] == 9000
        bench.finish()


@pytest.mark.needs("nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "fio")
@pytest.mark.parametrize("kind", ["udp", "tcp", "pty"])
def test_every_client_while_the_copy_runs(two_sites, tmp_path, kind):
    bench = two_sites(size_bytes=SIZE, line=uris(kind, tmp_path, None))
    bench.start()
    uri = bench.a.uri
    (export,) = json.loads(run("nbdinfo", "--json", uri))["exports"]
    assert export["export-size"] == SIZE
    assert not export["is_read_only"]
    source = image(tmp_path / "in")
    run("nbdcopy", "--flush", source, uri)
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, uri)
    said = run(
        *("qemu-io", "-f", "raw", "-c", "write -P 0x5a 12345 77777"),
        *("-c", "write -z 1M 256k", "-c", "discard 2M 1M", "-c", "flush"),
        *("-c", "read -P 0x5a 12345 77777", "-c", "read -P 0 1M 256k"),
        *("-c", "read -P 0 2M 1M", uri),
    )
    assert "verification failed" not in said
    fio(uri, tmp_path)
    bench.finish()
