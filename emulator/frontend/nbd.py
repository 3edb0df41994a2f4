"""One host's NBD connection, from the greeting to the last reply, as a machine without a socket.

The shell reads from the socket into a buffer of its own and hands over what came; the session
takes requests out of it in place, asks the volume, and collects replies for the shell to write:

    session.receive(view)       when bytes came; not while `wants_pause`
    session.outgoing()          until it returns nothing; each time all before has been sent
    session.closed              then hang up, once `outgoing` has nothing left
    session.disconnected()      when the socket is gone

Relies on `nbd_options.py` for what is agreed on at the start and on `nbd_requests.py` from then
on. Leaves sockets, and how many connections there may be, to the shell.
"""

import enum
from collections.abc import Mapping
from typing import Final

from emulator.channel.blocks import BlockVolume
from emulator.errors import MisuseError
from emulator.frontend.nbd_options import GREETING_BYTES, OPTION_BYTES_MAX, Negotiation
from emulator.frontend.nbd_protocol import (
    CLIENT_FLAGS,
    OPTION,
    OPTION_MAGIC,
    REQUEST,
    Option,
    OptionAnswer,
)
from emulator.frontend.nbd_requests import NbdRequests
from emulator.frontend.nbd_rules import OpenExport

OPTIONS_MAX: Final = 64
# Answers that have not left yet. An honest client waits for each answer before it goes on.


class _Phase(enum.Enum):
    """What the next bytes from the client are."""

    FLAGS = "client flags"
    OPTIONS = "options"
    REQUESTS = "requests"
    ENDED = "of no interest"


class NbdSession:
    """The server's end of one NBD connection; volumes answer to its `NbdRequests`."""

    prompt = False
    """Whether answers leave at once rather than once a turn."""
    settled = False
    """Whether what was asked needs no turn to go on."""

    def __init__(self, exports: Mapping[str, BlockVolume]) -> None:
        self._phase = _Phase.FLAGS
        self._agreed = Negotiation(exports)
        self._requests: NbdRequests | None = None
        self._answers: list[bytes] = [GREETING_BYTES]
        self._closing = False
        self._broken = False
        self.ended_because = ""
        """Why the session takes nothing more, for people; empty while it does."""
        # A message that has begun, and how many bytes of it are needed to go on.
        self._rest = bytearray()
        self._wanted = CLIENT_FLAGS.size
        # Bytes of an overlong option that are still to be passed over, and what answers it.
        self._drop_bytes = 0
        self._answer_after_drop = b""
        # What came after the session was full; taken up again by `outgoing`.
        self._held: memoryview | None = None

    @property
    def closed(self) -> bool:
        """Whether it is over; send what `outgoing` still has, then hang up."""
        return self._phase is _Phase.ENDED and (self._broken or not self.requests_pending)

    @property
    def wants_pause(self) -> bool:
        """Whether to stop reading from the socket, until replies have left."""
        return self._held is not None or self._full() or self._phase is _Phase.ENDED

    @property
    def requests_pending(self) -> int:
        """How many requests the volume has yet to answer."""
        return self._requests.pending if self._requests else 0

    @property
    def device(self) -> str | None:
        """Name of the device this connection has open; None before it has chosen."""
        volume = self._agreed.volume
        return volume.name if volume else None

    def counters(self) -> dict[str, int]:
        """Return what this connection has seen so far."""
        requests = self._requests
        return {
            "requests": requests.requests if requests else 0,
            "failed_requests": requests.failed_requests if requests else 0,
            "refused_options": self._agreed.refused_options,
            "broken": int(self._broken),
        }

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the client; the buffer may be used again when this returns."""
        if self._phase is _Phase.ENDED:
            return
        if self._held is not None:
            raise MisuseError("an NBD session that wants a pause was handed more bytes")
        held = self._take(memoryview(data))
        self._held = None if held is None else memoryview(bytes(held))

    def outgoing(self) -> list[bytes]:
        """Return buffers for the socket, in order; go on with what had to be held back."""
        if self._held is not None:
            self._held = self._take(self._held)
        buffers = self._answers
        self._answers = []
        if self._requests:
            buffers += self._requests.drain()
        return buffers

    def closing(self) -> None:
        """Refuse everything from now on, because the site is shutting down."""
        self._closing = True
        if self._requests:
            self._requests.closing()

    def disconnected(self) -> None:
        """Forget the client, whose connection is gone; outcomes still to come are ignored."""
        self._end("the client hung up", broken=self._broken)
        self._answers.clear()
        if self._requests:
            self._requests.forget()

    def _full(self) -> bool:
        return self._requests.full if self._requests else len(self._answers) >= OPTIONS_MAX

    def _take(self, view: memoryview) -> memoryview | None:
        """Take everything in `view`; return what had to be left because the session is full."""
        at, end = 0, len(view)
        while at < end and self._phase is not _Phase.ENDED:
            if self._requests and self._requests.collecting:
                at = self._requests.take_payload(view, at)
            elif self._drop_bytes:
                at = self._drop(view, at)
            elif self._full():
                return view[at:]
            elif self._rest:
                at = self._add_to_rest(view, at)
            else:
                start, at = at, self._step(view, at)
                if at == start:
                    self._rest += view[at:]
                    break
        return None

    def _add_to_rest(self, view: memoryview, at: int) -> int:
        stop = min(at + self._wanted - len(self._rest), len(view))
        self._rest += view[at:stop]
        if len(self._rest) >= self._wanted:
            whole = memoryview(bytes(self._rest))
            self._rest.clear()
            # The header of an option comes back, to be kept until the data it announced is here.
            taken = self._step(whole, 0)
            self._rest += whole[taken:]
        return stop

    def _step(self, view: memoryview, at: int) -> int:
        """Take what is complete at `at`; the same `at` again means that more bytes are needed."""
        if self._requests:
            at = self._requests.take(view, at)
            if self._requests.ended_because:
                self._end(self._requests.ended_because, broken=self._requests.broken)
            return at
        if self._phase is _Phase.OPTIONS:
            return self._take_option(view, at)
        return self._take_flags(view, at)

    def _take_flags(self, view: memoryview, at: int) -> int:
        if len(view) - at < CLIENT_FLAGS.size:
            return at
        (flags,) = CLIENT_FLAGS.unpack_from(view, at)
        self._phase = _Phase.OPTIONS
        self._wanted = OPTION.size
        if not self._agreed.accept_flags(flags):
            self._end(f"client flags {flags:#x} are unknown", broken=True)
        return at + CLIENT_FLAGS.size

    def _take_option(self, view: memoryview, at: int) -> int:
        self._wanted = OPTION.size
        if len(view) - at < OPTION.size:
            return at
        magic, option, length = OPTION.unpack_from(view, at)
        start = at + OPTION.size
        if magic != OPTION_MAGIC:
            self._end(f"an option starts with {magic!r}, not with IHAVEOPT", broken=True)
            return start
        if length > OPTION_BYTES_MAX:
            self._refuse_long_option(option, length)
            return start
        if len(view) - start < length:
            self._wanted = OPTION.size + length
            return at
        stop = start + int(length)
        self._answer(option, bytes(view[start:stop]))
        return stop

    def _refuse_long_option(self, option: int, length: int) -> None:
        text = f"an option of {length} bytes is too long; the most is {OPTION_BYTES_MAX}"
        if option == Option.EXPORT_NAME:
            self._end(text, broken=True)
            return
        self._drop_bytes = length
        self._answer_after_drop = self._agreed.refuse(option, OptionAnswer.ERR_TOO_BIG, text)

    def _drop(self, view: memoryview, at: int) -> int:
        stop = min(at + self._drop_bytes, len(view))
        self._drop_bytes -= stop - at
        if not self._drop_bytes:
            self._answers.append(self._answer_after_drop)
        return stop

    def _answer(self, option: int, data: bytes) -> None:
        agreed = self._agreed
        if not self._closing or option == Option.ABORT:
            answer = agreed.answer(option, data)
        elif option == Option.EXPORT_NAME:
            answer = None
        else:
            answer = agreed.refuse(option, OptionAnswer.ERR_SHUTDOWN, "the site is shutting down")
        if answer is None:
            self._end(f"the export {data[:64]!r} cannot be opened", broken=False)
            return
        self._answers.append(answer)
        if option == Option.ABORT:
            self._end("the client gave up negotiating", broken=False)
        elif agreed.volume is not None:
            self._open(agreed.volume)

    def _open(self, volume: BlockVolume) -> None:
        agreed = self._agreed
        export = OpenExport(
            volume.size_bytes, agreed.read_only, agreed.structured, agreed.has_context
        )
        self._phase = _Phase.REQUESTS
        self._wanted = REQUEST.size
        self._requests = NbdRequests(volume, export)

    def _end(self, reason: str, *, broken: bool) -> None:
        self._phase = _Phase.ENDED
        self._broken = broken
        self.ended_because = self.ended_because or reason
        self._held = None
        self._rest.clear()
