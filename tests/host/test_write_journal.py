"""The journal of a host's writes: what it remembers, also of a host that died."""

from pathlib import Path

import pytest

from emulator.errors import BenchError, DeviceError
from rig.host.write_journal import LoadPlan, WriteJournal, read_history

PLAN = LoadPlan(seed=1, size_bytes=1 << 20, block_bytes=4096)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "writes"


def write(path: Path, *steps: tuple[int, int] | int, append: bool = False) -> WriteJournal:
    """Write a journal in which pairs begin a write and numbers acknowledge one."""
    journal = WriteJournal(path, PLAN, append=append)
    for step in steps:
        if isinstance(step, tuple):
            journal.begin(*step)
        else:
            journal.acknowledge(step)
    journal.close()
    return journal


def test_the_last_acknowledged_write_and_later_ones_may_be_seen(path: Path) -> None:
    write(path, (1, 0), 1, (2, 0), (3, 4096), 2, (4, 0), (5, 0), 4, (6, 0))
    history = read_history(path)
    assert history.plan == PLAN
    assert history.acknowledged == {0: 4}
    assert history.unsettled == {0: [5, 6], 4096: [3]}
    assert (history.acknowledged_count, history.last_number) == (3, 6)


def test_a_journal_goes_on_where_it_ended(path: Path) -> None:
    write(path, (1, 0), 1)
    journal = write(path, (2, 4096), 2, append=True)
    assert journal.last_number == 2
    assert read_history(path).acknowledged == {0: 1, 4096: 2}
    assert path.stat().st_mode & 0o777 == 0o600


def test_appending_to_nothing_begins_anew(path: Path) -> None:
    assert write(path, (1, 0), append=True).last_number == 1
    assert read_history(path).last_number == 1


def test_every_cut_can_be_read_and_gone_on_with(path: Path) -> None:
    write(path, (1, 0), 1, (12, 40960), 12)
    whole = path.read_bytes()
    first_line = whole.index(b"\n") + 1
    for cut in range(first_line, len(whole)):
        path.write_bytes(whole[:cut])
        history = read_history(path)
        assert history.acknowledged_count <= 2
        write(path, (99, 4096), 99, append=True)
        assert read_history(path).acknowledged[4096] == 99


def test_an_existing_journal_is_not_overwritten(path: Path) -> None:
    write(path)
    with pytest.raises(BenchError, match="exists; --append goes on"):
        write(path)


def test_going_on_with_other_options_is_refused(path: Path) -> None:
    write(path)
    other = LoadPlan(seed=2, size_bytes=1 << 20, block_bytes=4096)
    with pytest.raises(BenchError, match="was begun with seed=1; go on with the same"):
        WriteJournal(path, other, append=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no journal of writes"),
        ("hello\n", "is no journal"),
        ("[]\n", "is no journal"),
        ('{"dualcopy-writes": 2}\n', "is of another version"),
        ('{"dualcopy-writes": 1}\n', "is no journal"),
        ('{"dualcopy-writes": 1, "seed": "x"}\n', "is no journal"),
    ],
)
def test_what_is_no_journal_is_said_so(path: Path, text: str, told: str) -> None:
    path.write_text(text)
    with pytest.raises(BenchError, match=told):
        read_history(path)


@pytest.mark.parametrize("line", ["w 1", "a 7", "w x 0", "w 1 -5", "b 1", "", "\xff"])
def test_a_line_that_makes_no_sense_is_shown(path: Path, line: str) -> None:
    write(path, (1, 0))
    with path.open("a", encoding="latin-1") as file:
        file.write(f"{line}\n")
    with pytest.raises(BenchError, match="is no line of a journal of writes"):
        read_history(path)


def test_a_plan_that_fits_nowhere_is_refused() -> None:
    for size, block, change in ((512, 1024, 0), (512, 0, 0), (512, 512, 513), (512, 512, -1)):
        with pytest.raises(BenchError):
            LoadPlan(seed=1, size_bytes=size, block_bytes=block, change_bytes=change)


def test_a_journal_that_cannot_be_written_is_a_device_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="No such file"):
        WriteJournal(tmp_path / "none" / "j", PLAN, append=False)
    with pytest.raises(DeviceError, match="No such file"):
        read_history(tmp_path / "none")
