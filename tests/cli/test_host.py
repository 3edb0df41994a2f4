"""`dualcopy host`: a host that anybody can play."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.channel.blocks import Outcome
from tests.cli.command import Command, run_process
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.serve import serving

SIZE_BYTES = 1 << 20


@pytest.fixture
def volume() -> MemoryVolume:
    return MemoryVolume("vol0", SIZE_BYTES)


@pytest.fixture
def uri(volume: MemoryVolume, tmp_path: Path) -> Iterator[str]:
    with serving({"vol0": volume}, tmp_path / "s"):
        yield f"nbd+unix:///vol0?socket={tmp_path}/s"


def test_what_is_written_is_read(uri: str, volume: MemoryVolume, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    assert len(data) > 2**20
    refused = run_process("host", "write", uri, stdin=data)
    assert refused.returncode == 2
    assert b"lie outside the volume's 1048576" in refused.stderr
    data = data[:300_001]
    done = run_process("host", "write", uri, "--offset", "4KiB", stdin=data)
    assert (done.returncode, done.stdout) == (0, b"300001 bytes written at 4096\n")
    assert volume.contents[4096 : 4096 + len(data)] == data
    assert volume.calls[-1][0] == "flush"
    done = run_process("host", "read", uri, "--offset", "4KiB", "--length", "300001")
    assert done.stdout == data


def test_files_go_in_and_out(command: Command, uri: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"hello" * 1000)
    assert command("host", "write", uri, "--in", tmp_path / "in", "--fua").code == 0
    assert command("host", "read", uri, "--out", tmp_path / "out").code == 0
    out = (tmp_path / "out").read_bytes()
    assert len(out) == SIZE_BYTES
    assert out.rstrip(b"\0") == b"hello" * 1000
    done = command("host", "write", uri, "--in", tmp_path / "none")
    assert done.code == 2
    assert "No such file" in done.err


def test_a_few_bytes_are_shown_as_text(command: Command, uri: str, volume: MemoryVolume) -> None:
    volume.contents[512:517] = b"hello"
    done = command("host", "read", uri, "--offset", "512", "--length", "8", "--json")
    assert json.loads(done.out) == {"offset": 512, "length": 8, "hex": "68656c6c6f000000"}
    assert command("host", "read", uri, "--length", "8KiB", "--json").code == 2
    done = command("host", "read", uri, "--offset", "1MiB", "--length", "1", "--json")
    assert done.code == 2
    assert "lie outside" in done.err


def test_a_hexdump_has_offsets_and_letters(capsys: pytest.CaptureFixture[str]) -> None:
    from rig.cli.host import _print_bytes

    _print_bytes(16, b"hello world, and \x00more", as_json=False)
    assert capsys.readouterr().out == (
        "00000010  68 65 6c 6c 6f 20 77 6f 72 6c 64 2c 20 61 6e 64  hello world, and\n"
        "00000020  20 00 6d 6f 72 65                                 .more\n"
    )


def test_a_load_is_verified(
    command: Command, uri: str, volume: MemoryVolume, tmp_path: Path
) -> None:
    load = ["host", "load", uri, "--journal", tmp_path / "j", "--writes", "50"]
    done = command(*load, "--seed", "7")
    assert done.code == 0
    assert done.out.startswith("50 writes, 200KiB, in ")
    assert command(*load).code == 2
    done = command(*load, "--seed", "7", "--append", "--json", "--depth", "1")
    assert json.loads(done.out)["writes"] == 50
    done = command("host", "verify", uri, "--journal", tmp_path / "j")
    assert done.code == 0
    assert "100 writes acknowledged, 0 not" in done.out
    image = tmp_path / "image"
    image.write_bytes(volume.contents)
    assert command("host", "verify", f"raw://{image}", "--journal", tmp_path / "j").code == 0
    volume.contents[:] = bytes(SIZE_BYTES)
    done = command("host", "verify", uri, "--journal", tmp_path / "j", "--json")
    assert done.code == 1
    assert json.loads(done.out)["wrong"] > 0
    assert "blocks are wrong" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say when to stop"),
        (["--time", "soon"], "--time: 'soon' is not a length of time"),
        (["--writes", "1", "--block", "2MiB"], "do not fit"),
        (["--writes", "1", "--change", "5KiB"], "cannot change by"),
    ],
)
def test_a_load_that_makes_no_sense_is_2(
    command: Command, uri: str, tmp_path: Path, words: list[str], told: str
) -> None:
    done = command("host", "load", uri, "--journal", tmp_path / "j", *words)
    assert done.code == 2
    assert told in done.err


def test_a_volume_that_fails_is_unavailable(
    command: Command, uri: str, volume: MemoryVolume, tmp_path: Path
) -> None:
    volume.outcome = Outcome.READ_ONLY
    done = command("host", "load", uri, "--journal", tmp_path / "j", "--writes", "5")
    assert done.code == 69
    assert command("host", "read", f"nbd+unix:///vol0?socket={tmp_path}/none").code == 69
