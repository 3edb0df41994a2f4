"""Control units: what stands between the channel and the devices, and what it can do.

One table; the key is the name that a bench file gives as `control_unit`. The figures are those
that Sense ID and Read Device Characteristics report.
"""

import enum
from typing import Final, NamedTuple

from emulator.errors import BenchError

_CONFIGURATION: Final = 0x40FA0100
_SET_INTERFACE: Final = 0x41270004


class Feature(enum.Flag):
    """What a control unit can do beyond the plain count-key-data commands."""

    NONE = 0
    EXTENDED = enum.auto()
    """Define Extent and Locate Record."""
    STORAGE = enum.auto()
    """A 3990 or later: configuration data, subsystem functions, reset allegiance."""
    CACHED = enum.auto()
    """Subsystem modes and Locate Record Extended."""
    PREFIX = enum.auto()
    """Define Extent and Locate Record Extended in one command."""
    MODERN = enum.auto()
    """The commands of removable packs are gone."""


class ControlUnit(NamedTuple):
    """One model of a control unit."""

    name: str
    control_unit_type: int
    model: int
    code: int
    facilities: int
    functions: int
    command_words: tuple[int, ...]
    """Command information words, as Sense ID appends them."""
    sense_bytes: int
    features: Feature


_E: Final = Feature.EXTENDED
_S: Final = _E | Feature.STORAGE
_C: Final = _S | Feature.CACHED
_M: Final = _C | Feature.MODERN
_WORDS_3: Final = (_CONFIGURATION, _SET_INTERFACE, 0x423E0040)
_WORDS_6: Final = (_CONFIGURATION, _SET_INTERFACE, 0x423E0060)
_WORDS_2107: Final = (_CONFIGURATION, _SET_INTERFACE, 0x423E01A0, 0x433E0008)

CONTROL_UNITS: Final = {
    unit.name: unit
    for unit in (
        ControlUnit("3830", 0x3830, 0x02, 0x00, 0x00000000, 0, (), 24, Feature.NONE),
        ControlUnit("3880", 0x3880, 0x05, 0x09, 0x80000000, 0, (), 24, Feature.NONE),
        ControlUnit("3880-3", 0x3880, 0xC3, 0x09, 0x80000000, 0, (), 24, _E),
        ControlUnit("3990", 0x3990, 0xC2, 0x10, 0xD0000000, 0, (_CONFIGURATION,), 32, _S),
        ControlUnit("3990-3", 0x3990, 0xEC, 0x06, 0xD0001010, 0, _WORDS_3, 32, _C),
        ControlUnit("3990-6", 0x3990, 0xE9, 0x15, 0x50001010, 0x40, _WORDS_6, 32, _M),
        ControlUnit(
            "2107", 0x2107, 0xE8, 0x1F, 0x528010B7, 0x48, _WORDS_2107, 32, _M | Feature.PREFIX
        ),
        ControlUnit("9343", 0x9343, 0xE0, 0x11, 0x52801003, 0, _WORDS_3, 32, _M),
    )
}


def control_unit(name: str) -> ControlUnit:
    """Return the control unit of that name, or raise BenchError with the choice.

    >>> control_unit("3990-6").sense_bytes
    32
    """
    found = CONTROL_UNITS.get(name)
    if found is None:
        raise BenchError(
            f"{name!r} is no control unit known here; choose one of {', '.join(CONTROL_UNITS)}"
        )
    return found
