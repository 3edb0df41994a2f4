"""A channel program as frames of FICON (FC-SB-3), as a channel analyser on the wire records them.

The native channel carries whole programs; here one that has ended is told CCW by CCW in the form
that channel people know and stock Wireshark decodes: command and data to the control unit, data
and status back. One `Frame` is one Fibre Channel frame without SOF, CRC and EOF (link type 224).

What the frames say: device address, CCW number, command, flags and count; the data, cut so that
each information unit is one frame and shows its device; after each CCW its status with the
residual count, with sense bytes after unit check. Every command asks for synchronous status
(SYR), since ours has a status for each CCW. The DH flags say that no data CRC follows. The LRC
is the exclusive or of the header's words, which Wireshark shows and does not check. Channel
status (program check, incorrect length) arises in the channel and never crosses; it is in the
comment of the last frame.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from emulator.channel.ccw import Ccw
from emulator.channel.engine import ProgramResult
from emulator.channel.status import UNIT_CHECK, channel_status_text, unit_status_text
from emulator.wire.checksum import Buffer

FRAME_PAYLOAD_BYTES_MAX: Final = 2112
"""The largest data field of a Fibre Channel frame."""
TO_UNIT: Final = 0x1B
FROM_UNIT: Final = 0x1C
"""FC-4 types: SB-3, channel to control unit and back."""
CHANNEL_ID: Final = 0x010100
UNIT_ID: Final = 0x010200
"""N_Port addresses of the two ends; the host's place among the hosts is added to the first."""

IU_DATA: Final = 0
IU_COMMAND: Final = 1
IU_STATUS: Final = 2
IU_COMMAND_DATA: Final = 4

_R_CTL: Final = {IU_DATA: 0x01, IU_COMMAND: 0x02, IU_STATUS: 0x03, IU_COMMAND_DATA: 0x04}
_F_CTL_RESPONDER: Final = 0x800000
_F_CTL_FIRST: Final = 0x200000
_F_CTL_LAST: Final = 0x100000
_F_CTL_END_SEQUENCE: Final = 0x080000
_F_CTL_INITIATIVE: Final = 0x010000
_NO_EXCHANGE: Final = 0xFFFF

_DH_END: Final = 0x80
_DH_CHAINING: Final = 0x10
_DH_NO_CRC: Final = 0x04
_COMMAND_SYR: Final = 0x04
_STATUS_RESIDUAL_VALID: Final = 0x01

_FC: Final = struct.Struct(">B3sB3sB3sBBHHHI")
_SB3: Final = struct.Struct(">BBBBHH")
_IU: Final = struct.Struct(">BBHB3s")
_DIB_COMMAND: Final = struct.Struct(">BBHBBBBBBH")
_DIB_STATUS: Final = struct.Struct(">BBHHHBBH")
_DIB_DATA: Final = struct.Struct(">9xBH")
_LRC_WORDS: Final = struct.Struct(">7I")
FC_HEADER_BYTES: Final = _FC.size
SB3_HEADER_BYTES: Final = _SB3.size + _IU.size + _DIB_DATA.size + 4
IU_DATA_BYTES_MAX: Final = FRAME_PAYLOAD_BYTES_MAX - SB3_HEADER_BYTES


class Frame(NamedTuple):
    """One frame, which way it goes, and what people should know of it."""

    to_unit: bool
    data: bytes
    comment: str = ""


class Conversation(NamedTuple):
    """Between whom a program passed."""

    host: int
    """The host's place among those of the control unit, from 0."""
    device: int
    subchannel: int
    number: int


class _Iu(NamedTuple):
    """One information unit before it is cut into frames."""

    kind: int
    ccw: int
    dib: bytes
    data: Buffer
    to_unit: bool
    flags: int
    comment: str = ""


def program_frames(
    conversation: Conversation, program: Sequence[Ccw], result: ProgramResult
) -> Iterator[Frame]:
    """Yield the frames of a program and its result, in the order in which they pass."""
    for sequence, unit in enumerate(_units(program, result)):
        headers = _sb3_headers(conversation, unit)
        data = b"".join((_fc_header(conversation, unit, sequence), headers, unit.data))
        yield Frame(unit.to_unit, data, unit.comment)


def _units(program: Sequence[Ccw], result: ProgramResult) -> Iterator[_Iu]:
    last = len(result.results) - 1
    for nth, done in enumerate(result.results):
        ccw = program[done.place]
        chaining = _DH_CHAINING if nth else 0
        sent = b"" if _brings(done.command) else ccw.data[: ccw.byte_count]
        yield from _command(done.place, done.command, ccw, chaining, sent)
        for at in range(0, len(done.data), IU_DATA_BYTES_MAX):
            yield _data(done.place, done.data, at, to_unit=False)
        ended = nth == last
        comment = _remark(result) if ended else ""
        sense = result.sense if ended and done.unit_status & UNIT_CHECK else b""
        yield _status(done.place, done.unit_status, done.residual, sense, comment, ended=ended)
    if not result.results and program:
        # Refused as a whole (busy, reserved, program check at once): a command and its answer.
        place = min(result.place, len(program) - 1)
        ccw = program[place]
        yield from _command(place, ccw.command, ccw, 0, b"")
        status = result.unit_status
        yield _status(place, status, result.residual, result.sense, _remark(result), ended=True)


def _brings(command: int) -> bool:
    """Tell whether a command's data goes to the channel: read, sense and read backward."""
    return command & 0x03 == 0x02 or command & 0x0F in (0x04, 0x0C)


def _remark(result: ProgramResult) -> str:
    words = f"program ended: {unit_status_text(result.unit_status)}"
    if result.channel_status:
        words += f"; channel status: {channel_status_text(result.channel_status)}"
    return words


def _command(place: int, command: int, ccw: Ccw, flags: int, sent: bytes) -> Iterator[_Iu]:
    first = sent[:IU_DATA_BYTES_MAX]
    rest = len(sent) > IU_DATA_BYTES_MAX
    dib = _DIB_COMMAND.pack(
        command, ccw.flags & 0xF0, ccw.byte_count, 0, 0, 0, _COMMAND_SYR, 0, 1, len(first)
    )
    kind = IU_COMMAND_DATA if sent else IU_COMMAND
    ended = 0 if rest else _DH_END
    yield _Iu(kind, place, dib, first, to_unit=True, flags=flags | ended)
    for at in range(IU_DATA_BYTES_MAX, len(sent), IU_DATA_BYTES_MAX):
        yield _data(place, sent, at, to_unit=True)


def _data(place: int, data: bytes, at: int, *, to_unit: bool) -> _Iu:
    piece = data[at : at + IU_DATA_BYTES_MAX]
    flags = _DH_END if at + len(piece) == len(data) else 0
    number = at // IU_DATA_BYTES_MAX + 1
    dib = _DIB_DATA.pack(number & 0xFF, len(piece))
    return _Iu(IU_DATA, place, dib, piece, to_unit=to_unit, flags=flags)


def _status(
    place: int, unit_status: int, residual: int, sense: bytes, comment: str, *, ended: bool
) -> _Iu:
    dib = _DIB_STATUS.pack(
        _STATUS_RESIDUAL_VALID, unit_status, residual & 0xFFFF, 0, 0, 0, 1, len(sense)
    )
    flags = _DH_END if ended else 0
    return _Iu(IU_STATUS, place, dib, sense, to_unit=False, flags=flags, comment=comment)


def _sb3_headers(conversation: Conversation, unit: _Iu) -> bytes:
    token = (conversation.number & 0xFFFFFF).to_bytes(3, "big")
    headers = b"".join(
        (
            _SB3.pack(0, conversation.host & 0xFF, 0, 0, conversation.device, 0),
            _IU.pack(unit.kind, unit.flags | _DH_NO_CRC, unit.ccw, 0, token),
            unit.dib,
        )
    )
    lrc = 0
    for word in _LRC_WORDS.unpack(headers):
        lrc ^= word
    return headers + lrc.to_bytes(4, "big")


def _fc_header(conversation: Conversation, unit: _Iu, sequence: int) -> bytes:
    channel = (CHANNEL_ID + (conversation.host & 0xFF)).to_bytes(3, "big")
    control_unit = UNIT_ID.to_bytes(3, "big")
    f_ctl = _F_CTL_END_SEQUENCE | _F_CTL_INITIATIVE
    if not unit.to_unit:
        f_ctl |= _F_CTL_RESPONDER
    if not sequence:
        f_ctl |= _F_CTL_FIRST
    if unit.kind == IU_STATUS and unit.flags & _DH_END:
        f_ctl |= _F_CTL_LAST
    return _FC.pack(
        _R_CTL[unit.kind],
        control_unit if unit.to_unit else channel,
        0,
        channel if unit.to_unit else control_unit,
        TO_UNIT if unit.to_unit else FROM_UNIT,
        f_ctl.to_bytes(3, "big"),
        sequence & 0xFF,
        0,
        0,
        conversation.subchannel,
        _NO_EXCHANGE,
        0,
    )
