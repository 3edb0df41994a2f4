"""`dualcopy campaign`: simulated worlds by the thousand, over this machine or many."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emulator.errors import BenchError, CheckFailed
from rig.cli.options import JsonOption
from rig.cli.output import print_json, print_table
from rig.cli.sim import Writes, seed_range

if TYPE_CHECKING:
    from rig.sim.distributed import Gathered


def campaign(
    *,
    seeds: Annotated[str, typer.Option(metavar="A:B", help="Seeds from A up to before B.")],
    workers: Annotated[
        str, typer.Option(metavar="tcp://HOST:PORT", help="A dask scheduler, with its workers.")
    ] = "",
    local: Annotated[
        int, typer.Option(min=0, max=256, help="Workers on this machine; 0: one a processor.")
    ] = 0,
    writes: Writes = 150,
    marks: Annotated[
        bool, typer.Option("--marks", help="Fail if a branch was reached in no run.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for schedules of runs that failed.")] = Path(
        "runs"
    ),
    as_json: JsonOption = False,
) -> None:
    """Run simulated worlds over many processes or machines; a worker that dies costs nothing."""
    from rig.cli.sim import write_schedule
    from rig.sim.distributed import Gathered, spread
    from rig.sim.distributed import workers as connected

    if workers and local:
        raise BenchError("--workers and --local exclude each other; give one")
    chosen = seed_range(seeds)
    began_s = time.monotonic()
    total = Gathered()
    with connected(workers, local or os.cpu_count() or 1) as client:
        for total in spread(client, chosen, writes):
            _progress(total, len(chosen))
    files = [
        str(write_schedule(outcome, out / _folder_name(outcome.violation.rule)))
        for outcome in total.failures()
        if outcome.violation is not None
    ]
    said = {
        **total.summary.as_object(),
        "failing_seeds": [outcome.config.seed for outcome in total.failures()],
        "schedules": files,
        "batches": total.batches,
        "wall_s": round(time.monotonic() - began_s, 3),
    }
    if as_json:
        print_json(said)
    else:
        rows = [(name, value) for name, value in said.items() if not isinstance(value, dict | list)]
        print_table(("figure", "value"), rows)
        for file in files:
            print(f"repeat it: dualcopy run {file}")
    if total.summary.violations:
        count = sum(total.summary.violations.values())
        raise CheckFailed(f"{count} of {total.summary.seeds} runs failed")
    if marks and total.summary.missed_marks():
        raise CheckFailed(f"no run has reached: {', '.join(total.summary.missed_marks())}")


def _folder_name(rule: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in rule)


def _progress(total: "Gathered", wanted: int) -> None:
    if sys.stderr.isatty():
        failed = sum(total.summary.violations.values())
        end = "\n" if total.summary.seeds >= wanted else ""
        sys.stderr.write(f"\r{total.summary.seeds} of {wanted} seeds, {failed} failed{end}")
        sys.stderr.flush()
