"""`dualcopy bench`: check and show bench files, and describe them to editors."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rig.cli.options import JsonOption
from rig.cli.output import print_json

app = typer.Typer()

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


@app.command()
def front(
    peers: Annotated[str, typer.Option(help="Peers to measure beside, by commas.")] = "nbdkit,qemu",
    jobs: Annotated[
        str, typer.Option(help="Jobs, by commas: randwrite-4k-16, randwrite-64k-16, ...")
    ] = "randwrite-4k-16,randwrite-64k-16",
    sync: Annotated[str, typer.Option(help="Modes of the nonvolatile store.")] = "battery",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Length of one job.")] = 4,
    as_json: JsonOption = False,
) -> None:
    """Measure host writes, with a copy to a second site running, beside peers in one run."""
    import tempfile

    from emulator.errors import BenchError
    from rig.cli.output import print_table
    from rig.measure.front import JOBS, Options, measure

    unknown = [job for job in jobs.split(",") if job not in JOBS]
    if unknown:
        raise BenchError(f"--jobs: {unknown[0]} is unknown; there are {', '.join(JOBS)}")
    options = Options(
        seconds=seconds,
        rounds=rounds,
        jobs=tuple(jobs.split(",")),
        peers=tuple(name for name in peers.split(",") if name),
        sync=tuple(sync.split(",")),
    )
    with tempfile.TemporaryDirectory(prefix="dualcopy-front-") as folder:
        found = measure(Path(folder), options, lambda line: typer.echo(line, err=True))
    if as_json:
        print_json(found)
        return
    for job, summary in found["jobs"].items():
        rows = [
            (
                name,
                f"{m['iops']:.0f}",
                f"{m['mib_per_s']:.0f}",
                f"{m['mean_us']:.0f}",
                f"{m['p99_us']:.0f}",
                " + ".join(f"{m[k]:.1f}" for k in m if k.startswith("cpu")),
            )
            for name, m in summary["medians"].items()
        ]
        print_table(["peer", "IOPS", "MiB/s", "mean us", "p99 us", "cpu us/op"], rows, job)
        for pair, ratio in summary["iops_ratios"].items():
            print(f"{pair}: {ratio}")
