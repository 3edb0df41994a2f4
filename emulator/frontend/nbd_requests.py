"""An NBD export that is open: requests taken out of the stream, replies collected.

The hot path of a site: every host write comes through `NbdRequests.take`. Relies on
`nbd_rules.py` (what is refused) and `nbd_replies.py` (layout of replies), and on the volume for
storing and for the order of writes. Leaves the stream, and what was agreed on, to `nbd.py`.
"""

from typing import Final

from emulator.channel.blocks import BlockVolume, Outcome
from emulator.errors import MisuseError
from emulator.frontend.nbd_payload import WriteBegun
from emulator.frontend.nbd_protocol import (
    PAYLOAD_BYTES_MAX,
    REQUEST_HEAD,
    REQUEST_MAGIC,
    REQUEST_SPLIT,
    Command,
    CommandFlag,
    Errno,
)
from emulator.frontend.nbd_replies import (
    SIMPLE_DONE,
    TRACK_OF_ZEROS,
    error_chunk,
    extents_within,
    nothing_chunk,
    simple_error,
    sparse_read,
    status_chunk,
    whole_head,
    whole_read,
)
from emulator.frontend.nbd_rules import (
    BYTES_MAX,
    CHANGES,
    REQUESTS_MAX,
    STATUS_BYTES_MAX,
    OpenExport,
    Refusal,
    refusal,
    refused_by_volume,
)

_WRITE_HEAD: Final = REQUEST_HEAD.pack(REQUEST_MAGIC, 0, Command.WRITE)
_READ_HEAD: Final = REQUEST_HEAD.pack(REQUEST_MAGIC, 0, Command.READ)
_SHUTDOWN: Final = Refusal(Errno.ESHUTDOWN, "the site is shutting down")
# Plain values under global names: an attribute lookup for each write would be felt.
_REQUEST_BYTES: Final = REQUEST_SPLIT.size
_READ: Final = int(Command.READ)
_WRITE: Final = int(Command.WRITE)
_CACHE: Final = int(Command.CACHE)
_FUA: Final = int(CommandFlag.FUA)
_DF: Final = int(CommandFlag.DF)
_DONE: Final = Outcome.DONE


class NbdRequests:
    """Requests of one connection to one volume, and the `Requester` of what they need."""

    def __init__(self, volume: BlockVolume, export: OpenExport) -> None:
        self._volume = volume
        self._export = export
        self._structured = export.structured
        self._closing = False
        # What the short way compares with; whoever refuses makes them negative.
        self._readable_bytes = export.size_bytes
        self._writable_bytes = -1 if export.read_only else export.size_bytes
        # Under way: command, flags, handle, offset, length, bytes held for it.
        self._pending: dict[int, tuple[int, int, bytes, int, int, int]] = {}
        self._taken = 0
        self._bytes = 0
        self._bytes_out = 0
        self._short: list[bytes] = []
        self._long: list[bytes] = []
        self._begun: WriteBegun | None = None
        self.ended_because = ""
        """Why no more requests are taken, for people; empty while they are."""
        self.broken = False
        """Whether the client broke the protocol, so that the stream makes no sense any more."""
        self.requests = 0
        self.failed_requests = 0

    @property
    def full(self) -> bool:
        """Whether replies have to leave before more is taken."""
        return self._taken >= REQUESTS_MAX or self._bytes >= BYTES_MAX

    @property
    def pending(self) -> int:
        """How many requests the volume has yet to answer."""
        return len(self._pending)

    def take(self, view: memoryview, at: int) -> int:
        """Take complete requests from `view` at `at`; return where the first other byte is.

        Stops at an incomplete header, at data that has to be collected, when full and when ended.
        """
        end = len(view)
        unpack = REQUEST_SPLIT.unpack_from
        pending = self._pending
        writes: list[tuple[int, bytes]] = []
        cookies: list[int] = []
        while end - at >= _REQUEST_BYTES and self._taken < REQUESTS_MAX and self._bytes < BYTES_MAX:
            head, handle, offset, length = unpack(view, at)
            at += _REQUEST_BYTES
            self._taken += 1
            self.requests = cookie = self.requests + 1
            stop = at + length
            if (
                head == _WRITE_HEAD
                and stop <= end
                and offset + length <= self._writable_bytes
                and 0 < length <= PAYLOAD_BYTES_MAX
            ):
                self._bytes += length
                pending[cookie] = (_WRITE, 0, handle, offset, length, length)
                writes.append((offset, view[at:stop].tobytes()))
                cookies.append(cookie)
                at = stop
                continue
            if writes:
                # What came together is handed on together, and before what came after it.
                self._volume.write_many(writes, self, cookies)
                writes, cookies = [], []
            if (
                head == _READ_HEAD
                and offset + length <= self._readable_bytes
                and 0 < length <= PAYLOAD_BYTES_MAX
            ):
                self._read_plainly(handle, offset, length)
            else:
                self._take_other(head, handle, offset, length)
                if self._begun or self.ended_because:
                    break
        if writes:
            self._volume.write_many(writes, self, cookies)
        return at

    @property
    def collecting(self) -> bool:
        """Whether the next bytes are data of a write that has begun."""
        return self._begun is not None

    def take_payload(self, view: memoryview, at: int) -> int:
        """Take what `view` has of the write that has begun; return where that ends."""
        begun = self._begun
        if begun is None:
            raise MisuseError("data for an NBD write that has not begun")
        stop = begun.take(view, at)
        if not begun.missing_bytes:
            self._begun = None
            self._finish_write(begun)
        return stop

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        """Take the outcome of an operation from the volume, and prepare the reply."""
        entry = self._pending.pop(cookie, None)
        if entry is None:
            return  # the client is gone
        command, flags, handle, offset, length, held_bytes = entry
        if outcome is not _DONE:
            self._bytes -= held_bytes
            size_bytes = self._export.size_bytes
            self._fail(handle, refused_by_volume(outcome, command, offset, length, size_bytes))
        elif command == _READ:
            self._bytes -= held_bytes
            self._reply_read(flags, handle, offset, length, data)
        elif flags & _FUA and command in CHANGES:
            # A group that acknowledges from its nonvolatile store answers this at once, so there
            # FUA costs nothing. A group that acknowledges sooner has to be asked.
            self._pending[cookie] = (Command.FLUSH, 0, handle, offset, length, held_bytes)
            self._volume.flush(self, cookie)
        else:
            self._bytes -= held_bytes
            self._short.append(SIMPLE_DONE + handle)

    def drain(self) -> list[bytes]:
        """Return the replies collected, as buffers for the socket."""
        buffers = self._long
        if self._short:
            # Replies may overtake each other, so the short ones leave first, in one buffer.
            buffers = [b"".join(self._short), *buffers]
            self._short.clear()
        self._long = []
        self._bytes -= self._bytes_out
        self._bytes_out = 0
        self._taken = len(self._pending)
        return buffers

    def closing(self) -> None:
        """Refuse every further request, because the site is shutting down."""
        self._closing = True
        self._readable_bytes = self._writable_bytes = -1

    def forget(self) -> None:
        """Drop what is under way and collected; outcomes still to come are ignored."""
        self._pending.clear()
        self._short.clear()
        self._long.clear()
        self._begun = None

    def _take_other(self, head: bytes, handle: bytes, offset: int, length: int) -> None:
        magic, flags, command = REQUEST_HEAD.unpack(head)
        if magic != REQUEST_MAGIC:
            self.ended_because = f"a request starts with {magic:#010x}, not {REQUEST_MAGIC:#010x}"
            self.broken = True
            return
        if command == Command.DISC:
            self.ended_because = "the client disconnected"
            return
        refused = _SHUTDOWN if self._closing else None
        refused = refused or refusal(self._export, command, flags, offset, length)
        if command == Command.WRITE:
            begun = WriteBegun(flags, handle, offset, length, refused)
            self._bytes += begun.held_bytes
            if length:
                self._begun = begun
            else:
                self._finish_write(begun)
        elif refused:
            self._fail(handle, refused)
        elif not length and command != Command.FLUSH:
            structured_read = command == Command.READ and self._export.structured
            self._short.append(nothing_chunk(handle) if structured_read else SIMPLE_DONE + handle)
        else:
            self._start(command, flags, handle, offset, length)

    def _start(self, command: int, flags: int, handle: bytes, offset: int, length: int) -> None:
        if command == Command.READ:
            self._read(flags, handle, offset, length)
        elif command == Command.CACHE:
            self._prefetch(handle, offset, length)
        elif command == Command.BLOCK_STATUS:
            self._tell_status(flags, handle, offset, length)
        elif command == Command.FLUSH:
            self._pending[self.requests] = (command, flags, handle, offset, length, 0)
            self._volume.flush(self, self.requests)
        elif flags & CommandFlag.NO_HOLE:
            # A zeroing may leave a hole on the disk; zeros that were written keep their space.
            self._write(command, flags, handle, offset, bytes(length))
        else:
            self._pending[self.requests] = (command, flags, handle, offset, length, 0)
            self._volume.zero(offset, length, self, self.requests)

    def _finish_write(self, begun: WriteBegun) -> None:
        self._bytes -= begun.held_bytes
        refused = begun.refused or (_SHUTDOWN if self._closing else None)
        if refused:
            # Only now: a client still busy sending its data might not be ready for the reply.
            self._fail(begun.handle, refused)
        elif len(begun.pieces) == 1:
            self._write(_WRITE, begun.flags, begun.handle, begun.offset, begun.pieces[0])
        elif begun.length:
            length = begun.length
            self._bytes += length
            entry = (_WRITE, begun.flags, begun.handle, begun.offset, length, length)
            self._pending[self.requests] = entry
            self._volume.write_pieces(begun.offset, begun.pieces, self, self.requests)
        else:
            self._short.append(SIMPLE_DONE + begun.handle)

    def _write(self, command: int, flags: int, handle: bytes, offset: int, data: bytes) -> None:
        length = len(data)
        self._bytes += length
        self._pending[self.requests] = (command, flags, handle, offset, length, length)
        self._volume.write(offset, data, self, self.requests)

    def _read_plainly(self, handle: bytes, offset: int, length: int) -> None:
        """Answer a read without flags at once if it may be; most reads are of one cached track."""
        data = self._volume.cached(offset, length)
        if data is None:
            self._read(0, handle, offset, length)
        elif self._structured and len(data) == length and data != TRACK_OF_ZEROS:
            # No zeros that a sparse reply would name: what is shorter than a track is sent.
            self._long += (whole_head(handle, offset, length), data)
            self._bytes += length
            self._bytes_out += length
        else:
            self._reply_read(0, handle, offset, length, [data])

    def _read(self, flags: int, handle: bytes, offset: int, length: int) -> None:
        # Under way before the volume is asked: it may refuse before it returns.
        cookie = self.requests
        self._pending[cookie] = (_READ, flags, handle, offset, length, length)
        self._bytes += length
        data = self._volume.read(offset, length, self, cookie)
        if data is not None:
            del self._pending[cookie]
            self._bytes -= length
            self._reply_read(flags, handle, offset, length, data)

    def _prefetch(self, handle: bytes, offset: int, length: int) -> None:
        # The promise is small on purpose: no more than one read brings is brought in.
        length = min(length, PAYLOAD_BYTES_MAX)
        cookie = self.requests
        self._pending[cookie] = (_CACHE, 0, handle, offset, length, length)
        self._bytes += length
        if self._volume.read(offset, length, self, cookie) is not None:
            self.completed(cookie, _DONE, [])

    def _tell_status(self, flags: int, handle: bytes, offset: int, length: int) -> None:
        length = min(length, STATUS_BYTES_MAX)
        runs = self._volume.allocation(offset, length)
        extents = extents_within(runs, length, only_one=bool(flags & CommandFlag.REQ_ONE))
        reply = status_chunk(handle, extents or [(length, True)])
        self._add_long([reply], len(reply))

    def _reply_read(
        self, flags: int, handle: bytes, offset: int, length: int, data: list[bytes]
    ) -> None:
        got_bytes = len(data[0]) if len(data) == 1 else sum(map(len, data))
        if got_bytes != length:
            # Sent as it is it would put the client's reading out of step for good.
            text = f"{got_bytes} of {length} bytes at {offset} were read"
            self._fail(handle, Refusal(Errno.EIO, text))
        elif not self._export.structured:
            self._add_long([SIMPLE_DONE + handle, *data], length)
        elif flags & _DF:
            self._add_long(whole_read(handle, offset, length, data), length)
        else:
            self._add_long(sparse_read(handle, offset, length, data), length)

    def _add_long(self, buffers: list[bytes], size_bytes: int) -> None:
        self._long += buffers
        self._bytes += size_bytes
        self._bytes_out += size_bytes

    def _fail(self, handle: bytes, refused: Refusal) -> None:
        self.failed_requests += 1
        if self._export.structured:
            self._short.append(error_chunk(handle, *refused))
        else:
            self._short.append(simple_error(handle, refused.errno))
