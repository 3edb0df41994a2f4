"""What only sockets do: waiting for a peer, serving the next one, taken ports."""

import contextlib
import os
import select
import socket
from collections.abc import Iterator

import pytest

from emulator.errors import BenchError, CannotRunHere, LinkLost, UnavailableError
from emulator.transport.tcp import open_line as open_tcp
from emulator.transport.udp import open_line as open_udp
from tests.transport.cables import Cable, Tapped, free_port, next_packets, transfer, until


@pytest.fixture
def port() -> int:
    return free_port(socket.SOCK_STREAM)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_connecting_before_anyone_listens_is_a_loss_that_may_pass(port: int) -> None:
    uri = f"tcp://127.0.0.1:{port}"
    with pytest.raises(LinkLost, match="Connection refused"):
        line = open_tcp(uri)
        try:
            until(lambda: line.receive() != [], "refused")
        finally:
            line.close()
    with open_tcp(f"{uri}?listen=1") as listening, open_tcp(uri) as line:
        cable = Cable("tcp", listening, line, Tapped(), Tapped())
        assert transfer(cable, line, listening, [b"now"]) == [b"now"]


def test_a_connection_with_itself_is_no_connection(port: int, stack: contextlib.ExitStack) -> None:
    stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}?listen=1"))
    line = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}"))
    line._socket.close()
    line._socket = socket.socket()
    line._socket.bind(("127.0.0.1", 0))
    line._socket.connect(line._socket.getsockname())
    with pytest.raises(LinkLost, match="it reached itself"):
        line.send([b"hello"])


def test_nobody_there_takes_nothing_and_wants_nothing(port: int) -> None:
    with open_tcp(f"tcp://127.0.0.1:{port}?listen=1") as line:
        assert line.send([b"x"]) == 0
        assert not line.wants_write()
        line.flush()
        assert line.receive() == []
        assert line.counters.packets_sent == 0


def test_the_descriptor_changes_with_the_peer(port: int, stack: contextlib.ExitStack) -> None:
    listening = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}?listen=1"))
    alone = listening.fileno()
    line = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}"))
    assert select.select([alone], [], [], 10)[0] == [alone]
    assert listening.receive() == []
    assert listening.fileno() != alone
    line.close()
    with pytest.raises(LinkLost):
        until(lambda: listening.receive() != [], "loss")
    assert listening.fileno() == alone


def test_peers_are_served_one_after_another(port: int, stack: contextlib.ExitStack) -> None:
    listening = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}?listen=1"))
    first = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}"))
    cable = Cable("tcp", listening, first, Tapped(), Tapped())
    assert transfer(cable, first, listening, [b"first"]) == [b"first"]

    second = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}"))
    until(lambda: second.send([b"second"]) == 1, "the kernel lets it wait in line")
    assert listening.receive() == [], "one peer at a time"

    # Half a frame of the first one must not spoil the first frame of the second.
    assert os.write(first.fileno(), b"\x30half") == 5
    first.close()
    with pytest.raises(LinkLost):
        until(lambda: listening.receive() != [], "loss of the first")
    assert next_packets(listening) == [b"second"]
    assert listening.counters.packets_rejected == 0
    assert listening.send([b"welcome"]) == 1


def test_what_a_peer_sent_before_it_went_is_handed_over_first(
    port: int, stack: contextlib.ExitStack
) -> None:
    listening = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}?listen=1"))
    line = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}"))
    until(lambda: line.send([b"last words"]) == 1, "sent")
    line.close()
    received: list[bytes] = []
    with pytest.raises(LinkLost, match="the other end is gone"):
        until(lambda: bool(received.extend(listening.receive())), "loss")
    assert received == [b"last words"]


def test_loss_while_sending(port: int, stack: contextlib.ExitStack) -> None:
    listening = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}?listen=1"))
    line = stack.enter_context(open_tcp(f"tcp://127.0.0.1:{port}"))
    until(lambda: listening.send([b"x"]) == 1, "connected")
    line.close()
    with pytest.raises(LinkLost):
        until(lambda: listening.send([b"x" * 1000]) == 0, "loss")
    assert listening.send([b"x"]) == 0, "waits for the next"


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_port_taken_is_unavailable(kind: str) -> None:
    if kind == "tcp":
        uri = f"tcp://127.0.0.1:{free_port(socket.SOCK_STREAM)}?listen=1"
    else:
        uri = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}?peer=127.0.0.1:7002"
    opener = open_tcp if kind == "tcp" else open_udp
    with opener(uri), pytest.raises(UnavailableError, match="is taken by another program"):
        opener(uri)
    opener(uri).close()


def test_an_address_of_another_machine_is_the_users_error() -> None:
    with pytest.raises(BenchError, match="is no address of this machine"):
        open_udp("udp://192.0.2.1:7001?peer=192.0.2.2:7001")
    with pytest.raises(BenchError, match="is no address of this machine"):
        open_tcp("tcp://192.0.2.1:7001?listen=1")


def test_a_port_that_needs_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    with pytest.raises(CannotRunHere, match="choose a port above 1023"):
        open_udp("udp://127.0.0.1:77?peer=127.0.0.1:7002")


def test_udp_to_nobody_is_silence() -> None:
    one, two = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    with open_udp(f"udp://127.0.0.1:{one}?peer=127.0.0.1:{two}") as line:
        for _ in range(5):
            assert line.send([b"anybody there?"]) == 1
            assert line.receive() == []


def test_udp_with_only_one_end_on_this_machine_is_no_loopback() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with open_udp(f"udp://0.0.0.0:{port}?peer=127.0.0.1:7002") as line:
        assert (line.loopback, line.mtu_bytes) == (False, 1472)
    with open_udp(f"udp://127.0.0.1:{port}?peer=192.0.2.1:7002") as line:
        assert not line.loopback
    with open_udp(f"udp://127.0.0.1:{port}?peer=127.0.0.1:7002") as line:
        assert (line.loopback, line.mtu_bytes) == (True, 61440)


def test_udp_over_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    one, two = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    with (
        open_udp(f"udp://[::1]:{one}?peer=[::1]:{two}") as a,
        open_udp(f"udp://[::1]:{two}?peer=[::1]:{one}") as b,
    ):
        assert a.loopback
        cable = Cable("udp", a, b, Tapped(), Tapped())
        assert transfer(cable, a, b, [b"six"]) == [b"six"]
        assert b.counters.packets_rejected == 0


def test_udp_batch_is_bounded() -> None:
    one, two = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    with (
        open_udp(f"udp://127.0.0.1:{one}?peer=127.0.0.1:{two}") as a,
        open_udp(f"udp://127.0.0.1:{two}?peer=127.0.0.1:{one}") as b,
    ):
        assert a.send([b"x"] * 300) == 300
        assert [len(b.receive()) for _ in range(4)] == [128, 128, 44, 0]
