"""`dualcopy demo`: the main job, played and judged on this machine."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rig.cli.signals import interrupt_on_signals

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="An empty folder, or a new one; else ./demo-N."),
]
SEED_MAX = 2**63 - 1


def demo(
    out: Out = None,
    seed: Annotated[
        int, typer.Option(min=0, max=SEED_MAX, help="From which all contents and places follow.")
    ] = 1,
) -> None:
    """Play the main job: two sites, a real line, a real disk image; about a minute, no root.

    The last line is the verdict, and the exit code is 0 only if every check held.
    """
    from rig.demo.folder import RunFolder
    from rig.demo.progress import progress_on
    from rig.demo.run import conclude, play_demo, relative
    from rig.report.text import as_lines

    interrupt_on_signals()
    folder = RunFolder.make(out)
    try:
        report = conclude(play_demo(folder, seed, progress_on(sys.stdout)))
    except KeyboardInterrupt:
        kept = relative(folder.path)
        typer.echo(f"interrupted: all processes are stopped; {kept} is left as it is", err=True)
        raise
    print()
    for line in as_lines(report):
        print(line)
    print()
    print(f"{report.verdict()}; see {relative(folder.path / 'report.html')}")
    raise typer.Exit(0 if report.held else 1)
