"""`dualcopy host order`: what a host orders of the copy, by a channel program."""

from typing import Annotated

import typer

from emulator.errors import BenchError, CheckFailed
from rig.cli.options import JsonOption
from rig.cli.output import print_json, print_table

app = typer.Typer(name="host")
ARGUMENT_BYTES_MAX = 12


@app.command()
def order(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ORDER", help="query-copy-state, freeze, run, switch-role, suspend, resume, ..."
        ),
    ],
    uris: Annotated[
        list[str],
        typer.Argument(help="native+LINE of a count-key-data device; several are paths."),
    ],
    argument: Annotated[
        str, typer.Option(metavar="NAME", help="What the order names: a site, a device.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Order something of a device's copy by Perform Subsystem Function; exit 1 if it is refused."""
    from emulator.channel.orders import Order
    from rig.host.channel import connect_channel
    from rig.host.programs import order_program

    known = {one.name.lower().replace("_", "-"): one for one in Order}
    if what not in known:
        raise BenchError(f"{what!r} is no order; there are {', '.join(known)}")
    if not (argument.isascii() and len(argument) <= ARGUMENT_BYTES_MAX):
        raise BenchError(f"--argument {argument!r}: at most {ARGUMENT_BYTES_MAX} ASCII characters")
    with connect_channel(uris) as channel:
        result = channel.device().run(order_program(known[what], argument))
    state = dict(word.split("=", 1) for word in _words(result.data.decode("ascii")))
    if as_json:
        print_json({"order": what, "accepted": result.ended_well, "state": state})
    elif state:
        print_table(("word", "value"), list(state.items()))
    if not result.ended_well:
        raise CheckFailed(f"{what} was refused: {result}; the site's log says why")


def _words(text: str) -> list[str]:
    """Return the words of a copy state; the last one, the reason, may have spaces."""
    head, found, reason = text.partition("reason=")
    return [*head.split(), *([found + reason] if found else [])]
