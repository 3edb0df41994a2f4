"""`dualcopy disk`: make, look at, digest and compare the disks that sites keep devices on.

An image that a site has open is refused where its contents matter, for they change meanwhile.
"""

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from emulator.errors import BenchError, CannotRunHere, CheckFailed, UnavailableError
from emulator.units import size_bytes
from rig.cli.options import JsonOption, read_option
from rig.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.disk import Disk

PIECE_BYTES = 2**20  # read at once: large enough to be quick, small enough to be nothing
SECTOR_BYTES = 512

app = typer.Typer()

Uris = Annotated[list[str], typer.Argument(metavar="URI", help="Such as raw:///var/tmp/a0.img")]


@app.command()
def create(
    uris: Uris,
    size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Such as 64MiB; or size= in the URI.")
    ] = None,
) -> None:
    """Make new disks that read as zeros; an existing file is never touched."""
    from emulator.disk import create_disk

    for uri in uris:
        create_disk(uri, _asked(uri) if size is None else read_option("--size", size, size_bytes))


@app.command()
def info(uris: Uris, as_json: JsonOption = False) -> None:
    """Say how large disks are, how much of them is data, and whether they are in use."""
    found = [_look_at(uri) for uri in uris]
    if as_json:
        print_json(found)
        return
    heads = ("disk", "bytes", "data bytes", "state")
    print_table(heads, [list(row.values()) for row in found])


@app.command()
def digest(uris: Uris, as_json: JsonOption = False) -> None:
    """Print the SHA-256 of the contents, as sha256sum does for an image."""
    from emulator.disk import open_disk

    found = []
    for uri in uris:
        with closing(open_disk(uri, writable=False)) as disk:
            digester = hashlib.sha256()
            for _, piece in _pieces(disk):
                digester.update(piece)
            found.append(
                {"uri": uri, "size_bytes": disk.size_bytes, "sha256": digester.hexdigest()}
            )
    if as_json:
        print_json(found)
        return
    for row in found:
        print(f"{row['sha256']}  {row['uri']}")


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="URI")],
    second: Annotated[str, typer.Argument(metavar="URI")],
    as_json: JsonOption = False,
) -> None:
    """Compare two disks byte by byte: exit 0 if they are equal, 1 at the first difference."""
    from emulator.disk import open_disk

    with (
        closing(open_disk(first, writable=False)) as one,
        closing(open_disk(second, writable=False)) as other,
    ):
        sizes = one.size_bytes, other.size_bytes
        offset = None if sizes[0] != sizes[1] else _first_difference(one, other)
    equal = sizes[0] == sizes[1] and offset is None
    if as_json:
        print_json({"equal": equal, "size_bytes": list(sizes), "first_difference": offset})
    elif equal:
        print(f"equal: {sizes[0]} bytes")
    if sizes[0] != sizes[1]:
        raise CheckFailed(f"different: {first} has {sizes[0]} bytes, {second} has {sizes[1]}")
    if offset is not None:
        raise CheckFailed(
            f"different: first at byte {offset} (block {offset // SECTOR_BYTES} of 512 bytes)"
        )


def _asked(uri: str) -> int:
    from emulator.disk.base import asked_bytes
    from emulator.uri import parse_uri

    asked = asked_bytes(parse_uri(uri, {"size": "the size to make it"}))
    if asked is None:
        raise BenchError(f"{uri}: say how large: --size 64MiB")
    return asked


def _look_at(uri: str) -> dict[str, str | int | None]:
    from emulator.disk import disk_bytes, open_disk

    size = disk_bytes(uri)
    data: int | None = None
    state = "free"
    try:
        with closing(open_disk(uri, writable=False)) as disk:
            data = sum(length for length, is_data in disk.allocation(0, size) if is_data)
    except (UnavailableError, CannotRunHere) as error:
        state = str(error).removeprefix(f"{uri}: ")
    return {"uri": uri, "size_bytes": size, "data_bytes": data, "state": state}


def _pieces(disk: "Disk") -> "Iterator[tuple[int, bytes]]":
    for offset in range(0, disk.size_bytes, PIECE_BYTES):
        yield offset, disk.read(offset, min(PIECE_BYTES, disk.size_bytes - offset))


def _first_difference(one: "Disk", other: "Disk") -> int | None:
    for offset, piece in _pieces(one):
        against = other.read(offset, len(piece))
        if piece != against:
            pairs = zip(piece, against, strict=True)
            return offset + next(at for at, (left, right) in enumerate(pairs) if left != right)
    return None
