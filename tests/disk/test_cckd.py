"""Compressed CKD images: what is refused, how space is used, and what a check tells."""

import random
import struct
from itertools import pairwise

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.disk import create_disk, open_disk
from emulator.disk.cckd_space import Extent, FreeSpace, clashes
from emulator.disk.opener import inspect_disk
from emulator.errors import BenchError, CorruptError, DeviceError, UnavailableError
from tests.disk.ckd_files import LEVEL1, entry, patch, place

MODEL = geometry("3340-35", 30)  # 360 tracks: two level 2 tables
SLOT = MODEL.slot_bytes
ASKED = "kind=3340-35&cylinders=30"


@pytest.fixture(autouse=True)
def medium_is_quick(monkeypatch) -> None:
    monkeypatch.setattr("os.fdatasync", lambda _descriptor: None)


def track_of(track: int, size: int, seed: int = 0) -> bytes:
    data = random.Random(f"{track}/{seed}").randbytes(size)
    return build(*MODEL.address(track), [NewRecord(1, data)])


def put(disk, track: int, image: bytes) -> None:
    disk.write([(track * SLOT, [image.ljust(SLOT, b"\0")])])


@pytest.fixture
def image(tmp_path):
    """Tracks 0 to 3 and 300, one after another behind the first table."""
    path = tmp_path / "a.cckd"
    create_disk(f"cckd://{path}?{ASKED}&compress=none", None)
    disk = open_disk(f"cckd://{path}")
    for track in (0, 1, 2, 3, 300):
        put(disk, track, track_of(track, 1000))
    disk.close()
    return path


@pytest.mark.parametrize(
    ("offset", "data", "error", "told"),
    [
        (0, b"CKD_P370", BenchError, "is not compressed; write ckd:"),
        (0, b"CKD_S370", BenchError, "is a shadow file, which holds only changes; merge it"),
        (0, b"CKD_C064", BenchError, "64-bit form"),
        (0, b"FBA_C370", BenchError, "fixed-block"),
        (8, b"\5", CorruptError, "offset 8: 5 heads"),
        (12, b"\0\0", CorruptError, "tracks of 0 bytes"),
        (515, b"\x43", BenchError, "big-endian machine; Hercules' cckdswap"),
        (516, b"\7", CorruptError, "offset 516: 7 entries in the level 1 table"),
        (552, b"\0", CorruptError, "not even one cylinder"),
        (LEVEL1, b"\xff" * 4, CorruptError, "file, offset 4294967295: 2048 bytes of level 2 table"),
        (LEVEL1, b"\1\0\0\0", CorruptError, "overlap the headers"),
    ],
)
def test_headers_and_tables_that_cannot_be_are_refused(image, offset, data, error, told):
    patch(image, offset, data)
    with pytest.raises(error, match=told):
        open_disk(f"cckd://{image}")


@pytest.mark.parametrize(
    ("track", "row", "told"),
    [
        (2, (600, 100, 100), r"track 2, offset 0: 100 bytes of track 2 at 600 in .* overlap the h"),
        (2, (0xFFFFFF00, 100, 100), r"track 2, offset 0: .* reach past its \d+ bytes"),
        (2, (None, 4, 100), "track 2, offset 0: its table says 4 bytes, in room for 100"),
        (2, (None, 101, 100), "track 2, offset 0: its table says 101 bytes, in room for 100"),
    ],
)
def test_tracks_that_lie_wrong_are_refused_by_number(image, track, row, told):
    position, length, size = row
    old = place(image, track)
    new = struct.pack("<IHH", old[0] if position is None else position, length, size)
    patch(image, entry(image, track), new)
    with pytest.raises(CorruptError, match=told) as raised:
        open_disk(f"cckd://{image}")
    assert "cckdcdsk -3" in str(raised.value)
    assert [damage.track for damage in inspect_disk(f"cckd://{image}")] == [track]


def test_a_track_that_does_not_decompress_is_refused_by_number_and_place(image):
    position = place(image, 2)[0]
    patch(image, position, b"\1")
    disk = open_disk(f"cckd://{image}")
    with pytest.raises(
        CorruptError, match=rf"track 2, offset 5: does not decompress: .*at {position}\)"
    ):
        disk.read(2 * SLOT, SLOT)
    assert disk.track(3) == track_of(3, 1000)
    put(disk, 2, track_of(2, 7))  # written anew as a whole, it is well again
    assert disk.track(2) == track_of(2, 7)
    disk.close()


def test_a_track_that_does_not_decompress_is_written_over_in_pieces(image):
    """What is mended comes as the pieces of a slot; one piece alone needs the rest of the track."""
    patch(image, place(image, 2)[0], b"\x01")
    new = track_of(2, 3000).ljust(SLOT, b"\0")
    pieces = [new[at : at + 4096] for at in range(0, SLOT, 4096)]
    disk = open_disk(f"cckd://{image}")
    with pytest.raises(CorruptError, match="track 2"):
        disk.write([(2 * SLOT, pieces[:1])])
    disk.write([(2 * SLOT, pieces)])
    assert disk.read(2 * SLOT, SLOT) == new
    disk.close()
    assert list(inspect_disk(f"cckd://{image}")) == []


def test_a_check_tells_all_that_is_wrong(image):
    assert list(inspect_disk(f"cckd://{image}")) == []
    patch(image, place(image, 0)[0], b"\2")
    patch(image, place(image, 1)[0], b"\7")
    patch(image, place(image, 2)[0] + 1, b"\1")
    position, length, _ = place(image, 3)
    patch(image, position + length - 1, b"\0")
    found = [str(damage) for damage in inspect_disk(f"cckd://{image}")]
    assert found[0].startswith("track 0, offset 5: does not decompress")
    assert found[1] == "track 1, offset 0: compressed by method 7, which does not exist"
    assert found[2] == "track 2, offset 1: the home address names cylinder 256 head 2"
    assert found[3].startswith("track 3, offset ")
    assert len(found) == 4


def test_space_of_old_images_is_used_again_after_a_flush_and_the_file_stays_small(image):
    disk = open_disk(f"cckd://{image}")
    for seed in range(40):
        for track in range(4):
            put(disk, track, track_of(track, 1000, seed))
        disk.flush()
    disk.close()
    assert image.stat().st_size < 4 * 4 * 1100 + 2 * 2048 + 3000
    for track in range(4):
        assert open_and_track(image, track) == track_of(track, 1000, 39)


def open_and_track(image, track: int) -> bytes:
    disk = open_disk(f"cckd://{image}", writable=False)
    found = disk.track(track)
    disk.close()
    return found


def test_what_lies_behind_an_end_marker_is_kept_without_being_part_of_the_track(image):
    slot = track_of(1, 400).ljust(9000 // 2, b"\0") + b"left by others"
    disk = open_disk(f"cckd://{image}")
    put(disk, 1, slot)
    disk.close()
    assert place(image, 1)[1] == len(track_of(1, 400))
    disk = open_disk(f"cckd://{image}")
    assert disk.read(SLOT, SLOT).rstrip(b"\0") == slot
    put(disk, 1, track_of(1, 500))
    assert disk.read(SLOT, SLOT).rstrip(b"\0") == track_of(1, 500)
    disk.close()
    assert list(inspect_disk(f"cckd://{image}")) == []


def test_a_home_address_that_would_read_as_compressed_is_refused(image):
    disk = open_disk(f"cckd://{image}")
    with pytest.raises(DeviceError, match="track 1, offset 0: a home address cannot begin with 01"):
        put(disk, 1, b"\1" + bytes(50) + b"\1")
    assert disk.track(1) == track_of(1, 1000)
    disk.close()


@pytest.mark.parametrize("contents", [[NewRecord(1)], []])
def test_a_change_that_is_one_of_tables_alone_is_kept_too(image, contents):
    new = build(*MODEL.address(2), contents)
    disk = open_disk(f"cckd://{image}")
    put(disk, 2, new)
    disk.close()
    assert open_and_track(image, 2) == new
    assert list(inspect_disk(f"cckd://{image}")) == []


@pytest.mark.sources
def test_an_image_is_full_where_its_positions_end(image, monkeypatch):
    monkeypatch.setattr("emulator.disk.cckd_space.FILE_BYTES_MAX", image.stat().st_size + 900)
    disk = open_disk(f"cckd://{image}")
    put(disk, 9, track_of(9, 500))
    with pytest.raises(DeviceError, match="is full: a compressed image ends at 4 GiB; use ckd:"):
        put(disk, 10, track_of(10, 500))
    put(disk, 1, track_of(1, 7))
    disk.close()
    assert open_and_track(image, 9) == track_of(9, 500)
    assert open_and_track(image, 10) == build(*MODEL.address(10))


def test_an_image_says_that_it_is_open_until_it_is_closed(image):
    def flag() -> int:
        return image.read_bytes()[515] & 0x80

    disk = open_disk(f"cckd://{image}")
    assert not flag()
    put(disk, 1, track_of(1, 300))
    assert flag()
    disk.flush()
    assert flag()
    disk.close()
    assert not flag()


def test_after_a_failed_flush_the_tables_in_the_file_stay(image, monkeypatch):
    disk = open_disk(f"cckd://{image}")
    put(disk, 1, track_of(1, 300))

    def fails(_descriptor):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patching:
        patching.setattr("os.fdatasync", fails)
        with pytest.raises(DeviceError, match="Input/output error"):
            disk.flush()
    disk.close()
    assert open_and_track(image, 1) == track_of(1, 1000)


@pytest.mark.parametrize("seed", range(30))
def test_garbage_is_never_more_than_an_error(image, seed):
    dice = random.Random(f"cckd/{seed}")
    data = bytearray(image.read_bytes())
    for _ in range(dice.randrange(1, 30)):
        data[dice.randrange(dice.choice([32, 600, 1100, len(data)]))] = dice.randrange(256)
    image.write_bytes(data[: dice.choice([len(data), dice.randrange(len(data))])])
    try:
        list(inspect_disk(f"cckd://{image}"))
        disk = open_disk(f"cckd://{image}")
        try:
            disk.read(0, disk.size_bytes)
        finally:
            disk.close()
    except (BenchError, UnavailableError) as error:
        told = str(error)
    else:
        told = str(image)
    assert str(image) in told


def test_extents_that_overlap_or_leave_the_file_are_found():
    rows = [Extent(0, 10, None, "a"), Extent(20, 10, 1, "b"), Extent(5, 2, 2, "c")]
    assert [
        (clash.extent.name, clash.other and clash.other.name) for clash in clashes(rows, 25)
    ] == [
        ("c", "a"),
        ("b", None),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_space_is_never_given_out_twice(seed):
    dice = random.Random(f"space/{seed}")
    space = FreeSpace([Extent(0, 100, None, "head")])
    taken: dict[int, int] = {0: 100}
    waiting: dict[int, int] = {}
    for _ in range(800):
        action = dice.random()
        if action < 0.55:
            exactly = dice.random() < 0.3
            asked = dice.randrange(29, 120)  # no track is shorter
            position, size = space.take(asked, exactly=exactly)
            assert asked <= size < asked + (1 if exactly else 8)
            for other, length in (taken | waiting).items():
                assert position + size <= other or other + length <= position
            taken[position] = size
        elif action < 0.9 and len(taken) > 1:
            position = dice.choice([at for at in taken if at])
            space.give(position, taken[position])
            waiting[position] = taken.pop(position)
        else:
            space.settle(space.given)
            waiting.clear()
            rows = space.rows()
            assert sum(size for _, size in rows) + sum(taken.values()) == space.end
            assert all(size >= 8 for _, size in rows)
            assert all(at + size < then for (at, size), (then, _) in pairwise(rows))
