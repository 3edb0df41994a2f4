"""Raw Ethernet over a veth pair in a network namespace of the test's own."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.errors import BenchError, CannotRunHere, LinkLost, UnavailableError
from emulator.transport import netns
from emulator.transport.ethernet import open_line
from tests.transport.cables import (
    Cable,
    Tapped,
    Veth,
    next_packets,
    transfer,
    unprivileged,
    until,
    virtual_cable,
)

OUR_NAMESPACE = Path("/proc/thread-self/ns/net")
pytestmark = pytest.mark.needs("netns", "cap_net_raw", "ip", "nsenter")


@pytest.fixture(scope="module")
def shared_veth() -> Iterator[Veth]:
    with virtual_cable(mtu_bytes=65535) as veth:
        yield veth


@pytest.fixture
def veth(shared_veth: Veth) -> Veth:
    for name in shared_veth.names:
        shared_veth.ip("link", "set", name, "up", "mtu", "65535")
    return shared_veth


def test_packets_as_large_as_the_interface(veth: Veth) -> None:
    with open_line(veth.uri(0)) as a, open_line(veth.uri(1)) as b:
        assert a.mtu_bytes == 65535
        packets = [bytes([n]) * 65535 for n in range(1, 9)]
        assert transfer(Cable("eth", a, b, Tapped(), Tapped()), a, b, packets) == packets


def test_without_peers_named_frames_go_to_everybody(veth: Veth) -> None:
    with open_line(veth.uri(0)) as a, open_line(veth.uri(1, f"&peer={veth.macs[0]}")) as b:
        cable = Cable("eth", a, b, Tapped(), Tapped())
        assert transfer(cable, a, b, [b"to all"]) == [b"to all"]
        assert transfer(cable, b, a, [b"to you"]) == [b"to you"]


def test_own_frames_and_other_ethertypes_are_not_heard(veth: Veth) -> None:
    with (
        open_line(veth.uri(0)) as a,
        open_line(veth.uri(1)) as b,
        open_line(veth.uri(0, "&ethertype=0x88B6")) as other_a,
    ):
        assert a.send([b"one"]) == 1
        assert other_a.send([b"not for this EtherType"]) == 1
        assert next_packets(b) == [b"one"]
        assert a.receive() == other_a.receive() == []
        for line in (a, b, other_a):
            assert line.counters.packets_rejected == 0


def test_a_smaller_mtu_refuses_larger_frames(veth: Veth) -> None:
    tap = Tapped()
    with open_line(veth.uri(0)) as a, open_line(veth.uri(1, "&mtu=1000"), tap) as b:
        assert b.mtu_bytes == 1000
        cable = Cable("eth", a, b, Tapped(), tap)
        assert a.send([bytes(1001)]) == 1
        assert transfer(cable, a, b, [bytes(1000)]) == [bytes(1000)]
        assert tap.comments() == ["over-long"]
        assert b.counters.packets_rejected == 1


def test_mtu_beyond_the_interface_is_refused(veth: Veth) -> None:
    veth.ip("link", "set", veth.names[0], "mtu", "1500")
    with pytest.raises(BenchError, match="it must lie from 128 to 1500"):
        open_line(veth.uri(0, "&mtu=1501"))


def test_an_interface_that_goes_down_is_lost_and_comes_back(veth: Veth) -> None:
    with open_line(veth.uri(0)) as a:
        veth.ip("link", "set", veth.names[0], "down")
        with pytest.raises(LinkLost, match="Network is down"):
            until(lambda: a.receive() != [], "loss")
    with pytest.raises(UnavailableError, match="is down; ip link set dca up"):
        open_line(veth.uri(0))
    veth.ip("link", "set", veth.names[0], "up")
    with open_line(veth.uri(0)) as a, open_line(veth.uri(1)) as b:
        assert transfer(Cable("eth", a, b, Tapped(), Tapped()), a, b, [b"back"]) == [b"back"]


def test_only_a_virtual_cable_provably_stays_on_this_machine(veth: Veth) -> None:
    veth.ip("link", "add", "dcbridge", "type", "bridge")
    veth.ip("link", "set", "dcbridge", "up")
    uri = f"eth://dcbridge?netns={veth.namespace}"
    with open_line(veth.uri(0)) as cable, open_line(uri) as bridge:
        assert cable.loopback
        assert not bridge.loopback


def test_the_loopback_device_is_not_ethernet(veth: Veth) -> None:
    veth.ip("link", "set", "lo", "up")
    with pytest.raises(BenchError, match="lo is not Ethernet"):
        open_line(f"eth://lo?netns={veth.namespace}")


def test_an_interface_that_is_not_there(veth: Veth) -> None:
    with pytest.raises(UnavailableError, match="ip link add dcnone type veth"):
        open_line(f"eth://dcnone?netns={veth.namespace}")


@pytest.mark.sources
def test_namespaces_go_by_name_and_we_come_back(
    veth: Veth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netns, "NAMES_FOLDER", tmp_path)
    (tmp_path / "siteA").symlink_to(veth.namespace)
    here = OUR_NAMESPACE.readlink()
    with open_line("eth://dca?netns=siteA") as line:
        assert line.loopback
        assert OUR_NAMESPACE.readlink() == here
    with pytest.raises(UnavailableError, match="make it with: ip netns add siteB"):
        open_line("eth://dca?netns=siteB")
    with pytest.raises(UnavailableError):
        open_line("eth://dcnone?netns=siteA")
    assert OUR_NAMESPACE.readlink() == here


def test_without_the_right_the_message_says_how_to_get_it(veth: Veth) -> None:
    with unprivileged():
        with pytest.raises(CannotRunHere, match="raw Ethernet needs CAP_NET_RAW"):
            open_line("eth://dca")
        with pytest.raises(CannotRunHere, match="cannot enter network namespace"):
            open_line(veth.uri(0))


def test_frames_carry_our_ethertype_and_addresses(veth: Veth) -> None:
    tap = Tapped()
    with open_line(veth.uri(0, f"&peer={veth.macs[1]}&ethertype=0x9000"), tap) as line:
        assert line.send([b"body"]) == 1
    frame = tap.seen[0][1]
    assert frame == bytes.fromhex("02000000000b02000000000a9000") + b"body"
    assert socket.ntohs(0x9000) == int.from_bytes(frame[12:14], "little")
