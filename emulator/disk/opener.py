"""Open a disk by its URI: the scheme picks the module, imported only then.

Schemes that are not in the table are looked for among the installed entry points of
`dualcopy.disks`, whose value names a class like those here (`base.DiskKind`).
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Final, cast

from emulator.disk.base import Damage, Disk, DiskKind
from emulator.errors import BenchError
from emulator.uri import scheme_of, suggestion

ENTRY_POINT_GROUP: Final = "dualcopy.disks"

SCHEMES: Final = {
    "mem": "emulator.disk.memory:MemoryDisk",
    "raw": "emulator.disk.raw:RawDisk",
    "block": "emulator.disk.block:BlockDisk",
    "ckd": "emulator.disk.image_ckd:CkdDisk",
    "cckd": "emulator.disk.image_cckd:CckdDisk",
    "hercules": "emulator.disk.hercules:HerculesDisk",
}


def open_disk(uri: str, *, writable: bool = True) -> Disk:
    """Open the disk that the URI names; one opened for writing is ours alone."""
    return _kind(uri)(uri, writable=writable)


def create_disk(uri: str, size_bytes: int | None) -> None:
    """Make a new disk of that size, which reads as zeros; None where the URI says the size."""
    _kind(uri).create(uri, size_bytes)


def disk_bytes(uri: str) -> int:
    """Return the size of a disk in bytes, also while a site has it open."""
    return _kind(uri).measure(uri)


def inspect_disk(uri: str) -> Iterator[Damage] | None:
    """Return all that is wrong in an image of tracks; None for a disk of plain blocks."""
    inspect: Callable[[str], Iterator[Damage]] | None = getattr(_kind(uri), "inspect", None)
    return inspect(uri) if inspect else None


def _kind(uri: str) -> DiskKind:
    scheme = scheme_of(uri)
    name = SCHEMES.get(scheme)
    if name is None:
        return _plugged_in(uri, scheme)
    module, attribute = name.split(":")
    return cast("DiskKind", getattr(importlib.import_module(module), attribute))


def _plugged_in(uri: str, scheme: str) -> DiskKind:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if scheme not in points:
        known = dict.fromkeys(sorted(SCHEMES.keys() | points.keys()))
        near = suggestion(scheme, known)
        raise BenchError(f"{uri}: no disk of kind {scheme!r}; {near}there are: {', '.join(known)}")
    try:
        return cast("DiskKind", points[scheme].load())
    except Exception as error:  # a plug-in's import may fail in any way at all
        owner = points[scheme].dist
        name = owner.name if owner else scheme
        raise BenchError(f"{uri}: the plug-in {name} does not load: {error}") from error
