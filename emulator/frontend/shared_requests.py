"""The requests of one connection to a shared device.

`take` answers a request at once, or sets `waiting` until the device, the disk or durability has
come; `go_on` is called then, and the next request may be taken. What a host would misunderstand
is never said: see the rules in `shared_device.py`.
"""

from collections.abc import Callable

from emulator.channel.blocks import Outcome
from emulator.frontend.shared_answers import LEVEL_MAX, SharedAnswers
from emulator.frontend.shared_clients import Client, WriteUnderWay
from emulator.frontend.shared_device import SharedDevice
from emulator.frontend.shared_wire import (
    COMPRESSED,
    FLUSH_TRACK,
    ID,
    KIND_MASK,
    NO_WAIT,
    PLACE,
    TRACK,
    VERSION,
    BadDataError,
    Code,
    Opcode,
    unpacked,
)

Later = Callable[[], None]
_START, _END = int(Opcode.START), int(Opcode.END)


class SharedRequests:
    """What one host asks on one connection."""

    client: Client

    def __init__(self, device: SharedDevice, out: list[bytes], go_on: Later) -> None:
        self.device = device
        self.answers = SharedAnswers(device.number, out)
        self.waiting = False
        """A request is not answered yet."""
        self.ended_because = ""
        self._go_on = go_on
        self._closing = False
        self._granted: Later | None = None
        self._cookie = 0
        self._read_track = 0
        self._handlers: dict[int, Callable[[int, bytes], None]] = {
            Opcode.CONNECT: self._connect,
            Opcode.DISCONNECT: self._disconnect,
            Opcode.START: self._start,
            Opcode.RESUME: self._start,
            Opcode.END: self._end,
            Opcode.SUSPEND: self._end,
            Opcode.RESERVE: self._reserve,
            Opcode.RELEASE: self._release,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.SENSE: self._sense,
            Opcode.QUERY: self._query,
            Opcode.COMPRESS: self._compress,
        }

    def opened(self, client: Client) -> None:
        """Begin to take requests of this host."""
        self.client = self.answers.client = client

    @property
    def pending(self) -> int:
        """How many requests are not answered; a channel program under way counts as one."""
        return 0 if self.ended_because else int(self.waiting or self.client.in_program)

    def closing(self) -> None:
        """End, because the site is shutting down; a channel program under way may finish."""
        self._closing = True
        if not self.pending or self._granted is not None:
            self.hang_up(Outcome.CLOSING.value)

    def disconnected(self) -> None:
        """Forget the connection; the device remembers the host for a while."""
        self.hang_up("the host hung up")
        self.device.lost(self.client, self)

    # The device's side.

    def hang_up(self, reason: str) -> None:
        """Close the connection without another word."""
        self.ended_because = self.ended_because or reason
        self._granted = None

    def granted(self) -> None:
        """Go on with what waited for the device."""
        later, self._granted = self._granted, None
        if later is not None:
            self.waiting = False
            later()
            if not self.waiting:
                self._go_on()

    def write_ended(self, write: WriteUnderWay) -> None:
        """Answer the WRITE that this connection waits for."""
        if self.waiting and self.client.write is write and not self.ended_because:
            self.waiting = False
            self._answer_write(write)
            self._go_on()

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        """Take a track that was not in the cache, or why there is none."""
        if cookie != self._cookie or self.ended_because:
            return
        self._cookie += 1
        if outcome is Outcome.DONE:
            self.answers.track(data[0] if len(data) == 1 else b"".join(data))
        else:
            self.answers.refuse_read(Opcode.READ, self._read_track, outcome)
        self.waiting = False
        self._go_on()

    # Requests.

    def take(self, opcode: int, flag: int, data: bytes) -> None:
        """Take one request."""
        self.client.spoke_ns = self.device.now_ns
        handlers = self._handlers
        handler = handlers.get(opcode)
        if handler is not None:
            handler(flag, data)
        elif opcode & COMPRESSED and opcode & ~COMPRESSED in handlers:
            try:
                data = unpacked(data, flag)
            except BadDataError as problem:
                self.answers.refuse(Code.INVALID, opcode, str(problem))
                return
            handlers[opcode & ~COMPRESSED](flag & ~KIND_MASK, data)
        else:
            self.answers.refuse(Code.INVALID, opcode, f"invalid request {opcode:02X}")

    def _connect(self, flag: int, data: bytes) -> None:
        if flag >> 4 == VERSION:
            self.answers.connected(self.device.identity.release)
        else:
            text = f"shared version mismatch: {flag >> 4} is not {VERSION}"
            self.answers.refuse(Code.BAD_VERSION, Opcode.CONNECT, text)

    def _disconnect(self, flag: int, data: bytes) -> None:
        self.answers.done()
        self.device.leave(self.client)
        self.hang_up("the host said good-bye")

    # Owning the device.

    def _start(self, flag: int, data: bytes) -> None:
        client, device = self.client, self.device
        if client.write is not None and client.write.ended is not None:
            client.write = None  # the host knows how it ended, or will not ask again
        if self._closing:
            self.hang_up(Outcome.CLOSING.value)
        elif flag & NO_WAIT and not device.free_for(client):
            self.answers.done(code=Code.BUSY)
        elif device.start(client):
            self._answer_start()
        else:
            self.waiting = True
            self._granted = self._answer_start

    def _answer_start(self) -> None:
        code, changes = self.client.take_changes()
        self.answers.done(changes, code)

    def _end(self, flag: int, data: bytes) -> None:
        client, device = self.client, self.device
        if device.owner is client:
            device.end(client)
        elif not client.came_back:
            self.answers.refuse(Code.NOT_ACTIVE, _END, "not active on this device")
            return
        client.came_back = False
        self.answers.done()
        if self._closing:
            self.hang_up(Outcome.CLOSING.value)

    def _as_owner(self, opcode: int, later: Later) -> None:
        """Do something for the owner; who came back in mid-program becomes it once more."""
        client, device = self.client, self.device
        if device.owner is client:
            later()
        elif not client.came_back:
            self.answers.refuse(Code.NOT_ACTIVE, opcode, "not active on this device")
        elif device.start(client):
            later()
        else:
            self.waiting = True
            self._granted = later

    def _reserve(self, flag: int, data: bytes) -> None:
        self._as_owner(Opcode.RESERVE, lambda: self._set_reserved(reserved=True))

    def _release(self, flag: int, data: bytes) -> None:
        self._as_owner(Opcode.RELEASE, lambda: self._set_reserved(reserved=False))

    def _set_reserved(self, *, reserved: bool) -> None:
        self.device.reserved = reserved
        self.answers.done()

    # Tracks.

    def _read(self, flag: int, data: bytes) -> None:
        if len(data) != TRACK.size:
            text = f"a READ has 4 bytes, not {len(data)}"
            self.answers.refuse(Code.INVALID, Opcode.READ, text)
            return
        (track,) = TRACK.unpack(data)
        if self.device.owner is self.client:
            self._read_now(track)
        else:
            self._as_owner(Opcode.READ, lambda: self._read_now(track))

    def _read_now(self, track: int) -> None:
        if track == FLUSH_TRACK:  # all that was written is durable already
            self.answers.done()
            return
        self._read_track = track
        cookie = self._cookie
        image = self.device.store.read(track, self, cookie)
        if image is not None:
            self.answers.track(image)
        elif cookie == self._cookie:  # else it was refused before the call returned
            self.waiting = True

    def _write(self, flag: int, data: bytes) -> None:
        if len(data) < PLACE.size:
            text = f"a WRITE has 6 bytes or more, not {len(data)}"
            self.answers.refuse(Code.INVALID, Opcode.WRITE, text)
            return
        offset, track = PLACE.unpack_from(data)
        change = data[PLACE.size :]
        if not change:
            self._take_empty_write(track, offset)
        elif track >= self.device.store.tracks:
            self.answers.refuse_write(Outcome.OUT_OF_RANGE)
        elif offset + len(change) > self.device.identity.image_bytes:
            self.answers.refuse_write(Outcome.BAD_TRACK)
        else:
            self._as_owner(Opcode.WRITE, lambda: self._write_now(track, offset, change))

    def _write_now(self, track: int, offset: int, change: bytes) -> None:
        self.waiting = True
        self.device.writes.begin(self.client, track, offset, change)

    def _take_empty_write(self, track: int, offset: int) -> None:
        """Take a WRITE that is sent again after a broken connection: real hosts lose its data."""
        write = self.client.write
        if write is None or (write.track, write.offset) != (track, offset):
            reason = "the host sent it again without its data"
            self.device.writes.lost(self.client, track, offset, reason)
            text = f"track {track}: the update came without data"
            self.answers.refuse(Code.ERROR, Opcode.WRITE, text)
        elif write.ended is None:
            self.waiting = True  # what it is about came whole, and is on its way
        else:
            self._answer_write(write)

    def _answer_write(self, write: WriteUnderWay) -> None:
        if write.ended is None or write.ended is Outcome.DONE:
            self.answers.done()
        else:
            self.answers.refuse_write(write.ended)

    # About the device.

    def _sense(self, flag: int, data: bytes) -> None:
        length = self.device.identity.sense_bytes
        self._as_owner(Opcode.SENSE, lambda: self.answers.sense(length))

    def _query(self, flag: int, data: bytes) -> None:
        found = self.device.identity.answer(flag)
        if found is None:
            text = f"invalid query request {flag:02X}"
            self.answers.refuse(Code.INVALID, Opcode.QUERY, text)
        else:
            self.answers.done(found)

    def _compress(self, flag: int, data: bytes) -> None:
        level = flag & 0x0F
        self.answers.level = level if level <= LEVEL_MAX else 0
        self.answers.done(ID.pack(self.answers.level))
