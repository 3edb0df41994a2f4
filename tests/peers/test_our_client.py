"""Our NBD client against a server that others wrote: nbdkit."""

import contextlib
import random
import subprocess

import pytest

from emulator.errors import DeviceError
from emulator.frontend.nbd_protocol import Command, Errno, Transmission
from rig.host.nbd_client import connect_nbd

pytestmark = [pytest.mark.peers, pytest.mark.needs("nbdkit")]


@contextlib.contextmanager
def nbdkit(tmp_path, *arguments):
    """Run nbdkit on a Unix socket until the block ends."""
    path, ready = tmp_path / "kit", tmp_path / "ready"
    process = subprocess.Popen(
        ["nbdkit", "--foreground", "--unix", str(path), "--pidfile", str(ready), *arguments]
    )
    try:
        while not ready.exists():  # written once it listens
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
                pytest.fail("nbdkit ended at once")
        yield f"nbd+unix:///?socket={path}"
    finally:
        process.terminate()
        process.wait(timeout=20)


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


def test_our_client_is_told_of_errors_by_nbdkit(tmp_path):
    arguments = ("--filter=error", "memory", "1M", "error-pwrite=ENOSPC", "error-pwrite-rate=100%")
    with nbdkit(tmp_path, *arguments) as uri, connect_nbd(uri) as client:
        with pytest.raises(DeviceError, match="ENOSPC") as raised:
            client.write(0, b"x")
        assert raised.value.errno == Errno.ENOSPC
        assert client.read(0, 1) == b"\0"
