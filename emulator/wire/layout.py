"""Every field on the wire, in one table; codec, Wireshark dissector, C header, scapy layer and
docs are all derived from these rows, so they cannot drift.

All integers are big-endian. A struct code of `s` preceded by a number is that many raw bytes.
To add a field: add a row, raise VERSION, regenerate (`make generate`); the golden vectors under
fixtures/vectors then say what changed.
"""

import enum
from typing import Final, NamedTuple

MAGIC: Final = 0xDC94
VERSION: Final = 1
ETHERTYPE_DEFAULT: Final = 0x88B5


class Field(NamedTuple):
    """One field of a header: its name, struct code and meaning."""

    name: str
    code: str
    meaning: str


class PacketType(enum.IntEnum):
    """What a packet is for, as the link sees it."""

    HELLO = 1
    DATA = 2
    ACK = 3
    CLOSE = 4


class PacketFlag(enum.IntFlag):
    """Marks of a packet."""

    FIRST = 1
    LAST = 2
    AGAIN = 4
    UNSEALED = 8


class RecordKind(enum.IntEnum):
    """What a record that the link carries is for, as the copy sees it."""

    NONE = 0
    CHANGES = 1
    POSITION = 2
    DURABLE = 3
    RESYNC_BEGIN = 4
    RESYNC_TRACKS = 5
    RESYNC_END = 6
    ROLE = 7
    FETCH = 8
    FETCHED = 9
    CHANNEL = 32
    """A message of the native channel between a host and the cache processor."""


class ChangeForm(enum.IntEnum):
    """How one change of a record of changes carries its bytes."""

    FULL = 1
    DELTA = 2
    ZERO = 3
    RUN = 4


PACKET_FIELDS: Final = (
    Field("magic", "H", "0xDC94"),
    Field("version", "B", "layout version, 1"),
    Field("type", "B", "1 hello, 2 data, 3 acknowledgement, 4 close"),
    Field("flags", "B", "1 first and 2 last fragment, 4 sent again, 8 not sealed (lab)"),
    Field("kind", "B", "what the record is for: changes, position, durable, ..."),
    Field("group", "H", "consistency group on this link"),
    Field("session", "I", "link session from both nonces; lowest bit: which end; 0 in hello"),
    Field("number", "Q", "counts packets of this end and session from 1, never reused"),
    Field("record", "I", "counts records of this end and session from 1"),
    Field("csn", "Q", "last consistency sequence number of the record; 0 if none"),
    Field("record_length", "I", "bytes of the whole record"),
    Field("fragment_offset", "I", "where this packet's payload lies in the record"),
    Field("payload_length", "H", "bytes of payload that follow this header"),
)
PACKET_TRAILER_FIELDS: Final = (Field("crc", "I", "CRC-32C of everything before it"),)

HELLO_FIELDS: Final = (
    Field("nonce", "Q", "this end's nonce, drawn anew for each session"),
    Field("echo", "Q", "the nonce last heard from the other end; 0 if none"),
    Field("mtu", "I", "largest packet this end takes, in bytes"),
    Field("window", "I", "bytes of unacknowledged payload this end takes"),
    Field("plaintext", "B", "1: this end allows an unsealed link (lab_plaintext)"),
    Field("link_length", "B", "bytes of the link's name, which follows this header"),
    Field("site_length", "B", "bytes of this end's site name, which follows the link's name"),
)
ACK_FIELDS: Final = (
    Field("kept", "I", "all records up to this one were handed on whole, in order"),
    Field("window", "I", "bytes of unacknowledged payload this end takes now"),
    Field("largest", "Q", "largest packet number received"),
    Field("delay", "I", "microseconds between receipt of that packet and this packet"),
    Field("ranges", "B", "how many ranges of received packet numbers follow"),
)
# A CLOSE packet has no header of its own: its payload is the reason, UTF-8, at most 40 bytes.
ACK_RANGE_FIELDS: Final = (
    Field("first", "Q", "first packet number of a run received without gap"),
    Field("last", "Q", "last packet number of the run"),
)

RECORD_FIELDS: Final = (
    Field("lineage", "Q", "generation in which the record was made"),
    Field("csn_first", "Q", "first consistency sequence number inside"),
    Field("csn_last", "Q", "last one; the csns between are inside or coalesced (C4)"),
    Field("chain_before", "16s", "chain hash of the history before this record"),
    Field("chain_after", "16s", "chain hash with this record: its own checksum"),
    Field("final", "B", "1: the epoch ends with this record, and is then applied as one"),
    Field("changes", "I", "how many changes follow"),
)
CHANGE_FIELDS: Final = (
    Field("volume", "B", "index of the volume in the group"),
    Field("form", "B", "1 full, 2 delta against the old contents, 3 zeros, 4 run of whole tracks"),
    Field("track", "I", "track number on the volume"),
    Field("offset", "H", "first byte inside the track"),
    Field("length", "H", "bytes changed"),
)
CHANGE_DELTA_FIELDS: Final = (
    Field("base", "Q", "content hash of the whole old track (C5)"),
    Field("pieces", "B", "how many pieces follow; all other bytes are as before"),
)
CHANGE_PIECE_FIELDS: Final = (
    Field("offset", "H", "first byte of the piece inside the track"),
    Field("length", "H", "bytes of the piece, which follow"),
)
CHANGE_ZERO_FIELDS: Final = (
    Field("tracks", "I", "how many whole tracks from this one are zero; 0: only this extent"),
)


CHANGE_RUN_FIELDS: Final = (
    Field("tracks", "I", "how many whole tracks from this one follow"),
    Field("size", "I", "bytes of them all, which follow"),
)


def struct_format(fields: tuple[Field, ...]) -> str:
    """Return the struct format of a header made of `fields`.

    >>> struct_format(PACKET_TRAILER_FIELDS)
    '>I'
    """
    return ">" + "".join(field.code for field in fields)
