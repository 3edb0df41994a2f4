"""The oracle allows what a host may find on tracks, and nothing else."""

import pytest

from emulator.errors import BenchError
from rig.host.patterns import PATTERNS
from rig.host.track_journal import (
    Oracle,
    TrackJournal,
    TrackPlan,
    after,
    is_tracks_journal,
    read_tracks_journal,
    record_contents,
)

PLAN = TrackPlan(7, 15, 30, 3, 80, 4, "random", 10, 20)


def states(oracle, track=15):
    return sorted(oracle._settled[track])


def test_acknowledged_programs_leave_one_state():
    oracle = Oracle(PLAN)
    for number, record in ((1, 0), (2, 3), (3, 1)):
        oracle.begin(number, 15, record)
        oracle.acknowledge(number)
    assert states(oracle) == [(3, 1, 2)]
    [records] = oracle.allowed(15)
    assert [record.data for record in records] == [
        record_contents(PLAN, 3, 1),
        record_contents(PLAN, 1, 2),
        record_contents(PLAN, 2, 3),
    ]
    assert {record.key for record in records} == {b"\1" * 4, b"\2" * 4, b"\3" * 4}


def test_a_program_without_an_ending_is_there_or_not():
    oracle = Oracle(PLAN)
    oracle.begin(1, 15, 0)
    oracle.acknowledge(1)
    oracle.begin(2, 15, 2)
    assert states(oracle) == [(1, 1, 1), (1, 2, 1)]
    oracle.begin(3, 15, 2)
    oracle.acknowledge(3)
    assert states(oracle) == [(1, 3, 1)]
    oracle.begin(4, 15, 0)
    assert states(oracle) == [(1, 3, 1), (4, 4, 4)]
    assert oracle.unsettled == 2


def test_a_journal_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "journal"
    journal = TrackJournal(path, PLAN, append=False)
    journal.begin(1, 15, 0)
    journal.acknowledge(1)
    journal.begin(2, 16, 0)
    journal.close()
    with path.open("ab") as file:
        file.write(b"a 2")  # the host died in the middle of the line
    found = read_tracks_journal(path)
    assert is_tracks_journal(path)
    assert (found.plan, found.acknowledged, found.unsettled) == (PLAN, 1, 1)
    assert states(found, 16) == [(), (2, 2, 2)]
    assert after(PLAN, (), 9, 0) == (9, 9, 9)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no journal of tracks"),
        ("{}\n", "is no journal of tracks"),
        ('{"kind": "dualcopy-tracks", "seed": 1}\n', "is no journal of tracks"),
    ],
)
def test_what_is_no_journal_is_told(tmp_path, text, told):
    path = tmp_path / "journal"
    path.write_text(text)
    with pytest.raises(BenchError, match=told):
        read_tracks_journal(path)


def test_a_line_that_makes_no_sense_is_told_by_number(tmp_path):
    path = tmp_path / "journal"
    TrackJournal(path, PLAN, append=False).close()
    with path.open("a") as file:
        file.write("b 1 15 0\na 7\n")
    with pytest.raises(BenchError, match=r":3: 'a 7'"):
        read_tracks_journal(path)


def test_a_journal_is_not_overwritten_nor_continued_with_another_plan(tmp_path):
    path = tmp_path / "journal"
    TrackJournal(path, PLAN, append=False).close()
    with pytest.raises(BenchError, match="--append"):
        TrackJournal(path, PLAN, append=False)
    other = TrackPlan(8, 15, 30, 3, 80, 4, "random", 10, 20)
    with pytest.raises(BenchError, match="other options"):
        TrackJournal(path, other, append=True)


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_stay_inside_and_repeat_with_their_seed(name):
    import random

    def some(seed):
        walk = PATTERNS[name](50, random.Random(seed))
        return [next(walk) for _ in range(2000)]

    assert set(some(1)) <= set(range(50))
    assert some(1) == some(1)
    counts = sorted((some(1).count(place) for place in range(50)), reverse=True)
    if name == "hot":
        assert counts[0] > 1600
    elif name == "zipf":
        assert counts[0] > 3 * counts[5] / 2
    else:
        assert counts[-1] > 15
