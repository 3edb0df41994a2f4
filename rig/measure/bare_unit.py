"""The least that any shared-device server in Python must do, to be measured beside a site.

    python -m rig.measure.bare_unit PORT UNIT_PORT DEVICE [STORE]

One host, one device, one thread: it blocks in `recv`, answers, and blocks again. With a STORE
tracks are kept in memory and come from a control unit when they are asked for first, and each WRITE
is in that file, with a CRC-32C, before it is answered, since a host sends it only once. Without one
each READ and each WRITE goes to the control unit and nothing is kept. Nothing is found again after
a crash, copied, or brought to the control unit, and no second host could be served.
"""

import os
import socket
import struct
import sys
from collections.abc import Sequence

from emulator.disk.hercules_client import ControlUnit, Where, read, write
from emulator.disk.hercules_talk import Request
from emulator.frontend.shared_wire import HEADER, HEADER_BYTES, ID, PLACE, TRACK, Code, Opcode
from emulator.wire.checksum import crc32c

STORE_BYTES = 16 << 20
_CRC = struct.Struct(">II")
_BUFFER_BYTES = 256 * 1024
_PATIENCE_S = 10.0
_CLIENT_ID = 1


class BareUnit:
    """A device in front of a control unit's, without anything that a site is for."""

    def __init__(self, unit: ControlUnit, number: int, store: str) -> None:
        self._unit = unit
        self._number = number
        self._keep = bool(store)
        self._store = os.open(store, os.O_RDWR | os.O_CREAT, 0o600) if store else -1
        self._at = 0
        self._tracks: dict[int, bytearray] = {}
        self._fresh = True
        self._identity = unit.identity()

    def answer(self, opcode: int, flag: int, data: memoryview) -> Sequence[bytes | bytearray]:
        """Return what to send for one request."""
        if opcode == Opcode.READ:
            image = self._track(TRACK.unpack(data)[0])
            return self._head(Code.OK, len(image)), image
        if opcode == Opcode.WRITE:
            self._write(data)
        elif opcode == Opcode.START and self._fresh:
            self._fresh = False
            return (self._head(Code.PURGE, 0),)
        elif opcode == Opcode.CONNECT:
            return self._head(Code.OK, ID.size, 1), ID.pack(_CLIENT_ID)
        elif opcode == Opcode.QUERY:
            found = self._identity.answer(flag) or b""
            return self._head(Code.OK, len(found)), found
        elif opcode == Opcode.COMPRESS:
            return self._head(Code.OK, ID.size), ID.pack(0)
        return (self._head(Code.OK, 0),)

    def _head(self, code: int, length: int, status: int = 0) -> bytes:
        return HEADER.pack(code, status, self._number, length, _CLIENT_ID)

    def _track(self, track: int) -> bytearray:
        image = self._tracks.get(track)
        if image is None:
            image = bytearray(self._unit.run([read(track)])[0])
            if self._keep:
                self._tracks[track] = image
        return image

    def _write(self, data: memoryview) -> None:
        offset, track = PLACE.unpack_from(data)
        change = data[PLACE.size :]
        if self._keep:
            image = self._track(track)
            end = offset + len(change)
            image[offset:end] = change
            if end >= len(image):
                del image[end:]  # it brought a new end marker
            self._at = self._at if self._at + len(data) + _CRC.size <= STORE_BYTES else 0
            head = _CRC.pack(len(data), crc32c(data))
            self._at += os.pwritev(self._store, (head, data), self._at)
        else:
            self._unit.run([Request(Opcode.WRITE, write(track, offset, bytes(change)).data)])


def serve(port: int, unit: BareUnit) -> None:
    """Serve one host after another on the loopback interface, for ever."""
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with socket.create_server(("127.0.0.1", port)) as listener:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            host, _address = listener.accept()
            host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            filled = 0
            while got := host.recv_into(buffer[filled:] if filled else buffer):
                filled += got
                if filled < HEADER_BYTES:
                    continue
                opcode, flag, _number, length, _id = HEADER.unpack_from(buffer)
                if filled >= HEADER_BYTES + length:
                    filled = 0
                    data = buffer[HEADER_BYTES : HEADER_BYTES + length]
                    host.sendmsg(unit.answer(opcode, flag, data))


def main(port: str, unit_port: str, device: str, store: str = "") -> None:
    """Run the server for one device, whose number is given as four hexadecimal digits."""
    where = Where("the control unit", "127.0.0.1", int(unit_port), int(device, 16), _PATIENCE_S)
    serve(int(port), BareUnit(ControlUnit(where), int(device, 16), store))


if __name__ == "__main__":
    main(*sys.argv[1:])
