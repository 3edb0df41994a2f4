"""The entry point: find the noun, run its module, and turn how it ended into an exit code.

The one place that catches errors. 0 done and held, 1 a check failed, 2 command line or bench
file wrong, 69 unavailable, 70 a defect here, 76 the peer broke the protocol, 77 cannot run here,
124 time limit, 130 interrupted (`emulator/errors.py`).
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import typer

from emulator.compiled import code
from emulator.errors import DualCopyError

DEFECT_CODE = DualCopyError.exit_code
INTERRUPTED_CODE = 130
_COMPLETION_SWITCH = "_DUALCOPY_COMPLETE"  # set by the shell when it asks for completions


class Noun(NamedTuple):
    """A first word of the command line: where its code lies, and its line in the help."""

    place: str
    """Module and name of a `typer.Typer`, for nouns with verbs, or of a function, for others."""
    help: str


NOUNS = {
    "demo": Noun("rig.cli.demo:demo", "Two sites, a real line, a real disk: see it all work."),
    "doctor": Noun("rig.cli.doctor:doctor", "Say what can run here, and the fix for each no."),
    "devices": Noun("rig.cli.devices:devices", "List ports, interfaces and disks as URIs."),
    "bench": Noun("rig.cli.bench:app", "Check and show bench files."),
    "site": Noun("rig.cli.site:app", "Start sites, and give them orders."),
    "disk": Noun("rig.cli.disk:app", "Make, look at and compare disks."),
    "host": Noun("rig.cli.host:app", "Play the host: read, write, load and verify a volume."),
    "capture": Noun("rig.cli.capture:app", "Look into what the lines of a run carried."),
    "audit": Noun("rig.cli.audit:audit", "Watch a bench: the copy must be a true past state."),
    "sim": Noun("rig.cli.sim:sim", "Run simulated worlds full of faults, and check every rule."),
    "run": Noun("rig.cli.run:run", "Repeat a run from its file: simulated, or on a real line."),
    "campaign": Noun("rig.cli.campaign:campaign", "Run seeds by the thousand, on many machines."),
    "exhaust": Noun("rig.cli.sim:exhaust", "Try out a small scope of faults whole."),
    "zoo": Noun("rig.cli.sim:zoo", "Plant mistakes into a copy of the source; see each found."),
    "shrink": Noun("rig.cli.sim:shrink", "Make a failing run small: few faults, few writes."),
    "compile": Noun("rig.cli.compile:compile_", "Make machine code: twice as fast."),
}


def build_app(wanted: str | None) -> typer.Typer:
    """Return the command line with the code of one noun, or of all if `wanted` is None.

    The other nouns have their name and help only, so that nobody waits for what is not used.
    """
    app = typer.Typer(
        name="dualcopy",
        help="Keep two disks identical over any line: two sites, each with a cache processor.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # Boxes and colours cost a tenth of a second, and are in the way of a program that reads.
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, noun in NOUNS.items():
        found = _load(noun) if wanted in (None, name) else _nothing
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=noun.help, no_args_is_help=True)
        else:
            app.command(name, help=noun.help)(found)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app = build_app(None if _COMPLETION_SWITCH in os.environ else _noun_of(words))
        app(args=words, prog_name="dualcopy")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except DualCopyError as error:
        if error.exit_code == DEFECT_CODE:
            return _defect()
        print(f"dualcopy: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED_CODE
    except Exception:  # noqa: BLE001  whatever it is, it is a defect of ours and must be told
        return _defect()
    return 0


def _noun_of(words: list[str]) -> str:
    return next((word for word in words if not word.startswith("-")), "")


def _load(noun: Noun) -> typer.Typer | Callable[..., object]:
    module, name = noun.place.split(":")
    found: typer.Typer | Callable[..., object] = getattr(importlib.import_module(module), name)
    return found


def _nothing() -> None:
    """Stand for a noun whose code is not needed this time."""


def _defect() -> int:
    traceback.print_exc()
    print("dualcopy: this is a defect in dualcopy; please report the lines above", file=sys.stderr)
    return DEFECT_CODE


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("dualcopy")
        except PackageNotFoundError:
            number = "not installed; run from its source"
        print(f"dualcopy {number} ({code()})")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print it and exit."),
    ] = False,
) -> None:
    pass
