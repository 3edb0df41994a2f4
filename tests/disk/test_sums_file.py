"""The file with a device's checksums: what is durable, and whose it is."""

import pytest

from emulator.disk.sums_file import SumsFile
from emulator.errors import UnavailableError
from emulator.node.sums import ENTRY, PAGE_BYTES, TrackSums


def opened(tmp_path, tracks: int = 1000) -> SumsFile:
    return SumsFile(str(tmp_path / "a.sums"), tracks)


def test_what_was_written_is_there_after_a_restart(tmp_path):
    file = opened(tmp_path)
    assert file.header is None
    file.begin()
    sums = TrackSums(file.load, file.header["identity"], 0)
    piece = sums.write(600, [b"x" * 4096])
    file.write([(600 * ENTRY.size, piece)])
    file.sync(7)
    identity = file.header["identity"]
    file.close()
    file = opened(tmp_path)
    assert (file.header["identity"], file.header["version"]) == (identity, 7)
    again = TrackSums(file.load, identity, 7)
    assert again.good(600, b"x" * 4096)
    assert not again.good(600, b"y" * 4096)
    assert not again.known(0)
    file.close()


def test_a_file_of_another_device_is_nobodys(tmp_path):
    file = opened(tmp_path)
    file.begin()
    file.close()
    file = opened(tmp_path, 999)
    assert file.header is None
    file.close()


def test_beginning_forgets_everything_and_names_the_device_anew(tmp_path):
    file = opened(tmp_path)
    file.begin()
    first = file.header["identity"]
    file.write([(0, b"\x01" * ENTRY.size)])
    file.begin()
    assert file.header["identity"] != first
    assert not any(file.load(0))
    assert len(file.load(1)) <= PAGE_BYTES
    file.close()


def test_a_mark_of_a_lost_store_survives(tmp_path):
    file = opened(tmp_path)
    file.begin()
    file.write([(8, b"\x01" * 8)])
    file.forget([(8, b"\x01" * 8)])
    assert not any(file.load(0))
    file.mark({"groups": {}})
    file.close()
    file = opened(tmp_path)
    assert file.header["store_lost"] == {"groups": {}}
    file.mark(None)
    assert file.header["store_lost"] is None
    file.close()


def test_two_sites_never_share_one(tmp_path):
    file = opened(tmp_path)
    with pytest.raises(UnavailableError, match="in use by another process"):
        opened(tmp_path)
    file.close()
    with pytest.raises(UnavailableError, match="checksums"):
        SumsFile(str(tmp_path / "no" / "a.sums"), 10)
