"""`eth:` one packet per raw Ethernet frame, under an EtherType of our own.

    eth://veth0?ethertype=0x88B5&peer=02:00:00:00:00:02&netns=siteA

Keys: `ethertype` (0x88B5, for local experiments), `peer` (the other end's MAC; without it frames
go to everybody and are taken from anybody), `netns` (namespace of the interface, by name or
path), `mtu` (what the interface carries, or less). Needs CAP_NET_RAW. Short frames arrive padded,
so a packet's own length counts, never the frame's. The tap is shown whole frames.
"""

import ctypes
import fcntl
import re
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from emulator.errors import CannotRunHere, DualCopyError, LinkLost, UnavailableError
from emulator.transport.base import (
    PACKET_BYTES_MAX,
    PACKET_BYTES_MIN,
    BaseLine,
    LineCounters,
    Tap,
    mtu_of,
)
from emulator.transport.netns import inside
from emulator.transport.sockets import BATCH_PACKETS_MAX, NOT_TAKEN, enlarge_receive_buffer
from emulator.uri import Uri, parse_uri
from emulator.wire.layout import ETHERTYPE_DEFAULT

KEYS: Final = {
    "ethertype": "EtherType of our frames, such as 0x88B5",
    "peer": "MAC address of the other end",
    "netns": "network namespace of the interface",
    "mtu": "largest packet in bytes",
}
HEADER_BYTES: Final = 14
ETHERTYPE_MIN: Final = 0x0600
"""Below, the field is a length (IEEE 802.3, 3.2.6)."""
_BROADCAST: Final = b"\xff" * 6
_INTERFACE_NAME_BYTES_MAX: Final = 15

# From Linux' if_packet.h, sockios.h, if.h, if_arp.h and ethtool.h; Python names only some.
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_PACKET_IGNORE_OUTGOING: Final = 23
_STATISTICS: Final = struct.Struct("=II")
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFMTU: Final = 0x8921
_SIOCETHTOOL: Final = 0x8946
_ETHTOOL_GDRVINFO: Final = 3
_DRIVER_INFO_BYTES: Final = 196
_IFF_UP: Final = 1
_ARPHRD_ETHER: Final = 1
_NO_RIGHT: Final = (
    "raw Ethernet needs CAP_NET_RAW: run as root, in `unshare -Urn`, or with "
    "setcap cap_net_raw+ep on the Python program"
)


class Interface(NamedTuple):
    """What the system tells of a network interface."""

    mac: bytes
    mtu_bytes: int
    is_virtual_cable: bool


class EthernetLine(BaseLine):
    """A packet socket on one interface."""

    def __init__(self, uri: Uri, tap: Tap | None) -> None:
        ethertype = uri.integer("ethertype", ETHERTYPE_DEFAULT, ETHERTYPE_MIN, 0xFFFF)
        peer = uri.read("peer", read_mac, None)
        with inside(uri, uri.query.get("netns")):
            self._socket = _open_socket(uri, ethertype)
        try:
            interface = _look_at(uri, self._socket)
            super().__init__(
                uri.text,
                tap,
                mtu_bytes=mtu_of(uri, interface.mtu_bytes, interface.mtu_bytes),
                loopback=interface.is_virtual_cable,
            )
        except BaseException:
            self._socket.close()
            raise
        self._header = (peer or _BROADCAST) + interface.mac + ethertype.to_bytes(2, "big")
        # The first bytes of a frame that is for us: from whom matters only if we know a peer.
        source = peer or b""
        self._for_us = (interface.mac + source, _BROADCAST + source)
        self._buffer = bytearray(HEADER_BYTES + self.mtu_bytes + 1)
        self._view = memoryview(self._buffer)

    @property
    def counters(self) -> LineCounters:
        """What went over the line so far, and what the kernel dropped of it."""
        if self._socket.fileno() >= 0:
            answer = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
            self._counters.packets_dropped += _STATISTICS.unpack(answer)[1]  # since last asked
        return self._counters

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    def receive(self) -> list[bytes]:
        """Return what the frames that are there carry, up to a batch."""
        packets: list[bytes] = []
        receive, for_us = self._socket.recv_into, self._for_us
        buffer, view = self._buffer, self._view
        for _ in range(BATCH_PACKETS_MAX):
            try:
                size_bytes = receive(buffer)
            except BlockingIOError:
                break
            except OSError as error:
                raise self._loss(error) from error
            self._counters.medium_bytes_received += size_bytes
            frame = view[:size_bytes]
            if not buffer.startswith(for_us):
                self._note_rejected(frame, "not for us")
            elif size_bytes <= HEADER_BYTES:
                self._note_rejected(frame, "empty")
            elif size_bytes > HEADER_BYTES + self.mtu_bytes:
                self._note_rejected(frame, "over-long")
            else:
                packet = bytes(frame[HEADER_BYTES:])
                self._note_received(packet, frame)
                packets.append(packet)
        return packets

    def send(self, packets: Sequence[bytes]) -> int:
        """Send frames until the interface's queue is full."""
        taken = 0
        for packet in packets:
            self._check_packet(packet)
            frame = self._header + packet
            try:
                self._socket.send(frame)
            except OSError as error:
                if error.errno in NOT_TAKEN:
                    break
                raise self._loss(error) from error
            taken += 1
            self._counters.medium_bytes_sent += len(frame)
            self._note_sent(packet, frame)
        return taken

    def close(self) -> None:
        """Close the socket; its last count of drops stays."""
        _ = self.counters
        self._socket.close()

    def _loss(self, error: OSError) -> LinkLost:
        return LinkLost(self.uri, error.strerror or str(error))


def open_line(uri: str, tap: Tap | None = None) -> EthernetLine:
    """Open a packet socket on the interface that the URI names."""
    parsed = parse_uri(uri, KEYS)
    name = parsed.authority
    if not 0 < len(name.encode()) <= _INTERFACE_NAME_BYTES_MAX:
        parsed.refuse("name an interface, such as eth://veth0 (ip link shows them)")
    if parsed.path not in ("", "/"):
        parsed.refuse(f"{parsed.path!r} means nothing here; a namespace goes under netns=")
    return EthernetLine(parsed, tap)


def read_mac(text: str) -> bytes:
    """Read the address of one network interface.

    >>> read_mac("02:00:00:00:00:0A").hex()
    '02000000000a'
    """
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", text):
        raise ValueError(f"{text!r} is no MAC address; write for example 02:00:00:00:00:02")
    mac = bytes.fromhex(text.replace(":", ""))
    if mac[0] & 1:
        raise ValueError(f"{text} is a group address; the other end is one interface")
    return mac


def _open_socket(uri: Uri, ethertype: int) -> socket.socket:
    try:
        # Protocol 0 until bound: else frames of all interfaces would come in first.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        raise CannotRunHere(f"{uri.text}: {_NO_RIGHT}") from error
    try:
        opened.settimeout(0)
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        enlarge_receive_buffer(opened)
        opened.bind((uri.authority, ethertype))
    except OSError as error:
        opened.close()
        raise _interface_error(uri, error) from error
    return opened


def _look_at(uri: Uri, opened: socket.socket) -> Interface:
    name, _, _, hardware, mac = opened.getsockname()
    if hardware != _ARPHRD_ETHER:
        uri.refuse(f"{name} is not Ethernet; take a network card or one end of a veth pair")
    try:
        (flags,) = struct.unpack_from("=H", _ask(opened, name, _SIOCGIFFLAGS), 16)
        (mtu_bytes,) = struct.unpack_from("=i", _ask(opened, name, _SIOCGIFMTU), 16)
    except OSError as error:
        raise _interface_error(uri, error) from error
    if not flags & _IFF_UP:
        raise UnavailableError(f"{uri.text}: {name} is down; ip link set {name} up")
    if mtu_bytes < PACKET_BYTES_MIN:
        uri.refuse(f"{name} carries only {mtu_bytes} bytes; ip link set {name} mtu 1500")
    return Interface(mac, min(mtu_bytes, PACKET_BYTES_MAX), _driver(opened, name) == b"veth")


def _ask(opened: socket.socket, name: str, question: int) -> bytes:
    return fcntl.ioctl(opened, question, struct.pack("=16s24x", name.encode()))


def _driver(opened: socket.socket, name: str) -> bytes:
    """Return the name of the interface's driver, or nothing if it has none."""
    info = bytearray(struct.pack("=I", _ETHTOOL_GDRVINFO).ljust(_DRIVER_INFO_BYTES, b"\0"))
    address = ctypes.addressof(ctypes.c_char.from_buffer(info))
    try:
        fcntl.ioctl(opened, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), address))
    except OSError:
        return b""
    return bytes(info[4:36]).rstrip(b"\0")


def _interface_error(uri: Uri, error: OSError) -> DualCopyError:
    return UnavailableError(
        f"{uri.text}: {uri.authority}: {error.strerror or error}; ip link shows interfaces, and a "
        f"pair is made by: ip link add {uri.authority} type veth peer name PEER"
    )
