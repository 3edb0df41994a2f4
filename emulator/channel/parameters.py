"""What channel commands send: their parameters as bytes, for whoever writes channel programs.

>>> seek(5, 2).hex(), search_id(5, 2, 1).hex()
('000000050002', '0005000201')
"""

import struct
from typing import Final

_EXTENT: Final = struct.Struct(">BBH4xHHHH")
_LOCATE: Final = struct.Struct(">BBxBHHHHBBH")
_LENGTH_GIVEN: Final = 0x80
_EXTENDED_CKD: Final = 0xC0
NO_SECTOR: Final = 0xFF

Address = tuple[int, int]
"""Cylinder and head."""


def seek(cylinder: int, head: int) -> bytes:
    """Return the parameters of Seek, Seek Cylinder and Seek Head."""
    return struct.pack(">HHH", 0, cylinder, head)


def search_id(cylinder: int, head: int, record: int) -> bytes:
    """Return the argument of Search ID."""
    return struct.pack(">HHB", cylinder, head, record)


def define_extent(
    first: Address,
    last: Address,
    *,
    mask: int = 0,
    attributes: int = _EXTENDED_CKD,
    block_size: int = 0,
) -> bytes:
    """Return the parameters of Define Extent; block size 0 stands for the longest record.

    >>> define_extent((0, 0), (19, 14)).hex(" ", 4)
    '00c00000 00000000 00000000 0013000e'
    """
    return _EXTENT.pack(mask, attributes, block_size, *first, *last)


def locate_record(
    operation: int,
    count: int,
    seek_to: Address,
    *,
    record: int = 0,
    search: Address | None = None,
    transfer_length: int = 0,
    auxiliary: int = 0,
    sector: int = NO_SECTOR,
) -> bytes:
    """Return the parameters of Locate Record; the record is looked for by the id it should have."""
    if transfer_length:
        auxiliary |= _LENGTH_GIVEN
    return _LOCATE.pack(
        operation,
        auxiliary,
        count,
        *seek_to,
        *(search or seek_to),
        record,
        sector,
        transfer_length,
    )


def locate_record_extended(located: bytes, extended: int = 0, parameters: bytes = b"") -> bytes:
    """Return the parameters of Locate Record Extended, made from those of Locate Record."""
    return located + struct.pack(">BBH", 0, extended, len(parameters)) + parameters
