"""The bytes of the Hercules shared-device protocol: headers, codes and compressed data.

A message is a header of eight bytes and at most 65535 bytes of data. Requests carry an opcode and
a flag where responses carry a code and a status. Facts about both ends come from experiments with
Hercules 3.13 (protocol 0.1) and SDL Hyperion 4.9 (0.3); nothing here decides anything.
"""

import bz2
import enum
import struct
import zlib
from typing import Final, NamedTuple

HEADER: Final = struct.Struct(">BBHHH")
"""Opcode or code, flag or status, device number, bytes of data, client id."""
HEADER_BYTES: Final = HEADER.size
DATA_BYTES_MAX: Final = 0xFFFF
MESSAGE_BYTES_MAX: Final = 255
TRACK: Final = struct.Struct(">I")
PLACE: Final = struct.Struct(">HI")
"""What begins the data of a WRITE: offset in the track image, track number."""
ID: Final = struct.Struct(">H")

DEFAULT_PORT: Final = 3990
VERSION: Final = 0
RELEASE: Final = 3
"""The newest release of version 0: with the queries for serial number and control unit."""
RELEASE_QUERIES: Final = 3
"""From this release on a client asks for those two."""
CLIENTS_MAX: Final = 8
CHANGES_MAX: Final = 16
"""More changed tracks than this are told as "everything"."""
IDLE_S_MAX: Final = 120
"""A real server hangs up on a client that was silent for so long."""
COMPRESSED_BYTES_MIN: Final = 512
FLUSH_TRACK: Final = 0xFFFFFFFF
"""READ of this track makes a real control unit write back the current one."""

UNIT_CHECK: Final = 0x0E
"""Channel end, device end, unit check: the unit status that goes with IO_ERROR."""
OPERATION_ENDED: Final = 0x0C
"""Channel end and device end, which comes with sense bytes."""
NO_WAIT: Final = 0x80
COMPRESSED: Final = 0x10
KIND_MASK: Final = 0x30
PLAIN_MASK: Final = 0x0F


class Opcode(enum.IntEnum):
    """What a client asks for."""

    CONNECT = 0xE0
    DISCONNECT = 0xE1
    START = 0xE2
    END = 0xE3
    RESUME = 0xE4
    SUSPEND = 0xE5
    RESERVE = 0xE6
    RELEASE = 0xE7
    READ = 0xE8
    WRITE = 0xE9
    SENSE = 0xEA
    QUERY = 0xEB
    COMPRESS = 0xEC


class Code(enum.IntEnum):
    """How a request ended; 0x80 and above come with a text."""

    OK = 0x00
    PURGE = 0x08
    COMPRESSED = 0x10
    BUSY = 0x20
    IO_ERROR = 0x40
    ERROR = 0x80
    INVALID = 0xF0
    BAD_VERSION = 0xF1
    NOT_READY = 0xF2
    NOT_CONNECTED = 0xF3
    NOT_AVAILABLE = 0xF4
    NO_MEMORY = 0xF5
    NOT_ACTIVE = 0xF6
    NO_DEVICE = 0xF7


class Query(enum.IntEnum):
    """What a QUERY asks about, in its flag."""

    CHARACTERISTICS = 0x41
    IDENTITY = 0x42
    USED = 0x43
    SERIAL = 0x44
    CONTROL_UNIT = 0x45
    CYLINDERS = 0x48
    FIRST_BLOCK = 0x4C
    BLOCKS = 0x4D
    BLOCK_BYTES = 0x4E


class Compression(enum.IntEnum):
    """How data is compressed, as it stands in a flag or status."""

    ZLIB = 0x10
    BZIP2 = 0x20


class Header(NamedTuple):
    """The eight bytes that begin every message."""

    code: int
    flag: int
    device: int
    length: int
    client_id: int


class BadDataError(ValueError):
    """Compressed data that cannot be what was sent; its text names what is wrong."""


def header(code: int, flag: int, device: int, length: int, client_id: int) -> bytes:
    """Return a header.

    >>> header(Opcode.READ, 0, 0x0A00, 4, 1).hex()
    'e8000a0000040001'
    """
    return HEADER.pack(code, flag, device, length, client_id)


def error(code: Code, opcode: int, device: int, client_id: int, text: str) -> bytes:
    """Return a response that says in words why a request was refused."""
    data = text.encode("ascii", "replace")[: MESSAGE_BYTES_MAX - 1] + b"\0"
    return header(code, opcode, device, len(data), client_id) + data


def packed(data: bytes, level: int) -> bytes | None:
    """Return data compressed by zlib, or None when that would not make it shorter."""
    if not level or len(data) < COMPRESSED_BYTES_MIN:
        return None
    found = zlib.compress(data, level)
    return found if len(found) < len(data) else None


def unpacked(data: bytes, flag: int) -> bytes:
    """Return the data of a compressed message, whose flag says how it was compressed.

    Raises BadDataError for what does not decompress, or to more than a message may hold.
    """
    plain = flag & PLAIN_MASK
    kind = flag & KIND_MASK
    rest = data[plain:]
    if len(data) < plain:
        raise BadDataError(f"{len(data)} bytes cannot begin with {plain} plain ones")
    machine: zlib._Decompress | bz2.BZ2Decompressor
    if kind == Compression.ZLIB:
        machine = zlib.decompressobj()
    elif kind == Compression.BZIP2:
        machine = bz2.BZ2Decompressor()
    else:
        raise BadDataError(f"no compression is called {kind:02X}")
    try:
        found = machine.decompress(rest, DATA_BYTES_MAX + 1)
    except (zlib.error, OSError) as problem:
        raise BadDataError(f"{len(rest)} compressed bytes are damaged: {problem}") from problem
    if len(found) + plain > DATA_BYTES_MAX:
        raise BadDataError(f"they are more than {DATA_BYTES_MAX} bytes when decompressed")
    if not machine.eof:
        raise BadDataError(f"{len(rest)} compressed bytes end too early")
    return data[:plain] + found


def change_list(data: bytes) -> list[int] | None:
    """Return the tracks that a START response names; None means everything.

    >>> change_list(bytes.fromhex("0000000700000009")), change_list(b"")
    ([7, 9], None)
    """
    count, rest = divmod(len(data), TRACK.size)
    if not count or rest or count > CHANGES_MAX:
        return None
    return [track for (track,) in TRACK.iter_unpack(data)]
