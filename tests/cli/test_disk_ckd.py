"""`dualcopy disk` with CKD images: geometry, damage, and comparing by tracks."""

import json
from pathlib import Path

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.disk import open_disk
from tests.cli.command import Command
from tests.disk.ckd_files import HEADER_BYTES, patch

MODEL = geometry("3340-35", 2)
SLOT = MODEL.slot_bytes
TRACK = MODEL.image_bytes


def make(command: Command, uri: str, *words: str) -> str:
    made = command("disk", "create", uri, "--kind", "3340-35", "--cylinders", "2", *words)
    assert (made.code, made.err) == (0, "")
    return uri


def put(uri: str, track: int, data: bytes) -> None:
    disk = open_disk(uri)
    image = build(*MODEL.address(track), [NewRecord(1, data)])
    disk.write([(track * SLOT, [image.ljust(SLOT, b"\0")])])
    disk.close()


def test_create_makes_volumes_of_the_kind_asked(command: Command, tmp_path: Path) -> None:
    for scheme in ("ckd", "cckd"):
        uri = make(command, f"{scheme}://{tmp_path}/a.{scheme}")
        (row,) = json.loads(command("disk", "info", uri, "--json").out)
        assert row["geometry"] == {
            "kind": "3340-35",
            "cylinders": 2,
            "heads": 12,
            "tracks": 24,
            "slot_bytes": SLOT,
        }
        assert (row["size_bytes"], row["data_bytes"], row["state"]) == (24 * SLOT, 0, "free")
        assert "3340-35, 2 cylinders" in command("disk", "info", uri).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say of which kind: kind=3390-1"),
        (["--kind", "3391"], "is no count-key-data device; choose one of"),
        (["--kind", "3390-1", "--cylinders", "9999"], "it must lie from 1 to 1113"),
        (["--kind", "3390-1", "--size", "64MiB"], "leave the size out"),
    ],
)
def test_create_refuses_what_no_volume_can_be(command: Command, words, told) -> None:
    done = command("disk", "create", "ckd:///x.ckd", *words)
    assert done.code == 2
    assert told in done.err


def test_a_check_prints_all_damage_by_track_and_offset(command: Command, tmp_path: Path) -> None:
    uri = make(command, f"ckd://{tmp_path}/a.ckd")
    well = command("disk", "info", "--check", uri, "mem://1MiB")
    assert (well.code, well.out.splitlines()[-1]) == (0, f"{uri}: nothing is wrong")
    patch(tmp_path / "a.ckd", HEADER_BYTES + 3 * TRACK, b"\0\0\7")
    patch(tmp_path / "a.ckd", HEADER_BYTES + 5 * TRACK + 21, b"\0" * 8)
    done = command("disk", "info", "--check", uri)
    assert done.code == 1
    assert done.out.splitlines()[-2].startswith(f"{uri}: track 3, offset 1: the home address names")
    assert done.out.splitlines()[-1].startswith(f"{uri}: track 5, offset ")
    assert f"damaged: 2 things in {uri}" in done.err
    done = command("disk", "info", "--check", uri, "--json")
    (row,) = json.loads(done.out)
    assert [damage["track"] for damage in row["damages"]] == [3, 5]


def test_a_file_that_is_no_image_is_told_by_a_check_too(command: Command, tmp_path: Path) -> None:
    uri = make(command, f"cckd://{tmp_path}/a.cckd")
    patch(tmp_path / "a.cckd", 1024, b"\xff\xff\xff\xff")
    done = command("disk", "info", "--check", uri)
    assert done.code == 1
    assert "corrupt: file, offset 4294967295: 2048 bytes of level 2 table 0" in done.out
    patch(tmp_path / "a.cckd", 8, b"\1")
    done = command("disk", "info", "--check", uri)
    assert done.code == 1
    assert f"{uri}: file, offset 0: header, offset 8: 1 heads" in done.out


def test_the_same_tracks_are_equal_in_every_form(command: Command, tmp_path: Path) -> None:
    plain = make(command, f"ckd://{tmp_path}/a.ckd")
    packed = make(command, f"cckd://{tmp_path}/a.cckd")
    raw = f"raw://{tmp_path}/a.img"
    assert command("disk", "create", raw, "--size", f"{24 * SLOT}B").code == 0
    uris = [plain, packed, raw]
    for uri in uris:
        put(uri, 7, b"contents")
    # What others left behind an end marker does not count.
    patch(tmp_path / "a.ckd", HEADER_BYTES + 7 * TRACK + 3000, b"left")
    for first in uris:
        for second in uris:
            done = command("disk", "compare", first, second)
            assert (done.code, done.out) == (0, f"equal: {24 * SLOT} bytes\n"), (first, second)
    digests = {line.split()[0] for line in command("disk", "digest", *uris).out.splitlines()}
    assert len(digests) == 1
    put(packed, 19, b"more")
    done = command("disk", "compare", raw, packed)
    assert done.code == 1
    assert "different: first at track 19 (cylinder 1, head 7), byte 2 of the track" in done.err


def test_a_corrupt_track_is_refused_by_track_and_offset(command: Command, tmp_path: Path) -> None:
    uri = make(command, f"ckd://{tmp_path}/a.ckd")
    patch(tmp_path / "a.ckd", HEADER_BYTES + 3 * TRACK, b"\0\0\7")
    for words in (["digest", uri], ["compare", uri, f"mem://{24 * SLOT}B"]):
        done = command("disk", *words)
        assert done.code == 69
        assert f"{uri}: track 3, offset 1: the home address names cylinder 7 head 3" in done.err
