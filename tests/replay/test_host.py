"""What a host may read: the last answered write of each sector, or a later one that was not."""

import pytest

from rig.replay.host import Operation, Truth
from rig.sim.violation import Violation

SECTOR = 512


def write(first, letters):
    data = b"".join(letter.encode() * SECTOR for letter in letters)
    return Operation(0, first * SECTOR, len(data), data)


@pytest.fixture
def truth():
    return Truth([bytes(8 * SECTOR)])


def look(truth, first, letters):
    truth.check(0, first * SECTOR, write(first, letters).data, "here")


def test_what_was_answered_is_there_and_nothing_before_it(truth):
    truth.answered(write(1, "ab"))
    look(truth, 1, "ab")
    with pytest.raises(Violation, match="A1: volume 0 byte 1024 here is not what was last"):
        look(truth, 1, "a\0")


def test_what_was_not_answered_is_in_or_out_sector_by_sector(truth):
    truth.answered(write(0, "aaa"))
    truth.unanswered(write(0, "bbb"))
    look(truth, 0, "aba")
    truth.answered(write(1, "c"))
    look(truth, 0, "bcb")
    with pytest.raises(Violation, match="byte 512"):
        look(truth, 0, "bbb")


def test_after_a_promotion_by_force_nothing_is_judged(truth):
    truth.answered(write(0, "a"))
    truth.relaxed = True
    look(truth, 0, "x")


def test_operations_of_one_place_meet():
    assert write(0, "ab").overlaps(write(1, "c"))
    assert not write(0, "ab").overlaps(write(2, "c"))
    assert not write(0, "a").overlaps(Operation(1, 0, SECTOR, None))
