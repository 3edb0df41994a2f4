"""The bug zoo: every mutant fits the source as it is, and the simulator sees those tried here.

The whole zoo takes minutes; `dualcopy zoo` runs it.
"""

import pytest

from emulator.errors import BenchError
from rig.sim.zoo import Mutant, hunt, mutants, mutated

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


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_the_simulator_sees_a_mutant(name):
    (mutant,) = [found for found in ZOO if found.name == name]
    (kill,) = hunt([mutant], seeds=40)
    assert kill.rule in TRIED[name], kill
