"""Where hosts find a device: the `serve` URIs of a bench file, taken apart.

    nbd://127.0.0.1:10810/vol0                     TCP; without a port the one of the protocol
    nbd+unix:///vol0?socket=/var/tmp/a0.sock       a Unix socket
    shrd://127.0.0.1:3990/0A00                     TCP, to Hercules hosts (`shared_uri.py`)

An NBD text works as the URI of nbdinfo, nbdcopy and qemu-img. Relies on `emulator/uri.py` for
the syntax; leaves opening anything to the shell.
"""

import enum
import re
from typing import Final, NamedTuple

from emulator.frontend.nbd_protocol import DEFAULT_PORT, NAME_BYTES_MAX
from emulator.frontend.shared_uri import parse_shared_uri
from emulator.uri import Uri, parse_uri, scheme_of

SOCKET_PATH_BYTES_MAX: Final = 107  # what `struct sockaddr_un` of Linux holds

_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@\s]+)(?::(?P<port>[0-9]{1,5}))?"
)
_PORT_MAX: Final = 65535


class ServeKind(enum.Enum):
    """By what kind of socket hosts connect."""

    TCP = "nbd"
    UNIX = "nbd+unix"
    SHARED = "shrd"


class ServeAddress(NamedTuple):
    """One place where hosts connect, and what they find there."""

    kind: ServeKind
    address: tuple[str, int] | str
    """Host and port, or the path of the Unix socket: what `bind` and `connect` take."""
    export: str
    """Empty for the default export, which is the first; a device number for Hercules hosts."""


def parse_serve_uri(text: str) -> ServeAddress:
    """Take apart where a device is served.

    >>> parse_serve_uri("nbd://127.0.0.1:10810/vol0").address
    ('127.0.0.1', 10810)
    >>> parse_serve_uri("nbd+unix:///vol0?socket=/var/tmp/a0.sock").export
    'vol0'
    """
    if scheme_of(text) == ServeKind.SHARED.value:
        shared = parse_shared_uri(text)
        return ServeAddress(ServeKind.SHARED, (shared.host, shared.port), f"{shared.number:04X}")
    uri = parse_uri(text, {"socket": "path of the Unix socket"})
    if uri.scheme == ServeKind.TCP.value:
        return ServeAddress(ServeKind.TCP, _host_and_port(uri), _export(uri))
    if uri.scheme != ServeKind.UNIX.value:
        uri.refuse(
            f"devices are not served by {uri.scheme}:; "
            "write nbd://HOST:PORT/NAME, nbd+unix:///NAME?socket=PATH or shrd://HOST:PORT/DEVICE"
        )
    return ServeAddress(ServeKind.UNIX, _socket_path(uri), _export(uri))


def _host_and_port(uri: Uri) -> tuple[str, int]:
    if uri.query:
        uri.refuse("socket= belongs to nbd+unix:///NAME?socket=PATH; nbd: takes no keys")
    found = _AUTHORITY.fullmatch(uri.authority)
    if not found:
        uri.refuse(
            f"{uri.authority!r} is not a host and port; write for example nbd://127.0.0.1:10810/vol0"
        )
    port = int(found["port"] or DEFAULT_PORT)
    if port > _PORT_MAX:
        uri.refuse(f"port {port} does not exist; the last one is {_PORT_MAX}")
    return found["host"].strip("[]"), port


def _socket_path(uri: Uri) -> str:
    path = uri.query.get("socket")
    if uri.authority or path is None:
        uri.refuse("write nbd+unix:///NAME?socket=PATH, with three slashes and the socket's path")
    if "\0" in path:
        uri.refuse("a socket's path cannot hold a NUL")
    size_bytes = len(path.encode(errors="surrogateescape"))
    if size_bytes > SOCKET_PATH_BYTES_MAX:
        uri.refuse(
            f"a socket's path of {size_bytes} bytes is too long for the system; "
            f"use one of at most {SOCKET_PATH_BYTES_MAX}"
        )
    return path


def _export(uri: Uri) -> str:
    if uri.path and not uri.path.startswith("/"):
        uri.refuse(f"{uri.path!r} is no export; write a / before its name")
    export = uri.path[1:]
    try:
        size_bytes = len(export.encode())
    except UnicodeEncodeError as error:
        uri.refuse("the export's name is not UTF-8", error)
    if "\0" in export or size_bytes > NAME_BYTES_MAX:
        uri.refuse(f"an export's name has no NUL and at most {NAME_BYTES_MAX} bytes")
    return export
