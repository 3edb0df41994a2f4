"""Every kind of disk keeps the same promises. A new kind is one more row of `DISKS`."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.disk import Disk, create_disk, disk_bytes, open_disk
from emulator.errors import MisuseError
from tests.disk.loop import loop_device  # noqa: F401  a fixture is known by its name

SIZE_BYTES = 1 * 2**20


def _mem(_request: pytest.FixtureRequest) -> str:
    return "mem://1MiB"


def _raw(request: pytest.FixtureRequest) -> str:
    folder: Path = request.getfixturevalue("tmp_path")
    uri = f"raw://{folder}/a.img"
    create_disk(uri, SIZE_BYTES)
    return uri


def _block(request: pytest.FixtureRequest) -> str:
    device: str = request.getfixturevalue("loop_device")
    return f"block://{device}?size=1MiB"


DISKS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "mem": _mem,
    "raw": _raw,
    "block": _block,
}


@pytest.fixture(params=DISKS)
def uri(request: pytest.FixtureRequest) -> str:
    return DISKS[request.param](request)


@pytest.fixture
def disk(uri: str) -> Iterator[Disk]:
    disk = open_disk(uri)
    yield disk
    disk.close()


def test_a_new_disk_has_the_size_asked_and_reads_as_zeros(disk: Disk, uri: str) -> None:
    assert disk.uri == uri
    assert disk.size_bytes == SIZE_BYTES == disk_bytes(uri)
    assert disk.read(0, SIZE_BYTES) == bytes(SIZE_BYTES)
    assert disk.read(SIZE_BYTES, 0) == b""


def test_runs_of_buffers_lie_one_after_another(disk: Disk) -> None:
    disk.write([(512, [b"a" * 512, b"b" * 4096]), (100_000, [b"c", b"", b"dd"])])
    assert disk.read(511, 4610) == b"\0" + b"a" * 512 + b"b" * 4096 + b"\0"
    assert disk.read(99_999, 5) == b"\0cdd\0"


def test_more_buffers_than_one_call_takes(disk: Disk) -> None:
    buffers = [bytes([number % 251 + 1]) * (number % 3) for number in range(5000)]
    disk.write([(7, buffers)])
    whole = b"".join(buffers)
    assert disk.read(7, len(whole)) == whole


def test_later_runs_win(disk: Disk) -> None:
    disk.write([(0, [b"x" * 1024]), (512, [b"y" * 1024])])
    assert disk.read(0, 1536) == b"x" * 512 + b"y" * 1024


@pytest.mark.parametrize(
    ("offset", "length"), [(0, SIZE_BYTES), (4096, 8192), (700, 70_001), (5, 0)]
)
def test_zeroed_ranges_read_as_zeros_and_nothing_else_changes(
    disk: Disk, offset: int, length: int
) -> None:
    disk.write([(0, [b"\xee" * SIZE_BYTES])])
    disk.zero(offset, length)
    after = SIZE_BYTES - offset - length
    assert disk.read(0, SIZE_BYTES) == b"\xee" * offset + bytes(length) + b"\xee" * after
    assert disk.size_bytes == SIZE_BYTES


def test_the_allocation_covers_the_range_and_never_calls_data_a_hole(disk: Disk) -> None:
    disk.write([(300_000, [b"d" * 5000])])
    disk.flush()
    for offset, length in ((0, SIZE_BYTES), (299_000, 3000), (301_000, 10), (0, 0)):
        runs = disk.allocation(offset, length)
        assert sum(size for size, _ in runs) == length
        assert all(size > 0 for size, _ in runs)
        at = offset
        for size, is_data in runs:
            assert is_data or not any(disk.read(at, size))
            at += size


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (SIZE_BYTES, 1), (SIZE_BYTES - 1, 2)])
def test_ranges_outside_the_disk_are_refused(disk: Disk, offset: int, length: int) -> None:
    with pytest.raises(MisuseError, match="outside"):
        disk.read(offset, length)
    with pytest.raises(MisuseError, match="outside"):
        disk.zero(offset, length)
    with pytest.raises(MisuseError, match="outside"):
        disk.allocation(offset, length)
    with pytest.raises(MisuseError, match="outside"):
        disk.write([(offset, [bytes(length)])])


def test_a_disk_opened_for_reading_takes_no_writes(uri: str) -> None:
    disk = open_disk(uri, writable=False)
    try:
        with pytest.raises(MisuseError, match="reading only"):
            disk.write([(0, [b"x"])])
        with pytest.raises(MisuseError, match="reading only"):
            disk.zero(0, 512)
        assert disk.read(0, 512) == bytes(512)
    finally:
        disk.close()


def test_closing_twice_does_nothing_and_then_nothing_is_read(uri: str) -> None:
    disk = open_disk(uri)
    disk.close()
    disk.close()
    with pytest.raises((OSError, MisuseError)):
        disk.read(0, 512)


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_operations_leaves_what_a_plain_buffer_would(disk: Disk, seed: int) -> None:
    dice = random.Random(seed)
    wanted = bytearray(SIZE_BYTES)
    for _ in range(120):
        offset = dice.randrange(SIZE_BYTES)
        length = dice.randrange(min(SIZE_BYTES - offset, 150_000) + 1)
        if dice.random() < 0.3:
            disk.zero(offset, length)
            wanted[offset : offset + length] = bytes(length)
        else:
            cut = dice.randrange(length + 1)
            data = dice.randbytes(length)
            disk.write([(offset, [data[:cut], data[cut:]])])
            wanted[offset : offset + length] = data
        start = dice.randrange(SIZE_BYTES)
        assert disk.read(start, SIZE_BYTES - start) == wanted[start:]
    disk.flush()
    assert disk.read(0, SIZE_BYTES) == wanted
