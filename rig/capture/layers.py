# scapy.contrib.description = Remote Dual Copy (dualcopy)
# scapy.contrib.status = loads
# ruff: noqa: ERA001 - scapy reads the two lines above
"""Scapy layers for dualcopy, with fields made from the layout.

For crafting, showing and matching packets in tests and tools; the data path never imports this.
Relies on scapy's fields and on `emulator/wire/headers.py`. What does not parse is left as Raw, as
scapy users expect; whether a packet would be accepted is for `emulator.wire.packet` to say.

    >>> packet = DualCopy(kind="POSITION", csn=7) / DualCopyText(text=b"{}")
    >>> DualCopy(bytes(packet)).csn
    7
"""

import enum
from typing import ClassVar

from scapy.config import conf
from scapy.fields import (
    AnyField,
    ByteEnumField,
    ByteField,
    FieldLenField,
    FlagsField,
    IntField,
    LongField,
    PacketListField,
    ShortField,
    StrField,
    StrLenField,
    XIntField,
    XLongField,
    XShortField,
    XStrFixedLenField,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw, bind_layers

from emulator.wire.checksum import crc32c
from emulator.wire.headers import BODY_KINDS, ENUMS, HEADERS, HEX, LINK_TYPE, Row, members, rows
from emulator.wire.layout import ETHERTYPE_DEFAULT, MAGIC, VERSION, ChangeForm, PacketType
from emulator.wire.packet import HEADER_BYTES, OVERHEAD_BYTES, PAYLOAD_BYTES_MAX

_TRAILER_BYTES = OVERHEAD_BYTES - HEADER_BYTES
_HEADERS = {header.name: header for header in HEADERS}
_PAYLOAD_LENGTH = next(row for row in rows(_HEADERS["packet"]) if row.name == "payload_length")
_FIELDS = {"B": ByteField, "H": ShortField, "I": IntField, "Q": LongField}
_HEX_FIELDS = {"H": XShortField, "I": XIntField, "Q": XLongField}
_DATA = int(PacketType.DATA)
_CHANNEL = ENUMS["dualcopy.kind"]["CHANNEL"]
_DEFAULTS = {"magic": MAGIC, "version": VERSION, "type": _DATA, "payload_length": None}
# Scapy stops at 100 items by default; no packet has room for as many as this.
_ITEMS_MAX = PAYLOAD_BYTES_MAX


def _field(row: Row, default: int | None) -> AnyField:
    values = ENUMS.get(row.filter)
    if row.code.endswith("s"):
        return XStrFixedLenField(row.name, bytes(row.size_bytes), length=row.size_bytes)
    if values is None:
        kinds = _HEX_FIELDS if row.filter in HEX else _FIELDS
        return kinds[row.code](row.name, default)
    named = {number: name for name, number in members(values)}
    if issubclass(values, enum.IntFlag):
        bits = 8 * row.size_bytes
        names = [named.get(1 << bit, f"bit{bit}").lower() for bit in range(bits)]
        return FlagsField(row.name, default, bits, names)
    return ByteEnumField(row.name, default, named)


def _fields(
    header: str,
    defaults: dict[str, int | None] | None = None,
    measured: dict[str, str] | None = None,
) -> list[AnyField]:
    """Make the fields of a header; those that measure another field are worked out on build."""
    defaults, measured = defaults or {}, measured or {}
    found: list[AnyField] = []
    for row in rows(_HEADERS[header]):
        if row.name not in measured:
            found.append(_field(row, defaults.get(row.name, 0)))
        elif measured[row.name] == "items":
            found.append(FieldLenField(row.name, None, fmt=row.code, count_of="items"))
        else:
            target = measured[row.name]
            found.append(FieldLenField(row.name, None, fmt=row.code, length_of=target))
    return found


def _bytes(name: str, length: str) -> AnyField:
    return StrLenField(name, b"", length_from=lambda layer: getattr(layer, length))


def _items(layer: type[Packet], count: str) -> AnyField:
    def count_from(holder: Packet) -> int:
        return int(getattr(holder, count))

    return PacketListField("items", [], layer, count_from=count_from, max_count=_ITEMS_MAX)


class _Part(Packet):
    """A layer that others hold in a list: what follows it is the next one."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Leave all that follows to the list."""
        return b"", s


class DualCopyRange(_Part):
    """One run of packet numbers received without gap."""

    name = "DualCopy range"
    fields_desc: ClassVar[list[AnyField]] = _fields("ack_range")


class DualCopyHello(Packet):
    """How two ends of a link meet."""

    name = "DualCopy HELLO"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("hello", measured={"link_length": "link", "site_length": "site"}),
        _bytes("link", "link_length"),
        _bytes("site", "site_length"),
    ]


class DualCopyAck(Packet):
    """What one end has received."""

    name = "DualCopy ACK"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("ack", measured={"ranges": "items"}),
        _items(DualCopyRange, "ranges"),
    ]


class DualCopyText(Packet):
    """The JSON text of a record without changes, or why a link was closed."""

    name = "DualCopy text"
    fields_desc: ClassVar[list[AnyField]] = [StrField("text", b"")]


class DualCopyPiece(_Part):
    """One piece of a change of form DELTA."""

    name = "DualCopy piece"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("change_piece", measured={"length": "data"}),
        _bytes("data", "length"),
    ]


class DualCopyChange(_Part):
    """One change; made from bytes it becomes the layer of its form."""

    name = "DualCopy change"
    fields_desc: ClassVar[list[AnyField]] = _fields("change")

    @classmethod
    def dispatch_hook(
        cls, _pkt: bytes | None = None, *_args: object, **_options: object
    ) -> type[Packet]:
        """Return the layer for the form in these bytes."""
        return cls if _pkt is None else _FORMS.get(_pkt[1], Raw)


class DualCopyFull(DualCopyChange):
    """A change that carries its bytes."""

    name = "DualCopy change FULL"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("change", {"form": ChangeForm.FULL}, measured={"length": "data"}),
        _bytes("data", "length"),
    ]


class DualCopyDelta(DualCopyChange):
    """A change that carries what differs from the old contents."""

    name = "DualCopy change DELTA"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("change", {"form": ChangeForm.DELTA}),
        *_fields("change_delta", measured={"pieces": "items"}),
        _items(DualCopyPiece, "pieces"),
    ]


class DualCopyZero(DualCopyChange):
    """A change to zeros."""

    name = "DualCopy change ZERO"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("change", {"form": ChangeForm.ZERO}),
        *_fields("change_zero"),
    ]


class DualCopyRun(DualCopyChange):
    """A change of whole tracks in a row."""

    name = "DualCopy change RUN"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("change", {"form": ChangeForm.RUN}),
        *_fields("change_run", measured={"size": "data"}),
        _bytes("data", "size"),
    ]


_FORMS = {
    int(ChangeForm.FULL): DualCopyFull,
    int(ChangeForm.DELTA): DualCopyDelta,
    int(ChangeForm.ZERO): DualCopyZero,
    int(ChangeForm.RUN): DualCopyRun,
}


class DualCopyRecordHead(Packet):
    """The header of a record of changes whose body goes on in other packets."""

    name = "DualCopy record, first packet"
    fields_desc: ClassVar[list[AnyField]] = _fields("record")


class DualCopyRecord(Packet):
    """A whole record of changes."""

    name = "DualCopy record"
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("record", measured={"changes": "items"}),
        _items(DualCopyChange, "changes"),
    ]


class DualCopy(Packet):
    """One packet. `payload_length` and `crc` are worked out on build unless given."""

    name = "DualCopy"
    # The CRC stands last on the wire; scapy wants a layer's fields before its payload.
    fields_desc: ClassVar[list[AnyField]] = [
        *_fields("packet", _DEFAULTS),
        *_fields("packet_trailer", {"crc": None}),
    ]

    @classmethod
    def dispatch_hook(
        cls, _pkt: bytes | None = None, *_args: object, **_options: object
    ) -> type[Packet]:
        """Leave bytes that cannot be one of our packets to Raw."""
        if _pkt is None:
            return cls
        ours = len(_pkt) >= OVERHEAD_BYTES and int.from_bytes(_pkt[:2], "big") == MAGIC
        return cls if ours and _end(_pkt) + _TRAILER_BYTES <= len(_pkt) else Raw

    def pre_dissect(self, s: bytes) -> bytes:
        """Put the CRC behind the header, where `fields_desc` has it."""
        end = _end(s)
        behind = end + _TRAILER_BYTES
        return s[:HEADER_BYTES] + s[end:behind] + s[HEADER_BYTES:end] + s[behind:]

    def post_dissect(self, s: bytes) -> bytes:
        """Forget the bytes as they were: their order is not the wire's."""
        self.raw_packet_cache = None
        return s

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Split payload and padding: a short Ethernet frame is filled up."""
        return s[: self.payload_length], s[self.payload_length :]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the layer for this payload, by type, kind and place in the record."""
        found: type[Packet] = DualCopyText
        if self.type not in (_DATA, PacketType.CLOSE):
            found = super().guess_payload_class(payload)
        elif self.type == _DATA and self.kind in BODY_KINDS:
            whole = self.record_length == len(payload)
            start = DualCopyRecord if whole else DualCopyRecordHead
            found = Raw if self.fragment_offset else start
        elif self.type == _DATA and self.kind == _CHANNEL:
            found = Raw
        return found

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in length and CRC and put the CRC last."""
        header, trailer = pkt[:HEADER_BYTES], pkt[HEADER_BYTES:]
        if self.payload_length is None:
            at = _PAYLOAD_LENGTH.at
            length = len(pay).to_bytes(_PAYLOAD_LENGTH.size_bytes, "big")
            header = header[:at] + length + header[at + len(length) :]
        if self.crc is None:
            trailer = crc32c(pay, crc32c(header)).to_bytes(_TRAILER_BYTES, "big")
        return header + pay + trailer


def _end(packet: bytes) -> int:
    at, size = _PAYLOAD_LENGTH.at, _PAYLOAD_LENGTH.size_bytes
    return HEADER_BYTES + int.from_bytes(packet[at : at + size], "big")


bind_layers(Ether, DualCopy, type=ETHERTYPE_DEFAULT)
bind_layers(DualCopy, DualCopyHello, type=PacketType.HELLO)
bind_layers(DualCopy, DualCopyAck, type=PacketType.ACK)
conf.l2types.register(LINK_TYPE, DualCopy)
