"""Rows for a guest's table: format, update, read and check tracks by plain channel programs."""

import struct
from collections.abc import Sequence

from emulator.channel.track_image import NewRecord
from rig.measure.guest import COMMAND_CHAIN, DATA_CHAIN, Ccw, Guest, Row

_SEEK, _SEARCH_ID, _TIC = 0x07, 0x31, 0x08
_READ_DATA, _WRITE_DATA, _WRITE_COUNT_KEY_DATA = 0x06, 0x05, 0x1D
_BACK_TO_SEARCH = -8


def _reach(guest: Guest, address: tuple[int, int], record: int) -> list[Ccw]:
    """Return the commands that bring the device to a record of a track, by cylinder and head."""
    seek = guest.area(struct.pack(">HHH", 0, *address))
    wanted = guest.area(struct.pack(">HHB", *address, record))
    return [
        Ccw(_SEEK, seek, 6, COMMAND_CHAIN),
        Ccw(_SEARCH_ID, wanted, 5, COMMAND_CHAIN),
        Ccw(_TIC, 2 * _BACK_TO_SEARCH, 0),
    ]


def format_row(guest: Guest, address: tuple[int, int], contents: Sequence[bytes]) -> Row:
    """Return the row that writes records 1, 2, ... anew behind R0; what was there is gone."""
    return records_row(guest, address, [NewRecord(at, data) for at, data in enumerate(contents, 1)])


def records_row(guest: Guest, address: tuple[int, int], records: Sequence[NewRecord]) -> Row:
    """Return the row that writes records, with their keys, anew behind R0."""
    commands = _reach(guest, address, 0)
    for place, (number, data, key) in enumerate(records, 1):
        count = struct.pack(">HHBBH", *address, number, len(key), len(data))
        area = guest.area(count + key + data)
        flags = COMMAND_CHAIN if place < len(records) else 0
        commands.append(Ccw(_WRITE_COUNT_KEY_DATA, area, len(count) + len(key) + len(data), flags))
    return Row(guest.program(*commands))


def write_row(guest: Guest, address: tuple[int, int], record: int, data: bytes) -> Row:
    """Return the row that writes a record's data."""
    commands = [*_reach(guest, address, record), Ccw(_WRITE_DATA, guest.area(data), len(data))]
    return Row(guest.program(*commands))


def fill_row(guest: Guest, address: tuple[int, int], records: int, data: int, length: int) -> Row:
    """Return the row that formats a track with equal records, whose data many rows may share."""
    commands = _reach(guest, address, 0)
    for number in range(1, records + 1):
        count = guest.area(struct.pack(">HHBBH", *address, number, 0, length))
        commands.append(Ccw(_WRITE_COUNT_KEY_DATA, count, 8, DATA_CHAIN))
        commands.append(Ccw(0, data, length, COMMAND_CHAIN if number < records else 0))
    return Row(guest.program(*commands))


def update_row(guest: Guest, address: tuple[int, int], record: int, length: int) -> Row:
    """Return the row that writes a record's data, which begins with the sequence number."""
    data = guest.room(length)
    commands = [*_reach(guest, address, record), Ccw(_WRITE_DATA, data, length)]
    return Row(guest.program(*commands), number=data)


def read_row(guest: Guest, address: tuple[int, int], records: int, length: int, into: int) -> Row:
    """Return the row that reads records 1 to `records` of a track to an address."""
    commands = _reach(guest, address, 1)
    for number in range(records):
        flags = COMMAND_CHAIN if number + 1 < records else 0
        commands.append(Ccw(_READ_DATA, into + number * length, length, flags))
    return Row(guest.program(*commands))


def check_row(guest: Guest, address: tuple[int, int], record: int, expected: bytes) -> Row:
    """Return the row that reads a record's data and compares it with what it must be."""
    into, right = guest.room(len(expected)), guest.area(expected)
    commands = [*_reach(guest, address, record), Ccw(_READ_DATA, into, len(expected))]
    return Row(guest.program(*commands), left=into, right=right, length=len(expected))
