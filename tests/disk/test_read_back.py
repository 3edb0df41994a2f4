"""Reading back: what the disk has is not what it took."""

import pytest

from emulator.disk.opener import create_disk, open_disk
from emulator.disk.read_back import read_back
from emulator.errors import CorruptError


def test_what_was_written_reads_back(tmp_path):
    uri = f"raw://{tmp_path}/a.img"
    create_disk(uri, 1 << 20)
    disk = open_disk(uri)
    runs = [(4096, [b"a" * 512, b"b" * 512])]
    disk.write(runs)
    disk.flush()
    read_back(disk, runs, [(8192, 4096)])
    with (tmp_path / "a.img").open("r+b") as file:
        file.seek(4096 + 700)
        file.write(b"?")
    with pytest.raises(CorruptError, match="byte 4796"):
        read_back(disk, runs)
    with pytest.raises(CorruptError, match="byte 4096"):
        read_back(disk, [], [(0, 8192)])
    disk.close()
