"""Our own client: against our sessions on a real socket, and against servers that misbehave."""

import contextlib
import random
import socket
import threading

import pytest

from emulator.channel.blocks import Outcome
from emulator.errors import (
    DeviceError,
    MisuseError,
    PeerError,
    TimeLimitError,
    UnavailableError,
)
from emulator.frontend.nbd_protocol import Command, Errno, Transmission
from rig.host.nbd_client import connect_nbd
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.serve import serving, serving_tcp

GREETING = b"NBDMAGICIHAVEOPT\0\3"


@pytest.fixture
def volume():
    return MemoryVolume("vol0", 1 << 20, reads_wait=True, chance=random.Random(3))


@pytest.fixture
def uri(volume, tmp_path):
    with serving({"vol0": volume}, tmp_path / "s"):
        yield f"nbd+unix:///vol0?socket={tmp_path}/s"


def test_one_at_a_time(uri, volume):
    with connect_nbd(uri) as client:
        assert client.size_bytes == 1 << 20
        assert client.flags & Transmission.SEND_FLUSH
        client.write(100, b"hello")
        client.write(8192, b"x" * 8192, fua=True)
        client.trim(8192, 4096)
        client.zero(12288, 100)
        client.flush()
        assert client.read(99, 7) == b"\0hello\0"
        assert client.read(8192, 8192) == bytes(4196) + b"x" * 3996
    assert volume.contents[100:105] == b"hello"


def test_over_tcp(volume):
    with (
        serving_tcp({"vol0": volume}) as (_, port),
        connect_nbd(f"nbd://127.0.0.1:{port}") as client,
    ):
        client.write(0, b"abc")
        assert client.read(0, 3) == b"abc"


def test_many_under_way(uri, volume):
    blocks = [random.Random(n).randbytes(4096) for n in range(256)]
    with connect_nbd(uri, depth=16) as client:
        for number, data in enumerate(blocks):
            client.submit(Command.WRITE, number * 4096, data)
            assert len(client.unanswered) <= 16
        client.drain()
        assert client.unanswered == frozenset()
        tickets = [client.submit(Command.READ, n * 4096, length=4096) for n in range(256)]
        assert [client.wait(ticket) for ticket in tickets] == blocks
    assert volume.contents == b"".join(blocks)


def test_large_reads_and_writes_both_ways_at_once(tmp_path):
    # More than all socket buffers hold goes each way: whoever only sends would wait for ever.
    size_bytes = 8 << 20
    with (
        serving({"vol0": MemoryVolume("vol0", size_bytes)}, tmp_path / "s"),
        connect_nbd(f"nbd+unix:///vol0?socket={tmp_path}/s", depth=64, timeout_s=20) as client,
    ):
        data = random.Random(1).randbytes(size_bytes)
        client.write(0, data)
        reads = []
        for _ in range(6):
            reads.append(client.submit(Command.READ, 0, length=size_bytes))
            client.submit(Command.WRITE, 0, data)
        assert all(client.wait(ticket) == data for ticket in reads)
        client.drain()


def test_failures_say_what_and_where(uri, volume):
    with connect_nbd(uri) as client:
        with pytest.raises(DeviceError, match="WRITE of 4KiB at 1048576: ENOSPC: ") as raised:
            client.write(1 << 20, b"x" * 4096)
        assert raised.value.errno == Errno.ENOSPC
        with pytest.raises(DeviceError, match="READ of 1B at 1048576: EINVAL"):
            client.read(1 << 20, 1)
        volume.outcome = Outcome.DEVICE
        ticket = client.submit(Command.WRITE, 512, b"x")
        client.submit(Command.WRITE, 1024, b"x")
        with pytest.raises(DeviceError, match="at 512: EIO: "):
            client.wait(ticket)
        with pytest.raises(DeviceError, match="at 1024: EIO: "):
            client.drain()
        client.drain()
        volume.outcome = Outcome.DONE
        client.write(0, b"still works")


def test_shutdown_is_unavailable_not_a_device_error(uri, volume):
    volume.outcome = Outcome.CLOSING
    with connect_nbd(uri) as client, pytest.raises(UnavailableError, match="ESHUTDOWN") as raised:
        client.write(0, b"x")
    assert not isinstance(raised.value, DeviceError)


def test_export_that_is_not_there(uri):
    with pytest.raises(UnavailableError, match="there is no export 'vol9' here; there are: vol0"):
        connect_nbd(uri.replace("vol0", "vol9"))


def test_nobody_listens(tmp_path):
    with pytest.raises(UnavailableError, match="No such file"):
        connect_nbd(f"nbd+unix:///?socket={tmp_path}/s")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnavailableError, match="refused"):
        connect_nbd(f"nbd://127.0.0.1:{port}")


def test_depth_of_nothing_is_misuse():
    with pytest.raises(MisuseError):
        connect_nbd("nbd://127.0.0.1:1", depth=0)


@contextlib.contextmanager
def scripted_server(script):
    """Serve one client by `script`, which gets its socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def run():
        peer, _ = listener.accept()
        with peer:
            script(peer)
            over.wait()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"nbd://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()


def agree(peer, structured):
    """Negotiate as a server of 1 MiB."""
    peer.sendall(GREETING)
    peer.recv(4)
    magic = b"\0\3\xe8\x89\x04\x55\x65\xa9"
    for number, replies in (
        (8, [(1, b"")] if structured else [(0x80000001, b"")]),
        (7, [(3, b"\0\0" + (1 << 20).to_bytes(8, "big") + b"\0\1"), (1, b"")]),
    ):
        peer.recv(100)
        for answer, data in replies:
            head = b"".join(part.to_bytes(4, "big") for part in (number, answer, len(data)))
            peer.sendall(magic + head + data)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "no NBD server"),
        (GREETING + b"\0" * 20, "makes no sense"),
    ],
)
def test_server_of_another_kind(words, problem):
    with (
        scripted_server(lambda peer: peer.sendall(words)) as uri,
        pytest.raises(PeerError, match=problem),
    ):
        connect_nbd(uri)


SIMPLE_MAGIC = b"\x67\x44\x66\x98"
CHUNK_MAGIC = b"\x66\x8e\x33\xef"
HANDLE = b"\0\0\0\0\0\0\0\1"


@pytest.mark.parametrize(
    ("structured", "words"),
    [
        (False, bytes(16)),
        (False, SIMPLE_MAGIC + bytes(4) + b"\0\0\0\0\0\0\0\2"),
        (False, CHUNK_MAGIC + b"\0\1\0\0" + HANDLE + bytes(4)),
        (True, SIMPLE_MAGIC + bytes(4) + HANDLE),
        (True, CHUNK_MAGIC + b"\0\1\0\0" + b"\xff" * 8 + bytes(4)),
        (True, CHUNK_MAGIC + b"\0\1\0\1" + HANDLE + b"\xff\xff\xff\xff"),
        (True, CHUNK_MAGIC + b"\0\1\0\1" + HANDLE + b"\0\0\0\x0a" + bytes(7) + b"\1" + b"xx"),
        (True, CHUNK_MAGIC + b"\0\1\0\1" + HANDLE + b"\0\0\0\x0a" + b"\xff" * 8 + b"xx"),
        (True, CHUNK_MAGIC + b"\0\1\0\1" + HANDLE + b"\0\0\0\x08" + bytes(8)),
        (True, CHUNK_MAGIC + b"\0\1\0\2" + HANDLE + b"\0\0\0\x0c" + bytes(8) + b"\0\0\2\1"),
        (True, CHUNK_MAGIC + b"\0\1\0\2" + HANDLE + b"\0\0\0\x0b" + bytes(11)),
        (True, CHUNK_MAGIC + b"\0\1\0\5" + HANDLE + b"\0\0\0\x0c" + bytes(12)),
        (True, CHUNK_MAGIC + b"\0\1\x80\1" + HANDLE + b"\0\0\0\x02" + bytes(2)),
    ],
)
def test_replies_that_make_no_sense(structured, words):
    def script(peer):
        agree(peer, structured)
        peer.recv(28)
        peer.sendall(words)

    with scripted_server(script) as uri, connect_nbd(uri, timeout_s=5) as client:
        ticket = client.submit(Command.READ, 0, length=512)
        with pytest.raises(PeerError):
            client.wait(ticket)


def test_reply_in_small_pieces_and_holes():
    def script(peer):
        agree(peer, structured=True)
        peer.recv(28)
        hole = CHUNK_MAGIC + b"\0\0\0\2" + HANDLE + b"\0\0\0\x0c" + bytes(8) + b"\0\0\1\0"
        data = CHUNK_MAGIC + b"\0\1\0\1" + HANDLE + b"\0\0\1\x08" + bytes(6) + b"\1\0" + b"x" * 256
        for byte in hole + data:
            peer.sendall(bytes([byte]))

    with scripted_server(script) as uri, connect_nbd(uri) as client:
        assert client.read(0, 512) == bytes(256) + b"x" * 256


def test_server_that_hangs_up_leaves_the_tickets_unanswered():
    def script(peer):
        agree(peer, structured=False)
        peer.recv(28)
        peer.shutdown(socket.SHUT_RDWR)

    with scripted_server(script) as uri, connect_nbd(uri) as client:
        ticket = client.submit(Command.FLUSH)
        with pytest.raises(UnavailableError, match=r"hung up|reset|Broken pipe"):
            client.wait(ticket)
        assert client.unanswered == {ticket}


def test_silent_server_runs_out_of_time():
    with (
        scripted_server(lambda peer: agree(peer, structured=False)) as uri,
        connect_nbd(uri, timeout_s=0.05) as client,
        pytest.raises(TimeLimitError, match="silent"),
    ):
        client.flush()
