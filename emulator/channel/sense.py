"""Sense bytes: why a channel program ended with unit check.

A command that cannot go on raises `UnitCheck` with one of the reasons below; the engine builds
the sense bytes from it, 24 or 32 of them as the control unit has. `describe` reads them back.
"""

from typing import Final, NamedTuple

from emulator.channel.geometry import Geometry


class Reason(NamedTuple):
    """What bytes 0, 1, 2 and 7 of the sense say."""

    byte0: int
    byte1: int
    byte2: int
    byte7: int
    meaning: str


INVALID_COMMAND: Final = Reason(0x80, 0x00, 0x00, 0x01, "command reject: invalid command")
INVALID_SEQUENCE: Final = Reason(0x80, 0x00, 0x00, 0x02, "command reject: invalid command sequence")
COUNT_TOO_SMALL: Final = Reason(0x80, 0x00, 0x00, 0x03, "command reject: CCW count too small")
INVALID_PARAMETER: Final = Reason(0x80, 0x00, 0x00, 0x04, "command reject: invalid parameter")
DIAGNOSTIC_MASK: Final = Reason(
    0x80, 0x00, 0x00, 0x05, "command reject: the file mask allows no diagnostic command"
)
STATUS_REFUSED: Final = Reason(0x80, 0x00, 0x00, 0x0F, "command reject: status is not as required")
INCOMPLETE_DOMAIN: Final = Reason(
    0x81, 0x00, 0x00, 0x00, "command reject: the chain ended inside a Locate Record domain"
)
INTERVENTION_REQUIRED: Final = Reason(
    0x40, 0x00, 0x00, 0x00, "intervention required: the device is not ready"
)
EQUIPMENT_CHECK: Final = Reason(
    0x10, 0x00, 0x00, 0x10, "equipment check: the track cannot be read or written"
)
DATA_CHECK: Final = Reason(
    0x08, 0x80, 0x00, 0x43, "data check: what the device holds there is damaged for good"
)
WRITE_INHIBITED: Final = Reason(
    0x10, 0x02, 0x00, 0x10, "equipment check: the volume may not be written here"
)
INVALID_TRACK_FORMAT: Final = Reason(
    0x00, 0x40, 0x00, 0x00, "invalid track format: the record does not fit, or its length differs"
)
END_OF_CYLINDER: Final = Reason(
    0x00, 0x20, 0x00, 0x00, "end of cylinder: a multitrack command passed the last head"
)
RESET_NOTIFICATION: Final = Reason(0x00, 0x10, 0x00, 0x08, "the path was reset")
NO_RECORD_FOUND: Final = Reason(0x00, 0x08, 0x00, 0x00, "no record found")
FILE_PROTECTED: Final = Reason(
    0x00, 0x04, 0x00, 0x00, "file protected: the file mask or the extent forbids the seek"
)
NOTHING: Final = Reason(0x00, 0x00, 0x00, 0x00, "nothing to report")

REASONS: Final = (
    INVALID_COMMAND,
    INVALID_SEQUENCE,
    COUNT_TOO_SMALL,
    INVALID_PARAMETER,
    DIAGNOSTIC_MASK,
    STATUS_REFUSED,
    INCOMPLETE_DOMAIN,
    INTERVENTION_REQUIRED,
    EQUIPMENT_CHECK,
    DATA_CHECK,
    WRITE_INHIBITED,
    INVALID_TRACK_FORMAT,
    END_OF_CYLINDER,
    RESET_NOTIFICATION,
    NO_RECORD_FOUND,
    FILE_PROTECTED,
)


class UnitCheck(Exception):
    """A command cannot go on; never leaves the engine."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.meaning)
        self.reason = reason


# Bits of a cylinder's high byte stand left of the head in byte 6, on most devices by four.
_CYLINDER_SHIFT: Final = {0x3340: 5, 0x3350: 5, 0x3375: 6}
_SHORT_CYLINDERS_MAX: Final = 4095
# Data checks name in bytes 8 to 12 where the error is: CCHHR.
_FORMATS_WITH_ADDRESS: Final = (4, 5)


def _cylinder_shift(geometry: Geometry) -> int:
    if geometry.device_type == 0x3330:
        return 6 if geometry.model == 0x01 else 5
    return _CYLINDER_SHIFT.get(geometry.device_type, 4)


def _physical_address(geometry: Geometry, address: int) -> int:
    """Return byte 4: which drive of its string the device is."""
    match geometry.device_type:
        case 0x3330:
            return (address & 0x07) | ((~address & 0x07) << 3)
        case 0x3340 | 0x3350:
            return 0x80 >> (address & 0x07)
        case 0x3375:
            return address & 0x07
        case 0x3380:
            return address & 0x0F
    return 0


def ckd_sense(
    reason: Reason,
    geometry: Geometry,
    *,
    address: int,
    cylinder: int,
    head: int,
    length: int,
) -> bytes:
    """Return the sense bytes of a count-key-data device, `length` of them."""
    sense = bytearray(32)
    sense[0:3] = reason[0:3]
    if geometry.device_type == 0x3340:
        sense[2] |= 0x80 | geometry.model
    sense[4] = _physical_address(geometry, address)
    if geometry.cylinders > _SHORT_CYLINDERS_MAX:
        sense[5] = sense[6] = 0xFF
    else:
        sense[5] = cylinder & 0xFF
        sense[6] = (cylinder >> 8 << _cylinder_shift(geometry) | head & 0x1F) & 0xFF
    sense[7] = reason.byte7
    if reason.byte7 >> 4 in _FORMATS_WITH_ADDRESS:
        # The record is not known: all of the track is of no use.
        sense[8:10] = cylinder.to_bytes(2, "big")
        sense[10:12] = head.to_bytes(2, "big")
    # The layout is the one of 24 bytes; a control unit with 32 adds the whole address.
    sense[27] = 0x80
    sense[29:31] = cylinder.to_bytes(2, "big")
    sense[31] = head & 0xFF
    return bytes(sense[:length])


def fba_sense(reason: Reason, length: int) -> bytes:
    """Return the sense bytes of a fixed-block device."""
    return bytes((reason.byte0, reason.byte1, reason.byte2)).ljust(length, b"\0")


def describe(sense: bytes) -> str:
    """Say in words what sense bytes report.

    >>> describe(bytes.fromhex("0008000000000000"))
    'no record found'
    """
    if len(sense) < 8:
        return f"{len(sense)} sense bytes, too few to say more"
    for reason in (*REASONS, NOTHING):
        if (sense[0], sense[1], sense[7]) == (reason.byte0, reason.byte1, reason.byte7):
            return reason.meaning
    return f"sense {sense[:8].hex(' ')}"
