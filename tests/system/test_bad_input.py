"""What users and strangers get wrong: a clear error or a counted rejection, never a crash."""

import contextlib
import json
import os
import random
import socket

import pytest

from emulator.errors import BenchError, DeviceError
from emulator.frontend.nbd_protocol import Command
from rig.host.console import ask
from rig.host.nbd_client import connect_nbd
from tests.system.sites import free_ports, udp_line, until

MIB = 1 << 20
WRONG, UNAVAILABLE = 2, 69


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('cache = "16MiB"', 'cahce = "16MiB"', 'did you mean "cache"'),
        ('ack = "nvs"', 'ack = "nsv"', "nvs"),
        ('kind = "fba-512"', 'kind = "fba-520"', "fba-512"),
        ('cache = "16MiB"', "cache = 16", "in quotes"),
        ("lab_plaintext = true", "lab_plaintext = false", "lab_plaintext"),
        ('source = "A"', 'source = "C"', "there are: A, B"),
        ("sync=battery", "sync=batery", "battery"),
        ("size=16MiB", "size=4MiB", "8MiB"),
        ("127.0.0.1", "192.0.2.1", "stay on this machine"),
    ],
)
def test_a_wrong_bench_file_is_told_by_line_and_key(two_sites, right, wrong, said):
    bench = two_sites()
    text = bench.path.read_text()
    assert right in text
    bench.path.write_text(text.replace(right, wrong))
    code, told = bench.a.refused()
    assert code == WRONG, told
    assert said in told
    assert "Traceback" not in told
    assert f"{bench.path}:" in told or "nvs" in told


def test_no_bench_no_site(two_sites, tmp_path):
    bench = two_sites()
    bench.a.name = "C"
    assert bench.a.refused()[0] == WRONG
    bench.path.unlink()
    code, told = bench.a.refused()
    assert (code, "no such bench file" in told) == (WRONG, True)


def test_an_image_that_is_in_use_missing_or_no_image(two_sites):
    bench = two_sites()
    bench.start("A")
    other = two_sites()
    other.path.write_text(other.path.read_text().replace(str(other.a.image), str(bench.a.image)))
    code, told = other.a.refused()
    assert (code, "in use" in told) == (UNAVAILABLE, True), told
    other.path.write_text(other.path.read_text().replace(str(bench.a.image), str(other.folder)))
    code, told = other.a.refused()
    assert code in (WRONG, UNAVAILABLE), told
    assert "Traceback" not in told
    other.path.write_text(other._text())
    other.a.image.unlink()
    code, told = other.a.refused()
    assert code in (WRONG, UNAVAILABLE), told
    assert str(other.a.image) in told


def test_a_second_start_of_the_same_site(two_sites):
    bench = two_sites()
    bench.start("A")
    first, bench.a.process = bench.a.process, None
    code, told = bench.a.refused()
    bench.a.process = first
    assert (code, "in use" in told or "running" in told) == (UNAVAILABLE, True), told
    # On: the one that runs has lost nothing, its sockets least of all.
    assert bench.a.status()["ready"]
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"still here")


def test_a_port_or_socket_that_is_taken(two_sites):
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as held:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        bench = two_sites()
        text = bench.path.read_text()
        bench.path.write_text(text.replace(bench.a.uri, f"nbd://127.0.0.1:{port}/vol0"))
        code, told = bench.a.refused()
        assert (code, str(port) in told) == (UNAVAILABLE, True), told
        bench.path.write_text(text)
        held.bind(str(bench.a.socket))
        held.listen()
        code, told = bench.a.refused()
        assert (code, str(bench.a.socket) in told) == (UNAVAILABLE, True), told
        assert bench.a.socket.exists()
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.size_bytes == bench.size_bytes


@pytest.mark.parametrize("place", ["socket", "console"])
def test_a_socket_path_that_is_a_file_of_the_user(two_sites, place):
    bench = two_sites()
    path = getattr(bench.a, place)
    path.write_text("precious")
    code, told = bench.a.refused()
    assert (code, str(path) in told) == (UNAVAILABLE, True), told
    assert path.read_text() == "precious"


def test_a_line_that_is_taken_is_opened_when_it_is_free(two_sites):
    a, b = free_ports(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", a))
        bench = two_sites(line=udp_line(a, b))
        bench.start()
        assert bench.a.status()["links"]["A-B"]["state"] == "down"
        (event,) = bench.a.events("link-changed")
        assert str(a) in event["reason"]
    bench.wait("duplex")
    bench.finish()


def test_volumes_of_different_size_are_refused_at_both_ends(two_sites):
    bench = two_sites()
    os.truncate(bench.b.image, 8 * MIB)
    code, told = bench.a.refused()
    assert (code, "must have the same size" in told) == (WRONG, True), told
    # On: on two machines neither bench file can see the other one's image.
    for name, other in (("A", bench.b), ("B", bench.a)):
        alone = bench.folder / f"{name}.toml"
        alone.write_text(
            bench.path.read_text().replace(f"raw://{other.image}", "raw:///nowhere/not-here.img")
        )
        bench.sites[name].bench = alone
    bench.start()
    for site in bench.sites.values():
        until(lambda site=site: site.group()["state"] == "refused", "the sizes are compared")
        assert str(8 * MIB) in site.group()["reason"]
        assert str(16 * MIB) in site.group()["reason"]
    bench.stop("A", "B")


def test_another_group_at_the_other_end(two_sites):
    bench = two_sites()
    bench.start("A")
    text = bench.path.read_text()
    bench.path.write_text(text.replace("[copy.g0]", "[copy.other]"))
    bench.start("B")
    until(lambda: bench.a.group()["state"] == "refused", "the names are compared")
    assert "other" in bench.a.group()["reason"]
    assert bench.b.status()["groups"]["other"]["state"] == "refused"
    bench.stop("A", "B")


def test_the_store_of_another_site_or_bench(two_sites):
    bench = two_sites()
    bench.start()
    bench.stop("A", "B")
    kept = bench.a.nvs.rename(bench.folder / "kept")
    bench.b.nvs.rename(bench.a.nvs)
    code, told = bench.a.refused()
    assert (code, "belongs to site B" in told) == (WRONG, True), told
    kept.rename(bench.a.nvs)
    bench.path.write_text(bench.path.read_text().replace("[copy.g0]", "[copy.g1]"))
    code, told = bench.a.refused()
    assert (code, "g0" in told) == (WRONG, True), told
    bench.rewrite(nvs="32MiB")
    code, told = bench.a.refused()
    assert (code, "16MiB" in told) == (WRONG, True), told
    bench.rewrite(nvs="16MiB")
    os.truncate(bench.a.image, 32 * MIB)
    code, told = bench.a.refused()
    assert (code, "volumes" in told) == (WRONG, True), told


def test_a_damaged_store_is_refused_not_guessed_at(two_sites):
    bench = two_sites()
    bench.start("A")
    bench.stop("A")
    with bench.a.nvs.open("r+b") as store:
        store.write(os.urandom(128 * 1024))
    code, told = bench.a.refused()
    assert (code, "superblock" in told) == (UNAVAILABLE, True), told


def test_garbage_on_every_socket_while_the_copy_runs(two_sites):
    dice = random.Random(1)
    bench = two_sites()
    bench.start()
    bench.wait("duplex")
    port = int(bench.line[0].split("?")[0].rpartition(":")[2])
    with connect_nbd(bench.a.uri) as volume, socket.socket(type=socket.SOCK_DGRAM) as stranger:
        for number in range(30):
            volume.write(dice.randrange(4096) * 4096, dice.randbytes(4096))
            junk = dice.randbytes(dice.choice([0, 1, 7, 60, 1400, 5000]))
            stranger.sendto(junk, ("127.0.0.1", port))
            for place in (bench.a.socket, bench.a.console):
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(str(place))
                    peer.sendall(junk + b"\n" * (number % 3))
                    if number % 2:
                        peer.shutdown(socket.SHUT_WR)
    link = bench.a.status()["links"]["A-B"]
    assert link["line"]["packets_rejected"] + link["counters"]["rejected_packets"] >= 25
    bench.finish()


def test_garbage_on_a_tcp_line(two_sites):
    """A stranger on the port is not taken for the peer, and does not keep the peer out."""
    port = free_ports(1, socket.SOCK_STREAM)[0]
    bench = two_sites(line=(f"tcp://127.0.0.1:{port}?listen=1", f"tcp://127.0.0.1:{port}"))
    dice = random.Random(1)
    bench.start("A")
    for size in (0, 1, 100, 70_000):
        with contextlib.suppress(ConnectionError), _connected(port) as stranger:
            stranger.sendall(dice.randbytes(size))
    bench.start("B")
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, dice.randbytes(4096))
    with contextlib.suppress(ConnectionError), _connected(port) as stranger:
        stranger.sendall(dice.randbytes(10_000))
        bench.wait("identical")
    bench.finish()


def _connected(port):
    return socket.create_connection(("127.0.0.1", port))


def test_garbage_on_a_pty_line(two_sites, tmp_path):
    bench = two_sites(line=(f"pty:///?link={tmp_path}/tty", f"serial://{tmp_path}/tty"))
    dice = random.Random(1)
    bench.start()
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume, (tmp_path / "tty").open("wb", buffering=0) as stranger:
        for number in range(30):
            stranger.write(dice.randbytes(dice.choice([1, 7, 500])) + b"\0" * (number % 3))
            volume.write(dice.randrange(4096) * 4096, dice.randbytes(4096))
    assert bench.a.status()["links"]["A-B"]["line"]["packets_rejected"]
    bench.finish()


@pytest.mark.parametrize(
    "request_text",
    [
        "[]",
        "null",
        '"status"',
        "{}",
        '{"verb": []}',
        '{"verb": {}}',
        '{"verb": null}',
        '{"verb": "role", "group": []}',
        '{"verb": "role", "group": {"a": 1}, "primary": "B"}',
        '{"verb": "role", "group": "g0"}',
        '{"verb": "role", "group": "g0", "primary": []}',
        '{"verb": "role", "group": "g0", "primary": "B", "force": []}',
        '{"verb": "role", "group": "g0", "primary": "C"}',
        '{"verb": "freeze", "group": 7}',
        '{"verb": "status"' + "[" * 50_000,
        "\\ud800" * 3,
        "9" * 5000,
    ],
)
def test_an_order_that_makes_no_sense(console_site, request_text):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(console_site.console))
        peer.sendall(request_text.encode() + b"\n")
        answer = json.loads(peer.makefile().readline())
    assert (answer["ok"], answer["exit_code"]) == (False, WRONG)
    assert answer["error"]
    assert console_site.group()["role"] == "primary"


@pytest.fixture(scope="module")
def console_site(tmp_path_factory):
    from tests.system.sites import TwoSites

    bench = TwoSites(tmp_path_factory.mktemp("console"))
    bench.start("A")
    yield bench.a
    bench.close()


def test_an_order_without_end(console_site):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(console_site.console))
        peer.sendall(b"x" * 200_000)
        answer = json.loads(peer.makefile().readline())
    assert answer["exit_code"] == WRONG
    assert console_site.status()["ready"]


def test_orders_that_cannot_be_carried_out(console_site):
    with pytest.raises(BenchError, match="no group"):
        ask(console_site.console, "freeze", group="g7")
    assert console_site.order("freeze")["csn"] == console_site.group()["csn"]
    assert console_site.group()["frozen"]
    console_site.order("run")
    assert not console_site.group()["frozen"]


@pytest.mark.parametrize(
    ("command", "offset", "length"),
    [
        (Command.READ, 16 * MIB, 1),
        (Command.READ, 16 * MIB - 1, 2),
        (Command.READ, 2**63, 4096),
        (Command.READ, 0, 0),
        (Command.WRITE, 16 * MIB, 4096),
        (Command.WRITE, 16 * MIB - 512, 1024),
        (Command.WRITE, 2**64 - 4096, 4096),
        (Command.TRIM, 16 * MIB - 1, 2),
        (Command.WRITE_ZEROES, 1, 16 * MIB),
        (Command.WRITE, 0, 0),
        (Command.WRITE, 100, 0),
        (Command.TRIM, 0, 0),
        (Command.WRITE_ZEROES, 0, 0),
    ],
)
def test_requests_out_of_range_change_nothing(console_site, command, offset, length):
    before = console_site.group()["csn"]
    with connect_nbd(console_site.uri) as volume:
        data = bytes(length) if command == Command.WRITE else b""
        ticket = volume.submit(command, offset, data, length=length)
        # A request for nothing may be called done, as long as nothing comes of it.
        with pytest.raises(DeviceError) if length else contextlib.suppress(DeviceError):
            volume.wait(ticket)
        assert volume.read(0, 4096)
    assert console_site.group()["csn"] == before
