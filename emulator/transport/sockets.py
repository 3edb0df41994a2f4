"""What the socket lines share: addresses, receive buffers and the kernel's count of drops."""

import errno
import ipaddress
import socket
import struct
from typing import Final, NamedTuple

from emulator.errors import BenchError, CannotRunHere, DualCopyError, UnavailableError
from emulator.uri import Uri

RECEIVE_BUFFER_BYTES: Final = 4 * 2**20
"""Asked of the kernel, so that a burst of a whole window survives until we are scheduled."""
BATCH_PACKETS_MAX: Final = 128
"""Packets in one `receive`: a drain loop costs a third of one packet per poll, and 128 keep
the event loop's turn short."""

# Not in Python's socket module; from Linux' asm-generic/socket.h and linux/sock_diag.h.
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
_MEMINFO_DROPS: Final = 8

NOT_TAKEN: Final = (errno.EAGAIN, errno.ENOBUFS)
"""Errors of a send that mean "later": the packet was not taken, and nothing is lost."""


class Address(NamedTuple):
    """A resolved address, as the system wants it."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    @property
    def is_loopback(self) -> bool:
        """Whether packets to or from this address stay on this machine."""
        return ipaddress.ip_address(self.sockaddr[0].partition("%")[0]).is_loopback


def resolve(uri: Uri, text: str, kind: int) -> Address:
    """Return the address that `HOST:PORT` or `[HOST]:PORT` in the URI stands for."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        uri.refuse(f"{text!r} is not HOST:PORT; write IPv6 hosts in brackets, [::1]:7001")
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port) <= 0xFFFF):
        uri.refuse(f"{text!r} is not HOST:PORT; write for example 127.0.0.1:7001")
    try:
        found = socket.getaddrinfo(host, int(port), type=kind)
    except OSError as error:
        raise UnavailableError(f"{uri.text}: no address for host {host!r}: {error}") from error
    family, _, _, _, sockaddr = found[0]
    return Address(family, sockaddr)  # type: ignore[arg-type]  # AF_PACKET has no host names


def open_error(uri: Uri, what: str, error: OSError) -> DualCopyError:
    """Return the error that says why an address cannot be ours, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return UnavailableError(
            f"{uri.text}: {what} is taken by another program (ss -lnp shows it); stop that or "
            "choose another port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return BenchError(
            f"{uri.text}: {what} is no address of this machine (ip address shows them)"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotRunHere(f"{uri.text}: no permission for {what}; choose a port above 1023")
    return UnavailableError(f"{uri.text}: {what}: {error.strerror or error}")


def enlarge_receive_buffer(opened: socket.socket) -> None:
    """Ask for a large receive buffer, past the system's limit where we may."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def dropped_packets(opened: socket.socket) -> int:
    """Return how many packets the kernel dropped because this socket's buffer was full."""
    answer = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(answer)[_MEMINFO_DROPS])
