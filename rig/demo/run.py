"""One run of the demo from an empty folder to a verdict, and everything it leaves behind."""

import json
import os
import shlex
import sys
import time
from pathlib import Path

from emulator.clock import SECOND_NS
from emulator.errors import BenchError, CannotRunHere, DualCopyError
from rig.demo import plan
from rig.demo.evidence import Evidence
from rig.demo.folder import RunFolder
from rig.demo.judge import judge
from rig.demo.log import Diary, merge
from rig.demo.plan import Plan
from rig.demo.progress import Progress
from rig.demo.stage import Stage
from rig.demo.story import play
from rig.demo.summary import summarize, versions
from rig.report.page import as_page
from rig.report.report import Report
from rig.report.text import as_lines

_REPRO = """#!/bin/sh
# Does this run again, in a fresh folder: the same contents, and the same troubles in turn.
exec {command} demo --seed {seed} "$@"
"""


def play_demo(folder: RunFolder, seed: int, progress: Progress) -> Evidence:
    """Put the play on, and return what it leaves to be judged."""
    evidence = Evidence(folder, Plan(seed), time.time_ns())
    diary = Diary()
    write_repro(folder, seed)
    with progress:
        try:
            with Stage(evidence, progress, diary) as stage:
                play(stage)
        except DualCopyError as error:
            if isinstance(error, BenchError | CannotRunHere) and not evidence.lives:
                raise  # no site has run yet: the user has something to put right
            evidence.failure = str(error)
    evidence.end_ns = time.time_ns()
    evidence.events = merge(folder, plan.SITES, diary)
    return evidence


def conclude(evidence: Evidence) -> Report:
    """Judge a run that has ended, and make its folder complete."""
    checks, captured = judge(evidence)
    report = summarize(evidence, checks, captured)
    folder = evidence.folder.path
    _write_json(folder / "measurements.json", measurements(report))
    _write_json(folder / "run.json", run_object(evidence, report))
    (folder / "report.html").write_text(as_page(report), encoding="utf-8")
    lines = [*as_lines(report), "", report.verdict()]
    (folder / "summary.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return report


def run_object(evidence: Evidence, report: Report) -> dict[str, object]:
    """Return what run.json holds."""
    return {
        **report.verdict_object(),
        "failure": evidence.failure,
        "seed": evidence.plan.seed,
        "argv": sys.argv,
        "versions": versions(),
        "started_ns": evidence.start_ns,
        "elapsed_s": round((evidence.end_ns - evidence.start_ns) / SECOND_NS, 3),
        "sealed": False,
        "warnings": report.warnings,
        "counters": {"sites": evidence.final, "line": evidence.line},
    }


def measurements(report: Report) -> dict[str, object]:
    """Return what measurements.json holds."""
    return {
        "figures": [figure._asdict() for figure in report.figures],
        "acts": [span._asdict() for span in report.acts],
        "troubles": [span._asdict() for span in report.troubles],
        "series": [
            {"name": series.name, "unit": series.unit, "points": series.points}
            for series in report.series
        ],
    }


def write_repro(folder: RunFolder, seed: int) -> None:
    """Write the script that does the run again."""
    script = folder.path / "repro.sh"
    command = f"{shlex.quote(sys.executable)} -m rig.cli"
    script.write_text(_REPRO.format(command=command, seed=seed))
    script.chmod(0o755)


def relative(path: Path) -> str:
    """Return a path the way a user would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
