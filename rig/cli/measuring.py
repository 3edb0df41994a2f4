"""`dualcopy bench front` and the other measurements: figures beside those of other programs."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rig.cli.options import JsonOption
from rig.cli.output import print_json
from rig.cli.signals import interrupt_on_signals

if TYPE_CHECKING:
    from rig.report.report import Report

app = typer.Typer()


@app.command()
def front(
    peers: Annotated[
        str, typer.Option(help="Programs to measure beside, by commas.")
    ] = "nbdkit,qemu,bare",
    jobs: Annotated[
        str, typer.Option(help="Jobs, by commas: randwrite-4k-16, write-1m-4, ...; else all.")
    ] = "",
    sync: Annotated[str, typer.Option(help="Modes of the nonvolatile store.")] = "battery",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Length of one job.")] = 4,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; else ./front-N.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure hosts' reads and writes, with a copy to a second site running, beside peers."""
    import tempfile

    from emulator.errors import BenchError
    from rig.cli.output import print_table
    from rig.demo.folder import RunFolder
    from rig.measure.front import JOBS, PROGRAMS, Options, measure
    from rig.measure.results import front_tables, save_front

    options = Options(
        seconds=seconds,
        rounds=rounds,
        jobs=_names(jobs, JOBS, "--jobs") or tuple(JOBS),
        peers=_names(peers, PROGRAMS, "--peers"),
        sync=_names(sync, ("battery", "fsync"), "--sync"),
    )
    if not options.sync:
        raise BenchError("--sync: name battery, fsync or both")
    folder = RunFolder.make(out, "front")
    interrupt_on_signals()
    # Images and stores go; what was found stays.
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder.path) as work:
        found = measure(Path(work), options, lambda line: typer.echo(line, err=True))
    save_front(found, folder.path)
    if as_json:
        print_json(found)
        return
    for job, heads, rows in front_tables(found):
        print_table(heads, rows, job)
        for pair, ratios in found["jobs"][job]["ratios"].items():
            print(f"{pair}: " + ", ".join(f"{key} {value}" for key, value in ratios.items()))
    print(f"results: {folder.path}")


Rounds = Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")]
Seconds = Annotated[int, typer.Option(min=1, help="Length of one job.")]
Size = Annotated[str, typer.Option(help="Size of the volume.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results; else ./NAME-N.")]


@app.command()
def nvs(
    undestaged: Annotated[
        str, typer.Option(help="How much is on no disk when the site is killed.")
    ] = "64MiB",
    size: Size = "256MiB",
    rounds: Rounds = 3,
    seconds: Seconds = 4,
    out: Out = None,
    as_json: JsonOption = False,
) -> None:
    """Measure writes into the nonvolatile store beside a peer that syncs, and restarts."""
    from rig.cli.output import print_table
    from rig.measure.store import StoreOptions, measure_nvs
    from rig.measure.store_report import leave_nvs

    options = StoreOptions(size=size, undestaged=undestaged, rounds=rounds, seconds=seconds)
    found, report = _measured("nvs", out, measure_nvs, leave_nvs, options)
    if as_json:
        print_json(found | report.verdict_object())
        _judged(report)
        return
    rows = [(name, f"{value:.0f}") for name, value in found["iops"].items()]
    print_table(["peer", "IOPS"], rows, "4 KiB random writes, 16 at once")
    for pair, ratio in found["ratios"].items():
        print(f"{pair}: {ratio}")
    restart = found["restart"]
    print(
        f"ready after {restart['ready_s']:.2f} s with {restart['undestaged_mib']:.0f} MiB on no "
        f"disk, {restart['ready_empty_s']:.2f} s with none"
    )
    print(report.verdict())
    _judged(report)


@app.command()
def destage(
    size: Size = "256MiB",
    rounds: Rounds = 3,
    seconds: Seconds = 4,
    out: Out = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what a host feels of the destage at its full rate."""
    from rig.cli.output import print_table
    from rig.measure.store import StoreOptions, measure_destage
    from rig.measure.store_report import leave_destage

    options = StoreOptions(size=size, rounds=rounds, seconds=seconds)
    found, report = _measured("destage", out, measure_destage, leave_destage, options)
    if as_json:
        print_json(found | report.verdict_object())
        _judged(report)
        return
    heads = ["destage", "IOPS", "mean us", "p99 us", "destaged MiB/s"]
    rows = [
        (
            name,
            f"{m['iops']:.0f}",
            f"{m['mean_us']:.0f}",
            f"{m['p99_us']:.0f}",
            f"{m['destaged_mib_per_s']:.0f}",
        )
        for name, m in found["medians"].items()
    ]
    print_table(heads, rows, "4 KiB random writes, one at a time")
    print(f"p99 with destage / without: {found['p99_ratio']}; mean: {found['mean_ratio']}")
    print(report.verdict())
    _judged(report)


def _measured(
    name: str,
    out: Path | None,
    measure: Callable[[Path, Any, Callable[[str], None]], dict[str, Any]],
    leave: "Callable[[dict[str, Any], Path, float], Report]",
    options: object,
) -> "tuple[dict[str, Any], Report]":
    """Measure in a folder whose images and stores go, and keep what was found beside it."""
    import tempfile
    import time

    from rig.demo.folder import RunFolder

    folder = RunFolder.make(out, name)
    begin_s = time.monotonic()
    interrupt_on_signals()
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder.path) as work:
        found = measure(Path(work), options, lambda line: typer.echo(line, err=True))
    report = leave(found, folder.path, time.monotonic() - begin_s)
    typer.echo(f"results: {folder.path}", err=True)
    return found, report


def _judged(report: "Report") -> None:
    """End with 1 when something that was promised did not hold."""
    if not report.held:
        raise typer.Exit(1)


@app.command()
def cache(
    traces: Annotated[str, typer.Option(help="Traces, by commas; all of them if none.")] = "",
    tracks: Annotated[int, typer.Option(min=64, help="Size of the cache.")] = 2000,
    accesses: Annotated[int, typer.Option(min=1000, help="Length of a trace.")] = 200_000,
    seed: Annotated[int, typer.Option(help="What the traces are made from.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; else ./cache-N.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what the cache keeps, on seeded traces, beside LRU, ARC, S3-FIFO and the optimum."""
    import time

    from rig.cli.output import print_table
    from rig.demo.folder import RunFolder
    from rig.measure.cache import Options, measure
    from rig.measure.cache_report import HEADS, leave, table
    from rig.measure.cache_traces import TRACES

    names = _names(traces, TRACES, "--traces") or tuple(TRACES)
    folder = RunFolder.make(out, "cache").path
    begin_s = time.monotonic()
    options = Options(names, tracks, accesses, seed)
    found = measure(options, lambda line: typer.echo(line, err=True))
    report = leave(found, folder, time.monotonic() - begin_s)
    if as_json:
        print_json(found | report.verdict_object() | {"folder": str(folder)})
    else:
        print_table(HEADS, table(found), "hit ratios")
        print(f"results: {folder}")
        print(report.verdict())
    _judged(report)


def _names(text: str, known: Iterable[str], option: str) -> tuple[str, ...]:
    from emulator.errors import BenchError

    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in known:
            raise BenchError(f"{option}: {name} is unknown; there are {', '.join(known)}")
    return names


@app.command()
def shared(
    jobs: Annotated[
        str, typer.Option(help="Jobs, by commas: read, update, read-cold.")
    ] = "read,update,read-cold",
    sync: Annotated[str, typer.Option(help="Mode of the nonvolatile store.")] = "battery",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Measure a Hercules host in front of a site beside the same host at its control unit."""
    import tempfile

    from emulator.errors import BenchError, CheckFailed
    from rig.cli.output import print_table
    from rig.measure.shared import JOBS, Options, measure

    names = tuple(name for name in jobs.split(",") if name)
    known = [job.name for job in JOBS]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise BenchError(
            f"--jobs: {(unknown or [jobs])[0]!r} is unknown; there are {', '.join(known)}"
        )
    options = Options(rounds=rounds, sync=sync, jobs=names)
    interrupt_on_signals()
    with tempfile.TemporaryDirectory(prefix="dualcopy-shared-") as folder:
        found = measure(Path(folder), options, lambda line: typer.echo(line, err=True))
    if as_json:
        print_json(found)
    else:
        rows = [
            (
                job,
                kind,
                f"{row['per_s']:.0f}",
                f"{row['host_cpu_us']:.0f}",
                f"{row['server_cpu_us']:.0f}",
            )
            for job, summary in found["jobs"].items()
            for kind, row in summary["medians"].items()
        ]
        print_table(["job", "host", "programs/s", "host cpu us", "server cpu us"], rows)
        for job, summary in found["jobs"].items():
            print(
                f"{job}: {summary['ratio']} of direct, at least {summary['least']} wanted; "
                f"by processor time {summary['cpu_ratio']}; "
                f"a bare server in Python: {summary['bare_ratio']}"
            )
    short = [job for job, summary in found["jobs"].items() if summary["ratio"] < summary["least"]]
    if short:
        raise CheckFailed(f"slower than wanted: {', '.join(short)}")


@app.command()
def channel(
    kind: Annotated[str, typer.Option(help="The device: 3390-1, 3380-K, 3350, ...")] = "3390-1",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 15,
    seed: Annotated[int, typer.Option(help="Chooses the records.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure how many channel programs of one record the engine runs in a second of CPU time."""
    from rig.cli.output import print_table
    from rig.measure.channel import measure

    found = measure(kind, rounds, seed)
    if as_json:
        print_json(found)
        return
    rows = [
        (name, row["per_cpu_s"], row["cpu_us"], row["of_least"])
        for name, row in found["programs"].items()
    ]
    title = f"{kind}, records of {found['record_bytes']} bytes"
    print_table(["program", "per CPU second", "CPU us", "of the least"], rows, title)
