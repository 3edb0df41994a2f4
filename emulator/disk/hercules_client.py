"""A client of a real control unit: Hercules with SHRDPORT, asked over TCP by blocking calls.

    unit = ControlUnit(where)                    nothing is connected yet
    images = unit.run([read(7), read(8)])        START, the requests, END: one channel program
    unit.close()

A program is sent in one go and its answers are checked one by one: both known servers take queued
requests in order. A connection that breaks is made anew and the whole program runs again, which
changes nothing (writes carry all their bytes). Never asks for compression and never reserves.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from emulator.disk.hercules_talk import Answer, BrokenError, Request, Talk
from emulator.errors import DeviceError
from emulator.frontend.shared_identity import SharedIdentity
from emulator.frontend.shared_wire import (
    PLACE,
    RELEASE,
    RELEASE_QUERIES,
    TRACK,
    VERSION,
    Code,
    Opcode,
    Query,
    change_list,
)

AGAIN_S: Final = 0.2
# A real server hangs up after 120 s of silence; it looks every 10 s.
KEEP_ALIVE_S: Final = 60.0
_SENSE_BYTES_OF: Final = {0x3990: 32, 0x2107: 32, 0x2105: 32, 0x1750: 32}

Found = TypeVar("Found")


class Where(NamedTuple):
    """Which device of which control unit, and how long to wait for it."""

    uri: str
    host: str
    port: int
    number: int
    patience_s: float


def read(track: int) -> Request:
    """Return the request to read a track."""
    return Request(Opcode.READ, TRACK.pack(track))


def write(track: int, offset: int, data: bytes) -> Request:
    """Return the request to write bytes of a track."""
    return Request(Opcode.WRITE, PLACE.pack(offset, track) + data)


class ControlUnit:
    """One device of a real control unit."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.connects = 0
        self.foreign_changes: list[int] | None = []
        """Tracks that another host changed behind us since this was last cleared; None is any."""
        self._lock = threading.Lock()
        self._talk: Talk | None = None
        self._release = 0
        self._begun = False
        self._used_s = 0.0
        self._closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True, name="keep-alive")
        self._keeper.start()

    # What the disk asks.

    def identity(self) -> SharedIdentity:
        """Return what the control unit says of the device; its sizes are not checked here."""
        with self._lock:
            return self._patiently(self._ask_identity)

    def run(self, requests: Sequence[Request]) -> list[bytes]:
        """Run a channel program and return the data of its answers, START and END left out.

        Raises DeviceError when the unit refuses anything, or is away for longer than the patience.
        """
        with self._lock:
            return self._patiently(lambda: self._program(requests))

    def close(self) -> None:
        """Say good-bye; closing twice does nothing."""
        self._closed.set()
        with self._lock:
            if self._talk is not None:
                with contextlib.suppress(BrokenError):
                    self._talk.send([Request(Opcode.DISCONNECT)])
                    self._talk.receive()
            self._drop()
        if threading.current_thread() is not self._keeper:
            self._keeper.join()

    # The connection.

    def _patiently(self, deed: Callable[[], Found]) -> Found:
        """Do something, and do it again on a new connection as long as patience lasts."""
        limit_s = time.monotonic() + self.where.patience_s
        while True:
            try:
                if self._closed.is_set():
                    raise DeviceError(self.where.uri, "is closed")
                if self._talk is None:
                    self._connect()
                return deed()
            except BrokenError as broken:
                self._drop()
                if time.monotonic() >= limit_s or self._closed.wait(AGAIN_S):
                    raise DeviceError(self.where.uri, str(broken)) from broken

    def _connect(self) -> None:
        """Connect as a new client: a server that still knows the old one refuses its id."""
        where = self.where
        self._talk = talk = Talk(where.host, where.port, where.number)
        self._begun = False
        try:
            answer = self._ask(Opcode.CONNECT, VERSION << 4 | RELEASE)
            if len(answer.data) != 2:
                size = len(answer.data)
                raise DeviceError(where.uri, f"CONNECT was answered by {size} bytes, not 2")
        except DeviceError:
            self._drop()
            raise
        talk.client_id = int.from_bytes(answer.data, "big")
        self._release = answer.status & 0x0F
        self.connects += 1

    def _drop(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None

    def _keep_alive(self) -> None:
        while not self._closed.wait(KEEP_ALIVE_S / 4):
            with self._lock:
                idle_s = time.monotonic() - self._used_s
                if self._talk is not None and idle_s >= KEEP_ALIVE_S:
                    try:
                        self._ask(Opcode.QUERY, Query.CYLINDERS)
                    except (BrokenError, DeviceError):
                        self._drop()  # whoever asks next connects anew

    # Requests and answers.

    def _ask_identity(self) -> SharedIdentity:
        cylinders = int.from_bytes(self._query(Query.CYLINDERS, 4), "big")
        characteristics = self._query(Query.CHARACTERISTICS, 64)
        identity = self._query(Query.IDENTITY, 0)
        serial, unit = b"", characteristics[0:3]
        if self._release >= RELEASE_QUERIES:
            serial = self._query(Query.SERIAL, 12)
            found = self._query(Query.CONTROL_UNIT, 4)
            unit = bytes((found[1], found[0], found[2]))
        kind = int.from_bytes(unit[:2], "big")
        return SharedIdentity(
            cylinders=cylinders,
            tracks=cylinders * int.from_bytes(characteristics[14:16], "big"),
            image_bytes=0,
            characteristics=characteristics,
            identity=identity,
            serial=serial,
            control_unit_type=kind,
            control_unit_model=unit[2],
            sense_bytes=_SENSE_BYTES_OF.get(kind, 24),
            release=self._release,
        )

    def _query(self, what: Query, length: int) -> bytes:
        data = self._ask(Opcode.QUERY, what).data
        if length and len(data) != length:
            raise DeviceError(
                self.where.uri, f"query {what:02X} was answered by {len(data)} bytes, not {length}"
            )
        return data

    def _ask(self, opcode: Opcode, flag: int) -> Answer:
        assert self._talk is not None
        self._used_s = time.monotonic()
        self._talk.send([Request(opcode)], flag)
        return self._checked(opcode, self._talk.receive())

    def _program(self, requests: Sequence[Request]) -> list[bytes]:
        if not self._begun and requests:
            # A reservation outlives its owner there, and the next client then keeps the device
            # from all others. Releasing what nobody holds changes nothing.
            self._program_of([Request(Opcode.RELEASE)])
        return self._program_of(requests)

    def _program_of(self, requests: Sequence[Request]) -> list[bytes]:
        talk = self._talk
        assert talk is not None
        self._used_s = time.monotonic()
        talk.send([Request(Opcode.START), *requests, Request(Opcode.END)])
        # All answers are taken before any is judged, so that the next program finds its own.
        start, *answers, end = [talk.receive() for _ in range(len(requests) + 2)]
        self._note_changes(self._checked(Opcode.START, start))
        found = [
            self._checked(request.opcode, answer).data
            for request, answer in zip(requests, answers, strict=True)
        ]
        self._checked(Opcode.END, end)
        return found

    def _note_changes(self, start: Answer) -> None:
        """Take note of what others did; the first START of a connection says "everything"."""
        if self._begun and start.code == Code.PURGE:
            changed = change_list(start.data)
            if changed is None or self.foreign_changes is None:
                self.foreign_changes = None
            else:
                self.foreign_changes += changed
        self._begun = True

    def _checked(self, opcode: Opcode, answer: Answer) -> Answer:
        code = answer.code
        if code & Code.ERROR:
            text = answer.data.rstrip(b"\0").decode("ascii", "replace")
            if code == Code.NOT_READY:
                raise BrokenError(f"the control unit is not ready: {text}")
            raise DeviceError(
                self.where.uri, f"{opcode.name} was refused with {code:02X}: {text or 'no text'}"
            )
        if code & Code.IO_ERROR:
            raise DeviceError(
                self.where.uri, f"{opcode.name} ended with unit status {answer.status:02X}"
            )
        if code & Code.COMPRESSED or (code and opcode is not Opcode.START):
            raise DeviceError(self.where.uri, f"{opcode.name} was answered with code {code:02X}")
        return answer
