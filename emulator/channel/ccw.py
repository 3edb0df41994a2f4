"""Channel command words: what a channel program is made of, and their two forms in storage.

A program is a sequence of `Ccw`. What a write, control or search command sends lies in the CCW
itself; what a read or sense command brings comes back in its result. `encode` and `decode` know
the eight bytes of formats 0 and 1.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

CHAIN_DATA: Final = 0x80
CHAIN_COMMAND: Final = 0x40
SUPPRESS_LENGTH: Final = 0x20
SKIP: Final = 0x10
PROGRAM_CONTROLLED: Final = 0x08
INDIRECT: Final = 0x04
FLAGS_UNKNOWN: Final = 0x03
"""Suspend, and modified indirect addresses: not done by this channel."""

TRANSFER_IN_CHANNEL: Final = 0x08
TRANSFER_MASK: Final = 0x0F
CCW_BYTES: Final = 8
COUNT_MAX: Final = 0xFFFF
FORMAT_0_ADDRESS_MAX: Final = 0xFFFFFF
FORMAT_1_ADDRESS_MAX: Final = 0x7FFFFFFF

FLAG_NAMES: Final = {
    CHAIN_DATA: "CD",
    CHAIN_COMMAND: "CC",
    SUPPRESS_LENGTH: "SLI",
    SKIP: "SKIP",
    PROGRAM_CONTROLLED: "PCI",
    INDIRECT: "IDA",
}

_FORMAT_0: Final = struct.Struct(">IBBH")
_FORMAT_1: Final = struct.Struct(">BBHI")


class Ccw(NamedTuple):
    """One channel command word."""

    command: int
    byte_count: int = 0
    data: bytes = b""
    """What the command sends; at least `byte_count` bytes, or the channel sees a program check."""
    flags: int = 0
    target: int = 0
    """For Transfer in Channel: the index of the CCW to go on with."""


Program = Sequence[Ccw]


class StoredCcw(NamedTuple):
    """A channel command word as it lies in a host's storage."""

    command: int
    flags: int
    byte_count: int
    address: int


class BadCcwError(ValueError):
    """Eight bytes are no valid CCW: the channel's program check."""


def is_transfer(command: int) -> bool:
    """Tell whether the command is Transfer in Channel: its low four bits alone say so."""
    return command & TRANSFER_MASK == TRANSFER_IN_CHANNEL


def encode(ccw: StoredCcw, form: int) -> bytes:
    """Return the eight bytes of a CCW in format 0 or 1.

    Raises BadCcwError when a field does not fit.

    >>> encode(StoredCcw(0x07, 0x40, 6, 0x1000), 0).hex()
    '0700100040000006'
    >>> encode(StoredCcw(0x07, 0x40, 6, 0x1000), 1).hex()
    '0740000600001000'
    """
    limit = FORMAT_0_ADDRESS_MAX if form == 0 else FORMAT_1_ADDRESS_MAX
    if not (0 <= ccw.address <= limit and 0 <= ccw.byte_count <= COUNT_MAX):
        raise BadCcwError(
            f"address {ccw.address:X} or count {ccw.byte_count} does not fit format {form}"
        )
    if form == 0:
        return _FORMAT_0.pack(ccw.command << 24 | ccw.address, ccw.flags, 0, ccw.byte_count)
    return _FORMAT_1.pack(ccw.command, ccw.flags, ccw.byte_count, ccw.address)


def decode(data: bytes, form: int) -> StoredCcw:
    """Return the CCW in eight bytes of format 0 or 1, or raise BadCcwError.

    >>> decode(bytes.fromhex("0740000600001000"), 1)
    StoredCcw(command=7, flags=64, byte_count=6, address=4096)
    """
    if len(data) != CCW_BYTES:
        raise BadCcwError(f"{len(data)} bytes are no CCW")
    if form == 0:
        word, flags, _, count = _FORMAT_0.unpack(data)
        command, address = word >> 24, word & FORMAT_0_ADDRESS_MAX
        if is_transfer(command):
            # Everything but the address is ignored in format 0.
            return StoredCcw(TRANSFER_IN_CHANNEL, 0, 0, address)
        if not count:
            raise BadCcwError("the count of a CCW of format 0 is zero")
    else:
        command, flags, count, address = _FORMAT_1.unpack(data)
        if address > FORMAT_1_ADDRESS_MAX:
            raise BadCcwError(f"address {address:X} has more than 31 bits")
        if is_transfer(command) and data[:4] != b"\x08\0\0\0":
            raise BadCcwError("a Transfer in Channel of format 1 has a flag, count or high digit")
    if flags & FLAGS_UNKNOWN:
        raise BadCcwError(f"flags {flags:02X} ask for what this channel does not do")
    return StoredCcw(command, flags, count, address)
