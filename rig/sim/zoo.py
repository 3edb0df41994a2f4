"""The bug zoo: plant one mistake at a time into a copy of the source, and see who notices.

The simulator runs in a process of its own on the copy, so that production code carries no
switch. A mutant that no run notices says that a checker or a fault is missing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from emulator.errors import BenchError

ROOT: Final = Path(__file__).resolve().parents[2]
TABLE: Final = Path(__file__).with_name("zoo.toml")
SEEDS_MAX: Final = 300
WRITES: Final = 150
KILL_CPU_S: Final = 60
_RUN = (
    "import json,sys,time\n"
    "from rig.sim.run import run_seed\n"
    "for seed in range(int(sys.argv[1])):\n"
    "    found = run_seed(seed, int(sys.argv[2])).violation\n"
    "    if found or time.process_time() > float(sys.argv[3]): break\n"
    "print(json.dumps([seed, found and found.rule, found and found.found, time.process_time()]))\n"
)


class Mutant(NamedTuple):
    """One mistake: a text of the source, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str
    also: str = ""
    """The other mistake that this one needs to do harm."""


class Kill(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    seed: int
    rule: str
    """The rule that was broken; empty if nobody noticed."""
    found: str
    cpu_s: float


def mutants() -> list[Mutant]:
    """Return the whole zoo."""
    return [Mutant(**row) for row in tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutant"]]


def mutated(mutant: Mutant, root: Path = ROOT) -> str:
    """Return the source of a mutant's file with the mistake in it."""
    text = (root / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise BenchError(
            f"zoo: {mutant.name}: its text occurs {text.count(mutant.old)} times in {mutant.file}; "
            f"the source has changed, so change the mutant"
        )
    return text.replace(mutant.old, mutant.new)


def hunt(chosen: list[Mutant], seeds: int = SEEDS_MAX) -> Iterator[Kill]:
    """Yield what became of each mutant."""
    known = {mutant.name: mutant for mutant in mutants()}
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        copy = Path(folder)
        for package in ("emulator", "rig"):
            shutil.copytree(
                ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "docs")
            )
        for mutant in chosen:
            planted = [mutant, *([known[mutant.also]] if mutant.also else [])]
            # As it was copied: the source itself may be worked on meanwhile.
            before = {one.file: (copy / one.file).read_text(encoding="utf-8") for one in planted}
            try:
                for one in planted:
                    (copy / one.file).write_text(mutated(one, copy), encoding="utf-8")
                yield _kill(mutant, copy, seeds)
            except BenchError as error:
                # It fits the source no more: nobody sees it until someone has changed it.
                yield Kill(mutant, 0, "", str(error), 0.0)
            for file, text in before.items():
                (copy / file).write_text(text, encoding="utf-8")


def _kill(mutant: Mutant, copy: Path, seeds: int) -> Kill:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(seeds), str(WRITES), str(KILL_CPU_S)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # The copy could not even be imported: that is noticed at once, by anybody.
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        return Kill(mutant, 0, "import", last[0], 0.0)
    seed, rule, found, cpu_s = json.loads(done.stdout)
    return Kill(mutant, seed, rule or "", found or "", cpu_s)
