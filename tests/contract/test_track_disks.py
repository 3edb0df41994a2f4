"""Every kind of image of CKD tracks keeps the same promises. A new kind is one row of `DISKS`."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.disk import Disk, create_disk, disk_bytes, open_disk
from emulator.disk.slots import SlotDisk
from emulator.errors import BenchError, DeviceError, MisuseError
from tests.disk.ckd_files import split

MODEL = geometry("3340-35", 3)  # small tracks make quick tests
SLOT = MODEL.slot_bytes
SIZE = MODEL.tracks * SLOT
ASKED = "kind=3340-35&cylinders=3"


def _ckd(folder: Path) -> str:
    create_disk(f"ckd://{folder}/a.ckd?{ASKED}", None)
    return f"ckd://{folder}/a.ckd"


def _split(folder: Path) -> str:
    create_disk(f"ckd://{folder}/whole.ckd?{ASKED}", None)
    split(folder / "whole.ckd", folder / "a.ckd", [2, 1])
    return f"ckd://{folder}/a.ckd"


def _cckd(method: str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        create_disk(f"cckd://{folder}/a.cckd?{ASKED}&compress={method}", None)
        return f"cckd://{folder}/a.cckd"

    return make


DISKS: dict[str, Callable[[Path], str]] = {
    "ckd": _ckd,
    "ckd in two files": _split,
    "cckd by zlib": _cckd("zlib"),
    "cckd by bzip2": _cckd("bzip2"),
    "cckd as it is": _cckd("none"),
}


@pytest.fixture(autouse=True)
def medium_is_quick(monkeypatch) -> None:
    """What a flush waits for is not looked at here; `tests/disk/test_cckd_crash.py` does."""
    monkeypatch.setattr("os.fdatasync", lambda _descriptor: None)


@pytest.fixture(params=DISKS)
def uri(request, tmp_path) -> str:
    return DISKS[request.param](tmp_path)


@pytest.fixture
def disk(uri) -> Iterator[SlotDisk]:
    disk = open_disk(uri)
    assert isinstance(disk, SlotDisk)
    yield disk
    disk.close()


def track_of(track: int, *contents: NewRecord) -> bytes:
    return build(*MODEL.address(track), contents)


def slot_of(track: int, *contents: NewRecord) -> bytes:
    return track_of(track, *contents).ljust(SLOT, b"\0")


def read_all(uri: str) -> bytes:
    disk = open_disk(uri, writable=False)
    found = disk.read(0, SIZE)
    disk.close()
    return found


def test_a_new_image_has_all_its_slots_and_reads_as_zeros(disk, uri):
    assert (disk.uri, disk.geometry) == (uri, MODEL)
    assert disk.size_bytes == SIZE == disk_bytes(uri)
    assert disk.read(0, SIZE) == bytes(SIZE)
    assert disk.allocation(0, SIZE) == [(SIZE, False)]
    for track in (0, 35):
        assert disk.track(track) == track_of(track)


def test_tracks_of_any_length_come_back_after_a_restart(disk, uri):
    tracks = {
        0: slot_of(0, NewRecord(1, b"x" * 24, b"IPL1")),
        7: slot_of(7, NewRecord(1)),
        8: slot_of(8, NewRecord(9)),
        9: slot_of(9, *(NewRecord(n, bytes(80)) for n in range(1, 40))),
        35: slot_of(35, NewRecord(1, random.Random(3).randbytes(8368))),
    }
    for track, slot in tracks.items():
        disk.write([(track * SLOT, [slot])])
    disk.close()
    found = read_all(uri)
    for track in range(MODEL.tracks):
        assert found[track * SLOT : (track + 1) * SLOT] == tracks.get(track, bytes(SLOT)), track


def test_an_empty_track_is_a_slot_of_zeros_both_ways(disk, uri):
    disk.write([(3 * SLOT, [slot_of(3, NewRecord(1, b"d" * 100))])])
    disk.write([(3 * SLOT, [slot_of(3)])])
    assert disk.read(3 * SLOT, SLOT) == bytes(SLOT)
    disk.write([(4 * SLOT, [slot_of(4, NewRecord(1, b"d" * 100))]), (4 * SLOT, [bytes(SLOT)])])
    assert disk.track(4) == track_of(4)
    assert disk.allocation(0, SIZE) == [(SIZE, False)]


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_parts_of_a_track_may_come_one_after_another(disk, uri, order):
    """Whatever is there in between is kept, though it is no track (X4)."""
    old = slot_of(5, NewRecord(1, b"o" * 100))
    new = slot_of(5, NewRecord(1, b"n" * 3000), NewRecord(2, b"m" * 3000))
    wanted = bytearray(old)
    disk.write([(5 * SLOT, [old])])
    pages = list(range(0, SLOT, 4096))
    for page in pages if order == "forwards" else reversed(pages):
        wanted[page : page + 4096] = new[page : page + 4096]
        disk.write([(5 * SLOT + page, [new[page : page + 4096]])])
        assert disk.read(5 * SLOT, SLOT) == wanted
        disk.close()
        disk = open_disk(uri)
    try:
        assert disk.read(5 * SLOT, SLOT) == wanted == new
    finally:
        disk.close()


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_operations_leaves_what_a_plain_buffer_would(disk, uri, seed):
    dice = random.Random(f"tracks/{seed}")
    wanted = bytearray(SIZE)
    for _ in range(60):
        action = dice.random()
        track = dice.randrange(MODEL.tracks)
        if action < 0.6:
            records = [
                NewRecord(n, dice.randbytes(dice.randrange(40)) * dice.randrange(20))
                for n in range(1, dice.randrange(2, 6))
            ]
            data, at = slot_of(track, *records), track * SLOT
            if dice.random() < 0.5:
                first, last = sorted(dice.randrange(SLOT // 4096 + 1) * 4096 for _ in "ab")
                data, at = data[first:last], at + first
            cut = dice.randrange(len(data) + 1)
            disk.write([(at, [data[:cut], data[cut:]])])
            wanted[at : at + len(data)] = data
        elif action < 0.8:
            first, last = sorted(dice.randrange(SIZE // 4096 + 1) * 4096 for _ in "ab")
            disk.zero(first, last - first)
            wanted[first:last] = bytes(last - first)
        elif action < 0.9:
            disk.flush()
        else:
            disk.close()
            disk = open_disk(uri)
        at = dice.randrange(SIZE)
        assert disk.read(at, SIZE - at) == wanted[at:]
        runs = disk.allocation(at, SIZE - at)
        assert sum(length for length, _ in runs) == SIZE - at
        for length, is_data in runs:
            assert is_data or not any(wanted[at : at + length])
            at += length
    disk.close()
    assert read_all(uri) == wanted


def test_bytes_that_no_image_has_room_for_are_refused(disk):
    before = slot_of(1, NewRecord(1, b"d"))
    disk.write([(SLOT, [before])])
    limit = MODEL.image_bytes
    with pytest.raises(DeviceError, match=f"track 1, offset {limit}: bytes behind the end"):
        disk.write([(SLOT + limit, [b"\0\1"])])
    assert disk.read(SLOT, SLOT) == before


def test_readers_are_right_while_tracks_are_written(disk):
    slots = [slot_of(2, NewRecord(1, bytes([n]) * 200 * n)) for n in range(1, 30)]
    problems = []
    done = threading.Event()

    def read():
        while not done.is_set():
            if disk.read(2 * SLOT, SLOT) not in [bytes(SLOT), *slots]:
                problems.append("neither old nor new")

    reader = threading.Thread(target=read)
    reader.start()
    for slot in slots:
        disk.write([(2 * SLOT, [slot])])
        disk.flush()
    done.set()
    reader.join()
    assert not problems


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (SIZE, 1), (SIZE - 1, 2)])
def test_ranges_outside_the_volume_are_refused(disk: Disk, offset, length):
    for verb in (disk.read, disk.zero, disk.allocation):
        with pytest.raises(MisuseError, match="outside"):
            verb(offset, length)
    with pytest.raises(MisuseError, match="outside"):
        disk.write([(offset, [bytes(length)])])


def test_an_image_opened_for_reading_takes_no_writes_and_is_not_touched(uri, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    disk = open_disk(uri, writable=False)
    with pytest.raises(MisuseError, match="reading only"):
        disk.write([(0, [b"x"])])
    with pytest.raises(MisuseError, match="reading only"):
        disk.zero(0, 512)
    disk.close()
    disk.close()
    with pytest.raises(MisuseError):
        disk.read(0, 512)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_nobody_else_may_write_an_open_image(disk, uri):
    with pytest.raises(DeviceError, match="in use"):
        open_disk(uri)


def test_a_full_file_system_is_told(uri, monkeypatch):
    disk = open_disk(uri)
    slot = slot_of(1, NewRecord(1, random.Random(1).randbytes(5000)))

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwritev", full)
        with pytest.raises(DeviceError, match="No space left"):
            disk.write([(SLOT, [slot])])
    disk.write([(SLOT, [slot])])
    disk.close()
    assert read_all(uri)[SLOT : 2 * SLOT] == slot


@pytest.mark.parametrize("scheme", ["ckd", "cckd"])
@pytest.mark.parametrize(
    ("query", "size", "told"),
    [
        ("", None, "say of which kind: kind=3390-1"),
        ("?cylinders=3", None, "cylinders= needs kind="),
        ("?kind=3391", None, "kind=3391 cannot be used"),
        ("?kind=3390-1&cylinders=1114", None, "it must lie from 1 to 1113"),
        ("?kind=3390-1&cylinders=1", 57344, "1 cylinders of a 3390-1 have 860160"),
        ("?compres=zlib&kind=3390", None, "unknown key"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, scheme, query, size, told):
    with pytest.raises(BenchError, match=told):
        create_disk(f"{scheme}://{tmp_path}/x{query}", size)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_never_made_anew(uri, tmp_path):
    path = next(tmp_path.glob("*a*"))
    with pytest.raises(BenchError, match="exists already"):
        create_disk(f"{uri.split(':')[0]}://{path}?{ASKED}", None)
