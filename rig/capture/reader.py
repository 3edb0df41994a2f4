"""Read a capture packet by packet: ours, and pcap or pcapng files that other programs wrote.

Relies on scapy's raw readers for the file formats and on `emulator.wire.packet` for the packet.
What scapy does not tell is added here: whether the file ends in the middle of a block, as it does
when its writer was killed. Leaves meaning to `show.py`, `count.py`, `verify.py`, `follow.py`.
"""

import heapq
import logging
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from emulator.clock import MICROSECOND_NS, SECOND_NS
from emulator.errors import BenchError, UnavailableError
from emulator.wire.packet import Packet, decode_packet
from rig.capture.unwrap import packet_bytes

RECEIVED: Final = "in"
SENT: Final = "out"
UNKNOWN: Final = ""
"""Directions; captures made by other programs mostly do not tell."""

FRAME_BYTES_MAX: Final = 256 * 1024
"""Wireshark's own limit; the largest packet of ours in the largest frame is 65.6 kB."""
REORDER_PACKETS_MAX: Final = 8192
"""Two processes append whole batches in turn; this is more than a turn of one gathers."""

_DIRECTIONS: Final = {1: RECEIVED, 2: SENT}
_BLOCK_FIXED_BYTES: Final = 12


class CapturedPacket(NamedTuple):
    """One frame of a capture, and the packet of ours inside it."""

    frame: int
    """Counts from 1 in the order of the file, as Wireshark does."""
    interface: str
    time_ns: int
    direction: str
    comment: str
    link_type: int
    data: bytes
    packet: Packet | str | None
    """The packet, or the word that says why it does not decode, or None: not ours."""


class CaptureReader:
    """Goes once through the packets of the capture at `path`.

    `torn` then says whether the file ends inside a block.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.torn: str | None = None
        self._reader = _open(path)
        self._nanoseconds_per_fraction = MICROSECOND_NS
        if getattr(self._reader, "nano", False):
            self._nanoseconds_per_fraction = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def __iter__(self) -> Iterator[CapturedPacket]:
        from scapy.error import Scapy_Exception

        frame = 0
        whole_bytes = self._reader.f.tell()
        while True:
            try:
                # Scapy names this the way to read raw bytes; its iterator cuts at 65,535 bytes.
                data, about = self._reader._read_packet(FRAME_BYTES_MAX)  # noqa: SLF001
            except (EOFError, Scapy_Exception, struct.error):
                break
            if len(data) < getattr(about, "caplen", 0):  # scapy hands out half a packet of pcap
                break
            frame += 1
            whole_bytes = self._reader.f.tell()
            yield self._captured(frame, data, about)
        self.torn = self._find_tear(whole_bytes)

    def _captured(self, frame: int, data: bytes, about: Any) -> CapturedPacket:  # noqa: ANN401
        if hasattr(about, "sec"):  # pcap, which says nothing but the time
            time_ns = about.sec * SECOND_NS + about.usec * self._nanoseconds_per_fraction
            link_type, interface, direction, comment = self._reader.linktype, "", UNKNOWN, ""
        else:
            link_type = about.linktype
            time_ns = 0  # a simple packet block carries no time
            if about.tshigh is not None:
                time_ns = ((about.tshigh << 32) | about.tslow) * SECOND_NS // about.tsresol
            interface = (about.ifname or b"").decode("utf-8", "replace")
            direction = _DIRECTIONS.get(about.direction, UNKNOWN)
            comment = "; ".join(part.decode("utf-8", "replace") for part in about.comments or ())
        inside = packet_bytes(link_type, data)
        packet = None if inside is None else decode_packet(inside)
        return CapturedPacket(
            frame, interface, time_ns, direction, comment, link_type, data, packet
        )

    def _find_tear(self, whole_bytes: int) -> str | None:
        """Say where the file breaks off, if what follows the last packet is not whole blocks."""
        file = self._reader.f
        file.seek(whole_bytes)
        if hasattr(self._reader, "linktype"):
            return _tear(whole_bytes) if file.read(1) else None
        lengths = struct.Struct(f"{self._reader.endian}II")
        while head := file.read(lengths.size):
            length = lengths.unpack(head)[1] if len(head) == lengths.size else 0
            file.seek(max(length - _BLOCK_FIXED_BYTES, 0), 1)
            if length < _BLOCK_FIXED_BYTES or file.read(4) != head[4:]:
                return _tear(whole_bytes)
            whole_bytes += length
        return None


def in_time_order(packets: Iterable[CapturedPacket]) -> Iterator[CapturedPacket]:
    """Yield packets by their time stamps, although processes write them in batches."""
    held: list[tuple[int, int, CapturedPacket]] = []
    for packet in packets:
        entry = (packet.time_ns, packet.frame, packet)
        if len(held) < REORDER_PACKETS_MAX:
            heapq.heappush(held, entry)
        else:
            yield heapq.heappushpop(held, entry)[2]
    while held:
        yield heapq.heappop(held)[2]


def _tear(offset: int) -> str:
    return f"ends inside a block at byte {offset}: its writer was stopped, or the file was cut"


def _open(path: str) -> Any:  # noqa: ANN401 - scapy's readers tell no types
    logging.getLogger("scapy.runtime").setLevel(logging.CRITICAL)  # `torn` tells it instead
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapReader

    try:
        file = Path(path).open("rb")  # noqa: SIM115 - the reader closes it
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise UnavailableError(msg) from error
    try:
        return RawPcapReader(file)
    except (Scapy_Exception, EOFError, struct.error) as error:
        file.close()
        msg = f"{path} is no capture (pcap or pcapng): {error}"
        raise BenchError(msg) from error
