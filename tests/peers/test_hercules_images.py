"""CKD images and real Hercules utilities: what they make we read, what we write they accept."""

import random
from pathlib import Path

import pytest

from emulator.channel.track_image import NewRecord, build
from emulator.disk import create_disk, open_disk
from emulator.disk.opener import inspect_disk
from emulator.disk.slots import SlotDisk
from tests.disk.ckd_files import patch, place, split
from tests.peers.hercules_volumes import (
    CYLINDERS,
    NAMES,
    checked,
    data_sets,
    load_volume,
    unloaded,
    utility,
)

pytestmark = [pytest.mark.peers, pytest.mark.needs("dasdload", "cckdcdsk")]

ASKED = f"kind=3390-1&cylinders={CYLINDERS}"


@pytest.fixture(autouse=True)
def medium_is_quick(monkeypatch) -> None:
    monkeypatch.setattr("os.fdatasync", lambda _descriptor: None)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> Path:
    return load_volume(tmp_path_factory.mktemp("hercules"))


def tracks(uri: str) -> list[bytes]:
    disk = open_disk(uri, writable=False)
    assert isinstance(disk, SlotDisk)
    found = [disk.track(track) for track in range(disk.geometry.tracks)]
    disk.close()
    return found


def copy(source: str, target: str) -> None:
    """Copy all slots in pieces of a length that fits nothing, as destage may."""
    one, other = open_disk(source, writable=False), open_disk(target)
    step = 5 * 4096
    for offset in range(0, one.size_bytes, step):
        piece = one.read(offset, min(step, one.size_bytes - offset))
        other.write([(offset, [piece])])
    one.close()
    other.close()


def test_a_volume_of_dasdload_is_read_and_found_well(loaded):
    found = tracks(f"ckd://{loaded}")
    assert [len(found[0]), len(found[20])] == [313, 29]
    assert list(inspect_disk(f"ckd://{loaded}")) == []
    assert "IPL1".encode("cp037") in found[0]
    assert "VOL1VOL001".encode("cp037") in found[0]


@pytest.mark.parametrize("words", [["-z"], ["-bz2"], ["-0"]])
def test_an_image_that_hercules_compressed_has_the_same_tracks(loaded, tmp_path, words):
    made = tmp_path / "theirs.cckd"
    utility(tmp_path, "dasdcopy", "-q", *words, "-o", "CCKD", str(loaded), made.name)
    assert tracks(f"cckd://{made}") == tracks(f"ckd://{loaded}")
    assert list(inspect_disk(f"cckd://{made}")) == []


@pytest.mark.parametrize("words", [[], ["-z"], ["-bz2"], ["-z", "-linux"], ["-0"]])
def test_volumes_of_dasdinit_are_read(tmp_path, words):
    utility(tmp_path, "dasdinit", *words, "new.img", "3390", "VOLE01", "3")
    scheme = "cckd" if words else "ckd"
    found = tracks(f"{scheme}://{tmp_path}/new.img")
    assert list(inspect_disk(f"{scheme}://{tmp_path}/new.img")) == []
    assert "VOL1VOLE01".encode("cp037") in found[0]
    assert len(found[20]) == (49277 if "-linux" in words else 29 if not words else len(found[20]))


@pytest.mark.parametrize("method", ["zlib", "bzip2", "none"])
def test_a_compressed_image_of_ours_satisfies_cckdcdsk_and_dasdls(loaded, tmp_path, method):
    ours = tmp_path / "ours.cckd"
    create_disk(f"cckd://{ours}?{ASKED}&compress={method}", None)
    checked(ours)
    copy(f"ckd://{loaded}", f"cckd://{ours}")
    checked(ours)
    assert data_sets(ours) == NAMES
    assert unloaded(ours) == (loaded.parent / "input.bin").read_bytes()
    assert tracks(f"cckd://{ours}") == tracks(f"ckd://{loaded}")
    if method != "none":
        assert ours.stat().st_size < 100_000


def test_an_uncompressed_image_of_ours_is_as_good_as_theirs(loaded, tmp_path):
    ours = tmp_path / "ours.ckd"
    create_disk(f"ckd://{ours}?{ASKED}", None)
    copy(f"ckd://{loaded}", f"ckd://{ours}")
    assert data_sets(ours) == NAMES
    assert unloaded(ours) == (loaded.parent / "input.bin").read_bytes()
    assert ours.read_bytes() == loaded.read_bytes()


def test_a_volume_in_several_files_is_the_same_volume_to_both(loaded, tmp_path):
    whole = tmp_path / "whole.ckd"
    create_disk(f"ckd://{whole}?{ASKED}", None)
    split(whole, tmp_path / "ours.ckd", [5, 4, CYLINDERS - 9])
    copy(f"ckd://{loaded}", f"ckd://{tmp_path}/ours.ckd")
    assert data_sets(tmp_path / "ours_1.ckd") == NAMES
    utility(tmp_path, "dasdcopy", "-q", "-o", "CKD", "ours_1.ckd", "joined.ckd")
    assert tracks(f"ckd://{tmp_path}/joined.ckd") == tracks(f"ckd://{loaded}")


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_hercules_and_we_agree_on_every_track(loaded, tmp_path, seed):
    """Free space is used again, tracks grow and shrink, and Hercules copies what we have."""
    dice = random.Random(f"hercules/{seed}")
    ours = tmp_path / "ours.cckd"
    method = ["zlib", "bzip2", "none"][seed]
    utility(tmp_path, "dasdcopy", "-q", "-z", "-o", "CCKD", str(loaded), ours.name)
    for _ in range(4):
        disk = open_disk(f"cckd://{ours}?compress={method}")
        slot = disk.geometry.slot_bytes
        for _ in range(40):
            track = dice.randrange(11, disk.geometry.tracks)
            records = [
                NewRecord(n, dice.randbytes(dice.randrange(1, 300)) * dice.randrange(1, 30))
                for n in range(1, dice.randrange(2, 8))
            ]
            if dice.random() < 0.3:
                records = records[:0]
            image = build(*disk.geometry.address(track), records)
            disk.write([(track * slot, [image.ljust(slot, b"\0")])])
            if dice.random() < 0.2:
                disk.flush()
        disk.close()
        checked(ours)
    utility(tmp_path, "dasdcopy", "-q", "-o", "CKD", ours.name, "plain.ckd")
    assert tracks(f"ckd://{tmp_path}/plain.ckd") == tracks(f"cckd://{ours}")
    assert data_sets(ours) == NAMES


def test_what_cckdcdsk_calls_damaged_we_call_damaged_too(loaded, tmp_path):
    ours = tmp_path / "ours.cckd"
    create_disk(f"cckd://{ours}?{ASKED}&compress=none", None)
    copy(f"ckd://{loaded}", f"cckd://{ours}")
    patch(ours, place(ours, 4)[0] + 4, b"\5")  # the head in its home address
    said = utility(tmp_path, "cckdcdsk", "-3", "-ro", ours.name)  # its exit status is always 0
    assert "trk[4]" in said
    (damage,) = inspect_disk(f"cckd://{ours}")
    assert (damage.track, damage.offset) == (4, 1)
