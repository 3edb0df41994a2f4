"""NBD clients that others wrote, against our sessions; and our client against their server."""

import contextlib
import json
import random
import socket
import subprocess
import textwrap

import pytest

from emulator.channel.blocks import Outcome
from emulator.errors import DeviceError
from emulator.frontend.nbd_protocol import Command, Errno, Transmission
from rig.host.nbd_client import connect_nbd
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.serve import serving, serving_tcp

pytestmark = pytest.mark.peers

SIZE = 8 << 20


@pytest.fixture(params=[False, True], ids=["reads-at-once", "reads-wait"])
def volume(request):
    """Answers in an order of its own, so that clients see replies overtake each other."""
    return MemoryVolume("vol0", SIZE, reads_wait=request.param, chance=random.Random(7))


@pytest.fixture
def uri(volume, tmp_path):
    others = [MemoryVolume("vol1", 123_456), MemoryVolume("vol2", 40 << 20)]
    volumes = {each.name: each for each in (volume, *others)}
    with serving(volumes, tmp_path / "s") as server:
        yield f"nbd+unix:///vol0?socket={tmp_path}/s"
    # Nothing that they send is taken for a broken protocol.
    assert not any(session.counters()["broken"] for session in server.sessions)


def run(*command, status=0, text_in=None):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, input=text_in
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def nbdsh(uri, script):
    """Run a libnbd script; it has `h` (not connected yet), `uri` and `nbd`."""
    head = f"import nbd\nuri = {uri!r}\nh = nbd.NBD()\n"
    tail = "\nprint('all held')\n"
    said = run("/usr/bin/python3", "-c", head + textwrap.dedent(script) + tail)
    assert said.endswith("all held\n")


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
def test_nbdinfo(uri):
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
def test_nbdinfo_list_and_default(uri):
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
def test_nbdinfo_map_and_secondary(uri, volume):
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
def test_nbdinfo_over_tcp(volume):
    with serving_tcp({"vol0": volume}) as (_, port):
        assert run("nbdinfo", "--size", f"nbd://127.0.0.1:{port}/vol0") == f"{SIZE}\n"


@pytest.mark.needs("nbdcopy")
def test_nbdcopy_both_ways(uri, volume, tmp_path):
    source, back = image(tmp_path / "in"), tmp_path / "out"
    run("nbdcopy", "--connections=4", "--requests=16", "--flush", str(source), uri)
    assert volume.contents == source.read_bytes()
    # nbdcopy found the holes of the file and zeroed them instead of writing them.
    assert any(name == "zero" for name, *_ in volume.calls)
    run("nbdcopy", "--connections=4", uri, str(back))
    assert back.read_bytes() == source.read_bytes()


@pytest.mark.needs("nbdcopy")
def test_nbdcopy_without_extents_and_with_full_allocation(uri, volume, tmp_path):
    source, back = image(tmp_path / "in"), tmp_path / "out"
    run("nbdcopy", "--allocated", "--request-size=2097152", str(source), uri)
    assert volume.contents == source.read_bytes()
    assert {name for name, *_ in volume.calls} <= {"read", "write", "flush", "allocation"}
    run("nbdcopy", "--no-extents", "--synchronous", uri, str(back))
    assert back.read_bytes() == source.read_bytes()


@pytest.mark.needs("qemu-img")
def test_qemu_img(uri, volume, tmp_path):
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
def test_qemu_io_patterns(uri, volume):
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
def test_qemu_io_is_told_of_errors(uri, volume):
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
def test_fio_verifies(uri, tmp_path, sizes):
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


@pytest.mark.needs("libnbd")
def test_libnbd_commands(uri, volume):
    nbdsh(
        uri,
        """
        h.add_meta_context("base:allocation")
        h.connect_uri(uri)
        assert h.get_structured_replies_negotiated()
        h.pwrite(b"a" * 8192, 4096, nbd.CMD_FLAG_FUA)
        h.trim(4096, 4096, nbd.CMD_FLAG_FUA)
        h.zero(4096, 65536, nbd.CMD_FLAG_NO_HOLE)
        h.zero(4096, 65536, nbd.CMD_FLAG_FAST_ZERO)
        h.cache(65536, 0)
        h.flush()
        h.pwrite(b"b" * 4096, 65536)
        chunks = []
        def chunk(data, offset, status, error):
            chunks.append((offset, len(data), status))
        h.pread_structured(16384, 61440, chunk, nbd.CMD_FLAG_DF)
        assert chunks == [(61440, 16384, nbd.READ_DATA)], chunks
        chunks.clear()
        assert h.pread_structured(16384, 61440, chunk) == bytes(4096) + b"b" * 4096 + bytes(8192)
        assert chunks == [
            (61440, 4096, nbd.READ_HOLE),
            (65536, 4096, nbd.READ_DATA),
            (69632, 8192, nbd.READ_HOLE),
        ], chunks
        extents = []
        def extent(context, offset, entries, error):
            extents.append((context, offset, entries))
        h.block_status(1 << 20, 0, extent)
        ((context, offset, entries),) = extents
        assert (context, offset) == ("base:allocation", 0)
        assert sum(entries[::2]) == 1 << 20
        extents.clear()
        h.block_status(1 << 20, 65536, extent, nbd.CMD_FLAG_REQ_ONE)
        assert extents[0][2] == [4096, 0], extents
        h.shutdown()
        """,
    )
    assert volume.contents[65536:69632] == b"b" * 4096


@pytest.mark.needs("libnbd")
def test_libnbd_errors(uri, volume):
    nbdsh(
        uri,
        """
        import errno
        h.connect_uri(uri)
        h.set_strict_mode(0)
        size = h.get_size()
        def refused(number, call, *arguments):
            try:
                call(*arguments)
            except nbd.Error as error:
                assert error.errnum == number, error
            else:
                raise AssertionError(f"{call} was not refused")
        refused(errno.EINVAL, h.pread, 512, size)
        refused(errno.EINVAL, h.pread, 512, size - 1)
        refused(errno.ENOSPC, h.pwrite, b"x" * 512, size - 511)
        refused(errno.ENOSPC, h.zero, 512, size)
        refused(errno.EINVAL, h.trim, 512, size)
        refused(errno.EINVAL, h.cache, 512, size)
        refused(errno.EINVAL, h.pwrite, b"x" * 512, 0, 1 << 15)
        refused(errno.EINVAL, h.block_status, 512, 0, lambda *args: 0)
        refused(errno.ENOTSUP, h.zero, 512, 0, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO)
        h.pwrite(b"still", 0)
        assert h.pread(5, 0) == b"still"
        h.shutdown()

        # The most that one request carries, and one byte more.
        h = nbd.NBD()
        h.connect_uri(uri.replace("vol0", "vol2"))
        h.set_strict_mode(0)
        most = 32 << 20
        refused(errno.EOVERFLOW, h.pread, most + 1, 0)
        refused(errno.EINVAL, h.pwrite, bytes(most + 1), 0)
        h.pwrite(b"m" * most, 77)
        assert h.pread(most, 77) == b"m" * most
        """,
    )
    assert volume.contents[:5] == b"still"


@pytest.mark.needs("libnbd")
def test_libnbd_negotiation(uri):
    nbdsh(
        uri,
        """
        h.set_opt_mode(True)
        h.connect_uri(uri)
        names = []
        h.opt_list(lambda name, text: names.append((name, text)))
        assert [name for name, _ in names] == ["vol0", "vol1", "vol2"], names
        contexts = []
        h.add_meta_context("base:")
        h.opt_list_meta_context(lambda name: contexts.append(name))
        assert contexts == ["base:allocation"], contexts
        h.set_export_name("nope")
        try:
            h.opt_info()
        except nbd.Error:
            pass
        else:
            raise AssertionError("an export that is not there was described")
        h.set_export_name("vol1")
        h.opt_info()
        assert h.get_size() == 123456
        h.opt_go()
        h.pwrite(b"end", 123453)
        assert h.pread(3, 123453) == b"end"
        h.shutdown()
        h = nbd.NBD()
        h.set_opt_mode(True)
        h.connect_uri(uri)
        h.opt_abort()
        """,
    )


@pytest.mark.needs("libnbd")
@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_libnbd_with_old_ways(uri, flags):
    nbdsh(
        uri,
        f"""
        h.set_handshake_flags({flags})
        h.set_request_structured_replies(False)
        h.connect_uri(uri)
        assert not h.get_structured_replies_negotiated()
        h.pwrite(b"old", 77)
        assert h.pread(5, 76) == b"\\0old\\0"
        h.flush()
        h.shutdown()
        """,
    )


@pytest.mark.needs("libnbd")
def test_libnbd_keeps_many_under_way(uri, volume):
    nbdsh(
        uri,
        """
        h.connect_uri(uri)
        blocks = [bytes([n]) * 4096 for n in range(200)]
        cookies = {h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b)), n * 4096)
                   for n, b in enumerate(blocks)}
        done = []
        while cookies:
            h.poll(-1)
            while cookies and (cookie := h.aio_peek_command_completed()) > 0:
                assert h.aio_command_completed(cookie)
                cookies.discard(cookie)
                done.append(cookie)
        assert done != sorted(done), "the server is meant to answer out of order"
        assert all(h.pread(4096, n * 4096) == b for n, b in enumerate(blocks))
        """,
    )


@pytest.mark.needs("libnbd")
def test_libnbd_does_not_write_to_a_secondary(uri, volume):
    volume.primary = False
    nbdsh(
        uri,
        """
        import errno
        h.connect_uri(uri)
        assert h.is_read_only()
        h.set_strict_mode(0)
        for call, *arguments in (h.pwrite, b"x", 0), (h.trim, 1, 0), (h.zero, 1, 0):
            try:
                call(*arguments)
            except nbd.Error as error:
                assert error.errnum == errno.EPERM, error
            else:
                raise AssertionError("a secondary took a write")
        assert h.pread(1, 0) == bytes(1)
        """,
    )


@contextlib.contextmanager
def nbdkit(tmp_path, *arguments):
    """Run nbdkit on a Unix socket until the block ends."""
    path = tmp_path / "kit"
    process = subprocess.Popen(
        ["nbdkit", "--foreground", "--exit-with-parent", "--unix", str(path), *arguments]
    )
    try:
        while not path.exists():
            assert process.poll() is None
        with contextlib.closing(socket.socket(socket.AF_UNIX)):
            yield f"nbd+unix:///?socket={path}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.needs("nbdkit")
@pytest.mark.parametrize("old_ways", [False, True])
def test_our_client_against_nbdkit(tmp_path, old_ways):
    arguments = ["--no-sr"] if old_ways else []
    with nbdkit(tmp_path, *arguments, "memory", "4M") as uri, connect_nbd(uri) as client:
        assert client.size_bytes == 4 << 20
        assert client.flags & Transmission.SEND_FLUSH
        blocks = [random.Random(n).randbytes(4096) for n in range(200)]
        for number, data in enumerate(blocks):
            client.submit(Command.WRITE, number * 8192, data)
        client.drain()
        client.flush()
        tickets = [client.submit(Command.READ, n * 8192, length=8192) for n in range(200)]
        assert [client.wait(t) for t in tickets] == [block + bytes(4096) for block in blocks]
        client.trim(0, 4096)
        client.zero(8192, 4096)
        assert client.read(8000, 5000) == bytes(192 + 4096 + 712)


@pytest.mark.needs("nbdkit")
def test_our_client_is_told_of_errors_by_nbdkit(tmp_path):
    arguments = ("--filter=error", "memory", "1M", "error-pwrite=ENOSPC", "error-pwrite-rate=100%")
    with nbdkit(tmp_path, *arguments) as uri, connect_nbd(uri) as client:
        with pytest.raises(DeviceError, match="ENOSPC") as raised:
            client.write(0, b"x")
        assert raised.value.errno == Errno.ENOSPC
        assert client.read(0, 1) == b"\0"
