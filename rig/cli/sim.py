"""`dualcopy sim`, `shrink`, `exhaust` and `zoo`: the simulator from the command line."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from emulator.compiled import code
from emulator.errors import BenchError, CheckFailed
from rig.cli.options import JsonOption
from rig.cli.output import print_json, print_table

if TYPE_CHECKING:
    from rig.sim.campaign import Summary
    from rig.sim.run import Outcome

KEPT_FROM_SEEDS: Final = 100
"""A campaign of so many seeds also runs what was kept of earlier ones."""
Writes = Annotated[int, typer.Option(min=1, max=10_000, help="Host writes in each run.")]
Kept = Annotated[
    bool | None,
    typer.Option(
        "--kept/--no-kept",
        help="Run the schedules kept in fixtures/schedules, too. "
        f"[default: with {KEPT_FROM_SEEDS} seeds or more]",
        show_default=False,
    ),
]
ScheduleFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A schedule, as `dualcopy sim` writes them.")
]


def sim(
    *,
    seeds: Annotated[str, typer.Option(metavar="A:B", help="Seeds from A up to before B.")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="One seed.")] = None,
    writes: Writes = 150,
    jobs: Annotated[int, typer.Option(min=0, max=256, help="Processes; 0: as fits.")] = 0,
    digest: Annotated[bool, typer.Option("--digest", help="Print a digest over all runs.")] = False,
    twice: Annotated[
        bool, typer.Option("--twice", help="Run everything again; each run must be the same.")
    ] = False,
    marks: Annotated[
        bool, typer.Option("--marks", help="Fail if a branch was reached in no run.")
    ] = False,
    account: Annotated[
        bool, typer.Option("--account", help="Print what was injected beside what was counted.")
    ] = False,
    bench: Annotated[
        bool, typer.Option("--bench", help="Measure how fast the simulator is, and nothing else.")
    ] = False,
    kept: Kept = None,
    out: Annotated[Path, typer.Option(help="Folder for schedules of runs that failed.")] = Path(
        "runs"
    ),
    as_json: JsonOption = False,
) -> None:
    """Run simulated worlds, each with the faults its seed chooses, and check every rule."""
    from rig.sim.campaign import outcomes, summary_of

    if bench:
        _bench(as_json=as_json)
        return
    chosen = _chosen(seeds, seed)
    jobs = jobs or min(os.cpu_count() or 1, max(1, len(chosen) // 20))
    summary = summary_of(_told(outcomes(chosen, writes, jobs), out, quiet=as_json))
    differing: list[int] = []
    if twice:
        again = summary_of(outcomes(chosen, writes, jobs))
        differing = [
            number for number in chosen if summary.digests[number] != again.digests[number]
        ]
    if kept is None:
        kept = len(chosen) >= KEPT_FROM_SEEDS
    broken = _run_kept(quiet=as_json) if kept else None
    said = summary.as_object()
    if broken is not None:
        said["failing_kept"] = broken
    if digest:
        said["digest"] = _digest(summary)
    if twice:
        said["differing_seeds"] = differing
    _print(said, as_json=as_json)
    if account:
        _account(summary, as_json=as_json)
    _judge(summary, broken or [], differing, marks=marks)


def _judge(summary: "Summary", broken: list[str], differing: list[int], *, marks: bool) -> None:
    if summary.violations:
        raise CheckFailed(f"{sum(summary.violations.values())} of {summary.seeds} runs failed")
    if broken:
        raise CheckFailed(f"rules that held once do so no more in: {', '.join(broken)}")
    if differing:
        raise CheckFailed(f"seeds {differing} came out differently the second time")
    if marks and summary.missed_marks():
        raise CheckFailed(f"no run has reached: {', '.join(summary.missed_marks())}")


def _bench(*, as_json: bool) -> None:
    from rig.sim.bench import measure

    found = measure()
    if as_json:
        print_json({**found, "code": code()})
        return
    print_table(
        ("figure", "value", "goal", "times the goal"),
        [(name, row["value"], row["goal"], row["ratio"]) for name, row in found["figures"].items()],
    )
    print(f"measured: {code()}")


def _account(summary: "Summary", *, as_json: bool) -> None:
    """Print the books; that both sides agree was checked in each run."""
    facts = summary.facts
    rows = [
        (
            "damaged packets",
            facts["damaged_arrived"],
            facts["damaged_rejected"],
            facts["damaged_unread"],
        ),
        ("errors of disks", facts["disk_errors_happened"], facts["disk_errors_reported"], 0),
    ]
    if not as_json:
        print_table(("what", "reached a site", "counted there", "lost with the site"), rows)
    wrong = [what for what, reached, counted, lost in rows if reached != counted + lost]
    if wrong and not summary.violations:
        raise CheckFailed(f"the books do not balance: {', '.join(wrong)}")


def _chosen(seeds: str, seed: int | None) -> range:
    if seed is not None:
        if seeds:
            raise BenchError("--seed and --seeds exclude each other; give one")
        return range(seed, seed + 1)
    return seed_range(seeds or "0:100")


def seed_range(text: str) -> range:
    """Return the seeds that `A:B` means, or raise BenchError."""
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if found is None or int(found[1]) >= int(found[2]):
        raise BenchError(f"--seeds {text!r}: write two numbers such as 0:300, the lower one first")
    return range(int(found[1]), int(found[2]))


def _told(outcomes: "Iterable[Outcome]", out: Path, *, quiet: bool) -> "Iterator[Outcome]":
    for outcome in outcomes:
        if outcome.violation is not None:
            path = write_schedule(outcome, out)
            if not quiet:
                typer.echo(
                    f"seed {outcome.config.seed}: {outcome.violation}\n"
                    f"  repeat it: dualcopy run {path}"
                )
        yield outcome


def write_schedule(outcome: "Outcome", out: Path) -> Path:
    """Write the schedule of a run that failed into a folder; return the file."""
    from rig.sim.schedule import Schedule, to_text

    assert outcome.violation is not None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"seed-{outcome.config.seed}.toml"
    schedule = Schedule(outcome.config, outcome.faults, outcome.violation.rule)
    path.write_text(to_text(schedule, str(outcome.violation)), encoding="utf-8")
    return path


def _run_kept(*, quiet: bool) -> list[str]:
    """Run the schedules that once broke a rule; return those that do so again."""
    from rig.sim.kept import run_kept

    broken: list[str] = []
    for path, violation in run_kept():
        if violation is not None:
            broken.append(path.stem)
            if not quiet:
                typer.echo(f"{path.stem}: {violation}\n  repeat it: dualcopy run {path}")
    return broken


def _digest(summary: "Summary") -> str:
    text = json.dumps(sorted(summary.digests.items()))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _print(said: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(said)
        return
    rows = [(name, value) for name, value in said.items() if not isinstance(value, dict)]
    print_table(("figure", "value"), rows)
    print_table(("faults", "injected"), said["faults"].items())
    print_table(("branch", "times reached"), said["marks"].items())


def shrink(
    file: ScheduleFile,
    out: Annotated[Path | None, typer.Option(help="Where to write it; else FILE.min.toml.")] = None,
    cpu_s: Annotated[float, typer.Option(min=1, help="Stop after this much processor time.")] = 60,
) -> None:
    """Make a failing schedule as small as can be, so that it breaks the same rule."""
    from rig.sim.run import run_world
    from rig.sim.schedule import read_file, to_text
    from rig.sim.shrink import Shrinker

    schedule = read_file(file)
    if run_world(schedule.config, schedule.faults).violation is None:
        raise BenchError(f"{file}: every rule holds in this run; there is nothing to shrink")
    found = Shrinker(schedule, cpu_s).shrink()
    path = out or file.with_suffix(".min.toml")
    small = found.schedule
    heading = f"{small.expect} did not hold; shrunk from {file.name} in {found.runs} runs"
    path.write_text(to_text(small, heading), encoding="utf-8")
    print(
        f"{path}: {len(small.faults or ())} faults, {len(small.config.deeds)} deeds, "
        f"{small.config.writes} writes, after {found.runs} runs in {found.cpu_s:.1f} s"
    )


def exhaust(
    scope: Annotated[
        str, typer.Argument(metavar="loss|crash", help="Patterns of loss, or points of death.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Try out a small scope whole: every pattern of loss, or a crash at every durable step."""
    from rig.sim import exhaust as scopes
    from rig.sim.campaign import summary_of

    if scope not in ("loss", "crash"):
        raise BenchError(f"{scope!r} is no scope; there are loss and crash")
    summary = summary_of(scopes.losses() if scope == "loss" else scopes.crashes())
    said = {
        "scope": scope,
        "runs": summary.seeds,
        "violations": summary.violations,
        "cpu_s": round(summary.cpu_s, 2),
    }
    if as_json:
        print_json(said)
    else:
        print_table(("figure", "value"), said.items())
    for outcome in summary.failures:
        typer.echo(f"{outcome.faults}: {outcome.violation}", err=True)
    if summary.violations:
        raise CheckFailed(f"{sum(summary.violations.values())} of {summary.seeds} runs failed")


def zoo(
    only: Annotated[str, typer.Option(help="Only mutants whose name contains this.")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds to try on each mutant.")] = 300,
    as_json: JsonOption = False,
) -> None:
    """Plant one mistake at a time into a copy of the source; the simulator must see each."""
    from rig.sim.zoo import GOALS, hunt, mutants

    chosen = [mutant for mutant in mutants() if only in mutant.name]
    if not chosen:
        raise BenchError(f"--only {only!r}: no mutant has this in its name")
    kills = []
    for kill in hunt(chosen, seeds):
        kills.append(kill)
        if not as_json:
            how = f"{kill.rule}, {kill.by}" if kill.rule else f"NOT SEEN {kill.found}"
            double = " together with another one" if kill.mutant.also else ""
            print(f"{kill.mutant.name}{double}: {how} ({kill.cpu_s:.1f} s)", flush=True)
    tries = sorted(kill.tries for kill in kills if kill.rule)
    unseen = [kill.mutant.name for kill in kills if not kill.rule]
    said = {
        "mutants": len(kills),
        "killed": len(tries),
        "doubles": sum(bool(kill.mutant.also) for kill in kills),
        "unseen": unseen,
        "median_tries": tries[len(tries) // 2] if tries else None,
        "cpu_s": round(sum(kill.cpu_s for kill in kills), 1),
    }
    if as_json:
        told = [{**kill._asdict(), "mutant": kill.mutant.name} for kill in kills]
        print_json({**said, "goals": GOALS, "kills": told})
    else:
        rows = [(name, value, GOALS.get(name, "")) for name, value in said.items()]
        print_table(("figure", "value", "goal for the whole zoo"), rows)
    if unseen:
        raise CheckFailed(f"nobody sees: {'; '.join(unseen)}")
