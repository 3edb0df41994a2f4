"""The Wireshark dissector as text: field tables made from the layout, then the fixed code.

Written for Lua 5.2 (Wireshark up to 4.2) and 5.4 (from 4.4) at once, so without bit operators.
Leaves the code to `lua_body.py` and `lua_packet.py`, and writing the file to `generate.py`.
"""

import enum
from typing import Final

from emulator.wire.headers import (
    BODY_KINDS,
    ENUMS,
    HEADERS,
    HEX,
    LINK_TYPE,
    PROTOCOL,
    Header,
    Row,
    crc32c_table,
    header_bytes,
    members,
    rows,
)
from emulator.wire.layout import ETHERTYPE_DEFAULT, MAGIC, VERSION
from emulator.wire.lua_body import LUA_BODY
from emulator.wire.lua_packet import LUA_PACKET

_LUA_TYPES: Final = {"B": "uint8", "H": "uint16", "I": "uint32", "Q": "uint64"}
_ACRONYMS: Final = frozenset({"crc", "csn", "mtu"})
# USER0 is the first of pcap's sixteen private link types; Wireshark numbers them in order.
_USER: Final = LINK_TYPE - 147

_OPENING: Final = f"""\
-- Wireshark dissector for {PROTOCOL}, made from emulator/wire/layout.py: do not edit.
--
-- Finds packets on EtherType 0x{ETHERTYPE_DEFAULT:04X}, on link type {LINK_TYPE} (USER{_USER})
-- and, by magic and version, on any UDP port that nobody else claims. Name other places yourself:
--   tshark -X lua_script:{PROTOCOL}.lua -d udp.port==7001,{PROTOCOL} -r run.pcapng
--   tshark -X lua_script:{PROTOCOL}.lua -d tcp.port==7001,{PROTOCOL}_stream -r run.pcapng
-- Follow one record through all its packets:
--   tshark -X lua_script:{PROTOCOL}.lua -Y "{PROTOCOL}.csn == 42" -r run.pcapng
--
-- Records of several packets are not put together: the first packet shows the record's header,
-- the others their bytes. The CRC is checked only on request (-o {PROTOCOL}.crc:TRUE): slow in Lua.
"""


def lua_dissector() -> str:
    """Return the text of the Wireshark dissector."""
    sections = (_OPENING, _constants(), _names(), _headers(), LUA_BODY, LUA_PACKET)
    return "\n".join(sections)


def label(name: str) -> str:
    """Return how a field is called for readers.

    >>> label("record_length"), label("csn_first")
    ('Record length', 'CSN first')
    """
    first, *others = name.split("_")
    start = first.upper() if first in _ACRONYMS else first.capitalize()
    return " ".join((start, *others))


def _constants() -> str:
    kinds = ", ".join(f"[{int(kind)}] = true" for kind in BODY_KINDS)
    lines = [
        f'local dualcopy = Proto("{PROTOCOL}", "Remote Dual Copy")',
        f'local stream = Proto("{PROTOCOL}_stream", "Remote Dual Copy on a byte stream")',
        "",
        f"local MAGIC = 0x{MAGIC:04X}",
        f"local VERSION = {VERSION}",
        f"local ETHERTYPE = 0x{ETHERTYPE_DEFAULT:04X}",
        f"local USER = {_USER}",
        f"local CRC_POLYNOMIAL = 0x{crc32c_table()[128]:08X} -- reflected",
        f"local BODY_KINDS = {{ {kinds} }} -- records of changes; others but CHANNEL are text",
    ]
    return "\n".join(lines) + "\n"


def _names() -> str:
    lines = ["-- Named values, by filter name.", "local NAMES = {"]
    for filter_name, values in ENUMS.items():
        lines.append(f'  ["{filter_name}"] = {{')
        lines += [f'    [{number}] = "{name}",' for name, number in members(values)]
        lines.append("  },")
    lines += ["}", ""]
    for filter_name, values in ENUMS.items():
        if issubclass(values, enum.IntEnum):
            pairs = ", ".join(f"{name} = {number}" for name, number in members(values))
            lines.append(f"local {filter_name.rpartition('.')[2].upper()} = {{ {pairs} }}")
    return "\n".join(lines) + "\n"


def _headers() -> str:
    lines = [
        "-- The rows of each header: where a field lies and what shows it.",
        "local HEADERS = {",
    ]
    for header in HEADERS:
        lines += _header(header)
    lines.append("}")
    return "\n".join(lines) + "\n"


def _header(header: Header) -> list[str]:
    lines = [f"  {header.name} = {{", f"    size = {header_bytes(header)},"]
    for row in rows(header):
        lines += [
            f'    {{ name = "{row.name}", at = {row.at}, size = {row.size_bytes},',
            f"      field = {_proto_field(row)}{_bits(row)} }},",
        ]
    lines.append("  },")
    return lines


def _proto_field(row: Row) -> str:
    start = f'"{row.filter}", "{label(row.name)}"'
    if row.code.endswith("s"):
        return f"ProtoField.bytes({start}, base.NONE,\n        {_quoted(row.meaning)})"
    base = "base.HEX" if row.filter in HEX or _is_flags(row) else "base.DEC"
    names = f'NAMES["{row.filter}"]' if row.filter in ENUMS and not _is_flags(row) else "nil"
    kind = _LUA_TYPES[row.code]
    return f"ProtoField.{kind}({start}, {base}, {names}, nil,\n        {_quoted(row.meaning)})"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_flags(row: Row) -> bool:
    values = ENUMS.get(row.filter)
    return values is not None and issubclass(values, enum.IntFlag)


def _bits(row: Row) -> str:
    if not _is_flags(row):
        return ""
    width = 8 * row.size_bytes
    lines = [
        f'        ProtoField.bool("{row.filter}.{name.lower()}", "{label(name)}", '
        f"{width}, nil, 0x{number:02x}),"
        for name, number in members(ENUMS[row.filter])
    ]
    return ",\n      bits = {\n" + "\n".join(lines) + "\n      }"
