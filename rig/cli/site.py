"""`dualcopy site`: run a cache processor, and give running ones orders over their consoles.

Orders for a group go to the site that is its primary now, which is found by asking.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from emulator.clock import SECOND_NS
from emulator.errors import BenchError, UnavailableError
from emulator.units import duration_ns
from rig.cli.options import BenchOption, JsonOption, read_option
from rig.cli.output import print_json

if TYPE_CHECKING:
    from rig.bench.bench import Bench

app = typer.Typer()

Group = Annotated[str, typer.Argument(help="A consistency group of the bench.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="Wait at most so long.")]
ORDER_TIME = "60s"  # what draining a full journal over a slow line may take


@app.command()
def start(
    site: Annotated[str, typer.Argument(help="A site of the bench.")], bench: BenchOption = None
) -> None:
    """Run a site in the foreground; its first line says `ready`, and SIGTERM drains and ends it."""
    from emulator.node.runtime import run_site

    raise typer.Exit(run_site(_load(bench).site(site)))


@app.command()
def status(
    site: Annotated[str, typer.Argument(help="A site of the bench.")],
    bench: BenchOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a site, its groups, links and devices stand."""
    from rig.cli.status import print_status
    from rig.host.console import ask

    found = ask(_load(bench).console(site), "status")
    if as_json:
        print_json(found)
    else:
        print_status(found)


@app.command()
def unit(
    site: Annotated[str, typer.Argument(help="A site of the bench.")],
    name: Annotated[str, typer.Argument(metavar="UNIT", help="One of its control units.")],
    action: Annotated[
        str,
        typer.Argument(help="vary-off, vary-on; cut, mend; off, on; reserve, release."),
    ],
    part: Annotated[
        str,
        typer.Argument(metavar="PART", help="Number of a path or cable, or name of a device."),
    ],
    bench: BenchOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do something to a control unit of a running site, as an operator or a fault would."""
    from rig.cli.status import print_units
    from rig.host.console import ask

    console = _load(bench).console(site)
    found = ask(console, "unit", unit=name, action=action, part=part)
    if as_json:
        print_json(found)
    else:
        print_units({name: found})


@app.command()
def wait(
    goal: Annotated[
        str, typer.Option("--for", metavar="duplex|drained|identical", help="What to wait for.")
    ],
    bench: BenchOption = None,
    limit: Timeout = "30s",
    as_json: JsonOption = False,
) -> None:
    """Wait until the copies stand as wanted at all sites; exit 124 at the time limit."""
    from rig.host.waiting import Goal, wait_for

    if goal not in [known.value for known in Goal]:
        raise BenchError(f"--for {goal}: choose one of duplex, drained, identical")
    loaded = _load(bench)
    consoles = {name: loaded.console(name) for name in loaded.sites}
    groups = {name: loaded.group_sites(name) for name in loaded.groups}
    found = wait_for(Goal(goal), consoles, groups, read_option("--timeout", limit, duration_ns))
    if as_json:
        print_json({"held": goal, "site": found})
    else:
        print(f"{goal}: {', '.join(groups) or 'there are no groups'}")


@app.command()
def role(
    group: Group,
    primary: Annotated[str, typer.Option(help="The site that is to be the primary.")],
    bench: BenchOption = None,
    force: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Promote without the peer; the reason is kept."),
    ] = None,
    limit: Timeout = ORDER_TIME,
) -> None:
    """Make a site the primary: a planned reversal without loss, or with --force a promotion."""
    loaded = _load(bench)
    sites = loaded.group_sites(group)
    if primary not in sites:
        raise BenchError(f"--primary {primary}: group {group} is at {' and '.join(sites)}")
    if force is not None and not force.strip():
        raise BenchError("--force: give the reason; it is kept in the lineage of the copy")
    # A promotion concerns the new primary alone: the old one may be out of reach. A reversal
    # begins at the present one; if a crash has left none, the new one knows how to go on.
    order_site = primary if force else _primary(loaded, group) or primary
    _order(loaded, order_site, "role", limit, group=group, primary=primary, force=force)


@app.command()
def suspend(group: Group, bench: BenchOption = None) -> None:
    """Stop sending; the primary goes on and notes what changes."""
    _order_primary(_load(bench), "suspend", group)


@app.command()
def resume(group: Group, bench: BenchOption = None) -> None:
    """Send again, beginning with what was changed meanwhile."""
    _order_primary(_load(bench), "resume", group)


@app.command()
def freeze(group: Group, bench: BenchOption = None) -> None:
    """Hold all writes of the group and cut the stream at one point for all its volumes."""
    _order_primary(_load(bench), "freeze", group)


@app.command()
def run(group: Group, bench: BenchOption = None) -> None:
    """Let the writes of a frozen group go on."""
    _order_primary(_load(bench), "run", group)


@app.command()
def battery(
    site: Annotated[str, typer.Argument(help="A site of the bench.")],
    state: Annotated[str, typer.Argument(metavar="failed|restored", help="How it is now.")],
    bench: BenchOption = None,
) -> None:
    """Say that the battery of a site's nonvolatile store has failed, or is good again.

    From `failed` on a write is complete only once its disk has it; what watches the battery
    calls this.
    """
    from rig.host.console import ask

    found = ask(_load(bench).console(site), "battery", state=state)
    print(f"site {site}: the nonvolatile store is {found['nvs']}")


def _load(given: BenchOption) -> "Bench":
    from rig.bench.loader import find_bench, load_bench

    return load_bench(find_bench(given))


def _primary(bench: "Bench", group: str) -> str | None:
    from rig.host.console import ask
    from rig.host.waiting import find_primary

    return find_primary(
        group, bench.group_sites(group), lambda site: ask(bench.console(site), "status")
    )


def _order_primary(bench: "Bench", verb: str, group: str) -> None:
    site = _primary(bench, group)
    if site is None:
        sites = " and ".join(bench.group_sites(group))
        raise UnavailableError(f"group {group}: neither of {sites} answers as its primary")
    _order(bench, site, verb, ORDER_TIME, group=group)


def _order(bench: "Bench", site: str, verb: str, limit: str, **words: str | None) -> None:
    from rig.host.console import ask

    timeout_ns = read_option("--timeout", limit, duration_ns)
    ask(bench.console(site), verb, timeout_s=timeout_ns / SECOND_NS, **words)
    print(f"{words['group']}: {verb} done by site {site}")
