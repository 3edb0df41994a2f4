"""The numbers and layouts of the NBD protocol, as its public document gives them.

The document is doc/proto.md of the NetworkBlockDevice project; names follow it without their
`NBD_` prefix. Relies on nothing. Both the server session here and our own client read this file.
"""

import enum
import struct
from typing import Final

DEFAULT_PORT: Final = 10809
"""The port the protocol has at IANA."""

SERVER_MAGIC: Final = b"NBDMAGIC"
OPTION_MAGIC: Final = b"IHAVEOPT"
OPTION_REPLY_MAGIC: Final = 0x0003E889045565A9
REQUEST_MAGIC: Final = 0x25609513
SIMPLE_REPLY_MAGIC: Final = 0x67446698
CHUNK_MAGIC: Final = 0x668E33EF

GREETING: Final = struct.Struct(">8s8sH")
CLIENT_FLAGS: Final = struct.Struct(">I")
OPTION: Final = struct.Struct(">8sII")
OPTION_REPLY: Final = struct.Struct(">QIII")
EXPORT: Final = struct.Struct(">QH")
INFO_EXPORT: Final = struct.Struct(">HQH")
INFO_BLOCK_SIZE: Final = struct.Struct(">HIII")
REQUEST: Final = struct.Struct(">IHH8sQI")
REQUEST_HEAD: Final = struct.Struct(">IHH")
REQUEST_SPLIT: Final = struct.Struct(">8s8sQI")
"""A request with its head (magic, flags, command) in one piece, so that it compares at once."""
SIMPLE_REPLY: Final = struct.Struct(">II8s")
CHUNK: Final = struct.Struct(">IHH8sI")

EXPORT_PADDING: Final = bytes(124)
NAME_BYTES_MAX: Final = 4096
BLOCK_BYTES_MIN: Final = 1
BLOCK_BYTES_PREFERRED: Final = 4096
PAYLOAD_BYTES_MAX: Final = 32 << 20
"""The most a read or write may carry; the protocol asks for at least this much."""

HANDSHAKE_FIXED_NEWSTYLE: Final = 1
HANDSHAKE_NO_ZEROES: Final = 2

REPLY_FLAG_DONE: Final = 1
STATE_HOLE: Final = 1
STATE_ZERO: Final = 2
CONTEXT_ALLOCATION: Final = "base:allocation"


class Transmission(enum.IntFlag):
    """What an export can do, told to the client when it opens it."""

    HAS_FLAGS = 1 << 0
    READ_ONLY = 1 << 1
    SEND_FLUSH = 1 << 2
    SEND_FUA = 1 << 3
    SEND_TRIM = 1 << 5
    SEND_WRITE_ZEROES = 1 << 6
    SEND_DF = 1 << 7
    CAN_MULTI_CONN = 1 << 8
    SEND_CACHE = 1 << 10
    SEND_FAST_ZERO = 1 << 11


class Option(enum.IntEnum):
    """What a client may ask for before it opens an export."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    STARTTLS = 5
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10


class OptionAnswer(enum.IntEnum):
    """How an option is answered; errors have the top bit set and carry a text."""

    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    ERR_UNSUP = 0x80000001
    ERR_INVALID = 0x80000003
    ERR_UNKNOWN = 0x80000006
    ERR_SHUTDOWN = 0x80000007
    ERR_TOO_BIG = 0x80000009


class Info(enum.IntEnum):
    """Pieces of information about an export."""

    EXPORT = 0
    NAME = 1
    DESCRIPTION = 2
    BLOCK_SIZE = 3


class Command(enum.IntEnum):
    """What a client may ask of an open export."""

    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class CommandFlag(enum.IntFlag):
    """Modifiers of a command."""

    NONE = 0
    FUA = 1 << 0
    NO_HOLE = 1 << 1
    DF = 1 << 2
    REQ_ONE = 1 << 3
    FAST_ZERO = 1 << 4


class Chunk(enum.IntEnum):
    """What one part of a structured reply holds."""

    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    ERROR = 0x8001
    ERROR_OFFSET = 0x8002


class Errno(enum.IntEnum):
    """The error numbers the protocol allows, which are those of Linux."""

    EPERM = 1
    EIO = 5
    EINVAL = 22
    ENOSPC = 28
    EOVERFLOW = 75
    ENOTSUP = 95
    ESHUTDOWN = 108
