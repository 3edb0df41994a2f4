"""A channel capture in words: FC-SB-3 frames of link type 224 as lines of a table or as JSON.

Relies on `emulator/frontend/fcsb3.py` for where the fields lie, and on the engine's tables for the
names of commands. Leaves files to `reader.py`.
"""

import struct
from typing import Any, Final, NamedTuple

from emulator.channel.ccw import FLAG_NAMES
from emulator.channel.sense import describe
from emulator.channel.status import UNIT_CHECK, unit_status_text
from emulator.clock import SECOND_NS
from emulator.frontend.fcsb3 import (
    FC_HEADER_BYTES,
    FROM_UNIT,
    IU_COMMAND,
    IU_COMMAND_DATA,
    IU_DATA,
    IU_STATUS,
    SB3_HEADER_BYTES,
    TO_UNIT,
)
from emulator.transport.pcapng import LINK_TYPE_FIBRE_CHANNEL
from rig.capture.reader import CapturedPacket
from rig.host.program_words import COMMANDS

_TYPE_AT = 8
_EXCHANGE_AT = 16
_SB3 = struct.Struct(">xBxBHxx")
_IU = struct.Struct(">BBHxBBB")
_DIB = struct.Struct(">BBH6xH")
_NAMES: Final = {code: name for name, code in reversed(COMMANDS.items())}
_KINDS: Final = {
    IU_DATA: "data",
    IU_COMMAND: "command",
    IU_STATUS: "status",
    IU_COMMAND_DATA: "command",
}
_ROW: Final = (
    "{:>7} {:>14} {:>4} {:>6} {:>3} {:>8} {:>4} {:<8} {:<32} {:<11} {:>6} {:>6}  {}".format
)
HEADING: Final = _ROW(
    "frame", "time (s)", "host", "device", "sub", "program", "CCW", "what", "command", "flags",
    "count", "data", "status",
)  # fmt: skip


class ChannelFrame(NamedTuple):
    """What one frame says."""

    host: int
    device: int
    subchannel: int
    program: int
    ccw: int
    kind: str
    """command, data or status."""
    code: int
    """Command code, or unit status."""
    flags: int
    byte_count: int
    """CCW count of a command, residual count of a status."""
    data: bytes


def channel_frame(captured: CapturedPacket) -> ChannelFrame | None:
    """Return what a frame of a channel capture says; None if it is none of ours."""
    data = captured.data
    if captured.link_type != LINK_TYPE_FIBRE_CHANNEL:
        return None
    if len(data) < FC_HEADER_BYTES + SB3_HEADER_BYTES or data[_TYPE_AT] not in (TO_UNIT, FROM_UNIT):
        return None
    host, _unit, device = _SB3.unpack_from(data, FC_HEADER_BYTES)
    iui, _dh, ccw, *token = _IU.unpack_from(data, FC_HEADER_BYTES + _SB3.size)
    kind = _KINDS.get(iui & 0x07)
    if kind is None:
        return None
    code, flags, count, _length = _DIB.unpack_from(data, FC_HEADER_BYTES + _SB3.size + _IU.size)
    if kind == "status":
        code, flags = flags, 0
    elif kind == "data":
        code = flags = count = 0
    return ChannelFrame(
        host,
        device,
        int.from_bytes(data[_EXCHANGE_AT : _EXCHANGE_AT + 2], "big"),
        int.from_bytes(bytes(token), "big"),
        ccw,
        kind,
        code,
        flags,
        count,
        bytes(data[FC_HEADER_BYTES + SB3_HEADER_BYTES :]),
    )


def command_name(code: int) -> str:
    """Return what a command code is called, or the code.

    >>> command_name(0x47), command_name(0xFF)
    ('locate-record', 'FF')
    """
    return _NAMES.get(code, f"{code:02X}")


def as_channel_row(captured: CapturedPacket, frame: ChannelFrame, start_ns: int) -> str:
    """Return one line of the table under `HEADING`; times count from `start_ns`."""
    seconds = f"{(captured.time_ns - start_ns) / SECOND_NS:.9f}"
    flags = ",".join(name for bit, name in FLAG_NAMES.items() if frame.flags & bit)
    command = status = ""
    count: object = ""
    if frame.kind == "command":
        command, count = f"{frame.code:02X} {command_name(frame.code)}", frame.byte_count
    elif frame.kind == "status":
        status = _status_words(captured, frame)
    row = _ROW(
        captured.frame,
        seconds,
        frame.host,
        f"{frame.device:04X}",
        frame.subchannel,
        frame.program,
        frame.ccw,
        frame.kind,
        command,
        flags,
        count,
        len(frame.data) or "",
        status,
    )
    return row.rstrip()


def _status_words(captured: CapturedPacket, frame: ChannelFrame) -> str:
    words = f"{frame.code:02X} {unit_status_text(frame.code)}"
    if frame.byte_count:
        words += f"; residual {frame.byte_count}"
    if frame.code & UNIT_CHECK and frame.data:
        words += f"; sense {describe(frame.data)}"
    _, mark, channel_status = captured.comment.partition("channel status: ")
    return f"{words}; channel status {channel_status}" if mark else words


def as_channel_object(captured: CapturedPacket, frame: ChannelFrame) -> dict[str, Any]:
    """Return a frame as plain data for JSON."""
    found: dict[str, Any] = {
        "frame": captured.frame,
        "time_ns": captured.time_ns,
        "interface": captured.interface,
        "direction": captured.direction,
        "comment": captured.comment,
        "type": frame.kind,
        "host": frame.host,
        "device": f"{frame.device:04X}",
        "subchannel": frame.subchannel,
        "program": frame.program,
        "ccw": frame.ccw,
    }
    if frame.kind == "command":
        found |= {
            "command": f"{frame.code:02X}",
            "name": command_name(frame.code),
            "flags": f"{frame.flags:02X}",
            "count": frame.byte_count,
        }
    elif frame.kind == "status":
        found |= {"status": f"{frame.code:02X}", "residual": frame.byte_count}
    return found | {"data": frame.data.hex()}
