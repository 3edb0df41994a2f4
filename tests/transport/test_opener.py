"""Opening lines by URI: the table of schemes, plug-ins, and everything a user can get wrong."""

import importlib.metadata
from collections.abc import Callable

import pytest

from emulator.errors import BenchError, UnavailableError
from emulator.transport import opener
from emulator.transport.opener import open_line

HERE = "udp://127.0.0.1:7001"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("udb://127.0.0.1:7001", "no line of kind 'udb'; did you mean udp? there are: eth, pty"),
        ("nothing", "is not a URI"),
        (HERE, "say where the other end is"),
        (f"{HERE}?pere=127.0.0.1:7002", "did you mean peer?"),
        (f"{HERE}?peer=127.0.0.1", "'127.0.0.1' is not HOST:PORT"),
        (f"{HERE}?peer=127.0.0.1:0", "is not HOST:PORT"),
        (f"{HERE}?peer=127.0.0.1:65536", "is not HOST:PORT"),
        (f"{HERE}?peer=127.0.0.1:7x", "is not HOST:PORT"),
        (f"{HERE}?peer=::1:7002", "IPv6 hosts in brackets"),
        (f"{HERE}?peer=[::1]:7002", "both ends must be IPv4 or both IPv6"),
        (f"{HERE}?peer=127.0.0.1:7002&mtu=65508", "it must lie from 128 to 65507"),
        (f"{HERE}?peer=127.0.0.1:7002&mtu=big", "write a whole number"),
        ("udp:///x?peer=127.0.0.1:7002", "a UDP line has no path"),
        ("tcp://127.0.0.1:7001/x", "a TCP line has no path"),
        ("tcp://127.0.0.1", "is not HOST:PORT"),
        ("tcp://127.0.0.1:7001?listen=maybe", "write 1 or 0"),
        ("pty://tmp/x", "a pty has no address"),
        ("pty:///?baudrate=fast", "write a whole number"),
        ("pty:///?baudrate=0", "it must lie from 1"),
        ("serial:", "name the port with three slashes"),
        ("serial://dev/ttyS0", "name the port with three slashes"),
        ("serial:///dev/null?xonxoff=1", "unknown key 'xonxoff'"),
        ("serial:///etc/passwd", "is no serial port"),
        ("serial:///dev/null?parity=evn", "did you mean even?"),
        ("serial:///dev/null?stopbits=3", "choose one of 1, 1.5, 2"),
        ("eth://", "name an interface"),
        ("eth://a-name-that-is-too-long", "name an interface"),
        ("eth://veth0/siteA", "a namespace goes under netns="),
        ("eth://veth0?ethertype=0x05FF", "it must lie from 1536 to 65535"),
        ("eth://veth0?peer=02:00:00:00:00", "is no MAC address"),
        ("eth://veth0?peer=ff:ff:ff:ff:ff:ff", "is a group address"),
        ("sim://A-B?latency=30", "'30' is not a length of time"),
        ("sim://A-B?latency=30ms", "simulated lines run in virtual time"),
    ],
)
def test_a_uri_that_cannot_be_meant_is_the_users_error(uri: str, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        open_line(uri)
    assert said in str(caught.value)
    assert uri in str(caught.value)


def plug_in(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = importlib.metadata.EntryPoint("semaphore", value, opener.ENTRY_POINT_GROUP)

    def points(*, group: str) -> list[importlib.metadata.EntryPoint]:
        assert group == "dualcopy.transports"
        return [point]

    monkeypatch.setattr(importlib.metadata, "entry_points", points)


def open_semaphore(uri: str, tap: object) -> tuple[str, object]:
    return uri, tap


def test_a_plug_in_opens_its_own_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, f"{__name__}:open_semaphore")
    tap: Callable[..., None] = print
    assert open_line("semaphore://hill", tap) == ("semaphore://hill", tap)
    with pytest.raises(BenchError, match=r"there are: .*, semaphore, "):
        open_line("smoke://hill")


def test_a_plug_in_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "no_such_module_of_ours:open_line")
    with pytest.raises(UnavailableError, match="the plug-in no_such_module_of_ours"):
        open_line("semaphore://hill")
