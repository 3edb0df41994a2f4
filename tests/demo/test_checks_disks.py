"""Checks of images: each holds on a good pair, and fails on one byte that is wrong."""

import random
import shutil
from types import SimpleNamespace

import pytest

from emulator.errors import CannotRunHere
from rig.demo import checks_disks, image, plan
from rig.demo.checks_disks import (
    acknowledged_present,
    file_system_arrived,
    file_system_clean,
    images_identical,
)
from rig.host.workload import contents
from rig.host.write_journal import LoadPlan, WriteJournal
from rig.report.report import Outcome

AREA = LoadPlan(seed=4, size_bytes=64 * 4096, block_bytes=4096, change_bytes=100, start_bytes=8192)


def damage(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes((byte[0] ^ 1,)))


@pytest.fixture
def disks(tmp_path):
    """Return two equal images and the journal of the writes in them."""
    journal = WriteJournal(tmp_path / "writes", AREA, append=False)
    data = bytearray(random.Random(1).randbytes(8192 + AREA.size_bytes))
    for number, offset in enumerate((8192, 8192 + 4096 * 7, 8192, 8192 + 4096 * 63), 1):
        journal.begin(number, offset)
        data[offset : offset + 4096] = contents(AREA, number, offset)
        journal.acknowledge(number)
    journal.begin(5, 8192 + 4096 * 9)  # never acknowledged, and not there
    journal.close()
    paths = [tmp_path / name for name in ("a.img", "b.img")]
    for path in paths:
        path.write_bytes(data)
    return SimpleNamespace(a=paths[0], b=paths[1], journal=tmp_path / "writes")


def test_identical_images_hold(disks):
    check = images_identical(disks.a, disks.b)
    assert check.outcome is Outcome.HELD
    assert "twice" in check.compared


@pytest.mark.parametrize("offset", [0, 8192 + 5000, 8192 + AREA.size_bytes - 1])
def test_one_byte_makes_the_images_differ_and_is_named(disks, offset):
    damage(disks.b, offset)
    check = images_identical(disks.a, disks.b)
    assert check.outcome is Outcome.FAILED
    assert f"byte {offset} " in check.compared


def test_a_shorter_image_is_no_copy(disks):
    with disks.b.open("r+b") as file:
        file.truncate(8192)
    check = images_identical(disks.a, disks.b)
    assert check.outcome is Outcome.FAILED
    assert "byte 8192 " in check.compared


def test_the_streamed_file_system_is_compared_byte_for_byte(disks, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(disks.a.read_bytes()[:8192])
    assert file_system_arrived(source, disks.b, "B").outcome is Outcome.HELD
    damage(disks.b, 8192)  # behind it
    assert file_system_arrived(source, disks.b, "B").outcome is Outcome.HELD
    damage(disks.b, 8191)
    assert file_system_arrived(source, disks.b, "B").outcome is Outcome.FAILED


def test_every_acknowledged_write_has_to_be_there(disks):
    check = acknowledged_present(disks.a, disks.journal, "A")
    assert check.outcome is Outcome.HELD
    assert "4 writes acknowledged, 1 not" in check.compared
    # A byte that all writes to the block have in common, and one that only the last one has.
    for offset in (8192 + 4096 * 7 + 4095, 8192 + 4096 * 63):
        damage(disks.a, offset)
        check = acknowledged_present(disks.a, disks.journal, "A")
        assert check.outcome is Outcome.FAILED
        damage(disks.a, offset)
    data = bytearray(disks.a.read_bytes())
    data[8192 : 8192 + 4096] = contents(AREA, 1, 8192)  # overwritten by the third write
    disks.a.write_bytes(data)
    assert acknowledged_present(disks.a, disks.journal, "A").outcome is Outcome.FAILED


def test_a_host_that_wrote_nothing_proves_nothing(disks, tmp_path):
    WriteJournal(tmp_path / "none", AREA, append=False).close()
    assert acknowledged_present(disks.a, tmp_path / "none", "A").outcome is Outcome.FAILED


@pytest.fixture(params=["ext4", "FAT16"])
def file_system(request, tmp_path, monkeypatch):
    """Return an image of a file system with more behind it, as a volume has, and its kind."""
    tool = {"ext4": "e2fsck", "FAT16": "fsck.fat"}[request.param]
    if image.find_tool(tool) is None:
        pytest.skip(f"no {tool} here")
    if request.param == "FAT16":
        monkeypatch.setattr(
            image, "find_tool", lambda name: shutil.which(name) if name != "mke2fs" else None
        )
    path = tmp_path / "fs.img"
    made = image.make_file_system(path, 3)
    if made.kind != request.param:
        pytest.skip("no mke2fs here")
    with path.open("ab") as file:
        file.write(b"\xff" * plan.AREA_BYTES)
    return path, made.kind


@pytest.mark.needs("e2fsck", "fsck.fat", "mke2fs")
def test_the_tools_see_a_clean_file_system_and_a_damaged_one(file_system):
    path, kind = file_system
    check = file_system_clean(path, kind, "B")
    assert check.outcome is Outcome.HELD, check
    assert "files" in check.compared
    # The first group's inode bitmap and table of ext4; a FAT in FAT16.
    with path.open("r+b") as file:
        file.seek(40 * 1024 if kind == "ext4" else 4096 * 2)
        file.write(b"\xa5" * (512 * 1024 if kind == "ext4" else 512))
    assert file_system_clean(path, kind, "B").outcome is Outcome.FAILED


def test_without_a_tool_the_check_is_not_run_and_no_pass(disks, monkeypatch):
    monkeypatch.setattr(image, "find_tool", lambda name: None)
    check = checks_disks.file_system_clean(disks.a, "ext4", "B")
    assert check.outcome is Outcome.NOT_RUN
    assert "no e2fsck" in check.compared


def test_without_mke2fs_the_image_of_the_source_serves(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "find_tool", lambda name: None)
    made = image.make_file_system(tmp_path / "fs.img", 1)
    assert made == ("FAT16", "fixtures/disks/fat16.img.gz")
    data = (tmp_path / "fs.img").read_bytes()
    assert len(data) == plan.FILE_SYSTEM_BYTES
    assert data[510:512] == b"\x55\xaa"
    assert b"FAT16" in data[:512]


def test_without_both_the_fix_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "find_tool", lambda name: None)
    monkeypatch.setattr(image, "FIXTURE", tmp_path / "gone.gz")
    with pytest.raises(CannotRunHere, match="apt-get install e2fsprogs"):
        image.make_file_system(tmp_path / "fs.img", 1)


@pytest.mark.needs("mke2fs")
def test_a_seed_gives_its_own_files(tmp_path):
    made = [tmp_path / f"{n}.img" for n in range(2)]
    for seed, path in enumerate(made):
        assert image.make_file_system(path, seed).kind == "ext4"
        assert path.stat().st_size == plan.FILE_SYSTEM_BYTES
    assert made[0].read_bytes() != made[1].read_bytes()
    assert not list(tmp_path.glob("files-*"))
