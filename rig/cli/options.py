"""Options that several commands have, so that they are called the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from emulator.errors import BenchError

BenchOption = Annotated[
    Path | None,
    typer.Option(
        "--bench",
        metavar="FILE",
        help="The bench file; else DUALCOPY_BENCH, else ./bench.toml.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


Value = TypeVar("Value")


def read_option(name: str, text: str, reader: Callable[[str], Value]) -> Value:
    """Return the value of an option with units, as `reader` (such as `size_bytes`) reads it."""
    try:
        return reader(text)
    except ValueError as error:
        raise BenchError(f"{name}: {error}") from error
