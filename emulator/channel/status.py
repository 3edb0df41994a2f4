"""Unit status and channel status: what a channel program's end looks like to the host."""

from typing import Final

ATTENTION: Final = 0x80
STATUS_MODIFIER: Final = 0x40
CONTROL_UNIT_END: Final = 0x20
BUSY: Final = 0x10
CHANNEL_END: Final = 0x08
DEVICE_END: Final = 0x04
UNIT_CHECK: Final = 0x02
UNIT_EXCEPTION: Final = 0x01

NORMAL: Final = CHANNEL_END | DEVICE_END
MATCHED: Final = NORMAL | STATUS_MODIFIER
"""A search that succeeded: the channel skips one CCW and keeps this to itself."""
CHECKED: Final = NORMAL | UNIT_CHECK
RETRY: Final = CHANNEL_END | STATUS_MODIFIER | UNIT_CHECK
"""Long busy: device end follows when the command can be given again."""
STATE_CHANGE: Final = ATTENTION | DEVICE_END | UNIT_EXCEPTION
"""Unasked: something about the device has changed; read its characteristics again."""

PROGRAM_CONTROLLED: Final = 0x80
INCORRECT_LENGTH: Final = 0x40
PROGRAM_CHECK: Final = 0x20
PROTECTION_CHECK: Final = 0x10
CHANNEL_DATA_CHECK: Final = 0x08
CHANNEL_CONTROL_CHECK: Final = 0x04
INTERFACE_CONTROL_CHECK: Final = 0x02
CHAINING_CHECK: Final = 0x01

UNIT_STATUS_NAMES: Final = {
    ATTENTION: "attention",
    STATUS_MODIFIER: "status modifier",
    CONTROL_UNIT_END: "control unit end",
    BUSY: "busy",
    CHANNEL_END: "channel end",
    DEVICE_END: "device end",
    UNIT_CHECK: "unit check",
    UNIT_EXCEPTION: "unit exception",
}
CHANNEL_STATUS_NAMES: Final = {
    PROGRAM_CONTROLLED: "program-controlled interruption",
    INCORRECT_LENGTH: "incorrect length",
    PROGRAM_CHECK: "program check",
    PROTECTION_CHECK: "protection check",
    CHANNEL_DATA_CHECK: "channel data check",
    CHANNEL_CONTROL_CHECK: "channel control check",
    INTERFACE_CONTROL_CHECK: "interface control check",
    CHAINING_CHECK: "chaining check",
}


def unit_status_text(status: int) -> str:
    """Name the bits of a unit status.

    >>> unit_status_text(0x0E)
    'channel end, device end, unit check'
    """
    return _text(status, UNIT_STATUS_NAMES)


def channel_status_text(status: int) -> str:
    """Name the bits of a channel status.

    >>> channel_status_text(0x40), channel_status_text(0)
    ('incorrect length', 'none')
    """
    return _text(status, CHANNEL_STATUS_NAMES)


def _text(status: int, names: dict[int, str]) -> str:
    return ", ".join(name for bit, name in names.items() if status & bit) or "none"
