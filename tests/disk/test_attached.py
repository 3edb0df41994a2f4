"""Disks behind a control unit: threads wait their turn, and fail cleanly when there is none."""

import threading

import pytest

from emulator.disk import open_disk
from emulator.disk.attached import AttachedDisk, Attachment
from emulator.disk.control_unit import Change, ControlUnit, Shape
from emulator.errors import NotReachedError

SECOND_NS = 1_000_000_000


@pytest.fixture
def attachment():
    return Attachment(ControlUnit("cu0", Shape.STAR, ["a", "b"], 1), SECOND_NS // 50)


@pytest.fixture
def disks(attachment):
    return {name: AttachedDisk(open_disk("mem://64KiB"), attachment, name) for name in "ab"}


def test_a_disk_behind_a_unit_does_what_the_disk_does(disks, attachment):
    disk = disks["a"]
    disk.write([(512, [b"data", b"more"])])
    assert (disk.uri, disk.size_bytes, disk.geometry) == ("mem://64KiB", 65536, None)
    assert disk.read(512, 8) == b"datamore"
    disk.zero(512, 4)
    disk.flush()
    assert disk.read(512, 8) == b"\0\0\0\0more"
    assert sum(length for length, _ in disk.allocation(0, 65536)) == 65536
    assert attachment.unit.operations == [6]
    disk.close()


def test_who_waits_too_long_is_told_why_and_nothing_is_done(disks, attachment):
    attachment.change(Change("reserve", "a"))
    with pytest.raises(NotReachedError, match=r"a behind cu0: it is reserved; waited 0.02 s"):
        disks["a"].write([(0, [b"x"])])
    attachment.change(Change("release", "a"))
    assert disks["a"].read(0, 1) == b"\0"


def test_who_waits_goes_on_when_the_unit_is_well_again(disks, attachment):
    attachment.patience_s = 30
    attachment.change(Change("vary-off", "0"))
    found = []
    thread = threading.Thread(target=lambda: found.append(disks["a"].read(0, 3)))
    thread.start()
    attachment.change(Change("vary-on", "0"))
    thread.join(30)
    assert found == [b"\0\0\0"]


def test_one_path_is_never_used_by_two_at_once(attachment, disks):
    attachment.patience_s = 30
    inside: list[str] = []
    seen: list[int] = []

    class Slow:
        uri, size_bytes = "slow", 1

        def read(self, offset, length):
            inside.append("in")
            seen.append(len(inside))
            inside.pop()
            return b"x"

    slow = [AttachedDisk(Slow(), attachment, name) for name in "ab" for _ in range(3)]
    threads = [
        threading.Thread(target=lambda disk=disk: [disk.read(0, 1) for _ in range(50)])
        for disk in slow
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 300
    assert set(seen) == {1}


def test_a_failing_disk_gives_its_path_back(attachment):
    class Broken:
        uri, size_bytes = "broken", 1

        def flush(self):
            raise OSError("no")

    disk = AttachedDisk(Broken(), attachment, "a")
    for _ in range(3):
        with pytest.raises(OSError, match="no"):
            disk.flush()
