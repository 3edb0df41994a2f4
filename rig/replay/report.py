"""What a replay leaves in its folder: run.json, events.jsonl and repro.sh beside the capture."""

import json
import shlex
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from emulator.clock import SECOND_NS
from rig.demo.log import read_log
from rig.demo.summary import versions
from rig.replay.deeds import beyond, done_otherwise
from rig.replay.run import Replay
from rig.sim.violation import Violation

_REPRO = """#!/bin/sh
# Run this schedule again on the same kind of line, into a fresh folder.
cd "$(dirname "$0")" && exec {command} run schedule.toml --on {medium} "$@"
"""


def replay(made: Replay) -> dict[str, Any]:
    """Run a replay, leave its record in its folder, and return what run.json holds."""
    began_ns = time.time_ns()
    violation = made.run()
    said = run_object(made, violation, began_ns)
    path = made.folder / "run.json"
    path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    _write_events(made)
    write_repro(made.folder, made.medium)
    return said


def run_object(made: Replay, violation: Violation | None, began_ns: int) -> dict[str, Any]:
    """Return the verdict, and everything that it rests on."""
    schedule = made.schedule
    happened = Counter(f"{row['place']}: {row['kind']}" for row in made.faults_happened())
    asked = Counter(f"{fault.place}: {fault.kind}" for fault in schedule.faults or ())
    unable = beyond(schedule.faults, schedule.config)
    late = {k: n - happened[k] for k, n in asked.items() if k not in unable and n > happened[k]}
    return {
        "verdict": "every rule held" if violation is None else "a rule did not hold",
        "violation": None if violation is None else violation.as_object(),
        "expect": schedule.expect,
        "on": made.medium,
        "seed": schedule.config.seed,
        "argv": sys.argv,
        "versions": versions(),
        "started_ns": began_ns,
        "elapsed_s": round((time.time_ns() - began_ns) / SECOND_NS, 3),
        "faults": dict(sorted(happened.items())),
        "faults_not_reached": dict(sorted(late.items())),
        "not_on_this_medium": dict(sorted(unable.items())),
        "done_otherwise": dict(sorted(done_otherwise(schedule.faults, schedule.config).items())),
        "remarks": made.remarks,
        "counters": made.figures,
        "folder": str(made.folder),
    }


def _write_events(made: Replay) -> None:
    events = [*made.events, *({"site": "replay", **row} for row in made.faults_happened())]
    for site in made.sites.values():
        if site.log.exists():
            events += read_log(site.log, site.name)
    # The line's faults have no time of their own: they are told by the packet's number.
    events.sort(key=lambda event: int(event.get("time_ns", 0)))
    with (made.folder / "events.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(event)}\n" for event in events)


def write_repro(folder: Path, medium: str) -> None:
    """Write the script that does the run again."""
    script = folder / "repro.sh"
    command = f"{shlex.quote(sys.executable)} -m rig.cli"
    script.write_text(_REPRO.format(command=command, medium=medium), encoding="utf-8")
    script.chmod(0o755)
