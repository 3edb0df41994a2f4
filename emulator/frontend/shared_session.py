"""One Hercules host's connection to a shared device, as a machine without a socket.

The shell hands over what came from the socket and writes what `outgoing` returns; the same verbs
as the NBD session:

    session.receive(view)       when bytes came; not while `wants_pause`
    session.outgoing()          until it returns nothing
    session.closed              then hang up, once `outgoing` has nothing left
    session.disconnected()      when the socket is gone

Takes messages out of the stream, and opens the device that the first one names. Requests are
taken one after another, in order, by `shared_requests.py`; one that must wait holds back those
behind it. Who owns the device and what survives a connection is `shared_device.py`'s.
"""

from collections.abc import Mapping
from typing import Final

from emulator.channel.blocks import Outcome
from emulator.frontend.shared_device import SharedDevice
from emulator.frontend.shared_requests import SharedRequests
from emulator.frontend.shared_wire import (
    DATA_BYTES_MAX,
    HEADER,
    HEADER_BYTES,
    VERSION,
    Code,
    Opcode,
    error,
)

# Bytes of requests that wait behind one that is not answered; an honest host sends none.
HELD_BYTES_MAX: Final = 2 * DATA_BYTES_MAX


class SharedSession:
    """The control unit's end of one connection."""

    prompt = True
    """Whether answers leave at once rather than once a turn."""

    def __init__(self, devices: Mapping[int, SharedDevice], host: str) -> None:
        self._devices = devices
        self._host = host
        self._requests: SharedRequests | None = None
        self._out: list[bytes] = []
        self._rest = bytearray()
        self._closing = False
        self._ended_because = ""
        self._messages = 0
        self._turned_away = 0

    @property
    def ended_because(self) -> str:
        """Why the session takes nothing more, for people; empty while it does."""
        return self._ended_because or (self._requests.ended_because if self._requests else "")

    @property
    def closed(self) -> bool:
        """Whether it is over; send what `outgoing` still has, then hang up."""
        return bool(self.ended_because)

    @property
    def wants_pause(self) -> bool:
        """Whether to stop reading from the socket for now."""
        return len(self._rest) > HELD_BYTES_MAX or bool(self.ended_because)

    @property
    def settled(self) -> bool:
        """Whether no request waits here, nor another host's for what was answered here."""
        requests = self._requests
        return (
            requests is not None
            and not requests.waiting
            and not requests.device.contended
            and not self.ended_because
        )

    @property
    def requests_pending(self) -> int:
        """How many requests are not answered; a channel program under way counts as one."""
        return self._requests.pending if self._requests is not None else 0

    @property
    def device(self) -> str | None:
        """Name of the device that this connection is for; None before the host has said."""
        return self._requests.device.store.name if self._requests is not None else None

    def counters(self) -> dict[str, int]:
        """Return what this connection has seen so far."""
        refused = self._requests.answers.refused if self._requests is not None else 0
        return {"requests": self._messages, "refused_requests": self._turned_away + refused}

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the host; the buffer may be used again when this returns."""
        if self.ended_because:
            return
        if self._rest:
            self._rest += data
            self._go_on()
        else:
            view = memoryview(data)
            taken = self._take(view)
            if taken < len(view) and not self.ended_because:
                self._rest += view[taken:]

    def outgoing(self) -> list[bytes]:
        """Return buffers for the socket, in order."""
        buffers = self._out
        if buffers:
            self._out = []
            if self._requests is not None:
                self._requests.answers.out = self._out
        return buffers

    def closing(self) -> None:
        """End, because the site is shutting down; a channel program under way may finish."""
        self._closing = True
        if self._requests is not None:
            self._requests.closing()
        else:
            self._ended_because = Outcome.CLOSING.value

    def disconnected(self) -> None:
        """Forget the connection, which is gone; the host may come back on another one."""
        self._ended_because = self.ended_because or "the host hung up"
        self._out.clear()
        self._rest.clear()
        if self._requests is not None:
            self._requests.disconnected()

    def _go_on(self) -> None:
        """Take what waited behind a request that is answered now, or for its own last bytes."""
        if self._rest and not self.ended_because:
            held = bytes(self._rest)
            self._rest.clear()
            taken = self._take(memoryview(held))
            if not self.ended_because:
                self._rest[:0] = held[taken:]

    def _take(self, view: memoryview) -> int:
        """Take whole messages until one must wait; return how many bytes they were."""
        at, size = 0, len(view)
        requests = self._requests
        while size - at >= HEADER_BYTES and not (requests is not None and requests.waiting):
            opcode, flag, device, length, client_id = HEADER.unpack_from(view, at)
            start = at + HEADER_BYTES
            if size - start < length:
                break
            at = start + length
            self._messages += 1
            data = bytes(view[start:at]) if length else b""
            if requests is None:
                requests = self._open(opcode, flag, device, client_id)
            if requests is not None:
                requests.take(opcode, flag, data)
            if self.ended_because:
                break
        return at

    def _open(self, opcode: int, flag: int, number: int, client_id: int) -> SharedRequests | None:
        """Open the device for the first message: CONNECT, or anything from a host with an id."""
        if not client_id and opcode != Opcode.CONNECT:
            self._turn_away(Code.NOT_CONNECTED, opcode, number, "not a connect request")
            return None
        device = self._devices.get(number)
        if device is None:
            self._turn_away(Code.NO_DEVICE, opcode, number, "device not found")
            return None
        if opcode == Opcode.CONNECT and flag >> 4 != VERSION:
            self._turned_away += 1
            text = f"shared version mismatch: {flag >> 4} is not {VERSION}"
            self._out.append(error(Code.BAD_VERSION, opcode, number, client_id, text))
            return None
        if not device.usable():
            # A text as answer would be taken for success; a closed connection is tried again.
            self._ended_because = Outcome.NOT_HERE.value
            return None
        requests = SharedRequests(device, self._out, self._go_on)
        client = device.connect(client_id, self._host, requests)
        if isinstance(client, str):
            known = client == "already connected"
            code = Code.NO_DEVICE if known else Code.NOT_AVAILABLE
            self._turn_away(code, opcode, number, client)
            return None
        requests.opened(client)
        self._requests = requests
        return requests

    def _turn_away(self, code: Code, opcode: int, number: int, text: str) -> None:
        self._turned_away += 1
        self._out.append(error(code, opcode, number, 0, text))
        self._ended_because = text
