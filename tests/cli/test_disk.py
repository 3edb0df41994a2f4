"""`dualcopy disk`: what it makes, says and refuses."""

import hashlib
import json
from pathlib import Path

import pytest

from emulator.disk import open_disk
from tests.cli.command import Command

MIB = 2**20


@pytest.fixture
def image(tmp_path: Path, command: Command) -> Path:
    path = tmp_path / "a.img"
    assert command("disk", "create", f"raw://{path}", "--size", "1MiB").code == 0
    return path


def test_create_makes_images_of_the_size_asked(command: Command, tmp_path: Path) -> None:
    uris = [f"raw://{tmp_path}/{name}.img" for name in "xy"]
    assert command("disk", "create", *uris, "--size", "2MiB").code == 0
    assert command("disk", "create", f"raw://{tmp_path}/z.img?size=4KiB").code == 0
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"x.img": 2 * MIB, "y.img": 2 * MIB, "z.img": 4096}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["raw:///x.img"], "say how large: --size 64MiB"),
        (["raw:///x.img", "--size", "64MB"], "--size: '64MB' is not a size"),
        (["raw:///x.img", "--size", "100"], "multiple of 512"),
        (["mem://1MiB", "--size", "1MiB"], "not made beforehand"),
        (["row:///x.img", "--size", "1MiB"], "no disk of kind 'row'; did you mean raw?"),
    ],
)
def test_create_refuses_what_cannot_be_made(command: Command, words: list[str], told: str) -> None:
    done = command("disk", "create", *words)
    assert done.code == 2
    assert told in done.err


def test_create_never_touches_an_existing_file(command: Command, image: Path) -> None:
    done = command("disk", "create", f"raw://{image}", "--size", "2MiB")
    assert (done.code, image.stat().st_size) == (2, MIB)
    assert "exists already" in done.err


def test_info_tells_size_data_and_use(command: Command, image: Path) -> None:
    uri = f"raw://{image}"
    disk = open_disk(uri)
    disk.write([(0, [b"x" * 65536])])
    disk.flush()
    (used,) = json.loads(command("disk", "info", uri, "--json").out)
    disk.close()
    assert used["size_bytes"] == MIB
    assert used["data_bytes"] is None
    assert used["state"].startswith("image in use by process ")
    done = command("disk", "info", uri, "--json")
    (free,) = json.loads(done.out)
    assert free == {"uri": uri, "size_bytes": MIB, "data_bytes": 65536, "state": "free"}
    lines = command("disk", "info", uri).out.splitlines()
    assert lines[0].split()[:2] == ["disk", "bytes"]
    assert lines[1].split() == [uri, str(MIB), "65536", "free"]


def test_digest_is_that_of_the_contents(command: Command, image: Path) -> None:
    image.write_bytes(b"some bytes".ljust(3 * 512))
    wanted = hashlib.sha256(image.read_bytes()).hexdigest()
    done = command("disk", "digest", f"raw://{image}", "mem://1KiB")
    assert done.out.splitlines() == [
        f"{wanted}  raw://{image}",
        f"{hashlib.sha256(bytes(1024)).hexdigest()}  mem://1KiB",
    ]
    (found,) = json.loads(command("disk", "digest", f"raw://{image}", "--json").out)
    assert (found["sha256"], found["size_bytes"]) == (wanted, 1536)


def test_equal_disks_compare_equal(command: Command, image: Path) -> None:
    done = command("disk", "compare", f"raw://{image}", "mem://1MiB")
    assert (done.code, done.out) == (0, "equal: 1048576 bytes\n")


@pytest.mark.parametrize("offset", [0, 511, 512, MIB - 1])
def test_the_first_difference_is_told(command: Command, image: Path, offset: int) -> None:
    with image.open("r+b") as file:
        file.seek(offset)
        file.write(b"x")
    done = command("disk", "compare", f"raw://{image}", "mem://1MiB")
    assert done.code == 1
    assert f"first at byte {offset} (block {offset // 512} of 512 bytes)" in done.err
    done = command("disk", "compare", f"raw://{image}", "mem://1MiB", "--json")
    found = json.loads(done.out)
    assert (done.code, found["equal"], found["first_difference"]) == (1, False, offset)


def test_disks_of_different_size_differ(command: Command, image: Path) -> None:
    done = command("disk", "compare", f"raw://{image}", "mem://2MiB")
    assert done.code == 1
    assert "has 1048576 bytes, mem://2MiB has 2097152" in done.err


def test_a_disk_in_use_is_not_compared(command: Command, image: Path) -> None:
    disk = open_disk(f"raw://{image}")
    done = command("disk", "compare", f"raw://{image}", "mem://1MiB")
    disk.close()
    assert done.code == 69
    assert "image in use by process" in done.err
