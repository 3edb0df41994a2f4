"""The shape of a line, and what all lines have in common.

A line moves whole packets and nothing else: it may lose, repeat, damage or reorder them, and the
link above repairs that. Lines never block, never drop what they have taken (a full line takes
less) and show every packet to their tap before it can get lost. One thread uses a line.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from emulator.errors import MisuseError
from emulator.uri import Uri
from emulator.wire.checksum import Buffer

PACKET_BYTES_MIN: Final = 128
"""Smallest `mtu` a line may be given: a HELLO with short names must fit into one packet."""
PACKET_BYTES_MAX: Final = 65535
"""Largest `mtu` of a line whose medium sets no limit of its own."""
PACKET_BYTES_LOCAL: Final = 61440
"""Usual `mtu` where nothing is lost by large packets: 60 KiB, which fits a UDP datagram."""


class Direction(enum.Enum):
    """Which way a packet went, seen from this end."""

    SENT = "sent"
    RECEIVED = "received"


Tap = Callable[[Direction, Buffer, str | None], None]
"""Called with each packet; the comment is None, or why the bytes were rejected.

The buffer may be used again after the call, so a tap that keeps bytes copies them.
"""


@dataclass(slots=True)
class LineCounters:
    """What went over a line since it was opened.

    With a tap, `packets_tapped` equals sent + received + rejected at any moment.
    """

    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    """Bytes of packets, without framing."""
    bytes_received: int = 0
    medium_bytes_sent: int = 0
    """Bytes handed to the system, with framing or Ethernet header."""
    medium_bytes_received: int = 0
    packets_rejected: int = 0
    """Arrived, but no packet for us: broken frame, over-long, empty, from a stranger."""
    packets_dropped: int = 0
    """Lost on this machine before we could read them, as far as the system tells."""
    packets_tapped: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return dataclasses.asdict(self)


class Line(Protocol):
    """What carries packets to the other site.

    `LinkLost` may come out of receive, send and flush; the line is then closed and opened anew.
    """

    @property
    def uri(self) -> str:
        """The URI under which the line was opened."""

    @property
    def mtu_bytes(self) -> int:
        """The largest packet this line carries."""

    @property
    def rate_bytes_per_s(self) -> float | None:
        """How many bytes a second the medium carries, if that is known."""

    @property
    def loopback(self) -> bool:
        """Whether the medium provably stays on this machine."""

    @property
    def counters(self) -> LineCounters:
        """What went over the line so far."""

    def fileno(self) -> int:
        """Return the descriptor to poll; ask again after each call, for it may change (tcp)."""

    def receive(self) -> list[bytes]:
        """Return the packets that are there now, up to a batch; an empty list if there is none."""

    def send(self, packets: Sequence[bytes]) -> int:
        """Take packets, in order, and return how many; the rest is offered again when writable."""

    def wants_write(self) -> bool:
        """Return whether `flush` has something to do once the descriptor is writable."""

    def flush(self) -> None:
        """Go on with what `send` has taken and the system has not."""

    def close(self) -> None:
        """Give the line back; a second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class BaseLine:
    """What every line does alike: know its limits, count, and show packets to the tap."""

    def __init__(
        self,
        uri: str,
        tap: Tap | None,
        *,
        mtu_bytes: int,
        loopback: bool,
        rate_bytes_per_s: float | None = None,
    ) -> None:
        self.uri = uri
        self.mtu_bytes = mtu_bytes
        self.rate_bytes_per_s = rate_bytes_per_s
        self.loopback = loopback
        self._tap = tap
        self._counters = LineCounters()

    @property
    def counters(self) -> LineCounters:
        """What went over the line so far."""
        return self._counters

    def wants_write(self) -> bool:
        """Return whether `flush` has something to do; packet lines hold nothing back."""
        return False

    def flush(self) -> None:
        """Go on with what `send` has taken; packet lines hold nothing back."""

    def close(self) -> None:
        """Give the line back; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_packet(self, packet: bytes) -> None:
        if not 0 < len(packet) <= self.mtu_bytes:
            raise MisuseError(f"{self.uri}: {len(packet)} bytes are no packet for this line")

    def _note_sent(self, packet: bytes, shown: Buffer) -> None:
        counters = self._counters
        counters.packets_sent += 1
        counters.bytes_sent += len(packet)
        if self._tap is not None:
            counters.packets_tapped += 1
            self._tap(Direction.SENT, shown, None)

    def _note_received(self, packet: Buffer, shown: Buffer) -> None:
        counters = self._counters
        counters.packets_received += 1
        counters.bytes_received += len(packet)
        if self._tap is not None:
            counters.packets_tapped += 1
            self._tap(Direction.RECEIVED, shown, None)

    def _note_rejected(self, raw: Buffer, reason: str) -> None:
        self._counters.packets_rejected += 1
        if self._tap is not None:
            self._counters.packets_tapped += 1
            self._tap(Direction.RECEIVED, raw, reason)


def mtu_of(uri: Uri, default_bytes: int, most_bytes: int) -> int:
    """Return the `mtu` asked for in the URI, or what is usual for its kind of line."""
    return uri.integer("mtu", min(default_bytes, most_bytes), PACKET_BYTES_MIN, most_bytes)
