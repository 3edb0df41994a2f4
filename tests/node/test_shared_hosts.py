"""Hercules hosts on real sockets: answered at once, and nobody keeps the others waiting."""

import socket
import struct
import time

import pytest

from emulator.frontend.shared_wire import HEADER, HEADER_BYTES, Opcode
from emulator.node.hosts import HostServer
from emulator.node.loop import Loop
from tests.frontend.shared_host import NUMBER, Unit

TRACK = struct.pack(">I", 3)


class Bench:
    """A server on the loopback interface, turned by hand."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.unit = Unit()
        self.loop = Loop()
        self.server = HostServer(self.loop, self.unit.events.append)
        uri = f"shrd://127.0.0.1:{self.port}/{NUMBER:04X}"
        self.server.listen_shared(uri, {NUMBER: self.unit.device})
        self.hosts: list[socket.socket] = []

    def turn(self, timeout_s: float = 5.0) -> int:
        happened = self.loop.run_once(timeout_s)
        self.unit.volume.settle()
        self.server.send(paused=False)
        return happened

    def waited_s(self, timeout_s: float) -> float:
        """Turn when no host says anything; return how long it took."""
        begin_s = time.monotonic()
        self.turn(timeout_s)
        return time.monotonic() - begin_s

    def host(self) -> socket.socket:
        """Return a host that is connected, with everything answered."""
        host = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        self.hosts.append(host)
        self.turn()
        assert self.ask(host, Opcode.CONNECT) == struct.pack(">H", len(self.hosts))
        return host

    def ask(self, host: socket.socket, opcode: int, data: bytes = b"") -> bytes:
        client_id = 0 if opcode == Opcode.CONNECT else self.hosts.index(host) + 1
        host.sendall(HEADER.pack(opcode, 0, NUMBER, len(data), client_id) + data)
        self.turn()
        length = HEADER.unpack(host.recv(HEADER_BYTES, socket.MSG_WAITALL))[3]
        return host.recv(length, socket.MSG_WAITALL) if length else b""

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        self.server.close_listeners()
        self.server.close()
        self.loop.close()


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("opcode", "data"),
    [
        (Opcode.START, b""),
        (Opcode.READ, TRACK),
        (Opcode.WRITE, struct.pack(">HI", 21, 3) + b"\xff" * 8),
    ],
)
def test_a_host_in_mid_program_may_take_its_time(bench, opcode, data):
    host = bench.host()
    bench.ask(host, Opcode.START)
    bench.ask(host, opcode, data)
    assert bench.waited_s(0.2) >= 0.2
    assert bench.ask(host, Opcode.READ, TRACK)


def test_a_host_in_mid_program_keeps_nobody_out(bench):
    host, other = bench.host(), bench.host()
    bench.ask(host, Opcode.START)
    other.sendall(HEADER.pack(Opcode.QUERY, 0x48, NUMBER, 0, 2))
    assert len(bench.ask(host, Opcode.READ, TRACK)) == 29
    bench.turn(0.01)
    other.settimeout(5)
    assert len(other.recv(100)) == HEADER_BYTES + 4


def test_a_host_that_hangs_up_in_mid_program_is_let_go(bench):
    host = bench.host()
    bench.ask(host, Opcode.START)
    host.close()
    bench.turn()
    bench.turn(0.01)
    assert bench.server.counts()["connections"] == 0
    assert bench.unit.events[-1].reason == "the host hung up"
