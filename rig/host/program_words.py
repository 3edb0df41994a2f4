"""The words of program files: command names, and the bytes that operands stand for.

Names come from the engine's own tables, in lower case with hyphens: `search-id-equal`; the
multitrack form of a command ends in `-mt`. A command may also be written as its code, `"63"`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from emulator.channel.ccw import TRANSFER_IN_CHANNEL
from emulator.channel.ckd.table import ROWS
from emulator.channel.commands import MULTITRACK, Command
from emulator.channel.fba import ROWS as FIXED_BLOCK_ROWS

TRANSFER: Final = "transfer-in-channel"
DATA_BYTES_MAX: Final = 0xFFFF
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_CODE = re.compile(r"[0-9A-Fa-f]{2}")
_ADDRESS = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")
_RECORD_ID = re.compile(r"([0-9]{1,5})/([0-9]{1,5})/([0-9]{1,3})")
_HALFWORD_MAX = 0xFFFF
_EBCDIC = "cp037"
_DATA_KEYS = ("hex", "text", "ebcdic", "file", "fill", "size")


def command_names(rows: Iterable[Command]) -> dict[str, int]:
    """Return the code of each command by its name in program files."""
    names: dict[str, int] = {}
    for row in rows:
        name = row.name.lower().replace(" ", "-")
        names.setdefault(name, row.code)
        if row.multitrack:
            names.setdefault(f"{name}-mt", row.code | MULTITRACK)
    return names


COMMANDS: Final = {
    TRANSFER: TRANSFER_IN_CHANNEL,
    **command_names(FIXED_BLOCK_ROWS),
    **command_names(ROWS),
}


def command_code(word: str) -> int | None:
    """Return the code that a word of a program file stands for, if it is a command.

    >>> command_code("define-extent"), command_code("5e"), command_code("seeek")
    (99, 94, None)
    """
    if word in COMMANDS:
        return COMMANDS[word]
    return int(word, 16) if _CODE.fullmatch(word) else None


def brings_data(code: int) -> bool:
    """Tell whether data goes from the device to the channel: reads and senses.

    >>> brings_data(0x06), brings_data(0xE4), brings_data(0x31)
    (True, True, False)
    """
    return code & 0x03 == 0x02 or code & 0x0F in (0x04, 0x0C)


def hex_bytes(text: str) -> bytes:
    """Return the bytes of hexadecimal digits; blanks between bytes are for the eye.

    >>> hex_bytes("00 c0 ff").hex()
    '00c0ff'
    """
    digits = re.sub(r"\s", "", text)
    if not _HEX.fullmatch(digits):
        raise ValueError("write pairs of hexadecimal digits, such as 00 C0")
    return bytes.fromhex(digits)


def track_address(text: object) -> tuple[int, int]:
    """Return cylinder and head of an address such as 3/2.

    >>> track_address("3/2")
    (3, 2)
    """
    found = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    numbers = tuple(map(int, found.groups())) if found else ()
    if len(numbers) != 2 or max(numbers) > _HALFWORD_MAX:
        raise ValueError('write cylinder and head in decimal, such as "3/2"')
    return numbers[0], numbers[1]


def record_id(text: object) -> tuple[int, int, int]:
    """Return cylinder, head and record of an id such as 3/2/5.

    >>> record_id("3/2/5")
    (3, 2, 5)
    """
    found = _RECORD_ID.fullmatch(text) if isinstance(text, str) else None
    numbers = tuple(map(int, found.groups())) if found else ()
    if len(numbers) != 3 or max(numbers) > _HALFWORD_MAX or numbers[2] > 0xFF:
        raise ValueError('write cylinder, head and record in decimal, such as "3/2/5"')
    return numbers[0], numbers[1], numbers[2]


def byte_value(text: object) -> int:
    """Return the value of two hexadecimal digits.

    >>> byte_value("C0")
    192
    """
    if not isinstance(text, str) or not _CODE.fullmatch(text):
        raise ValueError('write two hexadecimal digits in quotes, such as "C0"')
    return int(text, 16)


def whole_number(least: int, most: int, value: object) -> int:
    """Return a whole number that lies between two others."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"write a whole number from {least} to {most}")
    return value


def data_bytes(value: object, folder: Path) -> bytes:
    """Return the bytes that `data` or `key` stands for: hexadecimal digits, or a table.

    >>> data_bytes({"ebcdic": "VOL1", "size": 6, "fill": "40"}, Path()).hex()
    'e5d6d3f14040'
    """
    if isinstance(value, str):
        return hex_bytes(value)
    if not isinstance(value, dict) or not value:
        raise ValueError(f"write hexadecimal digits, or a table of {', '.join(_DATA_KEYS)}")
    unknown = [key for key in value if key not in _DATA_KEYS]
    if unknown:
        raise ValueError(f"{unknown[0]} means nothing here; a table may hold {_DATA_KEYS}")
    sources = [key for key in _DATA_KEYS[:4] if key in value]
    if len(sources) > 1:
        raise ValueError(f"{sources[0]} and {sources[1]} are both given; keep one")
    data = _source_bytes(sources[0], value[sources[0]], folder) if sources else b""
    fill = byte_value(value.get("fill", "00"))
    if "size" in value:
        size = whole_number(0, DATA_BYTES_MAX, value["size"])
        if len(data) > size:
            raise ValueError(f"size = {size}, but the data has {len(data)} bytes")
        data = data.ljust(size, bytes([fill]))
    elif not sources:
        raise ValueError("fill needs a size")
    if len(data) > DATA_BYTES_MAX:
        raise ValueError(f"{len(data)} bytes; one CCW carries at most {DATA_BYTES_MAX}")
    return data


def _source_bytes(kind: str, value: Any, folder: Path) -> bytes:  # noqa: ANN401 - from a file
    if not isinstance(value, str):
        raise ValueError(f"{kind}: write text in quotes")  # noqa: TRY004 - told as what is wrong
    if kind == "hex":
        return hex_bytes(value)
    if kind == "file":
        try:
            return (folder / value).read_bytes()
        except OSError as error:
            raise ValueError(f"{folder / value}: {error.strerror}") from error
    try:
        return value.encode(_EBCDIC if kind == "ebcdic" else "utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{value[error.start]!r} has no place in EBCDIC (cp037)") from error
