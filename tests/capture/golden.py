"""The conversation in fixtures/captures/conversation.pcapng, made packet by packet.

Two ends say hello over a UDP line; a record of changes crosses in two fragments, one of which is
damaged on the way and sent again; it is acknowledged and confirmed durable; the link closes. An
Ethernet line carries one packet more. Run `python -m tests.capture.golden` after a change of the
wire layout, and read the difference like code.
"""

import struct
from pathlib import Path

from emulator.record.changes import RecordHead, encode_head, encode_part, record_chain
from emulator.transport.pcapng import (
    FLAG_CRC_ERROR,
    FLAG_INBOUND,
    FLAG_OUTBOUND,
    Interface,
    append_packet,
    head_bytes,
)
from emulator.wire.checksum import CHAIN_NONE
from emulator.wire.layout import (
    ACK_FIELDS,
    ACK_RANGE_FIELDS,
    ETHERTYPE_DEFAULT,
    HELLO_FIELDS,
    PacketFlag,
    PacketType,
    RecordKind,
    struct_format,
)
from emulator.wire.packet import Packet, encode_packet

PATH = Path(__file__).parents[2] / "fixtures" / "captures" / "conversation.pcapng"
SESSION = 0xC0FFEE01
START_NS = 1_700_000_000_123_456_789
INTERFACES = (
    Interface("A-B/A", "udp://127.0.0.1:7001?peer=127.0.0.1:7002", unsealed=True),
    Interface("A-B/B", "udp://127.0.0.1:7002?peer=127.0.0.1:7001", unsealed=True),
    Interface("A-C/A", "eth://veth0?peer=02:00:00:00:00:02"),
)
A, B, ETHERNET = range(3)


def hello(site, nonce, echo, number):
    names = b"A-B" + site.encode()
    fields = (nonce, echo, 1472, 1 << 20, 1, 3, len(site))
    body = struct.pack(struct_format(HELLO_FIELDS), *fields) + names
    return packet(PacketType.HELLO, 0, number, body)


def ack(number, kept, largest):
    body = struct.pack(struct_format(ACK_FIELDS), kept, 1 << 20, largest, 15, 1)
    body += struct.pack(struct_format(ACK_RANGE_FIELDS), 1, largest)
    return packet(PacketType.ACK, SESSION, number, body)


def packet(type_, session, number, payload, **fields):
    """Return an unsealed packet; `fields` are those that not every packet uses."""
    values = {"flags": PacketFlag.UNSEALED, "kind": 0, "group": 0, "record": 0, "csn": 0}
    values |= {"record_length": 0, "fragment_offset": 0, **fields}
    return encode_packet(
        Packet(type=type_, session=session, number=number, payload=payload, **values)
    )


def data(
    number, record, kind, csn, payload, *, offset=0, length=None, again=False, session=SESSION
):
    """Return a fragment of a record; the whole one if nothing else is said."""
    length = len(payload) if length is None else length
    flags = PacketFlag.UNSEALED | (PacketFlag.AGAIN if again else 0)
    flags |= PacketFlag.FIRST if not offset else 0
    flags |= PacketFlag.LAST if offset + len(payload) == length else 0
    return packet(
        PacketType.DATA, session, number, payload, flags=flags, kind=kind, group=1,
        record=record, csn=csn, record_length=length, fragment_offset=offset,
    )  # fmt: skip


def record_of_changes(csn_first, csn_last, chain=CHAIN_NONE, final=1, lineage=1):
    """Return the bytes of a record with one change, and its chain hash."""
    parts = []
    encode_part(parts, 0, 77, 512, b"dual copy " * 20)
    body = b"".join(parts)
    after = record_chain(chain, lineage, csn_first, csn_last, final, 1, body)
    head = encode_head(RecordHead(lineage, csn_first, csn_last, chain, after, final, 1))
    return head + body, after


def ethernet(payload):
    """Return a frame padded as a card does."""
    addresses = bytes.fromhex("020000000002020000000001")
    return (addresses + ETHERTYPE_DEFAULT.to_bytes(2, "big") + payload).ljust(128, b"\0")


def damaged(good):
    return good[:-10] + bytes([good[-10] ^ 0x20]) + good[-9:]


def conversation():
    """Yield (interface, direction and marks, comment, frame) in the order of time."""
    record, _ = record_of_changes(1, 3)
    one, two = record[:128], record[128:]

    def fragment(number, payload, offset, again=False):
        return data(
            number, 1, RecordKind.CHANGES, 3, payload,
            offset=offset, length=len(record), again=again,
        )  # fmt: skip

    hello_a, hello_b = hello("A", 0xAAAA, 0, 1), hello("B", 0xBBBB, 0xAAAA, 1)
    yield A, FLAG_OUTBOUND, None, hello_a
    yield B, FLAG_INBOUND, None, hello_a
    yield B, FLAG_OUTBOUND, None, hello_b
    yield A, FLAG_INBOUND, None, hello_b
    first, second, again = fragment(1, one, 0), fragment(2, two, 128), fragment(3, two, 128, True)
    yield A, FLAG_OUTBOUND, None, first
    yield A, FLAG_OUTBOUND, None, second
    yield B, FLAG_INBOUND, None, first
    yield B, FLAG_INBOUND | FLAG_CRC_ERROR, "damaged: crc", damaged(second)
    yield B, FLAG_OUTBOUND, None, ack(1, 0, 1)
    yield A, FLAG_INBOUND, None, ack(1, 0, 1)
    yield A, FLAG_OUTBOUND, None, again
    yield B, FLAG_INBOUND, None, again
    yield B, FLAG_OUTBOUND, None, ack(2, 1, 3)
    yield A, FLAG_INBOUND, None, ack(2, 1, 3)
    durable = data(3, 1, RecordKind.DURABLE, 3, b'{"csn":3}')
    yield B, FLAG_OUTBOUND, None, durable
    yield A, FLAG_INBOUND, None, durable
    closing = packet(PacketType.CLOSE, SESSION, 4, b"end of run")
    yield A, FLAG_OUTBOUND, None, closing
    yield ETHERNET, FLAG_OUTBOUND, "padded", ethernet(hello("A", 0xACAC, 0, 1))


def capture_bytes(rows):
    """Return a capture of (interface, direction and marks, comment, frame), a millisecond apart."""
    batch = bytearray(head_bytes("dualcopy", INTERFACES))
    for index, (interface, flags, comment, frame) in enumerate(rows):
        append_packet(batch, interface, START_NS + index * 1_000_001, flags, frame, comment)
    return bytes(batch)


if __name__ == "__main__":
    PATH.write_bytes(capture_bytes(conversation()))
