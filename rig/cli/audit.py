"""`dualcopy audit`: a process that watches a real bench and believes neither of its sites."""

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emulator.errors import BenchError
from emulator.units import duration_ns
from rig.cli.options import BenchOption, JsonOption, read_option

if TYPE_CHECKING:
    from rig.audit.findings import Finding
    from rig.audit.run import Auditor
    from rig.bench.bench import Bench


def audit(
    bench: BenchOption = None,
    group: Annotated[str, typer.Option(help="The group to audit; else the only one.")] = "",
    limit: Annotated[
        str, typer.Option("--for", metavar="TIME", help="So long; else until SIGTERM or Ctrl-C.")
    ] = "",
    writes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME=FILE",
            help="A host's journal (`dualcopy host load`) of writes to a volume of the source.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Not a line for every epoch.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch a bench at work: each epoch that the copy applies must give a true past state."""
    from rig.audit.findings import AuditViolation, PrefixOk
    from rig.audit.run import Auditor
    from rig.bench.loader import find_bench, load_bench

    loaded = load_bench(find_bench(bench))
    name = _group(loaded, group)
    sites = loaded.group_sites(name)
    journals = _journals(loaded, name, writes or [])
    limit_ns = read_option("--for", limit, duration_ns) if limit else None
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stop.append(number))

    def tell(finding: "Finding") -> None:
        if quiet and isinstance(finding, PrefixOk):
            return
        _print(finding, as_json=as_json)

    auditor = Auditor(name, {site: loaded.console(site) for site in sites}, journals, tell)
    try:
        auditor.run(limit_ns, lambda: bool(stop))
    except AuditViolation as violation:
        if as_json:
            print(json.dumps({"finding": "violation", **violation.as_object()}), flush=True)
        raise
    finally:
        auditor.close()
        _sum_up(auditor, as_json=as_json)


def _sum_up(auditor: "Auditor", *, as_json: bool) -> None:
    tally = auditor.tally.as_object()
    if as_json:
        print(json.dumps({"finding": "summary", **tally}), flush=True)
    else:
        print("; ".join(f"{key.replace('_', ' ')} {value}" for key, value in tally.items()))


def _print(finding: "Finding", *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        kind = type(finding).__name__
        name = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind)[1:]
        text = json.dumps({"finding": name, **asdict(finding)})
    else:
        text = str(finding)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _group(bench: "Bench", wanted: str) -> str:
    if wanted:
        bench.group_sites(wanted)
        return wanted
    if len(bench.groups) != 1:
        known = ", ".join(bench.groups) or "none"
        raise BenchError(f"{bench.path}: name a group with --group; there are: {known}")
    return bench.groups[0]


def _journals(bench: "Bench", group: str, given: list[str]) -> dict[str, Path]:
    source, _target = bench.group_sites(group)
    volumes = bench.site(source).groups[group].volumes
    found: dict[str, Path] = {}
    for text in given:
        volume, mark, file = text.partition("=")
        if not mark or volume not in volumes:
            raise BenchError(
                f"--writes {text!r}: write VOLUME=FILE; group {group} has {', '.join(volumes)}"
            )
        found[volume] = Path(file)
    return found
