"""The bug zoo: every mutant fits the source as it is, and the simulator sees those tried here.

The whole zoo takes minutes; `dualcopy zoo` runs it.
"""

import json
from contextlib import contextmanager

import pytest

from emulator.errors import BenchError, CheckFailed
from rig.sim import zoo
from rig.sim.zoo import (
    ROOT,
    SCHEDULES,
    Mutant,
    hunt,
    mutants,
    mutated,
    planted,
    run_copy,
    source_copy,
)

ZOO = mutants()
STALE_MAX = 5
# One for each kind of checker, all quick to be seen.
TRIED = {
    "record: of two writes to a track the first is kept": {"O3", "C3"},
    "epoch: records leave before they are durable here": {"W1"},
    "answer: hosts are answered before the journal is durable": {"A1"},
    "journal: a write counts before it is synced": {"W1", "A1"},
    "answer: in duplex the other site is not waited for": {"A-sync", "A-honest"},
    "apply: an epoch is applied before it is durable": {"L2", "O3", "O4"},
    "apply: parts of a track are laid over zeros": {"O3"},
    "accounting: failures of disks are not reported": {"accounting"},
    "accounting: damaged packets are not counted": {"accounting"},
}


def test_names_are_names():
    names = [mutant.name for mutant in ZOO]
    assert len(set(names)) == len(names) >= 40
    assert {mutant.also for mutant in ZOO} - {""} <= set(names)
    assert set(TRIED) <= set(names)


def test_schedules_made_for_mutants_are_there():
    first = {mutant.first for mutant in ZOO} - {""}
    assert first <= {path.stem for path in (ROOT / SCHEDULES).glob("*.toml")}


def test_mutants_fit_the_source_and_still_parse():
    stale: list[str] = []
    for mutant in ZOO:
        try:
            text = mutated(mutant)
        except BenchError as error:
            stale.append(str(error))
        else:
            assert mutant.new in text
            compile(text, mutant.file, "exec")
    # The source moves on; a few mutants may wait until the next run of `dualcopy zoo` tells.
    assert len(stale) <= STALE_MAX, "\n".join(stale)


def test_a_mutant_that_does_not_fit_is_named():
    stray = Mutant("a stray one", "emulator/clock.py", "no such text", "")
    with pytest.raises(BenchError, match="a stray one"):
        mutated(stray)


def test_a_source_that_breaks_rules_by_itself_proves_nothing(monkeypatch):
    (mistake,) = [found for found in ZOO if found.name == "link: an incomplete record is handed on"]
    copies = source_copy

    @contextmanager
    def broken_copy():
        with copies() as copy, planted(mistake, copy):
            yield copy

    monkeypatch.setattr(zoo, "source_copy", broken_copy)
    with pytest.raises(CheckFailed, match="without a mistake, seed 0 breaks L2"):
        next(hunt([mistake]))


def test_a_copy_that_does_not_run_is_not_seen():
    stray = Mutant(
        "a stray one", "emulator/clock.py", "SECOND_NS: Final = 1_000_000_000", "SECOND_NS == 1"
    )
    (kill,) = hunt([stray], seeds=1)
    assert not kill.rule
    assert "does not run" in kill.found


def test_what_was_planted_is_taken_out_again():
    with source_copy() as copy:
        before = (copy / ZOO[0].file).read_text()
        with planted(ZOO[0], copy):
            assert (copy / ZOO[0].file).read_text() == mutated(ZOO[0]) != before
        assert (copy / ZOO[0].file).read_text() == before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_crashes_show_a_journal_that_is_trimmed_too_early():
    early = (
        "journal: it is trimmed before the disks are flushed",
        "journal: a flush counts as done when it is asked for",
    )
    words = ["-m", "rig.cli", "exhaust", "crash", "--json"]
    with source_copy() as copy:
        healthy = run_copy(copy, words)
        assert (healthy.returncode, json.loads(healthy.stdout)["violations"]) == (0, {})
        for mutant in [found for found in ZOO if found.name in early]:
            with planted(mutant, copy):
                mistaken = run_copy(copy, words)
            assert mistaken.returncode == 1, mutant.name
            assert json.loads(mistaken.stdout)["violations"]["O3"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_the_simulator_sees_a_mutant(name):
    (mutant,) = [found for found in ZOO if found.name == name]
    (kill,) = hunt([mutant], seeds=40)
    assert kill.rule in TRIED[name], kill


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_schedules_made_for_mutants_show_them():
    made = [mutant for mutant in ZOO if mutant.first]
    missed = [kill for kill in hunt(made, seeds=1) if kill.by != kill.mutant.first]
    assert not missed
