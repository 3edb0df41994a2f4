"""Finding out who uses a device, on machines written down as files."""

import os
from pathlib import Path

import pytest

from emulator.disk.holders import device_users, lock_holder

SDA, SDA1, SDA2 = os.makedev(8, 0), os.makedev(8, 1), os.makedev(8, 2)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A /sys with a disk sda of two partitions; the second is part of a volume group."""
    home = tmp_path / "sys/devices/pci/block/sda"
    for folder, number in ((home, "8:0"), (home / "sda1", "8:1"), (home / "sda2", "8:2")):
        (folder / "holders").mkdir(parents=True)
        (folder / "dev").write_text(f"{number}\n")
        if folder is not home:
            (folder / "partition").write_text(f"{number[-1]}\n")
        for place, name in (("dev/block", number), ("class/block", folder.name)):
            (tmp_path / "sys" / place).mkdir(parents=True, exist_ok=True)
            (tmp_path / "sys" / place / name).symlink_to(folder)
    return tmp_path / "sys"


def _proc(folder: Path, mountinfo: str = "", swaps: str = "") -> Path:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/mountinfo").write_text(mountinfo)
    (folder / "proc/swaps").write_text(f"Filename\tType\tSize\tUsed\tPriority\n{swaps}")
    return folder / "proc"


MOUNT = "36 35 {number} / /mnt\\040a rw,noatime shared:1 - ext4 /dev/none rw\n"


def test_a_device_nobody_uses_has_no_users(tmp_path: Path, system: Path) -> None:
    proc = _proc(tmp_path, MOUNT.format(number="253:7") + "short line\n")
    assert device_users(SDA, proc, system) == []
    assert device_users(SDA2, proc, system) == []


def test_a_mounted_partition_makes_its_disk_used_but_not_its_sibling(
    tmp_path: Path, system: Path
) -> None:
    proc = _proc(tmp_path, MOUNT.format(number="8:1"))
    assert device_users(SDA, proc, system) == ["mounted at /mnt\\040a"]
    assert device_users(SDA1, proc, system) == ["mounted at /mnt\\040a"]
    assert device_users(SDA2, proc, system) == []


def test_a_disk_mounted_as_a_whole_makes_its_partitions_used(tmp_path: Path, system: Path) -> None:
    proc = _proc(tmp_path, MOUNT.format(number="8:0"))
    assert device_users(SDA1, proc, system) == ["mounted at /mnt\\040a"]


def test_a_volume_group_on_a_partition_makes_the_disk_used(tmp_path: Path, system: Path) -> None:
    (system / "class/block/sda2/holders/dm-0").mkdir()
    assert device_users(SDA, _proc(tmp_path), system) == ["part of dm-0"]
    assert device_users(SDA1, tmp_path / "proc", system) == []


@pytest.mark.sources
def test_swap_and_mounts_known_only_by_their_source(
    tmp_path: Path, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"/dev/sda1": "8:1", "/dev/sda2": "8:2"}
    monkeypatch.setattr("emulator.disk.holders._number", lambda path: numbers.get(path, ""))
    mount = "40 35 0:33 /sub /home rw - btrfs /dev/sda1 rw,subvol=/sub\n"
    proc = _proc(tmp_path, mount, "/dev/sda2 partition 1000 0 -2\n")
    assert device_users(SDA, proc, system) == ["mounted at /home", "swap on /dev/sda2"]


def test_without_proc_and_sys_nothing_is_known(tmp_path: Path) -> None:
    assert device_users(SDA, tmp_path / "proc", tmp_path / "sys") == []
    assert lock_holder(tmp_path.stat(), tmp_path / "proc") == ""


def test_the_holder_of_a_lock_is_found_by_file_and_not_by_accident(tmp_path: Path) -> None:
    status = tmp_path.stat()
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    (tmp_path / "42").mkdir()
    (tmp_path / "42/comm").write_text("dualcopy\n")
    locks = tmp_path / "locks"
    locks.write_text(
        f"1: POSIX  ADVISORY  READ 41 {place} 0 EOF\n"
        f"2: FLOCK  ADVISORY  WRITE 40 {place}9 0 EOF\n"
        "2: ->\n"
        f"3: FLOCK  ADVISORY  WRITE 42 {place} 0 EOF\n"
    )
    assert lock_holder(status, tmp_path) == " by process 42 (dualcopy)"
    locks.write_text(f"3: FLOCK  ADVISORY  WRITE 43 {place} 0 EOF\n")
    assert lock_holder(status, tmp_path) == " by process 43"
    locks.write_text(f"3: FLOCK  ADVISORY  WRITE 0 {place} 0 EOF\n")
    assert lock_holder(status, tmp_path) == ""
