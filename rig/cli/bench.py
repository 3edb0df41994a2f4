"""`dualcopy bench`: check and show bench files, and describe them to editors."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rig.cli.measuring import app
from rig.cli.options import JsonOption
from rig.cli.output import print_json

File = Annotated[
    Path | None, typer.Argument(help="The bench file; else DUALCOPY_BENCH, else ./bench.toml.")
]


@app.command()
def check(file: File = None, as_json: JsonOption = False) -> None:
    """Read a bench file and tell everything that is wrong with it; exit 2 if anything is."""
    from rig.bench.loader import find_bench, load_bench

    bench = load_bench(find_bench(file))
    for note in bench.notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        print_json(
            {
                "file": str(bench.path),
                "name": bench.name,
                "sites": bench.sites,
                "links": list(bench.file.link),
                "groups": bench.groups,
                "notes": list(bench.notes),
            }
        )
        return
    parts = {"sites": bench.sites, "links": list(bench.file.link), "groups": bench.groups}
    told = "; ".join(f"{part} {', '.join(names) or 'none'}" for part, names in parts.items())
    print(f"{bench.path}: good; {told}")


@app.command()
def show(file: File = None, as_json: JsonOption = False) -> None:
    """Draw a bench: sites and their devices, links, and what is copied where."""
    from rig.bench.drawing import draw
    from rig.bench.loader import find_bench, load_bench

    bench = load_bench(find_bench(file))
    if as_json:
        sites = {name: asdict(bench.site(name)) for name in bench.sites}
        for site in sites.values():
            for group in site["groups"].values():
                group["ack"] = group["ack"].value
                group["on_link_loss"] = group["on_link_loss"].value
        print_json({"file": str(bench.path), "name": bench.name, "site": sites})
        return
    for line in draw(bench):
        print(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of bench files, for editors that complete and check."""
    from rig.bench.schema import bench_schema

    print_json(bench_schema())
