"""NBD clients that others wrote, against our sessions: nbdinfo, nbdcopy, qemu-img, qemu-io, fio."""

import json
import random

import pytest

from emulator.channel.blocks import Outcome
from rig.host.nbd_client import connect_nbd
from tests.frontend.serve import serving_tcp

pytestmark = pytest.mark.peers

SIZE = 8 << 20


def image(path, seed=1):
    """Make a file of SIZE with data, zeros and holes in turn."""
    chance = random.Random(seed)
    with path.open("wb") as file:
        for at in range(0, SIZE, 1 << 20):
            file.seek(at)
            file.write(chance.randbytes(300_000) + bytes(100_000))
        file.truncate(SIZE)
    return path


@pytest.mark.needs("nbdinfo")
def test_nbdinfo(run, uri):
    (export,) = json.loads(run("nbdinfo", "--json", uri))["exports"]
    assert export["export-size"] == SIZE
    assert export["description"] == "device vol0, 8MiB"
    assert export["contexts"] == ["base:allocation"]
    for ability in ("flush", "fua", "trim", "zero", "fast_zero", "cache", "df", "multi_conn"):
        assert export[f"can_{ability}"], ability
    assert not export["is_read_only"]
    sizes = [export[f"block_size_{name}"] for name in ("minimum", "preferred", "maximum")]
    assert sizes == [1, 4096, 32 << 20]


@pytest.mark.needs("nbdinfo")
def test_nbdinfo_list_and_default(run, uri):
    listed = json.loads(run("nbdinfo", "--list", "--json", uri.replace("/vol0", "/")))
    assert listed["structured"]
    assert not listed["TLS"]
    assert {e["export-name"]: e["export-size"] for e in listed["exports"]} == {
        "vol0": SIZE,
        "vol1": 123_456,
        "vol2": 40 << 20,
    }
    assert run("nbdinfo", "--size", uri.replace("/vol0", "/")) == f"{SIZE}\n"


@pytest.mark.needs("nbdinfo")
def test_nbdinfo_map_and_secondary(run, uri, volume):
    with connect_nbd(uri) as client:
        client.write(1 << 20, b"x" * 8192)
    runs = json.loads(run("nbdinfo", "--map", "--json", uri))
    assert [(r["offset"], r["length"], r["type"]) for r in runs] == [
        (0, 1 << 20, 3),
        (1 << 20, 8192, 0),
        ((1 << 20) + 8192, SIZE - (1 << 20) - 8192, 3),
    ]
    volume.primary = False
    assert run("nbdinfo", "--is", "read-only", uri) == ""


@pytest.mark.needs("nbdinfo")
def test_nbdinfo_over_tcp(run, volume):
    with serving_tcp({"vol0": volume}) as (_, port):
        assert run("nbdinfo", "--size", f"nbd://127.0.0.1:{port}/vol0") == f"{SIZE}\n"


@pytest.mark.needs("nbdcopy")
def test_nbdcopy_both_ways(run, uri, volume, tmp_path):
    source, back = image(tmp_path / "in"), tmp_path / "out"
    run("nbdcopy", "--connections=4", "--requests=16", "--flush", str(source), uri)
    assert volume.contents == source.read_bytes()
    # nbdcopy found the holes of the file and zeroed them instead of writing them.
    assert any(name == "zero" for name, *_ in volume.calls)
    run("nbdcopy", "--connections=4", uri, str(back))
    assert back.read_bytes() == source.read_bytes()


@pytest.mark.needs("nbdcopy")
def test_nbdcopy_without_extents_and_with_full_allocation(run, uri, volume, tmp_path):
    source, back = image(tmp_path / "in"), tmp_path / "out"
    run("nbdcopy", "--allocated", "--request-size=2097152", str(source), uri)
    assert volume.contents == source.read_bytes()
    assert {name for name, *_ in volume.calls} <= {"read", "write", "flush", "allocation"}
    run("nbdcopy", "--no-extents", "--synchronous", uri, str(back))
    assert back.read_bytes() == source.read_bytes()


@pytest.mark.needs("qemu-img")
def test_qemu_img(run, uri, volume, tmp_path):
    source, back = image(tmp_path / "in", seed=2), tmp_path / "out"
    assert json.loads(run("qemu-img", "info", "--output=json", uri))["virtual-size"] == SIZE
    run("qemu-img", "convert", "-n", "-W", "-f", "raw", "-O", "raw", str(source), uri)
    assert volume.contents == source.read_bytes()
    raw = ("-f", "raw", "-F", "raw")
    assert "identical" in run("qemu-img", "compare", *raw, str(source), uri)
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, str(back))
    assert back.read_bytes() == source.read_bytes()
    volume.contents[4_200_000] ^= 1
    assert "mismatch at offset" in run("qemu-img", "compare", *raw, str(source), uri, status=1)


@pytest.mark.needs("qemu-io")
def test_qemu_io_patterns(run, uri, volume):
    commands = (
        "write -P 0x5a 4096 65536",
        "write -P 0x11 -f 12345 777",
        "aio_write -P 0x22 1M 1M",
        "aio_write -P 0x33 2M 64k",
        "aio_flush",
        "write -z 8192 4096",
        "write -z -u 16384 4096",
        "write -z -u -n 20480 4096",
        "discard 24576 4096",
        "flush",
        "read -P 0x5a 4096 4096",
        "read -P 0 8192 4096",
        "read -P 0x11 12345 777",
        "read -P 0 16384 12288",
        "read -P 0x22 1M 1M",
        "read -P 0x33 2M 64k",
    )
    arguments = [word for command in commands for word in ("-c", command)]
    said = run("qemu-io", "-f", "raw", *arguments, uri)
    assert "Pattern verification failed" not in said
    assert volume.contents[12345 : 12345 + 777] == b"\x11" * 777


@pytest.mark.needs("qemu-io")
def test_qemu_io_is_told_of_errors(run, uri, volume):
    volume.outcome = Outcome.DEVICE
    said = run("qemu-io", "-f", "raw", "-c", "write 0 4096", uri, status=1)
    assert "write failed: Input/output error" in said
    volume.outcome = Outcome.DONE
    volume.primary = False
    said = run("qemu-io", "-r", "-f", "raw", "-c", "read -P 0 0 4096", uri)
    assert "read 4096/4096" in said
    assert volume.contents == bytes(SIZE)


@pytest.mark.needs("fio")
@pytest.mark.parametrize("sizes", ["4k-4k", "3584-64k"])
def test_fio_verifies(run, uri, tmp_path, sizes):
    said = run(
        "fio",
        "--name=verify",
        "--ioengine=nbd",
        f"--uri={uri}",
        "--rw=randwrite",
        f"--bsrange={sizes}",
        "--bs_unaligned=1",
        "--iodepth=16",
        "--size=8m",
        "--verify=crc32c",
        "--do_verify=1",
        "--verify_fatal=1",
        "--fsync=64",
        "--randseed=5",
        "--output-format=json",
        f"--aux-path={tmp_path}",
    )
    (job,) = json.loads(said[said.index("{") :])["jobs"]
    assert job["error"] == 0
    assert job["write"]["io_bytes"] > SIZE // 2
    # Every block that was written was read back and found good.
    assert job["read"]["total_ios"] == job["write"]["total_ios"]
