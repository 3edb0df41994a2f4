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


@pytest.mark.sources
def test_all_runs_are_where_they_belong(image):
    runs = runs_of_random(2 * EVENTS_MAX - 24, 1)
    descriptor = os.open(image, os.O_RDWR)
    many = ManyWrites(descriptor)
    # On a machine whose calls are not known, nothing is claimed to be written.
    assert many.write(runs) == (runs if many_writes._calls() is None else [])
    for offset, buffers in runs if many_writes._calls() is not None else ():
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


@pytest.mark.parametrize("missing", ["machine", "setup", "submit", "getevents"])
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


def test_a_run_that_is_written_in_part_is_left_over(image, monkeypatch):
    """By calls that stand in for the system's, which never does that on a sound file."""

    def getevents(_context, _least, most, events, _limit):
        for number in range(most.value):
            events[4 * number] = number
            events[4 * number + 2] = 512 if number == 3 else sizes[number]
        return most.value

    calls = many_writes._Calls(
        setup=lambda *_arguments: 0,
        destroy=lambda *_arguments: 0,
        submit=lambda _context, count, _blocks: count.value,
        getevents=getevents,
    )
    monkeypatch.setattr(many_writes, "_calls", lambda: calls)
    runs = runs_of_random(16, 5)
    sizes = [sum(map(len, buffers)) for _offset, buffers in runs]
    many = ManyWrites(3)
    assert many.write(runs) == [runs[3]]
    many.close()
