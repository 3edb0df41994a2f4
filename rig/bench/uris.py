"""What the URIs of a bench file occupy on this machine, without opening any of them.

Relative paths count from the bench file's folder: `raw:a.img`, `pty:///?link=b.tty`. Leaves the
meaning of each key to the line, disk or front end that the URI names.
"""

import importlib
import ipaddress
import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from emulator.frontend.native_uri import PREFIX, device_address, is_native, parse_native_uri
from emulator.frontend.uri import SOCKET_PATH_BYTES_MAX, parse_serve_uri
from emulator.transport.opener import ENTRY_POINT_GROUP, SCHEMES
from emulator.uri import Uri, parse_uri, scheme_of, suggestion

_FILE_SCHEMES = frozenset({"raw", "block", "ckd", "cckd", "file", "unix", "serial"})
_PATH_KEYS = {"nbd+unix": "socket", "pty": "link"}
_LOCAL_SCHEMES = frozenset({"pty", "serial", "sim", "eth"})
_ANY_HOST = ("0.0.0.0", "::")  # noqa: S104  compared with, never bound


class Claim(NamedTuple):
    """Something only one part of a bench can have: a port of a host, or a path."""

    kind: str
    host: str
    place: str

    def clashes(self, other: "Claim") -> bool:
        """Return whether both want the same thing; a socket on all hosts wants each of them."""
        if (self.kind, self.place) != (other.kind, other.place):
            return False
        return self.host == other.host or self.host in _ANY_HOST or other.host in _ANY_HOST

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.place}" if self.host else self.place


def absolute(text: str, folder: Path) -> str:
    """Return the URI with the path in it counted from `folder`.

    >>> absolute("raw:a.img?size=1MiB", Path("/bench"))
    'raw:///bench/a.img?size=1MiB'
    """
    if is_native(text):
        return PREFIX + absolute(text[len(PREFIX) :], folder)
    scheme = scheme_of(text)
    head, mark, query = text[len(scheme) + 1 :].partition("?")
    if scheme in _FILE_SCHEMES and head and not head.startswith("/"):
        head = f"//{quote(str(folder), safe='/')}/{head}"
    key = _PATH_KEYS.get(scheme)
    items = [
        f"{key}={quote(str(folder), safe='/')}/{item[len(key) + 1 :]}"
        if key and item.startswith(f"{key}=") and not item.startswith((f"{key}=/", f"{key}=%2"))
        else item
        for item in query.split("&")
    ]
    return f"{scheme}:{head}{mark}{'&'.join(items)}"


def path_claim(path: str) -> Claim:
    """Return the claim on a path, the same for every way to write it."""
    return Claim("path", "", os.path.realpath(path))


def serve_claim(text: str) -> tuple[Claim, str]:
    """Return what a front end's URI occupies, and the name under which hosts ask there."""
    served = parse_serve_uri(text)
    if isinstance(served.address, str):
        return path_claim(served.address), served.export
    host, port = served.address
    return Claim("TCP port", host.lower(), str(port)), served.export


def native_claims(text: str, name: str, index: int) -> tuple[list[Claim], int]:
    """Return what a native URI's line occupies, and the device's address there."""
    found = parse_native_uri(text)
    claims = line_claims(found.line) or [Claim("native line", "", found.line)]
    return claims, device_address(name, index, found.device)


def console_path(text: str) -> str:
    """Return the path of an operator socket's URI."""
    uri = parse_uri(text, {})
    if uri.scheme != "unix" or uri.authority or not uri.path:
        uri.refuse("write for example unix:///var/tmp/a.console")
    size = len(os.fsencode(uri.path))
    if size > SOCKET_PATH_BYTES_MAX:
        uri.refuse(
            f"the path has {size} bytes, and a socket's may have {SOCKET_PATH_BYTES_MAX}; "
            "choose a shorter one"
        )
    return uri.path


# Disks in files of their own: there is a place beside them.
_IMAGES = ("raw", "ckd", "cckd")


def checksum_path(disk: str, checksums: str | None, folder: Path) -> str:
    """Return where a device's checksums are kept; empty for nowhere.

    >>> checksum_path("raw:a.img", None, Path("/bench"))
    '/bench/a.img.sums'
    >>> checksum_path("cckd:///var/vol001.cckd?compress=zlib", None, Path("/bench"))
    '/var/vol001.cckd.sums'
    >>> checksum_path("mem://64MiB", None, Path("/bench"))
    ''
    """
    if checksums == "none":
        return ""
    if checksums is None:
        if scheme_of(disk) not in _IMAGES:
            return ""
        return parse_uri(absolute(disk, folder).partition("?")[0], {}).path + ".sums"
    uri = parse_uri(absolute(checksums, folder), {})
    if uri.scheme != "file" or uri.authority or not uri.path:
        uri.refuse("write for example file:///var/tmp/a0.sums, or none")
    return uri.path


def line_claims(text: str) -> list[Claim]:
    """Return what one end of a line occupies."""
    uri = _line(text)
    if uri.scheme == "udp" or (uri.scheme == "tcp" and uri.flag("listen")):
        host, port = _host_and_port(uri, uri.authority)
        return [Claim(f"{uri.scheme.upper()} port", host, str(port))]
    if uri.scheme == "pty" and "link" in uri.query:
        return [path_claim(uri.query["link"])]
    if uri.scheme == "serial":
        # Not a path claim: that a serial end opens the link of a pty end is how they are joined.
        return [Claim("serial port", "", os.path.realpath(uri.path))]
    return []


def stays_here(text: str) -> bool:
    """Return whether a line cannot leave this machine, as far as its URI tells."""
    uri = _line(text)
    if uri.scheme not in ("udp", "tcp"):
        return uri.scheme in _LOCAL_SCHEMES
    ends = [uri.authority] + ([uri.query["peer"]] if "peer" in uri.query else [])
    return all(_is_loopback(_host_and_port(uri, end)[0]) for end in ends)


def _host_and_port(uri: Uri, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) <= 0xFFFF):
        uri.refuse(f"{text!r} is not HOST:PORT; write for example 127.0.0.1:7001")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        uri.refuse(f"{text!r}: write IPv6 hosts in brackets, [::1]:7001")
    return host.lower(), int(port)


def _line(text: str) -> Uri:
    """Take a line's URI apart, by the keys that its kind of line knows."""
    scheme = scheme_of(text)
    if scheme in SCHEMES:
        return parse_uri(text, importlib.import_module(SCHEMES[scheme].split(":")[0]).KEYS)
    uri = parse_uri(text.partition("?")[0], {})  # a plug-in's keys are its own
    if scheme not in entry_points(group=ENTRY_POINT_GROUP).names:
        near = suggestion(scheme, SCHEMES)
        uri.refuse(f"no line of kind {scheme!r}; {near}there are: {', '.join(SCHEMES)}")
    return uri


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
