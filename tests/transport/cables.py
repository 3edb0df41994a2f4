"""Two joined ends of every kind of line, and what tests do with them."""

import contextlib
import os
import random
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emulator.clock import SECOND_NS
from emulator.errors import UnavailableError
from emulator.transport.base import Direction, Line
from emulator.transport.opener import open_line
from emulator.transport.simulated import SimulatedMedium

WAIT_NS_MAX = 20 * SECOND_NS
IN_FLIGHT_BYTES_MAX = 256 * 1024  # fits every receive buffer, so that packet lines lose nothing


@dataclass
class Tapped:
    """A tap that remembers."""

    seen: list[tuple[Direction, bytes, str | None]] = field(default_factory=list)

    def __call__(self, direction: Direction, data: object, comment: str | None) -> None:
        self.seen.append((direction, bytes(data), comment))

    def packets(self, direction: Direction) -> list[bytes]:
        return [data for way, data, comment in self.seen if way is direction and comment is None]

    def comments(self) -> list[str]:
        return [comment for _, _, comment in self.seen if comment is not None]


@dataclass
class Cable:
    """Two ends of a line in one process."""

    kind: str
    a: Line
    b: Line
    tap_a: Tapped
    tap_b: Tapped
    medium: SimulatedMedium | None = None

    def tap_of(self, line: Line) -> Tapped:
        return self.tap_a if line is self.a else self.tap_b

    def wait(self) -> None:
        """Wait until an end can go on."""
        if self.medium is not None:
            due_ns = self.medium.next_deadline_ns()
            assert due_ns is not None, "nothing on the way in either direction"
            self.medium.advance(max(due_ns, self.medium.now_ns))
            return
        poll = select.poll()
        for line in (self.a, self.b):
            poll.register(
                line.fileno(), select.POLLIN | (select.POLLOUT if line.wants_write() else 0)
            )
        poll.poll(100)
        for line in (self.a, self.b):
            line.flush()

    def close(self) -> None:
        self.a.close()
        self.b.close()


def transfer(cable: Cable, sender: Line, receiver: Line, packets: Sequence[bytes]) -> list[bytes]:
    """Send everything, with no more in flight than every kind of line can hold."""
    received: list[bytes] = []
    sent = sent_bytes = received_bytes = 0
    deadline_ns = time.monotonic_ns() + WAIT_NS_MAX
    while len(received) < len(packets):
        assert time.monotonic_ns() < deadline_ns, f"{len(received)} of {len(packets)} arrived"
        room = sent_bytes - received_bytes < IN_FLIGHT_BYTES_MAX
        offered = packets[sent : sent + 4] if room else []
        taken = sender.send(offered)
        sent_bytes += sum(map(len, offered[:taken]))
        sent += taken
        arrived = receiver.receive()
        received_bytes += sum(map(len, arrived))
        received += arrived
        if not arrived and not taken:
            cable.wait()
    return received


def mixed_packets(count: int, mtu_bytes: int, seed: int) -> list[bytes]:
    """Packets of all sizes a line allows, with many zero bytes, no two alike in a row."""
    dice = random.Random(seed)
    sizes = [1, 2, 46, 254, 255, 256, mtu_bytes - 1, mtu_bytes]
    packets = []
    for number in range(count):
        size_bytes = sizes[number] if number < len(sizes) else dice.randrange(1, 900)
        body = dice.randbytes(size_bytes) if number % 3 else bytes(size_bytes)
        packets.append(bytes([number % 251]) + body[1:size_bytes])
    return packets


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(check: Callable[[], bool], what: str) -> None:
    """Ask again until it holds, or fail after a while."""
    deadline_ns = time.monotonic_ns() + WAIT_NS_MAX
    while not check():
        assert time.monotonic_ns() < deadline_ns, f"never happened: {what}"
        select.select([], [], [], 0.001)


def next_packets(line: Line) -> list[bytes]:
    """Return the next packets that arrive at a real line."""
    received: list[bytes] = []
    until(lambda: bool(received.extend(line.receive()) or received), f"{line.uri} receives")
    return received


def open_when_there(uri: str, tap: Tapped) -> Line:
    """Open a line as a site does: what is unavailable is tried again."""
    opened: list[Line] = []

    def attempt() -> bool:
        with contextlib.suppress(UnavailableError):
            opened.append(open_line(uri, tap))
        return bool(opened)

    until(attempt, f"{uri} opens")
    return opened[0]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while; giving up root also gives up its capabilities until it is undone."""
    before = os.geteuid()
    if before == 0:
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("this user namespace knows nobody but root")
    try:
        yield
    finally:
        os.seteuid(before)


@dataclass
class Veth:
    """A virtual cable in a network namespace of its own."""

    namespace: str
    names: tuple[str, str] = ("dca", "dcb")
    macs: tuple[str, str] = ("02:00:00:00:00:0a", "02:00:00:00:00:0b")

    def ip(self, *words: str) -> None:
        command = ["nsenter", f"--net={self.namespace}", "ip", *words]
        subprocess.run(command, check=True, capture_output=True, timeout=20)

    def uri(self, end: int, more: str = "") -> str:
        return f"eth://{self.names[end]}?netns={self.namespace}{more}"


@contextlib.contextmanager
def virtual_cable(mtu_bytes: int = 9000) -> Iterator[Veth]:
    """Make a namespace with a veth pair; all of it goes away with the process that holds it."""
    command = ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"ready\n"
            veth = Veth(f"/proc/{holder.pid}/ns/net")
            (name_a, name_b), (mac_a, mac_b) = veth.names, veth.macs
            pair = ["link", "add", name_a, "mtu", str(mtu_bytes), "address", mac_a, "type", "veth"]
            peer = ["peer", "name", name_b, "mtu", str(mtu_bytes), "address", mac_b]
            veth.ip(*pair, *peer)
            # IPv6 would send packets of its own, under other EtherTypes.
            veth.ip("link", "set", name_a, "addrgenmode", "none", "up")
            veth.ip("link", "set", name_b, "addrgenmode", "none", "up")
            yield veth
        finally:
            holder.kill()


def lay_cable(kind: str, folder: Path, veth: Veth | None = None) -> Cable:
    """Open both ends of a line of that kind."""
    tap_a, tap_b = Tapped(), Tapped()
    medium = None
    if kind == "sim":
        medium = SimulatedMedium(
            "sim://A-B?latency=3ms&jitter=1ms&rate=80Mbit",
            random.Random(1),
            tap_a=tap_a,
            tap_b=tap_b,
        )
        return Cable(kind, medium.a, medium.b, tap_a, tap_b, medium)
    a_uri, b_uri = uris(kind, folder, veth)
    a = open_line(a_uri, tap_a)
    return Cable(kind, a, open_when_there(b_uri, tap_b), tap_a, tap_b, medium)


def uris(kind: str, folder: Path, veth: Veth | None) -> tuple[str, str]:
    """Return URIs of two ends; the first can be opened before the second."""
    if kind == "pty":
        link = folder / "end"
        return f"pty:///?link={link}", f"serial://{link}"
    if kind == "udp":
        one, two = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
        return (
            f"udp://127.0.0.1:{one}?peer=127.0.0.1:{two}",
            f"udp://127.0.0.1:{two}?peer=127.0.0.1:{one}",
        )
    if kind == "tcp":
        port = free_port(socket.SOCK_STREAM)
        return f"tcp://127.0.0.1:{port}?listen=1", f"tcp://127.0.0.1:{port}"
    assert kind == "eth"
    assert veth is not None
    return veth.uri(0, f"&peer={veth.macs[1]}"), veth.uri(1, f"&peer={veth.macs[0]}")


def write_raw(line: Line, data: bytes) -> None:
    """Put bytes on the medium past the line, as noise does."""
    assert os.write(line.fileno(), data) == len(data)
