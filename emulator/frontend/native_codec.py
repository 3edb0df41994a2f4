"""Messages of the native channel to bytes and back.

Relies on the table in `native_layout.py`. Decoding gives a message or raises `PeerError` with the
place and the value, never anything else, whatever the bytes are. Leaves what a message leads to
to `native_unit.py` and to the driver.
"""

import struct
from collections.abc import Callable
from typing import Final

from emulator.channel.ccw import Ccw
from emulator.errors import PeerError
from emulator.frontend.native_layout import (
    ATTACH_FIELDS,
    ATTACHED_FIELDS,
    ATTENTION_FIELDS,
    ATTENTION_TAKEN_FIELDS,
    CCW_FIELDS,
    CCWS_MAX,
    DETACH_FIELDS,
    DEVICE_FIELDS,
    DEVICES_MAX,
    ENDED_FIELDS,
    HALT_FIELDS,
    NAME_BYTES_MAX,
    NATIVE_VERSION,
    PROGRAM_BYTES_MAX,
    SENSE_BYTES_MAX,
    START_FIELDS,
    SUBCHANNELS_MAX,
    TEXT_BYTES_MAX,
    TRANSFER_FIELDS,
    TRANSFERS_MAX,
    Ending,
    MessageType,
)
from emulator.frontend.native_messages import (
    Attach,
    Attached,
    Attention,
    AttentionTaken,
    Detach,
    DeviceRow,
    Ended,
    Halt,
    Message,
    Start,
    Transfer,
)
from emulator.wire.checksum import Buffer
from emulator.wire.layout import Field, struct_format


def _struct(fields: tuple[Field, ...]) -> struct.Struct:
    return struct.Struct(struct_format(fields))


_ATTACH: Final = _struct(ATTACH_FIELDS)
_ATTACHED: Final = _struct(ATTACHED_FIELDS)
_DEVICE: Final = _struct(DEVICE_FIELDS)
_START: Final = _struct(START_FIELDS)
_CCW: Final = _struct(CCW_FIELDS)
_TRANSFER: Final = _struct(TRANSFER_FIELDS)
_ENDED: Final = _struct(ENDED_FIELDS)
_HALT: Final = _struct(HALT_FIELDS)
_ATTENTION: Final = _struct(ATTENTION_FIELDS)
_ATTENTION_TAKEN: Final = _struct(ATTENTION_TAKEN_FIELDS)
_DETACH: Final = _struct(DETACH_FIELDS)
_TYPE_BYTES: Final = 2


def encode_message(message: Message) -> list[Buffer]:
    """Return the bytes of a message, in pieces to be sent one after another."""
    match message:
        case Attach(host, name):
            text = name.encode()[:NAME_BYTES_MAX]
            return [_ATTACH.pack(MessageType.ATTACH, NATIVE_VERSION, host, len(text)), text]
        case Attached(incarnation, devices):
            head = _ATTACHED.pack(MessageType.ATTACHED, NATIVE_VERSION, incarnation, len(devices))
            return [head, *(part for device in devices for part in _device_parts(device))]
        case Start():
            return _start_parts(message)
        case Ended():
            return _ended_parts(message)
        case Halt(subchannel, number):
            return [_HALT.pack(MessageType.HALT, NATIVE_VERSION, subchannel, number)]
        case Attention(device, number, status, reason):
            text = reason.encode()[:255]
            head = _ATTENTION.pack(
                MessageType.ATTENTION, NATIVE_VERSION, device, number, status, len(text)
            )
            return [head, text]
        case AttentionTaken(device, number):
            kind = MessageType.ATTENTION_TAKEN
            return [_ATTENTION_TAKEN.pack(kind, NATIVE_VERSION, device, number)]
        case Detach():
            return [_DETACH.pack(MessageType.DETACH, NATIVE_VERSION)]


def _device_parts(device: DeviceRow) -> list[Buffer]:
    kind, name = device.kind.encode()[:NAME_BYTES_MAX], device.name.encode()[:NAME_BYTES_MAX]
    return [_DEVICE.pack(device.address, len(kind), len(name)), kind, name]


def _start_parts(start: Start) -> list[Buffer]:
    head = _START.pack(
        MessageType.START,
        NATIVE_VERSION,
        start.subchannel,
        start.device,
        start.number,
        start.incarnation,
        len(start.ccws),
    )
    rows, data = [head], []
    for command, byte_count, sent, flags, target in start.ccws:
        length = min(len(sent), byte_count)
        rows.append(_CCW.pack(command, flags, byte_count, target, length))
        data.append(sent if length == len(sent) else sent[:length])
    return [*rows, *data]


def _ended_parts(ended: Ended) -> list[Buffer]:
    text = ended.text.encode()[:TEXT_BYTES_MAX]
    head = _ENDED.pack(
        MessageType.ENDED,
        NATIVE_VERSION,
        ended.ending,
        ended.unit_status,
        ended.channel_status,
        len(ended.sense),
        ended.subchannel,
        ended.number,
        ended.ccw,
        ended.residual,
        ended.executed,
        len(text),
        len(ended.transfers),
    )
    parts: list[Buffer] = [head, ended.sense, text]
    for ccw, data in ended.transfers:
        parts += (_TRANSFER.pack(ccw, len(data)), data)
    return parts


def decode_message(data: Buffer) -> Message:
    """Return the message that `data` is; `PeerError` if it is none."""
    if len(data) < _TYPE_BYTES:
        raise PeerError(f"channel: a message of {len(data)} bytes is too short to be one")
    kind, version = data[0], data[1]
    if version != NATIVE_VERSION:
        raise PeerError(
            f"channel: the other end speaks version {version} of the native channel, this one "
            f"{NATIVE_VERSION}; run the same release at both ends"
        )
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise PeerError(f"channel: messages of type {kind} are unknown")
    reader = _Reader(memoryview(data), MessageType(kind).name)
    message = decoder(reader)
    reader.finish()
    return message


class _Reader:
    """Takes a message apart from front to back."""

    def __init__(self, view: memoryview, what: str) -> None:
        self._view = view
        self._at = 0
        self.what = what

    def fields(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def take(self, length: int) -> memoryview:
        left = len(self._view) - self._at
        if length > left:
            self.refuse(f"{length} bytes are announced at byte {self._at} and {left} are there")
        self._at += length
        return self._view[self._at - length : self._at]

    def text(self, length: int) -> str:
        return bytes(self.take(length)).decode(errors="replace")

    def limit(self, what: str, value: int, most: int, least: int = 0) -> int:
        if not least <= value <= most:
            self.refuse(f"{what} is {value}, and must lie from {least} to {most}")
        return value

    def transfers(self, count: int) -> tuple[Transfer, ...]:
        found: list[Transfer] = []
        for _ in range(self.limit("the number of transfers", count, TRANSFERS_MAX)):
            ccw, length = self.fields(_TRANSFER)
            found.append(Transfer(ccw, self.take(length)))
        return tuple(found)

    def refuse(self, problem: str) -> None:
        raise PeerError(f"channel: {self.what} message: {problem}")

    def finish(self) -> None:
        left = len(self._view) - self._at
        if left:
            self.refuse(f"{left} bytes follow its end")


def _attach(reader: _Reader) -> Attach:
    _, _, host, length = reader.fields(_ATTACH)
    reader.limit("the host's number", host, 2**64 - 1, 1)
    return Attach(host, reader.text(reader.limit("the name's length", length, NAME_BYTES_MAX)))


def _attached(reader: _Reader) -> Attached:
    _, _, incarnation, count = reader.fields(_ATTACHED)
    devices = []
    for _ in range(reader.limit("the number of devices", count, DEVICES_MAX)):
        address, kind_length, name_length = reader.fields(_DEVICE)
        devices.append(DeviceRow(address, reader.text(kind_length), reader.text(name_length)))
    return Attached(incarnation, tuple(devices))


def _start(reader: _Reader) -> Start:
    _, _, subchannel, device, number, incarnation, ccws = reader.fields(_START)
    reader.limit("the subchannel", subchannel, SUBCHANNELS_MAX - 1)
    reader.limit("the program's number", number, 2**64 - 1, 1)
    rows = [
        reader.fields(_CCW) for _ in range(reader.limit("the number of CCWs", ccws, CCWS_MAX, 1))
    ]
    sent_bytes = sum(row[-1] for row in rows)
    reader.limit("the data of all CCWs", sent_bytes, PROGRAM_BYTES_MAX)
    found = [
        Ccw(command, byte_count, bytes(reader.take(length)), flags, target)
        for command, flags, byte_count, target, length in rows
    ]
    return Start(subchannel, device, number, incarnation, tuple(found))


def _ended(reader: _Reader) -> Ended:
    values = reader.fields(_ENDED)
    _, _, ending, unit_status, channel_status, sense_length, subchannel, number, *rest = values
    ccw, residual, executed, text_length, transfers = rest
    reader.limit("the ending", ending, max(Ending))
    sense = bytes(reader.take(reader.limit("the length of sense", sense_length, SENSE_BYTES_MAX)))
    text = reader.text(reader.limit("the length of text", text_length, TEXT_BYTES_MAX))
    return Ended(
        subchannel,
        number,
        Ending(ending),
        unit_status,
        channel_status,
        sense,
        ccw,
        residual,
        executed,
        text,
        reader.transfers(transfers),
    )


def _halt(reader: _Reader) -> Halt:
    _, _, subchannel, number = reader.fields(_HALT)
    return Halt(subchannel, number)


def _attention(reader: _Reader) -> Attention:
    _, _, device, number, status, length = reader.fields(_ATTENTION)
    return Attention(device, number, status, reader.text(length))


def _attention_taken(reader: _Reader) -> AttentionTaken:
    _, _, device, number = reader.fields(_ATTENTION_TAKEN)
    return AttentionTaken(device, number)


def _detach(reader: _Reader) -> Detach:
    reader.fields(_DETACH)
    return Detach()


_DECODERS: Final[dict[int, Callable[[_Reader], Message]]] = {
    MessageType.ATTACH: _attach,
    MessageType.ATTACHED: _attached,
    MessageType.START: _start,
    MessageType.ENDED: _ended,
    MessageType.HALT: _halt,
    MessageType.ATTENTION: _attention,
    MessageType.ATTENTION_TAKEN: _attention_taken,
    MessageType.DETACH: _detach,
}
