"""Operands of a CCW in a program file: which keys each command knows, and the bytes they make."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from emulator.channel.parameters import define_extent, locate_record, search_id, seek
from emulator.channel.track_image import count_field
from rig.bench.problems import choose
from rig.host.program_words import (
    COMMANDS,
    byte_value,
    data_bytes,
    hex_bytes,
    record_id,
    track_address,
    whole_number,
)
from rig.host.programs import block_extent, locate_blocks

Found = TypeVar("Found")
_ALWAYS: Final = ("command", "label", "flags", "count")
_MAKES_COUNT = (0x01, 0x15, 0x1D, 0x9D)
_SEEKS = (0x07, 0x0B, 0x1B)
_SEARCH_IDS = (0x31, 0x51, 0x71)
_SEARCH_HOME = 0x39
_MULTITRACK_OFF = 0x7F
_WORD_MAX = 0xFFFFFFFF


class RefusedError(ValueError):
    """Something of a CCW is wrong, at the key named."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(problem)
        self.key = key


def operand_bytes(code: int, row: dict[str, Any], folder: Path) -> bytes:
    """Return what a command sends, from the operands of its kind or from `data`."""
    base = code & _MULTITRACK_OFF if code not in _MAKES_COUNT else code
    if "data" in row and base not in _MAKES_COUNT:
        only(row, ("data",))
        return operand(row, "data", lambda value: data_bytes(value, folder))
    if code in _MAKES_COUNT and "id" in row:
        return _record(row, folder)
    if base in _SEARCH_IDS:
        only(row, ("id",))
        return search_id(*operand(row, "id", record_id))
    if code in _SEEKS:
        only(row, ("to",))
        return seek(*operand(row, "to", track_address))
    if base == _SEARCH_HOME:
        only(row, ("to",))
        return seek(*operand(row, "to", track_address))[2:]
    if code == COMMANDS["define-extent"]:
        return _extent(row)
    if code == COMMANDS["locate"]:
        return _locate_blocks(row)
    if code == COMMANDS["locate-record"]:
        return _locate(row)
    if code == COMMANDS["set-file-mask"]:
        only(row, ("mask",))
        return bytes([operand(row, "mask", byte_value)])
    only(row, ("data",))
    return b"" if "data" not in row else operand(row, "data", hex_bytes)


def _record(row: dict[str, Any], folder: Path) -> bytes:
    """Return count, key and data of a record that is written."""
    only(row, ("id", "key", "data"))

    def read(value: object) -> bytes:
        return data_bytes(value, folder)

    cylinder, head, number = operand(row, "id", record_id)
    key = operand(row, "key", read) if "key" in row else b""
    data = operand(row, "data", read) if "data" in row else b""
    if len(key) > 0xFF:
        raise RefusedError("key", f"has {len(key)} bytes; a key has at most 255")
    return count_field(cylinder, head, number, len(key), len(data)) + key + data


def _extent(row: dict[str, Any]) -> bytes:
    if isinstance(row.get("first"), int):
        return _block_extent(row)
    only(row, ("first", "last", "mask", "attributes", "block"))
    return define_extent(
        operand(row, "first", track_address),
        operand(row, "last", track_address),
        mask=operand(row, "mask", byte_value) if "mask" in row else 0,
        attributes=operand(row, "attributes", byte_value) if "attributes" in row else 0xC0,
        block_size=_number(row, "block", 0xFFFF),
    )


def _locate(row: dict[str, Any]) -> bytes:
    only(row, ("operation", "records", "seek", "search", "record", "length", "sector", "auxiliary"))
    return locate_record(
        operand(row, "operation", byte_value),
        _number(row, "records", 0xFF, 1),
        operand(row, "seek", track_address),
        record=_number(row, "record", 0xFF),
        search=operand(row, "search", track_address) if "search" in row else None,
        transfer_length=_number(row, "length", 0xFFFF),
        auxiliary=operand(row, "auxiliary", byte_value) if "auxiliary" in row else 0,
        sector=_number(row, "sector", 0xFF, 0xFF),
    )


def _block_extent(row: dict[str, Any]) -> bytes:
    """Return the extent of a fixed-block device, which is given in blocks."""
    only(row, ("first", "last", "mask", "at"))
    return block_extent(
        _number(row, "first", _WORD_MAX),
        _number(row, "last", _WORD_MAX),
        mask=operand(row, "mask", byte_value) if "mask" in row else 0,
        extent_at=_number(row, "at", _WORD_MAX, _number(row, "first", _WORD_MAX)),
    )


def _locate_blocks(row: dict[str, Any]) -> bytes:
    only(row, ("operation", "replications", "blocks", "block"))
    return locate_blocks(
        operand(row, "operation", byte_value),
        _number(row, "block", _WORD_MAX),
        _number(row, "blocks", 0xFFFF, 1),
        replications=_number(row, "replications", 0xFF),
    )


def _number(row: dict[str, Any], key: str, most: int, usual: int = 0) -> int:
    return operand(row, key, lambda value: whole_number(0, most, value)) if key in row else usual


def operand(row: dict[str, Any], key: str, reader: Callable[[Any], Found]) -> Found:
    """Return an operand as `reader` reads it; it must be there."""
    if key not in row:
        raise RefusedError(key, "is missing")
    try:
        return reader(row[key])
    except (ValueError, TypeError) as error:
        raise RefusedError(key, str(error)) from error


def only(row: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse keys that mean nothing for this command."""
    words = [*_ALWAYS, *known]
    for key in row:
        if key not in words:
            raise RefusedError(key, f"means nothing to this command; {choose(key, words)}")
