"""The bug zoo: plant one mistake at a time into a copy of the source, and see who notices.

The simulator runs in a process of its own on the copy, so that production code carries no
switch. A mutant that no run notices says that a checker or a fault is missing. A mutant may name
a schedule that was made for it: that is tried first, then seeds as for all others.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from emulator.errors import BenchError, CheckFailed

ROOT: Final = Path(__file__).resolve().parents[2]
TABLE: Final = Path(__file__).with_name("zoo.toml")
SCHEDULES: Final = Path("fixtures") / "schedules"
SEEDS_MAX: Final = 300
WRITES: Final = 150
KILL_CPU_S: Final = 60
GOALS: Final = {"median_tries": 5, "cpu_s": 600}
HEALTHY_SEEDS: Final = 5
"""So many seeds must break no rule without a mistake, or seeing a mistake means nothing."""


class Mutant(NamedTuple):
    """One mistake: a text of the source, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str
    also: str = ""
    """The other mistake that this one needs to do harm."""
    first: str = ""
    """The schedule that was made for it, in `fixtures/schedules`."""


class Kill(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    tries: int
    """Which run noticed it; the first is 1."""
    by: str
    """The seed or the schedule of that run."""
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


@contextmanager
def source_copy() -> Iterator[Path]:
    """Give a folder with a copy of the source, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        for package in ("emulator", "rig"):
            left_out = shutil.ignore_patterns("__pycache__", "docs", "*.so", "compiled.json")
            shutil.copytree(ROOT / package, Path(folder) / package, ignore=left_out)
        yield Path(folder)


@contextmanager
def planted(mutant: Mutant, copy: Path) -> Iterator[None]:
    """Have a mistake in a copy of the source for a while, with the other one that it needs."""
    others = [found for found in mutants() if found.name == mutant.also]
    # As it was copied: the source itself may be worked on meanwhile.
    before = {one.file: (copy / one.file).read_text(encoding="utf-8") for one in (mutant, *others)}
    try:
        for one in (mutant, *others):
            (copy / one.file).write_text(mutated(one, copy), encoding="utf-8")
        yield
    finally:
        for file, text in before.items():
            (copy / file).write_text(text, encoding="utf-8")


def run_copy(copy: Path, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run Python with these words on a copy of the source."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def hunt(chosen: Sequence[Mutant], seeds: int = SEEDS_MAX) -> Iterator[Kill]:
    """Yield what became of each mutant; raise CheckFailed if there is none and a rule breaks."""
    with source_copy() as copy:
        nothing = Mutant("no mistake", "", "", "")
        healthy = _kill(nothing, copy, min(seeds, HEALTHY_SEEDS))
        if healthy.rule or not healthy.tries:
            raise CheckFailed(
                f"without a mistake, {healthy.by} breaks {healthy.rule}: {healthy.found}"
            )
        for mutant in chosen:
            try:
                with planted(mutant, copy):
                    yield _kill(mutant, copy, seeds)
            except BenchError as error:
                # It fits the source no more: nobody sees it until someone has changed it.
                yield Kill(mutant, 0, "", "", str(error), 0.0)


def _kill(mutant: Mutant, copy: Path, seeds: int) -> Kill:
    first = str(ROOT / SCHEDULES / f"{mutant.first}.toml") if mutant.first else ""
    words = ["-m", "rig.sim.hunt", first, str(seeds), str(WRITES), str(KILL_CPU_S)]
    done = run_copy(copy, words)
    if done.returncode == -signal.SIGXCPU:
        return Kill(mutant, 1, "a run", "endless", "a run had no end", KILL_CPU_S)
    if done.returncode:
        # A mistake that does not even run would be noticed by anybody, and tries out nothing.
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        return Kill(mutant, 0, "", "", f"the copy does not run: {last[0]}", 0.0)
    return Kill(mutant, **json.loads(done.stdout))
