"""What every measurement leaves in its run folder: raw figures, charts, a report, a verdict."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rig.demo.summary import versions
from rig.report.page import as_page
from rig.report.report import Check, Figure, Outcome, Report


def check(name: str, compared: str, *, held: bool) -> Check:
    """Return a promise with the figures it was held against."""
    return Check(name, Outcome.HELD if held else Outcome.FAILED, compared)


def leave(
    name: str,
    found: Mapping[str, Any],
    charts: Mapping[str, str],
    judged: tuple[list[Check], list[Figure]],
    folder: Path,
    took_s: float,
) -> Report:
    """Write everything into the folder, and return the report.

    `name` is the measurement's, `found` all that it found; `charts` are SVGs by file name, and
    `judged` what was promised and what is worth knowing.
    """
    checks, figures = judged
    options = found["options"]
    report = Report(
        title=f"dualcopy bench {name}",
        run=[
            *((key, str(value)) for key, value in options.items() if key == "seed"),
            ("folder", str(folder)),
            ("took", f"{took_s:.1f} s"),
            ("versions", ", ".join(f"{name} {text}" for name, text in versions().items())),
        ],
        checks=checks,
        pictures=list(charts.values()),
        figures=figures,
        files=[
            ("run.json", "verdict, options, versions"),
            ("measurements.json", "everything that was measured, each round by itself"),
            *((chart, "a chart") for chart in charts),
        ],
    )
    run = report.verdict_object() | {
        "options": options,
        "versions": versions(),
        "argv": sys.argv[1:],
    }
    for file, text in {
        "run.json": json.dumps(run, indent=2),
        "measurements.json": json.dumps(found, indent=2),
        **charts,
        "report.html": as_page(report),
    }.items():
        (folder / file).write_text(text + "\n")
    return report
