"""`dualcopy run`: repeat schedules, in the simulator or with two real sites on a real line."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emulator.errors import BenchError, CheckFailed
from rig.cli.options import JsonOption
from rig.cli.output import print_json

if TYPE_CHECKING:
    from rig.sim.schedule import Schedule

SIMULATED = "sim"


def run(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Schedules, as `dualcopy sim` writes them."),
    ],
    on: Annotated[
        str, typer.Option(metavar="sim|udp|pty|eth", help="Where; several, joined by commas.")
    ] = SIMULATED,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Another seed for contents, and for drawn faults.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder; else ./run-N.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Repeat runs, fault by fault, in the simulator or with real sites on a real line."""
    from rig.replay.medium import MEDIA
    from rig.sim.schedule import read_file

    media = on.split(",")
    for medium in media:
        if medium not in (SIMULATED, *MEDIA):
            raise BenchError(f"--on {medium}: schedules run on {SIMULATED}, {', '.join(MEDIA)}")
    schedules = [(file, read_file(file)) for file in files]
    if out is not None and len(media) * len(schedules) > 1:
        raise BenchError("--out is the folder of one run; leave it out for several")
    broken: list[str] = []
    results: list[dict[str, Any]] = []
    for file, schedule in schedules:
        if seed is not None:
            config = dataclasses.replace(schedule.config, seed=seed)
            schedule = schedule._replace(config=config)  # noqa: PLW2901
        for medium in media:
            said = {"file": str(file), **_one(schedule, medium, out)}
            results.append(said)
            if not as_json:
                _tell(said)
            if said["violation"] is not None:
                violation = said["violation"]
                broken.append(f"{file} on {medium}: {violation['rule']}: {violation['found']}")
    if as_json:
        print_json(results[0] if len(results) == 1 else results)
    if broken:
        raise CheckFailed("; ".join(broken))


def _one(schedule: "Schedule", medium: str, out: Path | None) -> dict[str, Any]:
    from rig.demo.folder import RunFolder

    if medium == SIMULATED:
        return _simulated(schedule, out)
    from rig.replay.report import replay
    from rig.replay.run import Replay

    return replay(Replay(schedule, medium, RunFolder.make(out, "run").path))


def _simulated(schedule: "Schedule", out: Path | None) -> dict[str, Any]:
    import json

    from rig.demo.folder import RunFolder
    from rig.replay.report import write_repro
    from rig.sim.run import run_world
    from rig.sim.schedule import to_text

    outcome = run_world(schedule.config, schedule.faults)
    said = {"expect": schedule.expect, "on": SIMULATED, **outcome.as_object()}
    if out is not None:
        folder = RunFolder.make(out, "run").path
        (folder / "schedule.toml").write_text(to_text(schedule), encoding="utf-8")
        (folder / "run.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        write_repro(folder, SIMULATED)
        said["folder"] = str(folder)
    return said


def _tell(said: dict[str, Any]) -> None:
    violation = said["violation"]
    verdict = (
        "every rule held" if violation is None else f"{violation['rule']}: {violation['found']}"
    )
    print(f"{said['file']} on {said['on']}: {verdict}")
    if said["on"] == SIMULATED:
        return
    for title in ("faults", "faults_not_reached", "not_on_this_medium", "done_otherwise"):
        for name, count in said[title].items():
            print(f"  {title.replace('_', ' ')}: {name}: {count}")
    for remark in said["remarks"]:
        print(f"  {remark}")
    print(f"  folder: {said['folder']}")
