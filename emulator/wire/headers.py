"""The rows of `layout.py` by header, with what every derived file needs to know about them.

The dissector, the C header, the scapy layer and the docs table all walk `HEADERS`, so a row added
to the layout appears in each of them. Leaves the layout itself to `layout.py` and the meaning of
record bodies to `emulator/record`.
"""

import enum
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from emulator.wire import layout
from emulator.wire.checksum import crc_by_name
from emulator.wire.layout import Field

PROTOCOL: Final = "dualcopy"
LINK_TYPE: Final = 147
"""USER0 in pcap: what captures call a bare packet of ours."""


class Header(NamedTuple):
    """One header on the wire: its name in code, its filter prefix, and where it stands."""

    name: str
    prefix: str
    fields: tuple[Field, ...]
    place: str


class Row(NamedTuple):
    """One field of a header, with where it lies."""

    name: str
    code: str
    at: int
    size_bytes: int
    filter: str
    meaning: str


HEADERS: Final = (
    Header("packet", PROTOCOL, layout.PACKET_FIELDS, "Opens every packet; the payload follows."),
    Header("packet_trailer", PROTOCOL, layout.PACKET_TRAILER_FIELDS, "Ends every packet."),
    Header(
        "hello",
        f"{PROTOCOL}.hello",
        layout.HELLO_FIELDS,
        "Payload of a HELLO; the link's name and the site's name follow, in UTF-8.",
    ),
    Header(
        "ack",
        f"{PROTOCOL}.ack",
        layout.ACK_FIELDS,
        "Payload of an ACK; as many ranges follow as it says.",
    ),
    Header("ack_range", f"{PROTOCOL}.ack.range", layout.ACK_RANGE_FIELDS, "One range of an ACK."),
    Header(
        "record",
        f"{PROTOCOL}.record",
        layout.RECORD_FIELDS,
        "Opens a record of kind CHANGES or RESYNC_TRACKS; its changes follow.",
    ),
    Header(
        "change",
        f"{PROTOCOL}.change",
        layout.CHANGE_FIELDS,
        "Opens every change. FULL: the changed bytes follow at once.",
    ),
    Header(
        "change_delta",
        f"{PROTOCOL}.change.delta",
        layout.CHANGE_DELTA_FIELDS,
        "Follows the change header of a DELTA; its pieces follow.",
    ),
    Header(
        "change_piece",
        f"{PROTOCOL}.change.piece",
        layout.CHANGE_PIECE_FIELDS,
        "Opens one piece of a DELTA; its bytes follow.",
    ),
    Header(
        "change_zero",
        f"{PROTOCOL}.change.zero",
        layout.CHANGE_ZERO_FIELDS,
        "Follows the change header of a ZERO; no bytes follow.",
    ),
    Header(
        "change_run",
        f"{PROTOCOL}.change.run",
        layout.CHANGE_RUN_FIELDS,
        "Follows the change header of a RUN; the bytes of its tracks follow.",
    ),
)

ENUMS: Final[Mapping[str, type[enum.IntEnum] | type[enum.IntFlag]]] = {
    f"{PROTOCOL}.type": layout.PacketType,
    f"{PROTOCOL}.flags": layout.PacketFlag,
    f"{PROTOCOL}.kind": layout.RecordKind,
    f"{PROTOCOL}.change.form": layout.ChangeForm,
}
"""Fields with named values, by filter name."""

HEX: Final = frozenset(
    f"{PROTOCOL}.{name}"
    for name in ("magic", "session", "crc", "hello.nonce", "hello.echo", "change.delta.base")
)
"""Fields that say more in hexadecimal, by filter name."""

BODY_KINDS: Final = (
    layout.RecordKind.CHANGES,
    layout.RecordKind.RESYNC_TRACKS,
    layout.RecordKind.FETCHED,
)
"""Kinds whose records have a body of changes; every other kind but CHANNEL carries a JSON text."""


def rows(header: Header) -> tuple[Row, ...]:
    """Return the fields of `header` with where they lie.

    >>> rows(HEADERS[0])[2]
    Row(name='type', code='B', at=3, size_bytes=1, filter='dualcopy.type', \
meaning='1 hello, 2 data, 3 acknowledgement, 4 close')
    """
    found = []
    at = 0
    for field in header.fields:
        size = struct.calcsize(">" + field.code)
        filter_name = f"{header.prefix}.{field.name}"
        found.append(Row(field.name, field.code, at, size, filter_name, field.meaning))
        at += size
    return tuple(found)


def header_bytes(header: Header) -> int:
    """Return how many bytes `header` takes."""
    return struct.calcsize(layout.struct_format(header.fields))


def members(values: type[enum.IntEnum] | type[enum.IntFlag]) -> list[tuple[str, int]]:
    """Return the names and numbers of an enumeration of the layout.

    >>> members(layout.PacketFlag)
    [('FIRST', 1), ('LAST', 2), ('AGAIN', 4), ('UNSEALED', 8)]
    """
    return [(member.name or "", int(member)) for member in values]


def crc32c_table() -> tuple[int, ...]:
    """Return the 256 words that compute CRC-32C byte by byte, from crcmod's definition.

    >>> hex(crc32c_table()[128])
    '0x82f63b78'
    """
    crc = crc_by_name("crc-32c")
    # One byte b gives table[b ^ 0xFF] ^ 0x00FFFFFF, inverted at the end: solved for the table.
    return tuple(crc(bytes([index ^ 0xFF])) ^ 0xFF000000 for index in range(256))
