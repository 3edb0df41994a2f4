"""Every field of the native channel's messages, in one table; codec and docs come from its rows.

The native channel carries whole channel programs between our host-side driver and the cache
processor, over any line. A message is one record of the link (`emulator/link`), which brings it
across whole, once and in order for as long as its session lives; what must survive the end of a
session is in the messages themselves: the host's number, the program's number and the control
unit's incarnation. All integers are big-endian.
"""

import enum
from typing import Final

from emulator.wire.layout import Field

NATIVE_VERSION: Final = 1
LINK_NAME: Final = "channel"
"""What both ends of a native line call their link."""
HOST_END: Final = "host"
UNIT_END: Final = "control-unit"


class MessageType(enum.IntEnum):
    """What a message is for."""

    ATTACH = 1
    ATTACHED = 2
    START = 3
    ENDED = 4
    HALT = 5
    ATTENTION = 6
    ATTENTION_TAKEN = 7
    DETACH = 8


class Ending(enum.IntEnum):
    """How a START ended."""

    STATUS = 0
    """The device presented ending status; the other fields say which."""
    NOT_OPERATIONAL = 1
    """No such device on this path (condition code 3)."""
    HALTED = 2
    """Given up because the host asked for it; what the program had written stays written."""
    RESTARTED = 3
    """The control unit restarted since the host attached; the program was not started now."""
    BUSY = 4
    """The subchannel still runs an earlier program, or the control unit has no room; ask later."""
    MALFORMED = 5
    """The program is none: see the text."""


_TYPE: Final = Field("type", "B", "what the message is for")
_VERSION: Final = Field("version", "B", "layout version, 1")

ATTACH_FIELDS: Final = (
    _TYPE,
    _VERSION,
    Field("host", "Q", "the host's number, drawn anew by each driver; the same on all its paths"),
    Field("name_length", "B", "bytes of the host's name for people, which follows, UTF-8"),
)
ATTACHED_FIELDS: Final = (
    _TYPE,
    _VERSION,
    Field("incarnation", "Q", "drawn anew at each start of the control unit"),
    Field("devices", "H", "how many devices follow"),
)
DEVICE_FIELDS: Final = (
    Field("address", "H", "device address"),
    Field("kind_length", "B", "bytes of its kind, such as 3390-3"),
    Field("name_length", "B", "bytes of its name; both texts follow, UTF-8"),
)
START_FIELDS: Final = (
    _TYPE,
    _VERSION,
    Field("subchannel", "H", "runs one program at a time"),
    Field("device", "H", "device address"),
    Field("number", "Q", "counts the programs of this host and subchannel from 1, never reused"),
    Field("incarnation", "Q", "of the control unit that the host attached to"),
    Field("ccws", "H", "how many CCWs follow; then the data they send, in their order"),
)
CCW_FIELDS: Final = (
    Field("command", "B", "command code; low digit 8 is transfer in channel"),
    Field("flags", "B", "80 CD, 40 CC, 20 SLI, 10 skip, 08 PCI"),
    Field("byte_count", "H", "bytes to transfer"),
    Field("target", "H", "of a transfer in channel: index of the CCW to go on with"),
    Field("data_length", "H", "bytes that it sends"),
)
TRANSFER_FIELDS: Final = (
    Field("ccw", "H", "index of the CCW that read"),
    Field("length", "I", "bytes read, which follow"),
)
ENDED_FIELDS: Final = (
    _TYPE,
    _VERSION,
    Field("ending", "B", "how it ended"),
    Field("unit_status", "B", "unit status"),
    Field("channel_status", "B", "channel status"),
    Field("sense_length", "B", "bytes of sense, which follow this header"),
    Field("subchannel", "H", "as in the START"),
    Field("number", "Q", "as in the START"),
    Field("ccw", "H", "index of the last CCW used"),
    Field("residual", "H", "bytes of its count that were not transferred"),
    Field("executed", "I", "how many CCWs were executed, loops counted"),
    Field("text_length", "H", "bytes of text for people, which follows the sense, UTF-8"),
    Field("transfers", "H", "how many transfers follow the text: what the program read"),
)
HALT_FIELDS: Final = (
    _TYPE,
    _VERSION,
    Field("subchannel", "H", "as in the START"),
    Field("number", "Q", "as in the START"),
)
ATTENTION_FIELDS: Final = (
    _TYPE,
    _VERSION,
    Field("device", "H", "device address"),
    Field("number", "I", "counts the attentions of this control unit; told again until taken"),
    Field("unit_status", "B", "attention 80, mostly with device end 04"),
    Field("text_length", "B", "bytes of what changed, for people, which follow, UTF-8"),
)
ATTENTION_TAKEN_FIELDS: Final = (
    _TYPE,
    _VERSION,
    Field("device", "H", "as in the ATTENTION"),
    Field("number", "I", "as in the ATTENTION"),
)
DETACH_FIELDS: Final = (_TYPE, _VERSION)

MESSAGES: Final = {
    "ATTACH": ATTACH_FIELDS,
    "ATTACHED": ATTACHED_FIELDS,
    "START": START_FIELDS,
    "ENDED": ENDED_FIELDS,
    "HALT": HALT_FIELDS,
    "ATTENTION": ATTENTION_FIELDS,
    "ATTENTION_TAKEN": ATTENTION_TAKEN_FIELDS,
    "DETACH": DETACH_FIELDS,
}
PARTS: Final = {
    "Device of an ATTACHED": DEVICE_FIELDS,
    "CCW of a START": CCW_FIELDS,
    "Transfer of an ENDED": TRANSFER_FIELDS,
}

CCWS_MAX: Final = 8192
"""A channel program for every track of 500 cylinders; a loop is a TIC, not a longer program."""
PROGRAM_BYTES_MAX: Final = 16 * 1024 * 1024
"""Data that one program sends or reads: what 24-bit channel addresses reach, and half of the
largest record of the link."""
TRANSFERS_MAX: Final = 0xFFFF
DEVICES_MAX: Final = 256
NAME_BYTES_MAX: Final = 64
TEXT_BYTES_MAX: Final = 512
SENSE_BYTES_MAX: Final = 32
SUBCHANNELS_MAX: Final = 1024
