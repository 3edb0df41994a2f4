"""The life of one host write on the lines: every packet that carried or confirmed its csn.

Relies on the first fragment of a record of changes, which names the csns inside it, and on the
acknowledgements and confirmations that came back. Goes twice through the file.
"""

import struct
from collections.abc import Iterator

from emulator.record.changes import RECORD_HEAD_BYTES, RecordHead, decode_head
from emulator.wire.layout import ACK_FIELDS, PacketType, RecordKind, struct_format
from emulator.wire.packet import Packet
from rig.capture.reader import CapturedPacket, CaptureReader

_KEPT = struct.Struct(struct_format(ACK_FIELDS[:1]))
_CONFIRMING = frozenset((RecordKind.POSITION, RecordKind.DURABLE))

# Where a stream of records was seen: interface, direction, session.
Stream = tuple[str, str, int]


def record_head(packet: Packet) -> RecordHead | None:
    """Return the header of a record of changes if this packet carries it."""
    if (
        packet.type != PacketType.DATA
        or packet.kind != RecordKind.CHANGES
        or packet.fragment_offset
        or len(packet.payload) < RECORD_HEAD_BYTES
    ):
        return None
    return decode_head(packet.payload)


def follow(reader: CaptureReader, csn: int) -> Iterator[CapturedPacket]:
    """Yield the packets of the records that hold `csn`, and what confirmed them.

    Confirmed: the first link acknowledgement of each such record, and the first word of the other
    copy that its position or its journal has come to `csn`.
    """
    with CaptureReader(reader.path) as packets:
        life = _Life(csn, packets)
    yield from (packet for packet in reader if life.holds(packet))


class _Life:
    def __init__(self, csn: int, packets: CaptureReader) -> None:
        self.csn = csn
        # The records by the stream that carried them: record number -> acknowledged yet?
        self.records: dict[Stream, dict[int, bool]] = {}
        self.groups: set[int] = set()
        self._confirmed: set[tuple[Stream, int]] = set()
        for captured in packets:
            packet = captured.packet
            head = record_head(packet) if isinstance(packet, Packet) else None
            if isinstance(packet, Packet) and head and head.csn_first <= csn <= head.csn_last:
                stream = (captured.interface, captured.direction, packet.session)
                self.records.setdefault(stream, {})[packet.record] = False
                self.groups.add(packet.group)

    def holds(self, captured: CapturedPacket) -> bool:
        """Return whether a packet belongs to the life of the csn."""
        packet = captured.packet
        if not isinstance(packet, Packet):
            return False
        stream = (captured.interface, captured.direction, packet.session)
        if packet.type == PacketType.DATA and packet.kind in _CONFIRMING:
            return self._confirms(stream, packet)
        if packet.type == PacketType.DATA:
            return packet.record in self.records.get(stream, ())
        return packet.type == PacketType.ACK and self._acknowledges(captured, packet)

    def _acknowledges(self, captured: CapturedPacket, packet: Packet) -> bool:
        """Return whether this is the first acknowledgement, seen here, of one of the records."""
        kept = _kept(packet)
        found = False
        for (interface, direction, session), records in self.records.items():
            if (interface, session) != (captured.interface, packet.session):
                continue
            if direction == captured.direction and direction:
                continue  # the same way as the record: acknowledges something else
            for record, done in records.items():
                if record <= kept and not done:
                    records[record] = found = True
        return found

    def _confirms(self, stream: Stream, packet: Packet) -> bool:
        """Return whether this is the first of its kind in its stream that covers the csn."""
        key = (stream, packet.kind)
        if packet.csn < self.csn or packet.group not in self.groups or key in self._confirmed:
            return False
        if stream in self.records and stream[1]:
            return False  # the sender of the record speaking of itself
        self._confirmed.add(key)
        return True


def _kept(packet: Packet) -> int:
    """Return the last record that an acknowledgement says the other end has."""
    return int(_KEPT.unpack_from(packet.payload)[0]) if len(packet.payload) >= _KEPT.size else 0
