"""Many writes by one call: what is written, what is left over, and what an error leaves."""

import errno
import os
import random

import pytest

from emulator.disk import many_writes
from emulator.disk.descriptor import DescriptorDisk
from emulator.disk.many_writes import EVENTS_MAX, RUNS_MIN, ManyWrites
from emulator.errors import DeviceError

KIB = 1024


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    with path.open("xb") as file:
        file.truncate(8 << 20)
    return path


def runs_of_random(count: int, seed: int) -> list[tuple[int, list[bytes]]]:
    """Return so many runs of one to four buffers at places of their own, in any order."""
    dice = random.Random(seed)
    places = dice.sample(range(8 * KIB * KIB // (16 * KIB)), count // 2)
    return [
        (place * 16 * KIB + half * 8 * KIB, [dice.randbytes(2 * KIB)] * dice.randint(1, 4))
        for place in places
        for half in (1, 0)
    ]


@pytest.mark.skipif(many_writes._calls() is None, reason="this machine's calls are not known")
def test_all_runs_are_where_they_belong(image):
    runs = runs_of_random(2 * EVENTS_MAX - 24, 1)
    descriptor = os.open(image, os.O_RDWR)
    many = ManyWrites(descriptor)
    assert many.write(runs) == []
    for offset, buffers in runs:
        data = b"".join(buffers)
        assert os.pread(descriptor, len(data), offset) == data
    many.close()
    assert many.write(runs) == runs, "nothing is written once it is closed"
    os.close(descriptor)


def test_few_runs_are_left_to_the_usual_calls(image):
    descriptor = os.open(image, os.O_RDWR)
    few = runs_of_random(RUNS_MIN - 2, 2)
    many = ManyWrites(descriptor)
    assert many.write(few) == few
    many.close()
    os.close(descriptor)


@pytest.mark.parametrize("missing", ["machine", "setup", "submit"])
def test_a_system_without_the_calls_writes_one_by_one(image, monkeypatch, missing):
    real = many_writes._calls()
    if missing == "machine" or real is None:
        calls = None
    else:
        calls = real._replace(**{missing: lambda *_arguments: -1})
    monkeypatch.setattr(many_writes, "_calls", lambda: calls)
    disk = DescriptorDisk("raw:///d", os.open(image, os.O_RDWR), 8 << 20, writable=True)
    runs = runs_of_random(64, 3)
    for _ in range(2):
        disk.write(runs)
    assert all(disk.read(at, len(b"".join(data))) == b"".join(data) for at, data in runs)
    disk.close()


def test_what_the_system_refuses_is_the_error_of_the_disk():
    # Every write to this device fails, as on a file system that is full.
    disk = DescriptorDisk("raw:///full", os.open("/dev/full", os.O_RDWR), 8 << 20, writable=True)
    with pytest.raises(DeviceError, match=os.strerror(errno.ENOSPC)):
        disk.write(runs_of_random(64, 4))
    disk.close()


def test_a_run_that_is_written_in_part_is_written_whole_otherwise(image, monkeypatch):
    real = many_writes._calls()
    if real is None:
        pytest.skip("this machine's calls are not known")

    def short(context, least, most, events, limit):
        found = real.getevents(context, least, most, events, limit)
        events[2] = 512  # of the first answer: it says that one sector was written
        return found

    monkeypatch.setattr(many_writes, "_calls", lambda: real._replace(getevents=short))
    descriptor = os.open(image, os.O_RDWR)
    runs = runs_of_random(16, 5)
    many = ManyWrites(descriptor)
    rest = many.write(runs)
    assert len(rest) == 1
    assert rest[0] in runs
    many.close()
    os.close(descriptor)
