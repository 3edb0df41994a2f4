"""The reference page of the wire format as Markdown (MyST), made from the layout.

Leaves writing the file to `generate.py`.
"""

from typing import Final

from emulator.wire.headers import (
    BODY_KINDS,
    ENUMS,
    HEADERS,
    LINK_TYPE,
    PROTOCOL,
    Header,
    header_bytes,
    members,
    rows,
)
from emulator.wire.layout import ETHERTYPE_DEFAULT, VERSION

_TITLES: Final = {
    "packet": "Packet header",
    "packet_trailer": "Packet trailer",
    "hello": "HELLO",
    "ack": "ACK",
    "ack_range": "Range of an ACK",
    "record": "Record of changes",
    "change": "Change",
    "change_delta": "Change of form DELTA",
    "change_piece": "Piece of a DELTA",
    "change_zero": "Change of form ZERO",
    "change_run": "Change of form RUN",
}


def wire_page() -> str:
    """Return the text of the reference page."""
    sections = [_opening(), *(_header(header) for header in HEADERS), _values(), _wireshark()]
    return "\n".join(sections)


def _opening() -> str:
    bodies = " and ".join(f"`{kind.name}`" for kind in BODY_KINDS)
    return f"""\
# Wire format

<!-- Made from emulator/wire/layout.py by `make generate`: do not edit. -->

This is layout version {VERSION}. All integers are big-endian. *At* counts bytes from the start of
the header in question; *filter* is the field's name in Wireshark and `tshark`.

A packet is a header, a payload and a CRC. Packet lines (UDP, Ethernet) carry one packet in each
datagram or frame; bytes after the CRC are padding. Byte streams (serial, pty, TCP) carry each
packet in COBS, ended by a zero byte.

A record is cut into DATA packets; `fragment_offset` says where a payload lies in its record.
Records of kind {bodies} hold a record header and then its changes; records of every other kind
hold a JSON text, but those of kind `CHANNEL`: messages of the [native channel](channel.md). A
CLOSE holds its reason as text, or nothing. Sizes of headers are given in
their titles.
"""


def _header(header: Header) -> str:
    lines = [
        f"## {_TITLES[header.name]} ({header_bytes(header)} bytes)",
        "",
        header.place,
        "",
        "| at | bytes | field | filter | meaning |",
        "|---:|---:|---|---|---|",
    ]
    lines += [
        f"| {row.at} | {row.size_bytes} | {row.name} | `{row.filter}` | {row.meaning} |"
        for row in rows(header)
    ]
    return "\n".join(lines) + "\n"


def _values() -> str:
    lines = ["## Named values", "", "| field | values |", "|---|---|"]
    for filter_name, values in ENUMS.items():
        named = ", ".join(f"{number} {name}" for name, number in members(values))
        lines.append(f"| `{filter_name}` | {named} |")
    return "\n".join(lines) + "\n"


def _wireshark() -> str:
    return f"""\
## In Wireshark

`{PROTOCOL} capture dissector --install` puts the dissector where Wireshark looks for it. It finds
packets on EtherType 0x{ETHERTYPE_DEFAULT:04X}, on link type {LINK_TYPE} (USER0) and on UDP ports
that no other protocol claims. For other places name it: `-d udp.port==7001,{PROTOCOL}`, and for
TCP, where packets are in COBS, `-d tcp.port==7001,{PROTOCOL}_stream`.

| to see | filter |
|---|---|
| all packets of the record that ends with csn 42 | `{PROTOCOL}.csn == 42` |
| the start of the record that holds csn 42 | \
`{PROTOCOL}.record.csn_first <= 42 and {PROTOCOL}.record.csn_last >= 42` |
| packets sent again | `{PROTOCOL}.flags.again == 1` |
| records that change a track | `{PROTOCOL}.change.volume == 0 and {PROTOCOL}.change.track == 7` |
| links by name, when they come up | `{PROTOCOL}.hello.link == "A-B"` |
| packets the receiving end rejects | `{PROTOCOL}.rejected.crc or \
{PROTOCOL}.rejected.length` (also `short`, `version`, `type`) |
| payloads that are not what their header says | `{PROTOCOL}.inconsistent` |

Changes are shown when their whole record lies in one packet; records of several packets are not
put together. The text of other records and of a CLOSE is `{PROTOCOL}.text`. CRCs are checked only
when asked for, since Lua is slow: `-o {PROTOCOL}.crc:TRUE`.
"""
