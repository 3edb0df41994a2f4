"""One packet to bytes and back.

Relies on `layout.py` for every field and on `checksum.py` for the CRC. Leaves framing on byte
streams to `framing.py` and the meaning of numbers to the link.
"""

import struct
from typing import Final, NamedTuple

from emulator.wire.checksum import Buffer, crc32c
from emulator.wire.layout import (
    MAGIC,
    PACKET_FIELDS,
    PACKET_TRAILER_FIELDS,
    VERSION,
    PacketType,
    struct_format,
)

_HEADER: Final = struct.Struct(struct_format(PACKET_FIELDS))
_TRAILER: Final = struct.Struct(struct_format(PACKET_TRAILER_FIELDS))
_TYPES: Final = frozenset(int(kind) for kind in PacketType)

HEADER_BYTES: Final = _HEADER.size
TRAILER_BYTES: Final = _TRAILER.size
OVERHEAD_BYTES: Final = HEADER_BYTES + TRAILER_BYTES
PAYLOAD_BYTES_MAX: Final = 0xFFFF


class Packet(NamedTuple):
    """One packet; `payload` is a view into the received bytes or the record to send."""

    type: int
    flags: int
    kind: int
    group: int
    session: int
    number: int
    record: int
    csn: int
    record_length: int
    fragment_offset: int
    payload: Buffer


def encode_packet(packet: Packet) -> bytes:
    """Return the bytes of `packet` with its CRC, ready for a line."""
    return encode_fields(packet[:10], packet.payload)


def encode_fields(fields: tuple[int, ...], payload: Buffer) -> bytes:
    """Do as `encode_packet` with the fields before the payload, in order, as they are."""
    header = _HEADER.pack(MAGIC, VERSION, *fields, len(payload))
    return b"".join((header, payload, _TRAILER.pack(crc32c(payload, crc32c(header)))))


def decode_packet(data: Buffer) -> Packet | str:
    """Return the packet in `data`, or one word that says why it is not one.

    The length field is trusted, not the length of `data`: Ethernet pads short frames. The words
    are `short`, `magic`, `version`, `type`, `length`, `crc`.
    """
    if len(data) < OVERHEAD_BYTES:
        return "short"
    fields = _HEADER.unpack_from(data)
    if fields[0] != MAGIC:
        return "magic"
    if fields[1] != VERSION:
        return "version"
    if fields[2] not in _TYPES:
        return "type"
    end = HEADER_BYTES + fields[-1]
    if end + TRAILER_BYTES > len(data):
        return "length"
    view = memoryview(data)
    if _TRAILER.unpack_from(data, end)[0] != crc32c(view[:end]):
        return "crc"
    return tuple.__new__(Packet, (*fields[2:-1], view[HEADER_BYTES:end]))
