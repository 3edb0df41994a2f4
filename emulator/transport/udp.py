"""`udp:` one packet per datagram, between two fixed addresses.

    udp://127.0.0.1:7001?peer=127.0.0.1:7002

Keys: `peer` (the other end; required) and `mtu` (61440 on loopback; elsewhere 1472, or 1452 for
IPv6, what an Ethernet frame holds). Datagrams from anybody else are counted and thrown away,
which is why the socket is not connected: the kernel would do the same without telling. A peer
that is not there yet is silence, not an error.
"""

import socket
from collections.abc import Sequence
from typing import Final

from emulator.errors import LinkLost
from emulator.transport.base import PACKET_BYTES_LOCAL, BaseLine, LineCounters, Tap, mtu_of
from emulator.transport.sockets import (
    BATCH_PACKETS_MAX,
    NOT_TAKEN,
    Address,
    dropped_packets,
    enlarge_receive_buffer,
    open_error,
    resolve,
)
from emulator.uri import Uri, parse_uri

KEYS: Final = {"peer": "HOST:PORT of the other end", "mtu": "largest packet in bytes"}
DATAGRAM_BYTES_MAX: Final = 65507
"""What IPv4 leaves of 65535 after its own and UDP's header."""
_ETHERNET_PAYLOAD_BYTES: Final = 1500
_HEADER_BYTES: Final = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}


class UdpLine(BaseLine):
    """A UDP socket that speaks with one peer."""

    def __init__(self, uri: Uri, tap: Tap | None, here: Address, peer: Address) -> None:
        loopback = here.is_loopback and peer.is_loopback
        usual = _ETHERNET_PAYLOAD_BYTES - _HEADER_BYTES[socket.AddressFamily(here.family)]
        super().__init__(
            uri.text,
            tap,
            mtu_bytes=mtu_of(uri, PACKET_BYTES_LOCAL if loopback else usual, DATAGRAM_BYTES_MAX),
            loopback=loopback,
        )
        self._peer = peer.sockaddr
        # One byte more than a packet may have: an over-long datagram shows itself by filling it.
        self._buffer = bytearray(self.mtu_bytes + 1)
        self._view = memoryview(self._buffer)
        self._socket = socket.socket(here.family, socket.SOCK_DGRAM)
        try:
            self._socket.settimeout(0)
            enlarge_receive_buffer(self._socket)
            self._socket.bind(here.sockaddr)
        except OSError as error:
            self._socket.close()
            raise open_error(uri, f"UDP port {uri.authority}", error) from error

    @property
    def counters(self) -> LineCounters:
        """What went over the line so far, and what the kernel dropped of it."""
        if self._socket.fileno() >= 0:
            self._counters.packets_dropped = dropped_packets(self._socket)
        return self._counters

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    def receive(self) -> list[bytes]:
        """Return the datagrams that are there, up to a batch."""
        packets: list[bytes] = []
        receive, peer, view = self._socket.recvfrom_into, self._peer, self._view
        for _ in range(BATCH_PACKETS_MAX):
            try:
                size_bytes, source = receive(self._buffer)
            except BlockingIOError:
                break
            except OSError as error:
                raise LinkLost(self.uri, error.strerror or str(error)) from error
            self._counters.medium_bytes_received += size_bytes
            if source != peer:
                self._note_rejected(view[:size_bytes], f"from a stranger, {source[0]}:{source[1]}")
            elif not 0 < size_bytes <= self.mtu_bytes:
                self._note_rejected(view[:size_bytes], "over-long" if size_bytes else "empty")
            else:
                packet = bytes(view[:size_bytes])
                self._note_received(packet, packet)
                packets.append(packet)
        return packets

    def send(self, packets: Sequence[bytes]) -> int:
        """Send datagrams until the socket's buffer is full."""
        taken = 0
        for packet in packets:
            self._check_packet(packet)
            try:
                self._socket.sendto(packet, self._peer)
            except OSError as error:
                if error.errno in NOT_TAKEN:
                    break
                raise LinkLost(self.uri, error.strerror or str(error)) from error
            taken += 1
            self._counters.medium_bytes_sent += len(packet)
            self._note_sent(packet, packet)
        return taken

    def close(self) -> None:
        """Close the socket; its last count of drops stays."""
        _ = self.counters
        self._socket.close()


def open_line(uri: str, tap: Tap | None = None) -> UdpLine:
    """Open a UDP port that speaks with one peer."""
    parsed = parse_uri(uri, KEYS)
    if "peer" not in parsed.query:
        parsed.refuse("say where the other end is: udp://127.0.0.1:7001?peer=127.0.0.1:7002")
    if parsed.path not in ("", "/"):
        parsed.refuse(f"{parsed.path!r} means nothing here; a UDP line has no path")
    here = resolve(parsed, parsed.authority, socket.SOCK_DGRAM)
    peer = resolve(parsed, parsed.query["peer"], socket.SOCK_DGRAM)
    if here.family != peer.family:
        parsed.refuse_value("peer", "both ends must be IPv4 or both IPv6")
    return UdpLine(parsed, tap, here, peer)
