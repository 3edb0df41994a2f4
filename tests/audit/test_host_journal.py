"""A host's own journal against what its site tells of."""

from base64 import b64encode

import pytest

from emulator.errors import BenchError, DeviceError
from rig.audit.findings import AuditViolation, Tally
from rig.audit.host_journal import HostJournal, pieces_of
from rig.host.workload import contents
from rig.host.write_journal import LoadPlan, WriteJournal

PLAN = LoadPlan(seed=3, size_bytes=1 << 20, block_bytes=6656)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "writes"
    journal = WriteJournal(path, PLAN, append=False)
    yield journal, path
    journal.close()


def items(number, offset, csn=1):
    """What a site tells of one write: pieces at its ends, whole tracks between."""
    data = contents(PLAN, number, offset)
    told, at = [], 0
    for track, within, found in pieces_of(offset, data):
        size = min(4096 - within, len(data) - at)
        if size == 4096:
            told.append(["run", "g", csn, 0, track, [found]])
        else:
            text = b64encode(data[at : at + size]).decode()
            told.append(["part", "g", csn, 0, track, within, text, ""])
        at += size
    return told


def test_a_write_that_was_told_is_found(written):
    journal, path = written
    tally = Tally()
    followed = HostJournal(path, 0, "vol0", tally)
    journal.begin(1, 6656)
    for item in items(1, 6656):
        followed.told(item)
    assert followed.read() == []
    journal.acknowledge(1)
    followed.judge(followed.read(), 1)
    assert tally.host_writes == 1
    followed.close()


def test_a_write_that_was_answered_and_not_told_is_named(written):
    journal, path = written
    followed = HostJournal(path, 0, "vol0", Tally())
    journal.begin(1, 0)
    journal.acknowledge(1)
    followed.told(["run", "g", 1, 1, 0, [1]])  # another volume
    with pytest.raises(AuditViolation, match=r"track 0 of vol0.*its write 1 at byte 0"):
        followed.judge(followed.read(), 7)
    followed.close()


def test_writes_begun_before_anybody_listened_are_not_judged(written):
    journal, path = written
    journal.begin(1, 0)
    tally = Tally()
    followed = HostJournal(path, 0, "vol0", tally)
    journal.acknowledge(1)
    followed.judge(followed.read(), 7)
    journal.begin(2, 0)
    followed.forget()
    journal.acknowledge(2)
    followed.judge(followed.read(), 8)
    assert tally.host_writes == 0
    followed.close()


def test_what_is_no_journal_is_refused(written, tmp_path):
    _, path = written
    followed = HostJournal(path, 0, "vol0", Tally())
    with path.open("ab") as file:
        file.write(b"nonsense\n")
    with pytest.raises(BenchError, match="no line of a journal"):
        followed.read()
    followed.close()
    with pytest.raises(DeviceError, match="No such file"):
        HostJournal(tmp_path / "none", 0, "vol0", Tally())
    (tmp_path / "empty").touch()
    with pytest.raises(BenchError, match="no journal of writes"):
        HostJournal(tmp_path / "empty", 0, "vol0", Tally())
