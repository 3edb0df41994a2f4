"""What only ttys do: rates, locks, symbolic links, and errors a user can mend."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.errors import BenchError, CannotRunHere, LinkLost, UnavailableError
from emulator.transport.pty_line import PtyLine
from emulator.transport.pty_line import open_line as open_pty
from emulator.transport.serial_line import open_line as open_serial
from tests.transport.cables import Cable, Tapped, transfer, unprivileged, until


@pytest.fixture
def pty() -> Iterator[PtyLine]:
    with open_pty("pty:") as line:
        yield line


@pytest.mark.parametrize(
    ("query", "rate", "mtu_bytes"),
    [
        ("", None, 8192),
        ("?baudrate=9600", 960.0, 256),
        ("?baudrate=115200", 11520.0, 576),
        ("?baudrate=12000000", 1_200_000.0, 8192),
        ("?baudrate=115200&parity=even", 115200 / 11, 523),
        ("?baudrate=115200&stopbits=2&parity=odd", 115200 / 12, 480),
        ("?baudrate=115200&stopbits=1.5", 115200 / 10.5, 548),
        ("?baudrate=250000&mtu=1500&rtscts=1", 25000.0, 1500),
    ],
)
def test_rate_and_packet_size_follow_the_settings(
    pty: PtyLine, query: str, rate: float | None, mtu_bytes: int
) -> None:
    with open_serial(f"serial://{pty.other_end}{query}") as line:
        assert line.rate_bytes_per_s == rate
        assert line.mtu_bytes == mtu_bytes


def test_a_ptys_rate_is_only_a_figure() -> None:
    with open_pty("pty:///?baudrate=115200&mtu=512") as line:
        assert (line.rate_bytes_per_s, line.mtu_bytes) == (11520.0, 512)


def test_a_slow_line_holds_little_back(pty: PtyLine) -> None:
    with open_serial(f"serial://{pty.other_end}?baudrate=9600") as line:
        packet = bytes(100)
        while line.send([packet] * 10) == 10:
            pass
        assert line._held_bytes <= 960 * 0.05 + 103, "what waits here cannot be taken back"


def test_a_port_in_use_names_its_holder(pty: PtyLine) -> None:
    with open_serial(f"serial://{pty.other_end}"):
        with pytest.raises(UnavailableError) as caught:
            open_serial(f"serial://{pty.other_end}")
        assert f"{pty.other_end} is in use by process {os.getpid()}" in str(caught.value)
    open_serial(f"serial://{pty.other_end}").close()


def test_a_killed_holder_locks_nobody_out(pty: PtyLine) -> None:
    script = (
        "import sys; from emulator.transport.serial_line import open_line;"
        f"line = open_line('serial://{pty.other_end}'); print('ready', flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"ready\n"
        with pytest.raises(UnavailableError, match=f"by process {holder.pid}"):
            open_serial(f"serial://{pty.other_end}")
        holder.kill()
    open_serial(f"serial://{pty.other_end}").close()


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", "/dev/pts/99999"):
        with pytest.raises(UnavailableError, match=r"there is no .* is it plugged in"):
            open_serial(f"serial://{path}")


def test_a_device_that_is_no_tty() -> None:
    with pytest.raises(UnavailableError, match=r"^serial:///dev/null: "):
        open_serial("serial:///dev/null")


def test_a_port_without_permission_says_which_group_helps(pty: PtyLine) -> None:
    Path(pty.other_end).chmod(0)
    with (
        unprivileged(),
        pytest.raises(CannotRunHere, match=r"as root: usermod -aG \w+"),
    ):
        open_serial(f"serial://{pty.other_end}")


def test_a_client_may_come_and_go_unnoticed(pty: PtyLine) -> None:
    for round_ in range(3):
        with open_serial(f"serial://{pty.other_end}") as client:
            cable = Cable("pty", pty, client, Tapped(), Tapped())
            packets = [bytes([round_, n]) for n in range(1, 50)]
            assert transfer(cable, client, pty, packets) == packets
            assert transfer(cable, pty, client, packets) == packets
        assert pty.receive() == []


def test_all_256_byte_values_pass_both_ways_from_the_first(pty: PtyLine) -> None:
    packet = bytes(range(256)) * 4
    with open_serial(f"serial://{pty.other_end}") as client:
        cable = Cable("pty", pty, client, Tapped(), Tapped())
        for sender, receiver in ((pty, client), (client, pty)):
            assert transfer(cable, sender, receiver, [packet]) == [packet]
            assert receiver.counters.packets_rejected == 0


def test_hang_up_of_a_port_is_a_loss_with_a_cause() -> None:
    with contextlib.ExitStack() as stack:
        pty = stack.enter_context(open_pty("pty:"))
        client = stack.enter_context(open_serial(f"serial://{pty.other_end}"))
        pty.close()
        with pytest.raises(LinkLost) as caught:
            until(lambda: client.receive() != [], "loss")
        assert caught.value.uri == client.uri
        assert caught.value.cause in ("the other end is gone", "Input/output error")
        with pytest.raises(LinkLost):
            client.send([b"x"])
        with pytest.raises(LinkLost):
            client.flush()


def test_link_names_the_other_end_and_goes_with_the_line(tmp_path: Path) -> None:
    link = tmp_path / "end"
    with open_pty(f"pty:///?link={link}") as line:
        assert link.readlink() == Path(line.other_end)
    assert not link.is_symlink()


def test_link_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "end"
    link.symlink_to("/dev/pts/99999")
    with open_pty(f"pty:///?link={link}") as line:
        assert link.readlink() == Path(line.other_end)
    assert list(tmp_path.iterdir()) == []


def test_link_of_another_is_left_alone_on_closing(tmp_path: Path) -> None:
    link = tmp_path / "end"
    with open_pty(f"pty:///?link={link}"):
        link.unlink()
        link.symlink_to("/dev/pts/99999")
    assert link.is_symlink()


def test_link_in_use_is_refused(tmp_path: Path) -> None:
    uri = f"pty:///?link={tmp_path / 'end'}"
    with open_pty(uri), pytest.raises(UnavailableError, match="another process keeps a pty"):
        open_pty(uri)
    open_pty(uri).close()


def test_link_over_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    with pytest.raises(BenchError, match="is no symbolic link"):
        open_pty(f"pty:///?link={file}")
    assert file.read_bytes() == b"precious"


def test_link_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot make the symbolic link"):
        open_pty(f"pty:///?link={tmp_path / 'no' / 'end'}")
