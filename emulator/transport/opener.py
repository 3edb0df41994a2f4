"""Open a line by its URI: the scheme picks the module, imported only then.

Schemes that are not in the table are looked for among the installed entry points of
`dualcopy.transports`, whose value names a function like those here: `(uri, tap) -> Line`.
"""

import importlib
from collections.abc import Callable
from typing import Final, cast

from emulator.errors import BenchError, UnavailableError
from emulator.transport.base import Line, Tap
from emulator.uri import scheme_of, suggestion

ENTRY_POINT_GROUP: Final = "dualcopy.transports"
Opener = Callable[[str, Tap | None], Line]

SCHEMES: Final = {
    "eth": "emulator.transport.ethernet:open_line",
    "pty": "emulator.transport.pty_line:open_line",
    "serial": "emulator.transport.serial_line:open_line",
    "sim": "emulator.transport.simulated:open_line",
    "tcp": "emulator.transport.tcp:open_line",
    "udp": "emulator.transport.udp:open_line",
}


def open_line(uri: str, tap: Tap | None = None) -> Line:
    """Open the line that the URI names; `tap` is shown every packet.

    `BenchError` is for the user to mend; `UnavailableError` (and `LinkLost`, one kind of it) may
    pass by itself; `CannotRunHere` needs a permission.
    """
    scheme = scheme_of(uri)
    name = SCHEMES.get(scheme)
    if name is None:
        return _plugged_in(uri, scheme)(uri, tap)
    module, function = name.split(":")
    return cast("Opener", getattr(importlib.import_module(module), function))(uri, tap)


def _plugged_in(uri: str, scheme: str) -> Opener:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if scheme not in points:
        known = dict.fromkeys(sorted(SCHEMES.keys() | points.keys()))
        near = suggestion(scheme, known)
        raise BenchError(f"{uri}: no line of kind {scheme!r}; {near}there are: {', '.join(known)}")
    try:
        return cast("Opener", points[scheme].load())
    except Exception as error:  # a plug-in's import may fail in any way at all
        owner = points[scheme].dist
        name = owner.name if owner else points[scheme].value
        raise UnavailableError(f"{uri}: the plug-in {name} does not load: {error}") from error
