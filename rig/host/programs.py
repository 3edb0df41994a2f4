"""Channel programs as a host's access method writes them: chains, and recipes for common work.

    chain = Chain()
    chain.add(SEEK, parameters.seek(3, 2))
    search = chain.add(SEARCH_ID, parameters.search_id(3, 2, 5))
    chain.transfer(search)
    chain.read(READ_DATA, 4096)
    program = chain.program()

`add` and its like return the index of the CCW, which a transfer goes to and under which a result
has what was read. Relies on `emulator/channel/parameters.py` for what commands send.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from emulator.channel import fba
from emulator.channel.blocks import BLOCK_BYTES
from emulator.channel.ccw import (
    CHAIN_COMMAND,
    CHAIN_DATA,
    SKIP,
    SUPPRESS_LENGTH,
    TRANSFER_IN_CHANNEL,
    Ccw,
)
from emulator.channel.geometry import STANDARD_R0_DATA_BYTES
from emulator.channel.orders import Order, order_parameters
from emulator.channel.parameters import (
    Address,
    define_extent,
    locate_record,
    search_id,
    seek,
)
from emulator.channel.track_image import NewRecord, count_field

SEEK = 0x07
SEARCH_ID = 0x31
DEFINE_EXTENT = 0x63
LOCATE_RECORD = 0x47
READ_DATA = 0x06
READ_TRACK = 0xDE
READ_CKD = 0x1E
WRITE_DATA = 0x05
WRITE_UPDATE = 0x85
WRITE_CKD = 0x1D
WRITE_R0 = 0x15
WRITE_HOME_ADDRESS = 0x19
SET_FILE_MASK = 0x1F
READ_CHARACTERISTICS = 0x64
PERFORM_FUNCTION = 0x27
READ_SUBSYSTEM_DATA = 0x3E

_WRITE_DATA_OPERATION = 0x01
_READ_DATA_OPERATION = 0x06
_READ_TRACKS_OPERATION = 0x0C
_MASK_READ_ONLY = 0x40
_MASK_UPDATE = 0x80
_MASK_ANY_WRITE = 0xC0
_LONGEST = 0xFFFF
_STATE_BYTES_MAX = 1024


class Chain:
    """A channel program under construction; every CCW is chained to the next."""

    def __init__(self) -> None:
        self._ccws: list[Ccw] = []

    def add(self, command: int, data: bytes, *, flags: int = 0) -> int:
        """Add a command that sends `data`."""
        self._ccws.append(Ccw(command, len(data), data, flags))
        return len(self._ccws) - 1

    def read(
        self, command: int, byte_count: int, *, suppress: bool = False, skip: bool = False
    ) -> int:
        """Add a command that brings `byte_count` bytes, or up to it with `suppress`."""
        flags = (SUPPRESS_LENGTH if suppress else 0) | (SKIP if skip else 0)
        self._ccws.append(Ccw(command, byte_count, b"", flags))
        return len(self._ccws) - 1

    def gather(self, command: int, pieces: Sequence[bytes]) -> int:
        """Add a command whose data comes in pieces, chained; return the first one's index."""
        first = len(self._ccws)
        for number, piece in enumerate(pieces):
            flags = CHAIN_DATA if number < len(pieces) - 1 else 0
            self._ccws.append(Ccw(command, len(piece), piece, flags))
        return first

    def scatter(self, command: int, counts: Sequence[int]) -> int:
        """Add a command that brings its data in pieces; return the first one's index."""
        first = len(self._ccws)
        for number, byte_count in enumerate(counts):
            flags = CHAIN_DATA if number < len(counts) - 1 else 0
            self._ccws.append(Ccw(command, byte_count, b"", flags))
        return first

    def transfer(self, target: int) -> int:
        """Add a Transfer in Channel to the CCW with index `target`."""
        self._ccws.append(Ccw(TRANSFER_IN_CHANNEL, target=target))
        return len(self._ccws) - 1

    def program(self) -> tuple[Ccw, ...]:
        """Return the program: all are chained but the last, and a transfer chains by itself."""
        last = len(self._ccws) - 1
        return tuple(
            ccw
            if place == last or ccw.flags & CHAIN_DATA or ccw.command == TRANSFER_IN_CHANNEL
            else ccw._replace(flags=ccw.flags | CHAIN_COMMAND)
            for place, ccw in enumerate(self._ccws)
        )


def block_extent(first: int, last: int, *, mask: int = 0, extent_at: int | None = None) -> bytes:
    """Return the parameters of a fixed-block device's Define Extent.

    Blocks of the extent go by the numbers from `first` to `last`, and lie on the device from
    `extent_at` on: at their own numbers unless it is given.

    >>> block_extent(8, 15).hex(" ", 4)
    '00000000 00000008 00000008 0000000f'
    """
    return struct.pack(">BxxxIII", mask, first if extent_at is None else extent_at, first, last)


def locate_blocks(operation: int, block: int, blocks: int, *, replications: int = 0) -> bytes:
    """Return the parameters of Locate: which blocks of the extent, and what is done to them."""
    return struct.pack(">BBHI", operation, replications, blocks, block)


def read_blocks(block: int, blocks: int) -> tuple[Ccw, ...]:
    """Read blocks of a fixed-block device, at most 127 of them: a CCW counts to 65,535 bytes."""
    chain = Chain()
    extent = block_extent(block, block + blocks - 1, mask=_MASK_READ_ONLY)
    chain.add(fba.DEFINE_EXTENT, extent)
    chain.add(fba.LOCATE, locate_blocks(fba.READ_DATA, block, blocks))
    chain.read(fba.READ, blocks * BLOCK_BYTES)
    return chain.program()


def write_blocks(block: int, data: bytes) -> tuple[Ccw, ...]:
    """Write whole blocks of a fixed-block device, at most 127 of them."""
    blocks = len(data) // BLOCK_BYTES
    chain = Chain()
    chain.add(fba.DEFINE_EXTENT, block_extent(block, block + blocks - 1))
    chain.add(fba.LOCATE, locate_blocks(fba.WRITE_DATA, block, blocks))
    chain.add(fba.WRITE, data)
    return chain.program()


class Volume(NamedTuple):
    """What a recipe has to know of a count-key-data device."""

    last: Address
    """The last track's cylinder and head."""
    extended: bool
    """Whether its control unit has Define Extent and Locate Record."""
    records_max: int = 256
    """The most records that a track holds."""


def read_record(volume: Volume, track: Address, record: int, length: int) -> tuple[Ccw, ...]:
    """Read the data of one record, up to `length` bytes; the last CCW has it."""
    chain = Chain()
    if volume.extended:
        chain.add(DEFINE_EXTENT, define_extent(track, track, mask=_MASK_READ_ONLY))
        chain.add(LOCATE_RECORD, locate_record(_READ_DATA_OPERATION, 1, track, record=record))
    else:
        _find(chain, track, record)
    chain.read(READ_DATA, length, suppress=True)
    return chain.program()


def update_records(
    volume: Volume, track: Address, contents: Sequence[tuple[int, bytes]]
) -> tuple[Ccw, ...]:
    """Write the data of records in place, each of its whole length."""
    chain = Chain()
    if volume.extended:
        chain.add(DEFINE_EXTENT, define_extent(track, track, mask=_MASK_UPDATE))
    for record, data in contents:
        if volume.extended:
            located = locate_record(
                _WRITE_DATA_OPERATION, 1, track, record=record, transfer_length=len(data)
            )
            chain.add(LOCATE_RECORD, located)
            chain.add(WRITE_UPDATE, data)
        else:
            _find(chain, track, record)
            chain.add(WRITE_DATA, data)
    return chain.program()


def format_track(
    volume: Volume, track: Address, records: Sequence[NewRecord], *, whole: bool = False
) -> tuple[Ccw, ...]:
    """Write a track anew behind its R0: what it had is gone.

    With `whole` from its home address on, R0 as well, which a damaged track needs.
    """
    chain = Chain()
    if volume.extended:
        chain.add(DEFINE_EXTENT, define_extent(track, track, mask=_MASK_ANY_WRITE))
    elif whole:
        chain.add(SET_FILE_MASK, bytes((_MASK_ANY_WRITE,)))
    chain.add(SEEK, seek(*track))
    if whole:
        home = struct.pack(">xHH", *track)
        chain.add(WRITE_HOME_ADDRESS, home, flags=SUPPRESS_LENGTH)
        r0 = count_field(*track, 0, 0, STANDARD_R0_DATA_BYTES)
        chain.add(WRITE_R0, r0 + bytes(STANDARD_R0_DATA_BYTES))
    else:
        search = chain.add(SEARCH_ID, search_id(*track, 0))
        chain.transfer(search)
    for number, data, key in records:
        field = count_field(*track, number, len(key), len(data))
        chain.add(WRITE_CKD, field + key + data)
    return chain.program()


def read_track(volume: Volume, track: Address) -> tuple[Ccw, ...]:
    """Read the records of a track from R1 on, up to its end.

    With Define Extent the one read brings them in a row. Without, each record has a read of its
    own, and as nobody knows how many there are, the reads go round: the caller stops at the first
    record that comes again.
    """
    chain = Chain()
    if volume.extended:
        chain.add(DEFINE_EXTENT, define_extent(track, track, mask=_MASK_READ_ONLY))
        chain.add(LOCATE_RECORD, locate_record(_READ_TRACKS_OPERATION, 1, track))
        chain.read(READ_TRACK, _LONGEST, suppress=True)
    else:
        chain.add(SEEK, seek(*track))
        for _ in range(volume.records_max):
            chain.read(READ_CKD, _LONGEST, suppress=True)
    return chain.program()


def _find(chain: Chain, track: Address, record: int) -> None:
    """Seek a track and search a record by its id."""
    chain.add(SEEK, seek(*track))
    search = chain.add(SEARCH_ID, search_id(*track, record))
    chain.transfer(search)


def order_program(order: Order, argument: str = "") -> tuple[Ccw, ...]:
    """Return the program that orders something of the copy; a query's last CCW reads the answer."""
    chain = Chain()
    chain.add(PERFORM_FUNCTION, order_parameters(order, argument))
    if order is Order.QUERY_COPY_STATE:
        chain.read(READ_SUBSYSTEM_DATA, _STATE_BYTES_MAX, suppress=True)
    return chain.program()
