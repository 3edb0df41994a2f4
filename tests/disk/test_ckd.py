"""Uncompressed CKD images: what is refused, volumes in several files, and others' leftovers."""

import random

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.disk import create_disk, disk_bytes, open_disk
from emulator.disk.opener import inspect_disk
from emulator.errors import BenchError, CorruptError, UnavailableError
from tests.disk.ckd_files import HEADER, HEADER_BYTES, patch, split

MODEL = geometry("3340-35", 3)
SLOT = MODEL.slot_bytes
TRACK = MODEL.image_bytes


@pytest.fixture
def image(tmp_path):
    create_disk(f"ckd://{tmp_path}/a.ckd?kind=3340-35&cylinders=3", None)
    return tmp_path / "a.ckd"


def place(track: int) -> int:
    return HEADER_BYTES + track * TRACK


@pytest.mark.parametrize(
    ("offset", "data", "error", "told"),
    [
        (0, b"CKD_C370", BenchError, "is compressed; write cckd:"),
        (0, b"CKD_S370", BenchError, "shadow file"),
        (0, b"CKD_P064", BenchError, "64-bit form"),
        (0, b"QFI\xfb....", BenchError, "is no CKD image: it begins with"),
        (8, b"\0", CorruptError, "no heads or no track size"),
        (8, b"\3", CorruptError, "offset 8: 3 heads, where a 3340-35 has 12"),
        (12, b"\0\x20", CorruptError, "not whole cylinders"),
        (16, b"\x90", CorruptError, "where a 3390-1 has 15"),
        (16, b"\x77", CorruptError, "offset 16: device type 77 is not"),
        (17, b"\2", CorruptError, "is file 2 of its volume, not file 1"),
        (18, b"\1", CorruptError, "ends with cylinder 2, but its header .offset 18. says 1"),
    ],
)
def test_a_header_that_cannot_be_is_refused(image, offset, data, error, told):
    patch(image, offset, data)
    for look in (disk_bytes, open_disk):
        with pytest.raises(error, match=told) as raised:
            look(f"ckd://{image}")
        assert str(raised.value).startswith(f"ckd://{image}: ")


@pytest.mark.parametrize("size", [0, 100, 512, 513, 512 + TRACK, 512 + 36 * TRACK - 1])
def test_a_file_that_was_cut_is_refused(image, size):
    with image.open("r+b") as file:
        file.truncate(size)
    with pytest.raises(CorruptError, match=r"has|whole cylinders|not even one cylinder"):
        open_disk(f"ckd://{image}")


def test_what_the_uri_asks_must_fit_the_image(image):
    open_disk(f"ckd://{image}?kind=3340-70").close()
    open_disk(f"ckd://{image}?kind=3340-35&cylinders=3").close()
    for query in ("kind=3390-1", "kind=3340-35&cylinders=4"):
        with pytest.raises(BenchError, match="the image is a 3340 of 3 cylinders, not a"):
            open_disk(f"ckd://{image}?{query}")


def test_a_missing_file_tells_how_to_make_it(tmp_path):
    with pytest.raises(UnavailableError, match=r"no such file .*; make it: dualcopy disk create"):
        open_disk(f"ckd://{tmp_path}/b.ckd")


def test_a_volume_in_files_is_found_by_either_name(image, tmp_path):
    paths = split(image, tmp_path / "vol.one.ckd", [2, 1])
    assert [path.name for path in paths] == ["vol.one_1.ckd", "vol.one_2.ckd"]
    # Hercules puts the number before the first dot of the name.
    for number, path in enumerate(paths, 1):
        path.rename(tmp_path / f"vol_{number}.one.ckd")
    for name in ("vol.one.ckd", "vol_1.one.ckd"):
        disk = open_disk(f"ckd://{tmp_path}/{name}")
        assert disk.size_bytes == MODEL.tracks * SLOT
        new = build(2, 1, [NewRecord(1, name.encode())]).ljust(SLOT, b"\0")
        disk.write([(25 * SLOT, [new])])
        disk.flush()
        disk.close()
    second = (tmp_path / "vol_2.one.ckd").read_bytes()
    assert second[place(1) :].startswith(new.rstrip(b"\0"))


def test_a_volume_whose_files_do_not_fit_is_refused(image, tmp_path):
    first, second = split(image, tmp_path / "v.ckd", [2, 1])
    whole = second.read_bytes()
    second.unlink()
    with pytest.raises(UnavailableError, match=r"no such file .*v_2.ckd"):
        open_disk(f"ckd://{first}")
    head = list(HEADER.unpack_from(whole))
    head[4] = 3
    second.write_bytes(HEADER.pack(*head).ljust(HEADER_BYTES, b"\0") + whole[HEADER_BYTES:])
    with pytest.raises(CorruptError, match=r"v_2.ckd is file 3 of its volume, not file 2"):
        open_disk(f"ckd://{first}")
    head[4], head[1] = 2, 15
    second.write_bytes(HEADER.pack(*head).ljust(HEADER_BYTES, b"\0") + whole[HEADER_BYTES:])
    with pytest.raises(CorruptError, match="of another geometry"):
        open_disk(f"ckd://{first}")


def test_leftovers_behind_an_empty_track_never_come_to_light(image):
    patch(image, place(4) + 29, b"old data" * 500)
    disk = open_disk(f"ckd://{image}")
    assert disk.read(4 * SLOT, SLOT) == bytes(SLOT)
    new = build(0, 4, [NewRecord(1, b"new")])
    disk.write([(4 * SLOT, [new])])
    disk.close()
    assert image.read_bytes()[place(4) : place(5)] == new.ljust(TRACK, b"\0")


def test_damage_is_told_by_track_and_offset(image):
    assert inspect_disk("mem://1MiB") is None
    assert list(inspect_disk(f"ckd://{image}")) == []
    patch(image, place(3), b"\0\0\0\0\x09")
    patch(image, place(9), bytes(TRACK))
    patch(image, place(20) + 21, b"\0\1\0\x08\1\0\xff\xff")
    found = [(damage.track, damage.offset) for damage in inspect_disk(f"ckd://{image}")]
    assert found == [(3, 1), (9, 1), (20, 21)]


@pytest.mark.parametrize("seed", range(20))
def test_garbage_is_never_more_than_an_error(image, seed):
    dice = random.Random(f"ckd/{seed}")
    data = bytearray(image.read_bytes())
    for _ in range(dice.randrange(1, 30)):
        data[dice.randrange(dice.choice([32, 600, len(data)]))] = dice.randrange(256)
    image.write_bytes(data[: dice.choice([len(data), dice.randrange(len(data))])])
    try:
        disk = open_disk(f"ckd://{image}")
        disk.read(0, disk.size_bytes)
        disk.close()
        list(inspect_disk(f"ckd://{image}"))
    except (BenchError, UnavailableError) as error:
        told = str(error)
    else:
        told = str(image)
    assert str(image) in told
