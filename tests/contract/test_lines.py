"""What every line promises, asked of each kind of line with the same questions."""

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.errors import LinkLost, MisuseError
from emulator.transport.base import Direction, Line
from emulator.transport.opener import SCHEMES, open_line
from tests.transport.cables import (
    Cable,
    Veth,
    lay_cable,
    mixed_packets,
    next_packets,
    open_when_there,
    transfer,
    until,
    virtual_cable,
    write_raw,
)

ETH = pytest.param("eth", marks=pytest.mark.needs("netns", "cap_net_raw", "ip", "nsenter"))
STREAMS = ["pty", "tcp"]
KINDS = [*STREAMS, "udp", "sim", ETH]


@pytest.fixture(scope="module")
def veth_of(request: pytest.FixtureRequest) -> Iterator[Veth]:
    with virtual_cable() as veth:
        yield veth


@pytest.fixture
def veth(request: pytest.FixtureRequest, kind: str) -> Veth | None:
    return request.getfixturevalue("veth_of") if kind == "eth" else None


@pytest.fixture
def cable(kind: str, veth: Veth | None, tmp_path: Path) -> Iterator[Cable]:
    cable = lay_cable(kind, tmp_path, veth)
    yield cable
    cable.close()


def both_ways(cable: Cable) -> list[tuple[Line, Line]]:
    return [(cable.a, cable.b), (cable.b, cable.a)]


@contextlib.contextmanager
def stranger_to(
    sender: Line, receiver: Line, veth: Veth | None
) -> Iterator[list[Callable[[], object]]]:
    """Give what puts packets onto the medium that the receiver must not take."""
    own = sender._socket
    too_long = bytes(receiver.mtu_bytes + 1)
    if veth is None:
        here = receiver._socket.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            yield [
                lambda: other.sendto(b"from another port", here),
                lambda: own.sendto(b"", here),
                lambda: own.sendto(too_long, here),
            ]
        return
    header, mac = sender._header, sender._header[:6]
    yield [
        lambda: own.send(b"\x02elsew" + header[6:] + b"to another card"),
        lambda: own.send(mac + b"\x02other" + header[12:] + b"from another card"),
        lambda: own.send(header),
    ]


def test_no_kind_of_line_escapes_these_questions() -> None:
    asked = {"pty", "serial", "tcp", "udp", "sim", "eth"}
    assert set(SCHEMES) == asked


@pytest.mark.parametrize("kind", KINDS)
def test_packets_of_all_sizes_arrive_whole_and_in_order(cable: Cable) -> None:
    for seed, (sender, receiver) in enumerate(both_ways(cable)):
        packets = mixed_packets(2000, min(sender.mtu_bytes, receiver.mtu_bytes), seed)
        assert transfer(cable, sender, receiver, packets) == packets


@pytest.mark.parametrize("kind", KINDS)
def test_counters_and_tap_tell_the_same_as_the_packets(cable: Cable) -> None:
    packets = mixed_packets(300, cable.a.mtu_bytes, seed=5)
    size_bytes = sum(map(len, packets))
    transfer(cable, cable.a, cable.b, packets)
    sent, received = cable.a.counters, cable.b.counters
    assert (sent.packets_sent, sent.bytes_sent) == (300, size_bytes)
    assert (received.packets_received, received.bytes_received) == (300, size_bytes)
    assert sent.medium_bytes_sent == received.medium_bytes_received >= size_bytes
    header = 14 if cable.kind == "eth" else 0
    for tap, direction in ((cable.tap_a, Direction.SENT), (cable.tap_b, Direction.RECEIVED)):
        assert [data[header:] for data in tap.packets(direction)] == packets
    for counters, tap in ((sent, cable.tap_a), (received, cable.tap_b)):
        total = counters.packets_sent + counters.packets_received + counters.packets_rejected
        assert counters.packets_tapped == total == len(tap.seen)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_there_is_an_empty_list(cable: Cable) -> None:
    assert cable.a.receive() == []
    assert cable.b.receive() == []
    assert cable.a.send([]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_packet_is_our_own_mistake(cable: Cable) -> None:
    transfer(cable, cable.a, cable.b, [b"connected"])
    for wrong in (b"", bytes(cable.a.mtu_bytes + 1)):
        with pytest.raises(MisuseError):
            cable.a.send([wrong])


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_line_is_lost_and_closing_again_is_nothing(cable: Cable) -> None:
    transfer(cable, cable.a, cable.b, [b"connected"])
    cable.a.close()
    cable.a.close()
    with pytest.raises(LinkLost):
        cable.a.receive()
    with pytest.raises(LinkLost):
        cable.a.send([b"late"])
    assert cable.a.counters.packets_sent == 1


@pytest.mark.parametrize("kind", STREAMS)
def test_a_peer_that_goes_is_told_after_its_last_packet_and_may_come_back(
    cable: Cable, tmp_path: Path
) -> None:
    transfer(cable, cable.b, cable.a, [b"hello"])
    sent = [b"one", b"two"]
    assert cable.a.send(sent) == 2
    until(lambda: not (cable.a.flush() or cable.a.wants_write()), "everything written")
    received: list[bytes] = []
    if cable.kind == "pty":  # a tty's hang-up throws away what was not read, so read it first
        until(lambda: bool(received.extend(cable.b.receive()) or len(received) == 2), "arrived")
    cable.a.close()
    with pytest.raises(LinkLost, match=re.escape(cable.b.uri)):
        until(lambda: bool(received.extend(cable.b.receive()) or cable.b.send([b"x"]) < 0), "loss")
    assert received == sent
    cable.b.close()

    again = Cable(
        cable.kind,
        open_line(cable.a.uri, cable.tap_a),
        open_when_there(cable.b.uri, cable.tap_b),
        cable.tap_a,
        cable.tap_b,
    )
    with contextlib.closing(again):
        for sender, receiver in both_ways(again):
            assert transfer(again, sender, receiver, sent) == sent


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_here_stays_on_this_machine(cable: Cable) -> None:
    assert cable.a.loopback
    assert cable.b.loopback


@pytest.mark.parametrize("kind", STREAMS)
def test_noise_on_a_stream_is_counted_and_shown_but_not_raised(cable: Cable) -> None:
    for sender, receiver in both_ways(cable):
        transfer(cable, sender, receiver, [b"before"])
        while sender.wants_write():
            cable.wait()
        overlong = b"x" * (receiver.mtu_bytes + 2000)
        write_raw(sender, b"\x09cut\0" + b"\0\0" + b"\x01\0" + overlong[:4000])
        # The rest in pieces that fit a tty's buffer.
        for start in range(4000, len(overlong), 4000):
            assert receiver.receive() == []
            write_raw(sender, overlong[start : start + 4000])
        # The over-long frame swallows the next packet, whose end ends it.
        assert sender.send([b"swallowed", b"after"]) == 2
        assert next_packets(receiver) == [b"after"]
        assert receiver.counters.packets_rejected == 3
        tap = cable.tap_of(receiver)
        assert tap.comments() == ["framing error", "framing error", "over-long frame"]
        assert (Direction.RECEIVED, b"\x09cut", "framing error") in tap.seen
        assert len(tap.seen) == receiver.counters.packets_tapped


@pytest.mark.parametrize("kind", ["udp", ETH])
def test_strangers_and_wrong_sizes_are_counted_and_shown_but_not_raised(
    cable: Cable, veth: Veth | None
) -> None:
    for sender, receiver in both_ways(cable):
        with stranger_to(sender, receiver, veth) as wrong_packets:
            for send in wrong_packets:
                send()
        assert transfer(cable, sender, receiver, [b"after"]) == [b"after"]
        counters = receiver.counters
        assert counters.packets_rejected == len(wrong_packets)
        assert counters.packets_received == 1
        assert len(cable.tap_of(receiver).comments()) == len(wrong_packets)
        assert len(cable.tap_of(receiver).seen) == counters.packets_tapped


@pytest.mark.parametrize("kind", STREAMS)
def test_a_full_line_takes_no_more_and_loses_nothing(cable: Cable) -> None:
    transfer(cable, cable.a, cable.b, [b"connected"])
    packet = bytes(range(256)) * 8
    taken = 0
    while cable.a.send([packet]):
        taken += 1
        assert taken * len(packet) < 64 * 2**20, "a line must not take without end"
    assert cable.a.wants_write()
    received: list[bytes] = []

    def all_there() -> bool:
        received.extend(cable.b.receive())
        cable.a.flush()
        return len(received) == taken

    until(all_there, "everything taken arrives")
    assert received == [packet] * taken
    assert cable.a.send([b"room again"]) == 1


@pytest.mark.parametrize("kind", ["udp", ETH])
def test_overflow_at_the_receiver_is_counted(cable: Cable) -> None:
    packet = bytes(8000)
    sent = sum(cable.a.send([packet]) for _ in range(3000))
    received = 0
    while batch := cable.b.receive():
        received += len(batch)
    assert sent > received > 0
    assert cable.b.counters.packets_dropped == sent - received
    assert cable.b.counters.packets_dropped == sent - received, "asking again adds nothing"
