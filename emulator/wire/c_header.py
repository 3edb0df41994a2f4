"""The C header for firmware as text: freestanding C99, made from the layout.

Holds sizes, offsets, enumerations, one struct with pack and unpack for each header, CRC-32C and
the check of a received packet. Leaves the link's behaviour to the firmware that includes it, and
writing the file to `generate.py`.
"""

import re
from typing import Final

from emulator.wire.headers import (
    ENUMS,
    HEADERS,
    PROTOCOL,
    Header,
    Row,
    crc32c_table,
    header_bytes,
    members,
    rows,
)
from emulator.wire.layout import ETHERTYPE_DEFAULT, MAGIC, VERSION

_C_TYPES: Final = {"B": "uint8_t", "H": "uint16_t", "I": "uint32_t", "Q": "uint64_t"}

_OPENING: Final = """\
/* The wire format of dualcopy, made from emulator/wire/layout.py: do not edit.
 *
 * Freestanding C99; needs only <stddef.h> and <stdint.h>. All integers on the wire are
 * big-endian; pack and unpack do not care how the processor stores or aligns them.
 */
#ifndef DUALCOPY_WIRE_H
#define DUALCOPY_WIRE_H

#include <stddef.h>
#include <stdint.h>
"""

_INTEGERS: Final = """\
static inline void dualcopy_put(uint8_t *to, size_t size, uint64_t value)
{
    while (size > 0) {
        to[--size] = (uint8_t)(value & 0xFFu);
        value >>= 8;
    }
}

static inline uint64_t dualcopy_get(const uint8_t *from, size_t size)
{
    uint64_t value = 0;
    for (size_t at = 0; at < size; at++) {
        value = (value << 8) | from[at];
    }
    return value;
}

static inline void dualcopy_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        to[at] = from[at];
    }
}
"""

_CRC: Final = """\
/* CRC-32C of `size` bytes, going on from `crc`; 0 begins. */
static inline uint32_t dualcopy_crc32c(uint32_t crc, const uint8_t *from, size_t size)
{
    crc = ~crc;
    for (size_t at = 0; at < size; at++) {
        crc = (crc >> 8) ^ dualcopy_crc32c_table[(crc ^ from[at]) & 0xFFu];
    }
    return ~crc;
}
"""

_CHECK: Final = """\
/* What is wrong with a received packet; the order is that of the checks. */
enum dualcopy_verdict {
    DUALCOPY_GOOD = 0,
    DUALCOPY_BAD_SHORT,
    DUALCOPY_BAD_MAGIC,
    DUALCOPY_BAD_VERSION,
    DUALCOPY_BAD_TYPE,
    DUALCOPY_BAD_LENGTH,
    DUALCOPY_BAD_CRC
};

/* Check `size` received bytes. The packet's length field is trusted, not `size`: short Ethernet
 * frames are padded. */
static inline enum dualcopy_verdict dualcopy_check(const uint8_t *from, size_t size)
{
    struct dualcopy_packet packet;
    size_t end;

    if (size < DUALCOPY_OVERHEAD_BYTES) {
        return DUALCOPY_BAD_SHORT;
    }
    dualcopy_packet_unpack(&packet, from);
    if (packet.magic != DUALCOPY_MAGIC) {
        return DUALCOPY_BAD_MAGIC;
    }
    if (packet.version != DUALCOPY_VERSION) {
        return DUALCOPY_BAD_VERSION;
    }
    switch (packet.type) {
@TYPES@        break;
    default:
        return DUALCOPY_BAD_TYPE;
    }
    end = DUALCOPY_PACKET_BYTES + (size_t)packet.payload_length;
    if (end + DUALCOPY_PACKET_TRAILER_BYTES > size) {
        return DUALCOPY_BAD_LENGTH;
    }
    if (dualcopy_get(from + end, DUALCOPY_PACKET_TRAILER_BYTES) !=
        dualcopy_crc32c(0, from, end)) {
        return DUALCOPY_BAD_CRC;
    }
    return DUALCOPY_GOOD;
}

/* Append the CRC to the `end` bytes of header and payload at `packet`; return the packet's size. */
static inline size_t dualcopy_seal(uint8_t *packet, size_t end)
{
    dualcopy_put(packet + end, DUALCOPY_PACKET_TRAILER_BYTES, dualcopy_crc32c(0, packet, end));
    return end + DUALCOPY_PACKET_TRAILER_BYTES;
}

#endif
"""


def c_header() -> str:
    """Return the text of the C header."""
    types = "".join(f"    case {name}:\n" for name, _ in _enumerators(f"{PROTOCOL}.type"))
    sections = [
        _OPENING,
        _constants(),
        *(_enum(filter_name) for filter_name in ENUMS),
        _INTEGERS,
        *(_header(header) for header in HEADERS),
        _table(),
        _CRC,
        _CHECK.replace("@TYPES@", types),
    ]
    return "\n".join(sections)


def _constants() -> str:
    return (
        f"#define DUALCOPY_MAGIC 0x{MAGIC:04X}u\n"
        f"#define DUALCOPY_VERSION {VERSION}u\n"
        f"#define DUALCOPY_ETHERTYPE_DEFAULT 0x{ETHERTYPE_DEFAULT:04X}u\n"
        "#define DUALCOPY_OVERHEAD_BYTES (DUALCOPY_PACKET_BYTES + DUALCOPY_PACKET_TRAILER_BYTES)\n"
    )


def _enumerators(filter_name: str) -> list[tuple[str, int]]:
    field = filter_name.rpartition(".")[2].upper()
    return [(f"DUALCOPY_{field}_{name}", number) for name, number in members(ENUMS[filter_name])]


def _enum(filter_name: str) -> str:
    # "PacketType" becomes dualcopy_packet_type.
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", ENUMS[filter_name].__name__).lower()
    lines = [f"    {member} = {number}" for member, number in _enumerators(filter_name)]
    return f"enum dualcopy_{name} {{\n" + ",\n".join(lines) + "\n};\n"


def _header(header: Header) -> str:
    macro = f"DUALCOPY_{header.name.upper()}"
    struct = f"dualcopy_{header.name}"
    found = rows(header)
    lines = [f"/* {header.place} */", f"#define {macro}_BYTES {header_bytes(header)}u"]
    lines += [f"#define {macro}_{row.name.upper()}_AT {row.at}u" for row in found]
    lines += ["", f"struct {struct} {{"]
    for row in found:
        lines += [f"    /* {row.meaning} */", f"    {_member(row)};"]
    lines += [
        "};",
        "",
        f"static inline void {struct}_pack(uint8_t *to, const struct {struct} *from)",
        "{",
        *(f"    {_pack(macro, row)};" for row in found),
        "}",
        "",
        f"static inline void {struct}_unpack(struct {struct} *to, const uint8_t *from)",
        "{",
        *(f"    {_unpack(macro, row)};" for row in found),
        "}",
        "",
    ]
    return "\n".join(lines)


def _member(row: Row) -> str:
    if row.code.endswith("s"):
        return f"uint8_t {row.name}[{row.size_bytes}]"
    return f"{_C_TYPES[row.code]} {row.name}"


def _pack(macro: str, row: Row) -> str:
    at = f"to + {macro}_{row.name.upper()}_AT"
    if row.code.endswith("s"):
        return f"dualcopy_copy({at}, from->{row.name}, {row.size_bytes}u)"
    return f"dualcopy_put({at}, {row.size_bytes}u, from->{row.name})"


def _unpack(macro: str, row: Row) -> str:
    at = f"from + {macro}_{row.name.upper()}_AT"
    if row.code.endswith("s"):
        return f"dualcopy_copy(to->{row.name}, {at}, {row.size_bytes}u)"
    return f"to->{row.name} = ({_C_TYPES[row.code]})dualcopy_get({at}, {row.size_bytes}u)"


def _table() -> str:
    words = [f"0x{word:08X}u" for word in crc32c_table()]
    lines = ["    " + ", ".join(words[at : at + 6]) for at in range(0, len(words), 6)]
    return (
        "/* CRC-32C (Castagnoli), reflected, as crcmod defines it. */\n"
        f"static const uint32_t dualcopy_crc32c_table[{len(words)}] = {{\n"
        + ",\n".join(lines)
        + "\n};\n"
    )
