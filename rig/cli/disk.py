"""`dualcopy disk`: make, look at, digest and compare the disks that sites keep devices on.

An image that a site has open is refused where its contents matter, for they change meanwhile.
"""

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emulator.errors import CannotRunHere, CheckFailed, CorruptError, UnavailableError
from emulator.units import size_bytes as size_bytes_of
from rig.cli.options import JsonOption, read_option
from rig.cli.output import print_json, print_table

if TYPE_CHECKING:
    from emulator.channel.geometry import Geometry
    from emulator.disk import Disk
    from emulator.disk.base import Damage

SECTOR_BYTES = 512

app = typer.Typer()

Uris = Annotated[list[str], typer.Argument(metavar="URI", help="Such as raw:///var/tmp/a0.img")]


@app.command()
def create(
    uris: Uris,
    size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Such as 64MiB; or size= in the URI.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Of a CKD image, such as 3390-1.")
    ] = None,
    cylinders: Annotated[
        int | None, typer.Option(metavar="N", help="Of a CKD image smaller than its model.")
    ] = None,
) -> None:
    """Make new disks that read as zeros; an existing file is never touched."""
    from emulator.disk import create_disk

    for text in uris:
        uri = _with_keys(text, {"kind": kind, "cylinders": cylinders})
        size_bytes = None if size is None else read_option("--size", size, size_bytes_of)
        create_disk(uri, size_bytes)


@app.command()
def info(
    uris: Uris,
    as_json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Look at every track, and tell all that is wrong.")
    ] = False,
) -> None:
    """Say how large disks are, how much of them is data, and whether they are in use."""
    found = [_look_at(uri) for uri in uris]
    damages = {uri: _damages(uri) for uri in uris} if check else {}
    if as_json:
        print_json([row | _told(damages, str(row["uri"])) for row in found])
    else:
        heads = ("disk", "bytes", "data bytes", "geometry", "state")
        print_table(heads, [[_cell(row, head) for head in heads] for row in found])
        for uri, list_ in damages.items():
            if list_ is not None:
                said = [str(damage) for damage in list_] or ["nothing is wrong"]
                print(*(f"{uri}: {line}" for line in said), sep="\n")
    wrong = {uri: len(list_) for uri, list_ in damages.items() if list_}
    if wrong:
        told = ", ".join(f"{count} things in {uri}" for uri, count in wrong.items())
        raise CheckFailed(f"damaged: {told}")


@app.command()
def digest(uris: Uris, as_json: JsonOption = False) -> None:
    """Print the SHA-256 of the contents, as sha256sum does for an image of plain blocks."""
    from emulator.disk import open_disk
    from emulator.disk.tracks import geometry_of, pieces

    found = []
    for uri in uris:
        with closing(open_disk(uri, writable=False)) as disk:
            digester = hashlib.sha256()
            for _, piece in pieces(disk, geometry_of(disk)):
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
    """Compare two disks byte by byte: exit 0 if they are equal, 1 at the first difference.

    Where one of them is a CKD image, both are taken as tracks: what lies behind an end marker does
    not count.
    """
    from emulator.disk import open_disk
    from emulator.disk.tracks import geometry_of

    with (
        closing(open_disk(first, writable=False)) as one,
        closing(open_disk(second, writable=False)) as other,
    ):
        sizes = one.size_bytes, other.size_bytes
        geometry = geometry_of(one) or geometry_of(other)
        offset = None if sizes[0] != sizes[1] else _first_difference(one, other, geometry)
    equal = sizes[0] == sizes[1] and offset is None
    if as_json:
        print_json({"equal": equal, "size_bytes": list(sizes), "first_difference": offset})
    elif equal:
        print(f"equal: {sizes[0]} bytes")
    if sizes[0] != sizes[1]:
        raise CheckFailed(f"different: {first} has {sizes[0]} bytes, {second} has {sizes[1]}")
    if offset is not None:
        raise CheckFailed(f"different: first at {_place(offset, geometry)}")


def _place(offset: int, geometry: "Geometry | None") -> str:
    if geometry is None:
        return f"byte {offset} (block {offset // SECTOR_BYTES} of 512 bytes)"
    track, within = divmod(offset, geometry.slot_bytes)
    cylinder, head = geometry.address(track)
    return f"track {track} (cylinder {cylinder}, head {head}), byte {within} of the track"


def _with_keys(uri: str, keys: dict[str, str | int | None]) -> str:
    """Return the URI with the options that were given as its keys."""
    items = [f"{key}={value}" for key, value in keys.items() if value is not None]
    return uri + ("&" if "?" in uri else "?") + "&".join(items) if items else uri


def _damages(uri: str) -> "list[Damage] | None":
    from emulator.disk.base import Damage
    from emulator.disk.opener import inspect_disk

    found = inspect_disk(uri)
    if found is None:
        return None
    try:
        return list(found)
    except CorruptError as error:
        return [Damage(None, 0, error.cause)]


def _told(damages: "dict[str, list[Damage] | None]", uri: str) -> dict[str, object]:
    if uri not in damages:
        return {}
    found = damages[uri]
    return {"damages": None if found is None else [damage._asdict() for damage in found]}


def _cell(row: dict[str, Any], head: str) -> object:
    if head == "geometry":
        shape = row.get("geometry")
        return f"{shape['kind']}, {shape['cylinders']} cylinders" if shape else ""
    return row[{"disk": "uri", "bytes": "size_bytes", "data bytes": "data_bytes"}.get(head, head)]


def _look_at(uri: str) -> dict[str, Any]:
    from emulator.disk import disk_bytes, open_disk
    from emulator.disk.tracks import geometry_of

    row: dict[str, Any] = {"uri": uri, "size_bytes": None, "data_bytes": None, "state": "free"}
    try:
        row["size_bytes"] = size = disk_bytes(uri)
        with closing(open_disk(uri, writable=False)) as disk:
            row["data_bytes"] = sum(run for run, is_data in disk.allocation(0, size) if is_data)
            shape = geometry_of(disk)
            if shape is not None:
                row["geometry"] = {
                    "kind": shape.kind,
                    "cylinders": shape.cylinders,
                    "heads": shape.heads,
                    "tracks": shape.tracks,
                    "slot_bytes": shape.slot_bytes,
                }
    except CorruptError as error:
        row["state"] = f"corrupt: {error.cause}"
    except (UnavailableError, CannotRunHere) as error:
        if row["size_bytes"] is None:
            raise
        row["state"] = str(error).removeprefix(f"{uri}: ")
    return row


def _first_difference(one: "Disk", other: "Disk", geometry: "Geometry | None") -> int | None:
    from emulator.disk.tracks import pieces

    both = zip(pieces(one, geometry), pieces(other, geometry), strict=True)
    for (offset, piece), (_, against) in both:
        if piece != against:
            pairs = zip(piece, against, strict=True)
            return offset + next(at for at, (left, right) in enumerate(pairs) if left != right)
    return None
