"""A captured packet in words: a line of a table, an object of JSON, or every field with its bytes.

Relies on `reader.py` for the packets and on `emulator.wire.layout` for names and fields. Leaves
choosing packets to its callers.
"""

import datetime as dt
import struct
from collections.abc import Iterator
from typing import Any, Final

from emulator.clock import SECOND_NS
from emulator.wire.checksum import Buffer
from emulator.wire.headers import BODY_KINDS
from emulator.wire.layout import (
    ACK_FIELDS,
    HELLO_FIELDS,
    RECORD_FIELDS,
    Field,
    PacketFlag,
    PacketType,
    RecordKind,
    struct_format,
)
from emulator.wire.packet import OVERHEAD_BYTES, Packet
from rig.capture.reader import CapturedPacket

DUMP_BYTES_PER_LINE: Final = 16
TEXT_SHOWN_MAX: Final = 80
"""Characters of a record's text in a table; a dump shows all of it."""

_ROW: Final = (
    "{:>7} {:>14} {:<14} {:<3} {:<7} {:<13} {:>8} {:>6} {:>8} {:>15} {:>6} {:<20} {}".format
)
HEADING: Final = _ROW(
    "frame", "time (s)", "interface", "dir", "type", "kind",
    "number", "record", "csn", "fragment", "length", "marks", "comment",
)  # fmt: skip


def type_name(packet: Packet) -> str:
    """Return what the packet is for: hello, data, ack or close."""
    return PacketType(packet.type).name.lower()


def kind_name(packet: Packet) -> str:
    """Return what the packet's record is for; empty when it carries none."""
    try:
        return RecordKind(packet.kind).name.lower() if packet.kind else ""
    except ValueError:  # a later version's kind
        return str(packet.kind)


def marks(packet: Packet) -> list[str]:
    """Return the names of the packet's flags."""
    return [flag.name.lower() for flag in PacketFlag if packet.flags & flag and flag.name]


def start_line(start_ns: int) -> str:
    """Return the line that says when the first packet shown passed.

    >>> start_line(1_700_000_000_123_456_789)
    'times count from 2023-11-14 22:13:20.123456789 UTC'
    """
    seconds, nanoseconds = divmod(start_ns, SECOND_NS)
    start = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return f"times count from {start:%Y-%m-%d %H:%M:%S}.{nanoseconds:09} UTC"


def as_row(captured: CapturedPacket, start_ns: int) -> str:
    """Return one line of the table under `HEADING`; times count from `start_ns`."""
    seconds = f"{(captured.time_ns - start_ns) / SECOND_NS:.9f}"
    packet = captured.packet
    if not isinstance(packet, Packet):
        kind, what = ("damaged", packet) if packet else ("other", "")
        cells: tuple[object, ...] = (kind, what, "", "", "", "", len(captured.data), "")
    else:
        fragment = f"{packet.fragment_offset}/{packet.record_length}"
        cells = (
            type_name(packet),
            kind_name(packet),
            packet.number,
            packet.record or "",
            packet.csn or "",
            fragment if packet.record_length else "",
            len(captured.data),
            ",".join(marks(packet)),
        )
    remark = "; ".join(filter(None, (_summary(packet), captured.comment)))
    row = _ROW(captured.frame, seconds, captured.interface, captured.direction, *cells, remark)
    return row.rstrip()


def as_object(captured: CapturedPacket) -> dict[str, Any]:
    """Return the packet as plain data for JSON."""
    found: dict[str, Any] = {
        "frame": captured.frame,
        "time_ns": captured.time_ns,
        "interface": captured.interface,
        "direction": captured.direction,
        "length": len(captured.data),
        "comment": captured.comment,
    }
    packet = captured.packet
    if not isinstance(packet, Packet):
        found["type"] = "damaged" if packet else "other"
        found["damage"] = packet
        return found
    found["type"] = type_name(packet)
    found["kind"] = kind_name(packet)
    found["marks"] = marks(packet)
    for name in Packet._fields[3:-1]:
        found[name] = getattr(packet, name)
    found["payload_length"] = len(packet.payload)
    found["body"] = body_fields(packet)
    return found


def as_dump(captured: CapturedPacket) -> Iterator[str]:
    """Yield every field of the packet, one a line, and then the frame's bytes in hex."""
    for name, value in as_object(captured).items():
        if name == "body":
            for field, part in value.items():
                yield f"  {field:<17}{part}"
        elif value not in ("", []):
            yield f"{name:<19}{', '.join(value) if isinstance(value, list) else value}"
    if isinstance(captured.packet, Packet):
        yield f"{'packet bytes':<19}{OVERHEAD_BYTES + len(captured.packet.payload)}"
    for offset in range(0, len(captured.data), DUMP_BYTES_PER_LINE):
        part = captured.data[offset : offset + DUMP_BYTES_PER_LINE]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{offset:06x}  {part.hex(' '):<{3 * DUMP_BYTES_PER_LINE}} {text}"


def body_fields(packet: Packet) -> dict[str, Any]:
    """Return the fields of what a packet carries, as far as this packet alone tells them."""
    if packet.type == PacketType.HELLO:
        found, rest = _fields(HELLO_FIELDS, packet.payload)
        if found:
            names = bytes(rest).decode("utf-8", "replace")
            cut = found.pop("link_length")
            found["link"], found["site"] = names[:cut], names[cut : cut + found.pop("site_length")]
        return found
    if packet.type == PacketType.ACK:
        return _fields(ACK_FIELDS, packet.payload)[0]
    if packet.type != PacketType.DATA or packet.fragment_offset:
        return {}
    if packet.kind in BODY_KINDS:
        return _fields(RECORD_FIELDS, packet.payload)[0]
    if packet.kind == RecordKind.CHANNEL:
        return {}
    return {"text": bytes(packet.payload).decode("utf-8", "replace")}


def _summary(packet: Packet | str | None) -> str:
    """Return what a person wants to see of the body in a table."""
    if not isinstance(packet, Packet):
        return ""
    body = body_fields(packet)
    if packet.type == PacketType.HELLO and body:
        return f"site {body['site']}, link {body['link']}"
    if packet.type == PacketType.ACK and body:
        return f"kept {body['kept']}, largest {body['largest']}, window {body['window']}"
    if "csn_first" in body:
        return f"csn {body['csn_first']}-{body['csn_last']}"
    text = str(body.get("text", ""))
    return text if len(text) <= TEXT_SHOWN_MAX else f"{text[: TEXT_SHOWN_MAX - 3]}..."


def _fields(fields: tuple[Field, ...], payload: Buffer) -> tuple[dict[str, Any], Buffer]:
    """Return the named fields at the start of `payload`, and what follows them."""
    size = struct.calcsize(struct_format(fields))
    if len(payload) < size:
        return {}, b""
    values = struct.unpack_from(struct_format(fields), payload)
    found = {
        field.name: value.hex() if isinstance(value, bytes) else value
        for field, value in zip(fields, values, strict=True)
    }
    return found, memoryview(payload)[size:]
