"""A host of our own: an NBD client that keeps several requests under way at once.

    with connect_nbd("nbd+unix:///vol0?socket=/var/tmp/a0.sock", depth=16) as volume:
        volume.write(0, b"one at a time")
        tickets = [volume.submit(Command.WRITE, 4096 * n, data) for n in range(100)]
        volume.drain()

`submit` waits only while `depth` requests are under way; `unanswered` says which have no reply
yet, so a test knows what a crash may take. Relies on `nbd_stream.py` for the socket and on
`emulator/frontend` for the protocol's numbers and URIs. A reply that is an error becomes a
`DeviceError` that carries its `errno`.
"""

import struct
from types import TracebackType
from typing import Self

from emulator.errors import DeviceError, MisuseError, PeerError, UnavailableError
from emulator.frontend.nbd_protocol import (
    CHUNK_MAGIC,
    CLIENT_FLAGS,
    GREETING,
    HANDSHAKE_FIXED_NEWSTYLE,
    HANDSHAKE_NO_ZEROES,
    INFO_EXPORT,
    OPTION,
    OPTION_MAGIC,
    OPTION_REPLY,
    OPTION_REPLY_MAGIC,
    PAYLOAD_BYTES_MAX,
    REPLY_FLAG_DONE,
    REQUEST_MAGIC,
    SERVER_MAGIC,
    SIMPLE_REPLY_MAGIC,
    Command,
    CommandFlag,
    Errno,
    Info,
    Option,
    OptionAnswer,
    Transmission,
)
from emulator.frontend.uri import parse_serve_uri
from emulator.units import size_text
from rig.host.nbd_request import NbdRequest
from rig.host.nbd_stream import NbdStream

_REQUEST = struct.Struct(">IHHQQI")
_SIMPLE = struct.Struct(">IIQ")
_CHUNK = struct.Struct(">IHHQI")
_CHUNK_BYTES_MAX = PAYLOAD_BYTES_MAX + 4096  # the data of the longest read, with room for its head


def connect_nbd(uri: str, *, depth: int = 16, timeout_s: float = 30.0) -> "NbdClient":
    """Connect to a served device and open it."""
    if depth < 1:
        raise MisuseError(f"{uri}: a depth of {depth} lets no request through")
    where = parse_serve_uri(uri)
    stream = NbdStream(where, uri, timeout_s)
    try:
        return NbdClient(stream, where.export, depth)
    except BaseException:
        stream.close(b"")
        raise


class NbdClient:
    """One open export; use it from one thread."""

    def __init__(self, stream: NbdStream, export: str, depth: int) -> None:
        self.uri = stream.uri
        self.size_bytes = 0
        self.flags = Transmission(0)
        self._depth = depth
        self._stream = stream
        self._structured = False
        self._under_way: dict[int, NbdRequest] = {}
        self._read: dict[int, bytes] = {}
        self._failed: dict[int, UnavailableError] = {}
        self._last_ticket = 0
        self._negotiate(export)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def unanswered(self) -> frozenset[int]:
        """Tickets of the requests that have no reply yet."""
        return frozenset(self._under_way)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`."""
        return self.wait(self.submit(Command.READ, offset, length=length))

    def write(self, offset: int, data: bytes, *, fua: bool = False) -> None:
        """Write `data`; return when the server has acknowledged it."""
        flags = CommandFlag.FUA if fua else CommandFlag.NONE
        self.wait(self.submit(Command.WRITE, offset, data, flags=flags))

    def flush(self) -> None:
        """Have everything that was acknowledged survive a loss of power."""
        self.wait(self.submit(Command.FLUSH))

    def trim(self, offset: int, length: int) -> None:
        """Tell the server that a range is no longer needed."""
        self.wait(self.submit(Command.TRIM, offset, length=length))

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros."""
        self.wait(self.submit(Command.WRITE_ZEROES, offset, length=length))

    def submit(
        self,
        command: Command,
        offset: int = 0,
        data: bytes = b"",
        *,
        length: int = 0,
        flags: CommandFlag = CommandFlag.NONE,
    ) -> int:
        """Send a request and return its ticket; waits only when `depth` are under way."""
        while len(self._under_way) >= self._depth:
            self._receive()
        length = length or len(data)
        self._last_ticket = ticket = self._last_ticket + 1
        head = _REQUEST.pack(REQUEST_MAGIC, flags, command, ticket, offset, length)
        read_bytes = length if command is Command.READ else 0
        request = NbdRequest(command, offset, length, bytearray(read_bytes), read_bytes)
        self._under_way[ticket] = request
        self._stream.send([head, data], self._receive)
        return ticket

    def wait(self, ticket: int) -> bytes:
        """Return what the request read, once it is answered; raise if it failed."""
        while ticket in self._under_way:
            self._receive()
        if failure := self._failed.pop(ticket, None):
            raise failure
        return self._read.pop(ticket, b"")

    def drain(self) -> None:
        """Wait for all replies; raise the first failure that nobody has waited for."""
        while self._under_way:
            self._receive()
        if self._failed:
            first = min(self._failed)
            failure = self._failed[first]
            self._failed.clear()
            raise failure

    def close(self) -> None:
        """Say goodbye, as far as the server still listens, and hang up."""
        self._stream.close(_REQUEST.pack(REQUEST_MAGIC, 0, Command.DISC, 0, 0, 0))

    # ------------------------------------------------------------------ negotiation

    def _negotiate(self, export: str) -> None:
        server, options, _ = GREETING.unpack(self._stream.take(GREETING.size))
        if (server, options) != (SERVER_MAGIC, OPTION_MAGIC):
            raise PeerError(f"{self.uri}: this is no NBD server; it greets with {server!r}")
        flags = CLIENT_FLAGS.pack(HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES)
        self._stream.send([flags], self._stream.receive)
        answer, _ = self._ask(Option.STRUCTURED_REPLY, b"")
        self._structured = answer == OptionAnswer.ACK
        name = export.encode()
        data = len(name).to_bytes(4, "big") + name + bytes(2)
        answer, text = self._ask(Option.GO, data)
        if answer != OptionAnswer.ACK:
            reason = text.decode(errors="replace") or f"error {answer:#x}"
            raise UnavailableError(f"{self.uri}: the server does not open it: {reason}")
        if not self.flags & Transmission.HAS_FLAGS:
            raise PeerError(f"{self.uri}: the server opened the export without describing it")

    def _ask(self, option: Option, data: bytes) -> tuple[int, bytes]:
        """Return the final answer to an option; what comes before it is taken in."""
        head = OPTION.pack(OPTION_MAGIC, option, len(data))
        self._stream.send([head, data], self._stream.receive)
        while True:
            magic, asked, answer, length = OPTION_REPLY.unpack(self._stream.take(OPTION_REPLY.size))
            if magic != OPTION_REPLY_MAGIC or asked != option or length > _CHUNK_BYTES_MAX:
                raise PeerError(f"{self.uri}: the server's answer to {option.name} makes no sense")
            text = self._stream.take(length)
            if answer != OptionAnswer.INFO:
                return int(answer), text
            if len(text) == INFO_EXPORT.size and text[:2] == bytes((0, Info.EXPORT)):
                _, self.size_bytes, flags = INFO_EXPORT.unpack(text)
                self.flags = Transmission(flags)

    # ------------------------------------------------------------------ replies

    def _receive(self) -> None:
        self._stream.receive()
        inbox = self._stream.inbox
        at = 0
        while len(inbox) - at >= _SIMPLE.size:
            size_bytes = self._take_reply(memoryview(inbox)[at:])
            if not size_bytes:
                break
            at += size_bytes
        del inbox[:at]

    def _take_reply(self, view: memoryview) -> int:
        """Take the reply at the start of `view`; return its length, or 0 if it is not all here."""
        magic, error, ticket = _SIMPLE.unpack_from(view)
        if magic == CHUNK_MAGIC and self._structured:
            return self._take_chunk(view)
        request = self._under_way.get(ticket)
        if magic != SIMPLE_REPLY_MAGIC or request is None:
            raise PeerError(f"{self.uri}: the server replied to something that was not asked")
        stop = _SIMPLE.size
        if request.contents and not error:
            if self._structured:
                raise PeerError(f"{self.uri}: a read got a simple reply against the agreement")
            stop += request.length
            if len(view) < stop:
                return 0
            request.contents[:] = view[_SIMPLE.size : stop]
            request.missing_bytes = 0
        self._finish(ticket, error, "")
        return stop

    def _take_chunk(self, view: memoryview) -> int:
        if len(view) < _CHUNK.size:
            return 0
        _, flags, kind, ticket, length = _CHUNK.unpack_from(view)
        request = self._under_way.get(ticket)
        if request is None or length > _CHUNK_BYTES_MAX:
            raise PeerError(f"{self.uri}: the server replied to something that was not asked")
        stop = _CHUNK.size + int(length)
        if len(view) < stop:
            return 0
        try:
            error, text = request.take_chunk(kind, view[_CHUNK.size : stop])
        except (ValueError, struct.error) as cause:
            raise PeerError(f"{self.uri}: a reply makes no sense: {cause}") from cause
        if error or flags & REPLY_FLAG_DONE:
            self._finish(ticket, error, text, is_last=bool(flags & REPLY_FLAG_DONE))
        return stop

    def _finish(self, ticket: int, error: int, text: str, *, is_last: bool = True) -> None:
        request = self._under_way[ticket]
        if error and ticket not in self._failed:
            self._failed[ticket] = self._failure(request, error, text)
        if is_last:
            del self._under_way[ticket]
            if request.contents and ticket not in self._failed:
                if request.missing_bytes:
                    raise PeerError(f"{self.uri}: the server called a part of a read the whole")
                self._read[ticket] = bytes(request.contents)

    def _failure(self, request: NbdRequest, error: int, text: str) -> UnavailableError:
        known = error in Errno.__members__.values()
        name = Errno(error).name if known else f"error {error}"
        place = f"{size_text(request.length)} at {request.offset}"
        cause = f"{request.command.name} of {place}: {name}{text and ': '}{text}"
        if error == Errno.ESHUTDOWN:
            return UnavailableError(f"{self.uri}: {cause}")
        failure = DeviceError(self.uri, cause)
        failure.errno = error
        return failure
