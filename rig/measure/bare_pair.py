"""The least that any copying block server in Python must do, to be measured beside two sites.

    python -m rig.measure.bare_pair SOCKET SIZE_BYTES STORE [PARTNER_SOCKET]

One thread, one client at a time. A write is taken out of the receive buffer, written to a store
with a CRC-32C, kept in memory and answered. With a partner, which is the same program, what has
changed goes there once a second, the newest contents of each place only, and is kept there in the
same way. Nothing is ordered, destaged, checked when it is read, or found again after a crash, and
what is read in other pieces than it was written in reads as zeros: no figure of a site can be
expected above this one's.
"""

import contextlib
import os
import select
import socket
import sys
import time
from itertools import islice
from pathlib import Path

from emulator.frontend.nbd_protocol import (
    EXPORT_PADDING,
    GREETING,
    HANDSHAKE_FIXED_NEWSTYLE,
    HANDSHAKE_NO_ZEROES,
    INFO_EXPORT,
    OPTION,
    OPTION_MAGIC,
    OPTION_REPLY,
    OPTION_REPLY_MAGIC,
    REQUEST,
    REQUEST_MAGIC,
    SERVER_MAGIC,
    SIMPLE_REPLY,
    SIMPLE_REPLY_MAGIC,
    Command,
    Info,
    Option,
    OptionAnswer,
    Transmission,
)
from emulator.wire.checksum import crc32c

# A ring that stays in memory: what a store with a battery is like after its first lap.
STORE_BYTES = 256 << 20
_BUFFER_BYTES = 4 << 20
_GATHER_S = 1.0
_HEAD_BYTES = REQUEST.size
_FLAGS = int(Transmission.HAS_FLAGS | Transmission.SEND_FLUSH)
# What one turn may send to the partner, so that the host does not wait for it.
_COPIED_MAX = 8
_IOV_MAX = 512


class BareServer:
    """Contents by place, a store, and perhaps a partner."""

    def __init__(self, size_bytes: int, store: str, partner: str = "") -> None:
        self.size_bytes = size_bytes
        self._store = os.open(store, os.O_RDWR | os.O_CREAT, 0o600)
        for at in range(0, STORE_BYTES, _BUFFER_BYTES):
            os.pwrite(self._store, bytes(_BUFFER_BYTES), at)
        self._at = 0
        self._contents: dict[int, bytes] = {}
        self._changed: dict[int, bytes] = {}
        self._sending: dict[int, bytes] = {}
        self._gathered_s = time.monotonic()
        self._out: list[bytes | memoryview] = []
        self.partner = _connected(partner) if partner else None

    def take(self, view: memoryview) -> tuple[int, list[bytes]]:
        """Take whole requests; return how many bytes they took, and the answers."""
        at, end = 0, len(view)
        answers: list[bytes] = []
        journalled: list[bytes] = []
        while end - at >= _HEAD_BYTES:
            _magic, _flags, command, handle, offset, length = REQUEST.unpack_from(view, at)
            if command == Command.WRITE:
                stop = at + _HEAD_BYTES + length
                if stop > end:
                    break
                data = view[at + _HEAD_BYTES : stop].tobytes()
                journalled += (SIMPLE_REPLY.pack(crc32c(data), length, handle), data)
                self._contents[offset] = data
                if self.partner is not None:
                    self._changed[offset] = data
                at = stop
            else:
                at += _HEAD_BYTES
            answers.append(SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, 0, handle))
            if command == Command.READ:
                found = self._contents.get(offset, b"")
                answers.append(found if len(found) == length else bytes(length))
            elif command == Command.DISC:
                return -1, answers
        if journalled:
            self._keep(journalled)
        return at, answers

    def _keep(self, buffers: list[bytes]) -> None:
        size = sum(map(len, buffers))
        if self._at + size > STORE_BYTES:
            self._at = 0
        os.pwritev(self._store, buffers, self._at)
        self._at += size

    def copy(self) -> None:
        """Send some of what has changed to the partner, as far as it takes it."""
        partner = self.partner
        if partner is None:
            return
        if not self._sending and not self._out:
            now_s = time.monotonic()
            if now_s - self._gathered_s < _GATHER_S:
                return
            self._gathered_s = now_s
            self._sending, self._changed = self._changed, {}
        if not self._out:
            for offset in list(islice(self._sending, _COPIED_MAX)):
                data = self._sending.pop(offset)
                handle = crc32c(data).to_bytes(8)
                head = REQUEST.pack(REQUEST_MAGIC, 0, Command.WRITE, handle, offset, len(data))
                self._out += (head, data)
        if self._out:
            self._out = _sent(partner, self._out)

    @property
    def copying(self) -> bool:
        """Whether there is something to send now."""
        return bool(self._out or self._sending)


def _sent(connection: socket.socket, buffers: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """Send as much as goes without waiting; return the rest."""
    try:
        sent = connection.sendmsg(buffers, (), socket.MSG_DONTWAIT)
    except BlockingIOError:
        return buffers
    for number, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[number + 1 :]]
        sent -= len(buffer)
    return []


def _connected(path: str) -> socket.socket:
    partner = socket.socket(socket.AF_UNIX)
    partner.connect(path)
    partner.recv(GREETING.size, socket.MSG_WAITALL)
    flags = (HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES).to_bytes(4)
    partner.sendall(flags + OPTION.pack(OPTION_MAGIC, Option.EXPORT_NAME, 0))
    partner.recv(10, socket.MSG_WAITALL)
    return partner


def _negotiated(host: socket.socket, size_bytes: int) -> bool:
    """Agree on the export with one client; return whether it goes on."""
    flags = HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES
    host.sendall(GREETING.pack(SERVER_MAGIC, OPTION_MAGIC, flags))
    theirs = int.from_bytes(host.recv(4, socket.MSG_WAITALL))
    export = INFO_EXPORT.pack(Info.EXPORT, size_bytes, _FLAGS)
    while head := host.recv(OPTION.size, socket.MSG_WAITALL):
        _magic, option, length = OPTION.unpack(head)
        if length:
            host.recv(length, socket.MSG_WAITALL)
        if option == Option.EXPORT_NAME:
            padding = b"" if theirs & HANDSHAKE_NO_ZEROES else EXPORT_PADDING
            host.sendall(export[2:] + padding)
            return True
        answer = OptionAnswer.ERR_UNSUP
        if option == Option.GO:
            reply = (OPTION_REPLY_MAGIC, option, OptionAnswer.INFO, len(export))
            host.sendall(OPTION_REPLY.pack(*reply) + export)
            answer = OptionAnswer.ACK
        host.sendall(OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, answer, 0))
        if option == Option.GO:
            return True
    return False


def serve(path: str, server: BareServer) -> None:
    """Serve one client after another, for ever."""
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            host, _address = listener.accept()
            with host, contextlib.suppress(ConnectionError):
                if _negotiated(host, server.size_bytes):
                    _serve(host, server, buffer)


def _serve(host: socket.socket, server: BareServer, buffer: memoryview) -> None:
    poll = select.poll()
    poll.register(host, select.POLLIN)
    partner = server.partner
    filled = 0
    while True:
        ready = poll.poll(0) if server.copying else ()
        if ready or not server.copying:
            got = host.recv_into(buffer[filled:] if filled else buffer)
            if not got:
                return
            filled += got
            taken, answers = server.take(buffer[:filled])
            if answers:
                host.sendmsg(answers[:_IOV_MAX])
                if answers[_IOV_MAX:]:
                    host.sendall(b"".join(answers[_IOV_MAX:]))
            if taken < 0:
                return
            if taken:
                filled -= taken
                buffer[:filled] = buffer[taken : taken + filled]
        server.copy()
        if partner is not None and server.copying:
            _drain(partner)


def _drain(partner: socket.socket) -> None:
    """Take the partner's answers, which say nothing that is needed."""
    try:
        partner.recv(_BUFFER_BYTES, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return


def main(path: str, size_bytes: str, store: str, partner: str = "") -> None:
    """Run the server on a Unix socket."""
    Path(path).unlink(missing_ok=True)
    serve(path, BareServer(int(size_bytes), store, partner))


if __name__ == "__main__":
    main(*sys.argv[1:])
