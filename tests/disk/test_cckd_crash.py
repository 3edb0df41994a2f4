"""A compressed image after a loss of power at any moment: its tables point to whole tracks.

Every write is recorded with the flushes between. A crash keeps all that was flushed and any of the
512-byte sectors written since, as a disk with a cache does.
"""

import random

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.disk import create_disk, open_disk
from emulator.disk.descriptor import DescriptorDisk
from emulator.disk.opener import inspect_disk

MODEL = geometry("3340-35", 30)
SLOT = MODEL.slot_bytes
SECTOR = 512
TRACKS = (0, 1, 2, 255, 256, 300, 359)


class Tape:
    """What was done to a file, in order: writes, flushes and cuts."""

    def __init__(self, monkeypatch) -> None:
        self.deeds: list[tuple[int, bytes] | str | int] = []
        write, truncate = DescriptorDisk._write_piece, DescriptorDisk.truncate

        def recorded_write(disk, offset, buffers):
            self.deeds.append((offset, b"".join(buffers)))
            return write(disk, offset, buffers)

        def recorded_truncate(disk, size):
            self.deeds.append(size)
            truncate(disk, size)

        monkeypatch.setattr(DescriptorDisk, "_write_piece", recorded_write)
        monkeypatch.setattr(DescriptorDisk, "truncate", recorded_truncate)
        monkeypatch.setattr("os.fdatasync", lambda _descriptor: self.deeds.append("flush"))

    def crash(self, before: bytes, at: int, dice: random.Random) -> bytes:
        """Return what a loss of power after the first `at` deeds may leave."""
        deeds = self.deeds[:at]
        flushed = max((n for n, deed in enumerate(deeds) if deed == "flush"), default=-1)
        data = bytearray(before)
        for number, deed in enumerate(deeds):
            if isinstance(deed, int):
                if number < flushed or dice.random() < 0.5:
                    data[:] = data[:deed].ljust(deed, b"\0")
            elif isinstance(deed, tuple):
                offset, written = deed
                data[:] = data.ljust(offset + len(written), b"\0")
                start = offset
                while start < offset + len(written):
                    end = min((start // SECTOR + 1) * SECTOR, offset + len(written))
                    if number < flushed or dice.random() < 0.5:
                        data[start:end] = written[start - offset : end - offset]
                    start = end
        return bytes(data)


@pytest.mark.sources
@pytest.mark.parametrize("seed", range(4))
def test_every_track_is_the_flushed_one_or_a_later_one(tmp_path, monkeypatch, seed):
    dice = random.Random(f"crash/{seed}")
    path = tmp_path / "a.cckd"
    create_disk(f"cckd://{path}?kind=3340-35&cylinders=30&compress=none", None)
    before = path.read_bytes()
    tape = Tape(monkeypatch)
    disk = open_disk(f"cckd://{path}")
    versions: dict[int, list[tuple[int, bytes]]] = {
        track: [(0, build(*MODEL.address(track)))] for track in TRACKS
    }
    flushes: list[tuple[int, int]] = [(0, 0)]
    for step in range(1, 80):
        track = dice.choice(TRACKS)
        data = NewRecord(1, dice.randbytes(dice.randrange(4000)))
        image = build(*MODEL.address(track), [data] if dice.random() < 0.9 else [])
        disk.write([(track * SLOT, [image.ljust(SLOT, b"\0")])])
        versions[track].append((step, image))
        if dice.random() < 0.15:
            disk.flush()
            flushes.append((len(tape.deeds), step))
    disk.close()
    monkeypatch.undo()
    for at in [*range(0, len(tape.deeds), 5), len(tape.deeds)]:
        path.write_bytes(tape.crash(before, at, dice))
        safe = max(step for deeds, step in flushes if deeds <= at)
        if at == len(tape.deeds):
            safe = 80
        disk = open_disk(f"cckd://{path}", writable=False)
        for track, history in versions.items():
            newest = max(number for number, (step, _) in enumerate(history) if step <= safe)
            allowed = [image for _, image in history[newest:]]
            assert disk.track(track) in allowed, (at, track, safe)
        disk.close()
        assert list(inspect_disk(f"cckd://{path}")) == []
