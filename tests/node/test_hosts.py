"""Hosts on real sockets: many at once, and those that stop, babble, hang up or never read."""

import socket
from collections.abc import Iterator

import pytest

from emulator.channel.blocks import Outcome
from emulator.errors import UnavailableError
from emulator.events import HostConnected, HostGone
from emulator.frontend.nbd_protocol import CLIENT_FLAGS, Command, Option
from emulator.node.hosts import CONNECTIONS_MAX, HostServer
from emulator.node.loop import Loop
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.nbd_host import GREETING_BYTES, name_data, option, replies, request

KIB = 1024


class Bench:
    """A server on a Unix socket, turned by hand."""

    def __init__(self, tmp_path) -> None:
        self.path = str(tmp_path / "nbd")
        self.loop = Loop()
        self.events: list = []
        self.server = HostServer(self.loop, self.events.append)
        self.volume = MemoryVolume(size_bytes=4 << 20)
        self.uri = f"nbd+unix:///?socket={self.path}"
        self.server.listen(self.uri, {"vol0": self.volume})
        self.clients: list[socket.socket] = []
        self.paused = False

    def turn(self, count: int = 3) -> None:
        for _ in range(count):
            self.loop.run_once(0)
            self.volume.settle()
            self.server.send(paused=self.paused)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        self.clients.append(client)
        client.connect(self.path)
        client.setblocking(False)
        self.turn()
        return client

    def open(self) -> socket.socket:
        """Connect and choose the export; return with nothing left to read."""
        client = self.connect()
        client.send(CLIENT_FLAGS.pack(3) + option(Option.GO, name_data("")))
        self.turn()
        assert len(self.take(client)) > GREETING_BYTES
        return client

    def send(self, client: socket.socket, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[client.send(view) :]
            except BlockingIOError:
                self.turn(1)
        self.turn()

    def take(self, client: socket.socket) -> bytes:
        data = b""
        while True:
            self.turn(1)
            try:
                piece = client.recv(1 << 20)
            except BlockingIOError:
                return data
            if not piece:
                return data
            data += piece

    def gone(self, client: socket.socket) -> bool:
        self.turn()
        try:
            return client.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    @property
    def connections(self) -> int:
        return self.server.counts()["connections"]


@pytest.fixture
def bench(tmp_path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for client in made.clients:
        client.close()
    made.server.close_listeners()
    made.server.close()
    made.loop.close()


def test_a_host_writes_and_reads(bench):
    host = bench.open()
    bench.send(host, request(Command.WRITE, 1, 4096, data=b"a" * 4096))
    bench.send(host, request(Command.READ, 2, 4096, 4096))
    found = replies(bench.take(host), {2: 4096})
    assert [(reply.handle, reply.error) for reply in found] == [(1, 0), (2, 0)]
    assert found[1].payload == b"a" * 4096
    assert bench.server.spoke


def test_many_hosts_each_get_their_own_answers(bench):
    hosts = [bench.open() for _ in range(40)]
    for number, host in enumerate(hosts):
        for part in range(4):
            data = bytes([number]) * 512
            at = (number * 4 + part) * 512
            bench.send(host, request(Command.WRITE, number * 10 + part, at, data=data))
    for number, host in enumerate(hosts):
        bench.send(host, request(Command.READ, 7, number * 2048, 2048))
    for number, host in enumerate(hosts):
        found = replies(bench.take(host), {7: 2048})
        assert [reply.handle for reply in found] == [*(number * 10 + p for p in range(4)), 7]
        assert found[-1].payload == bytes([number]) * 2048
    assert bench.connections == 40
    assert sum(isinstance(event, HostConnected) for event in bench.events) == 40


def test_there_is_a_last_host(bench):
    hosts = [bench.connect() for _ in range(CONNECTIONS_MAX)]
    assert bench.connections == CONNECTIONS_MAX
    assert bench.gone(bench.connect())
    hosts[5].close()
    bench.turn()
    late = bench.connect()
    assert len(bench.take(late)) == GREETING_BYTES


def test_a_host_that_hangs_up_is_forgotten(bench):
    host = bench.open()
    bench.send(host, request(Command.WRITE, 1, 0, data=b"x" * 512))
    host.close()
    bench.turn()
    assert bench.connections == 0
    assert isinstance(bench.events[-1], HostGone)
    assert bench.volume.contents[:3] == b"xxx"


def test_a_host_that_hangs_up_with_writes_under_way_harms_nobody(bench):
    """The volume answers when there is no connection any more."""
    host, other = bench.open(), bench.open()
    host.send(request(Command.WRITE, 1, 0, data=b"x" * 512))
    bench.loop.run_once(0)
    assert bench.volume.waiting
    host.close()
    bench.loop.run_once(0)
    bench.server.send(paused=False)
    assert bench.connections == 1
    bench.volume.settle()
    bench.send(other, request(Command.READ, 9, 0, 512))
    assert replies(bench.take(other), {9: 512})[0].payload == b"x" * 512


def test_half_a_request_and_then_nothing_changes_nothing(bench):
    host = bench.open()
    bench.send(host, request(Command.WRITE, 1, 0, data=b"y" * 4096)[:2000])
    host.shutdown(socket.SHUT_WR)
    bench.turn()
    assert bench.gone(host)
    assert not any(bench.volume.contents[:4096])
    assert bench.connections == 0


@pytest.mark.parametrize("babble", [b"GET / HTTP/1.1\r\n\r\n" * 50, bytes(1000), b"\xff" * 70_000])
@pytest.mark.parametrize("opened", [True, False])
def test_a_host_that_babbles_is_hung_up_on_and_the_others_go_on(bench, babble, opened):
    other = bench.open()
    host = bench.open() if opened else bench.connect()
    for start in range(0, len(babble), 4096):
        try:
            host.send(babble[start : start + 4096])
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            break
        bench.turn(1)
    bench.take(host) if opened else None
    bench.turn()
    assert bench.connections == 1
    assert isinstance(bench.events[-1], HostGone)
    assert bench.events[-1].reason
    bench.send(other, request(Command.FLUSH, 5))
    assert replies(bench.take(other))[0].handle == 5


def test_a_host_that_never_reads_is_read_no_further(bench):
    """Its answers are bounded; others are served; when it reads it gets every one of them."""
    slow, other = bench.open(), bench.open()
    asked = 0
    for _ in range(3000):
        try:
            slow.send(request(Command.READ, asked, 0, 64 * KIB))
        except BlockingIOError:
            break
        asked += 1
        bench.turn(1)
    assert asked < 3000, "it is read without end"
    bench.send(other, request(Command.FLUSH, 5))
    assert replies(bench.take(other))[0].handle == 5
    data, idle = b"", 0
    while idle < 5:
        bench.turn(1)
        try:
            data += slow.recv(1 << 20)
            idle = 0
        except BlockingIOError:
            idle += 1
    found = replies(data, dict.fromkeys(range(asked), 64 * KIB))
    assert [reply.handle for reply in found] == list(range(asked))


def test_a_paused_site_reads_from_nobody_and_then_from_all(bench):
    host = bench.open()
    bench.paused = True
    bench.turn()
    bench.server.spoke = False
    host.send(request(Command.FLUSH, 5))
    bench.turn()
    assert bench.take(host) == b""
    assert not bench.server.spoke
    bench.paused = False
    bench.turn()
    assert replies(bench.take(host))[0].handle == 5


def test_a_host_that_goes_away_while_the_site_is_paused_is_noticed(bench):
    """And costs nothing meanwhile: the loop is not woken by it again and again."""
    host = bench.open()
    bench.paused = True
    bench.turn()
    host.close()
    bench.turn()
    assert bench.connections == 0


def test_a_volume_that_fails_is_an_answer_not_an_end(bench):
    host = bench.open()
    bench.volume.outcome = Outcome.DEVICE
    bench.send(host, request(Command.WRITE, 1, 0, data=b"x" * 512))
    bench.volume.outcome = Outcome.DONE
    bench.send(host, request(Command.WRITE, 2, 0, data=b"x" * 512))
    assert [bool(reply.error) for reply in replies(bench.take(host))] == [True, False]


def test_closing_takes_no_new_hosts_and_answers_the_old(bench, tmp_path):
    host = bench.open()
    host.send(request(Command.WRITE, 1, 0, data=b"x" * 512))
    bench.loop.run_once(0)
    assert not bench.server.quiet()
    bench.server.close_listeners()
    assert not (tmp_path / "nbd").exists()
    with pytest.raises(OSError, match="No such file"):
        bench.connect()
    found = replies(bench.take(host))
    assert [(reply.handle, reply.error) for reply in found] == [(1, 0)]
    assert bench.server.quiet()


def test_an_address_that_is_taken_is_said(bench, tmp_path):
    other = HostServer(bench.loop, bench.events.append)
    with pytest.raises(UnavailableError, match="another program has it"):
        other.listen(bench.uri, {"vol0": bench.volume})
    host = bench.open()
    bench.send(host, request(Command.FLUSH, 5))
    assert replies(bench.take(host))[0].handle == 5
    precious = tmp_path / "precious"
    precious.write_text("mine")
    with pytest.raises(UnavailableError, match="no socket"):
        other.listen(f"nbd+unix:///?socket={precious}", {"vol0": bench.volume})
    assert precious.read_text() == "mine"


def test_tcp_hosts_are_served_too():
    loop, events = Loop(), []
    server = HostServer(loop, events.append)
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    server.listen(f"nbd://127.0.0.1:{port}", {"vol0": MemoryVolume()})
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    loop.run_once(5)
    server.send(paused=False)
    assert len(client.recv(100)) == GREETING_BYTES
    assert events[0].address.startswith("127.0.0.1:")
    client.close()
    server.close_listeners()
    server.close()
    loop.close()
