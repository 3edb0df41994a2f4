"""Block devices: only free ones, only real ones, and no shorter than asked."""

import subprocess
from pathlib import Path

import pytest

from emulator.disk import create_disk, disk_bytes, open_disk
from emulator.errors import BenchError, DeviceError
from tests.disk.loop import LOOP_BYTES


def test_the_whole_device_is_used_unless_less_is_asked(loop_device: str) -> None:
    assert disk_bytes(f"block://{loop_device}") == LOOP_BYTES
    disk = open_disk(f"block://{loop_device}?size=1MiB")
    assert disk.size_bytes == 2**20
    disk.close()


def test_a_device_shorter_than_asked_is_refused(loop_device: str) -> None:
    with pytest.raises(BenchError, match=r"size=1GiB .* but the device has only 4194304"):
        open_disk(f"block://{loop_device}?size=1GiB")


def test_a_device_open_here_is_refused_to_others(loop_device: str) -> None:
    disk = open_disk(f"block://{loop_device}")
    with pytest.raises(DeviceError, match="in use by another program"):
        open_disk(f"block://{loop_device}")
    assert disk_bytes(f"block://{loop_device}") == LOOP_BYTES
    disk.close()
    open_disk(f"block://{loop_device}").close()


@pytest.mark.needs("root", "mkfs.ext4")
def test_a_mounted_device_is_refused_and_says_where(loop_device: str, tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mkfs.ext4", "-q", loop_device], check=True, timeout=30)
    subprocess.run(["mount", loop_device, place], check=True, timeout=30)
    try:
        with pytest.raises(DeviceError, match=f"device in use: mounted at {place}; free it"):
            open_disk(f"block://{loop_device}")
    finally:
        subprocess.run(["umount", place], check=True, timeout=30)
    open_disk(f"block://{loop_device}").close()


def test_sectors_beside_a_zeroed_range_survive_in_the_page_cache(loop_device: str) -> None:
    disk = open_disk(f"block://{loop_device}")
    disk.write([(0, [b"x" * 16384])])
    disk.zero(512, 8192)
    disk.write([(9000, [b"y"])])
    assert disk.read(0, 16384) == b"x" * 512 + bytes(8192) + b"x" * 296 + b"y" + b"x" * 7383
    disk.flush()
    disk.close()
    disk = open_disk(f"block://{loop_device}", writable=False)
    assert disk.read(0, 8704) == b"x" * 512 + bytes(8192)
    disk.close()


def test_without_the_devices_own_zeroing_zeros_are_written(
    loop_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.disk.block.BLKZEROOUT", 0xFFFF)  # no such request: ENOTTY
    disk = open_disk(f"block://{loop_device}")
    disk.write([(0, [b"x" * 4096])])
    disk.zero(0, 2048)
    assert disk.read(0, 4096) == bytes(2048) + b"x" * 2048
    disk.close()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/dev/null", "is not a block device; name a disk"),
        ("/proc/version", "is not a block device; write raw:///proc/version"),
    ],
)
def test_what_is_no_block_device_is_refused(path: str, problem: str) -> None:
    for call in (open_disk, disk_bytes):
        with pytest.raises(BenchError, match=problem):
            call(f"block://{path}")


def test_what_does_not_exist_is_unavailable() -> None:
    with pytest.raises(DeviceError, match="no such device"):
        open_disk("block:///dev/no-such-disk")


def test_devices_are_not_made() -> None:
    with pytest.raises(BenchError, match="makes images"):
        create_disk("block:///dev/no-such-disk", 512)
