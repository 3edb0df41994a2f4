"""`sim:` two ends of a line in one process and in virtual time; what happens to packets is drawn.

    sim://A-B?latency=30ms&jitter=5ms&rate=1.5Mbit&loss=0.001&ber=1e-6&seed=7

Keys: `latency`, `jitter`, `rate`, `loss`, `duplicate`, `reorder` (each a fraction of packets),
`ber` (of bits), `mtu`, `seed`. Time stands still until `SimulatedMedium.advance`; chance comes
from a generator that is passed in, so a run can be repeated. Without `reorder`, jitter changes
distances but never the order, as on a cable.
"""

import heapq
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import BenchError, LinkLost, MisuseError
from emulator.transport.base import (
    PACKET_BYTES_LOCAL,
    PACKET_BYTES_MAX,
    BaseLine,
    Tap,
    mtu_of,
)
from emulator.units import duration_ns, rate_bytes_per_s
from emulator.uri import Uri, parse_uri

KEYS: Final = {
    "latency": "time on the way, such as 30ms",
    "jitter": "up to this much more, drawn for each packet",
    "rate": "such as 1.5Mbit",
    "loss": "fraction of packets lost, such as 0.001",
    "ber": "fraction of bits flipped, such as 0.000001",
    "duplicate": "fraction of packets that arrive twice",
    "reorder": "fraction of packets that others overtake",
    "mtu": "largest packet in bytes",
    "seed": "number from which all chance follows",
}
QUEUE_NS_MAX: Final = 50 * MILLISECOND_NS
"""A line of known rate takes no more than it sends in this time, as a serial line does."""
ON_THE_WAY_MAX: Final = 16384
"""Packets on the way to one end; an end that reads no more must not fill the memory."""
BATCH_PACKETS_MAX: Final = 128
OVERTAKEN_NS: Final = MILLISECOND_NS
"""How much later than its latest regular arrival a reordered packet comes at least."""


class Dice(Protocol):
    """A source of chance, such as `random.Random(seed)`."""

    def random(self) -> float:
        """Return a number from 0 up to, but not, 1."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What one direction of a line does to packets."""

    latency_ns: int = 0
    jitter_ns: int = 0
    rate_bytes_per_s: float | None = None
    loss: float = 0.0
    bit_error_rate: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


@dataclass(slots=True)
class Damage:
    """What chance has done to the packets that one end sent."""

    packets_lost: int = 0
    packets_duplicated: int = 0
    packets_reordered: int = 0
    packets_damaged: int = 0
    bits_flipped: int = 0


class Way:
    """One direction of a simulated line; `conditions` may be replaced at any time."""

    def __init__(self, conditions: Conditions, dice: Dice) -> None:
        self.conditions = conditions
        self.damage = Damage()
        self._dice = dice
        self._coming: list[tuple[int, int, bytes]] = []
        self._serial = 0
        self._busy_until_ns = 0
        self._last_arrival_ns = 0
        self._closed = False

    def has_room(self, now_ns: int) -> bool:
        """Return whether a packet may be put on its way now."""
        waiting_ns = self._busy_until_ns - now_ns
        return waiting_ns <= QUEUE_NS_MAX and len(self._coming) < ON_THE_WAY_MAX

    def room_ns(self, now_ns: int) -> int | None:
        """Return when there is room; None if only the receiver can make some."""
        if len(self._coming) >= ON_THE_WAY_MAX:
            return None
        return max(now_ns, self._busy_until_ns - QUEUE_NS_MAX)

    def next_arrival_ns(self) -> int | None:
        """Return when the next packet arrives, or has arrived and waits."""
        return self._coming[0][0] if self._coming else None

    def put(self, packet: bytes, now_ns: int) -> None:
        """Put a packet on its way, or do to it what chance wants."""
        conditions = self.conditions
        sent_ns = now_ns
        if conditions.rate_bytes_per_s is not None:
            sent_ns = max(now_ns, self._busy_until_ns)
            sent_ns += round(len(packet) * SECOND_NS / conditions.rate_bytes_per_s)
            self._busy_until_ns = sent_ns
        if self._happens(conditions.loss):
            self.damage.packets_lost += 1
            return
        self._deliver(packet, sent_ns)
        if self._happens(conditions.duplicate):
            self.damage.packets_duplicated += 1
            self._deliver(packet, sent_ns)

    def take(self, now_ns: int) -> list[bytes]:
        """Return the packets that have arrived, up to a batch."""
        packets: list[bytes] = []
        while self._coming and self._coming[0][0] <= now_ns and len(packets) < BATCH_PACKETS_MAX:
            packets.append(heapq.heappop(self._coming)[2])
        return packets

    def close(self) -> None:
        """Lose what is on its way, and what will be: nobody receives it."""
        self._closed = True
        self._coming.clear()

    def _deliver(self, packet: bytes, sent_ns: int) -> None:
        conditions = self.conditions
        arrival_ns = sent_ns + conditions.latency_ns
        if conditions.jitter_ns:
            arrival_ns += int(conditions.jitter_ns * self._dice.random())
        if self._happens(conditions.reorder):
            self.damage.packets_reordered += 1
            arrival_ns += conditions.latency_ns + conditions.jitter_ns + OVERTAKEN_NS
        else:
            arrival_ns = self._last_arrival_ns = max(arrival_ns, self._last_arrival_ns)
        if conditions.bit_error_rate:
            packet = self._flip(packet, conditions.bit_error_rate)
        if not self._closed:
            self._serial += 1
            heapq.heappush(self._coming, (arrival_ns, self._serial, packet))

    def _flip(self, packet: bytes, rate: float) -> bytes:
        """Flip each bit with the chance `rate`, drawing only the distances between flips."""
        damaged = bytearray(packet)
        flips, bit = 0, -1
        scale = math.log1p(-rate)
        while True:
            bit += 1 + int(math.log1p(-self._dice.random()) / scale)
            if bit >= len(damaged) * 8:
                break
            damaged[bit >> 3] ^= 1 << (bit & 7)
            flips += 1
        self.damage.bits_flipped += flips
        self.damage.packets_damaged += flips > 0
        return bytes(damaged)

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._dice.random() < chance


class SimulatedLine(BaseLine):
    """One end of a simulated line."""

    def __init__(
        self, medium: "SimulatedMedium", outgoing: Way, incoming: Way, tap: Tap | None
    ) -> None:
        super().__init__(
            medium.uri.text,
            tap,
            mtu_bytes=mtu_of(medium.uri, PACKET_BYTES_LOCAL, PACKET_BYTES_MAX),
            loopback=True,
            rate_bytes_per_s=outgoing.conditions.rate_bytes_per_s,
        )
        self._medium = medium
        self._outgoing = outgoing
        self._incoming = incoming
        self._refused = False
        self._closed = False

    def fileno(self) -> NoReturn:
        """Raise: nothing can be polled in virtual time."""
        raise MisuseError(f"{self.uri}: no descriptor; ask the medium for next_deadline_ns")

    def receive(self) -> list[bytes]:
        """Return the packets that have arrived by now, up to a batch."""
        self._check_open()
        packets = self._incoming.take(self._medium.now_ns)
        for packet in packets:
            self._counters.medium_bytes_received += len(packet)
            self._note_received(packet, packet)
        return packets

    def send(self, packets: Sequence[bytes]) -> int:
        """Take packets until the line is busy for some time to come."""
        self._check_open()
        now_ns = self._medium.now_ns
        self._refused = False
        taken = 0
        for packet in packets:
            self._check_packet(packet)
            if not self._outgoing.has_room(now_ns):
                self._refused = True
                break
            taken += 1
            self._counters.medium_bytes_sent += len(packet)
            self._note_sent(packet, packet)
            self._outgoing.put(packet, now_ns)
        return taken

    def close(self) -> None:
        """Leave the line; what is on the way here is gone."""
        self._closed = True
        self._incoming.close()

    def next_deadline_ns(self) -> int | None:
        """Return when a packet arrives here, or when a sender that was refused may go on."""
        room_ns = self._outgoing.room_ns(self._medium.now_ns) if self._refused else None
        return _earliest(self._incoming.next_arrival_ns(), room_ns)

    def _check_open(self) -> None:
        if self._closed:
            raise LinkLost(self.uri, "closed")


class SimulatedMedium:
    """A simulated line as a whole: two ends, two ways between them, and the time."""

    def __init__(
        self, uri: str, dice: Dice, *, tap_a: Tap | None = None, tap_b: Tap | None = None
    ) -> None:
        self.uri = parse_uri(uri, KEYS)
        self.now_ns = 0
        conditions = read_conditions(self.uri)
        self.a_to_b = Way(conditions, dice)
        self.b_to_a = Way(conditions, dice)
        self.a = SimulatedLine(self, self.a_to_b, self.b_to_a, tap_a)
        self.b = SimulatedLine(self, self.b_to_a, self.a_to_b, tap_b)

    def advance(self, now_ns: int) -> None:
        """Let time go on to `now_ns`; what has arrived by then can be received."""
        if now_ns < self.now_ns:
            raise MisuseError(f"{self.uri.text}: time cannot go back to {now_ns} ns")
        self.now_ns = now_ns

    def next_deadline_ns(self) -> int | None:
        """Return when something can next be received, or sent that was refused."""
        return _earliest(self.a.next_deadline_ns(), self.b.next_deadline_ns())


def _earliest(*times_ns: int | None) -> int | None:
    return min((time_ns for time_ns in times_ns if time_ns is not None), default=None)


def read_conditions(uri: Uri) -> Conditions:
    """Return what the keys of a `sim:` URI ask for."""
    if uri.scheme != "sim" or not uri.authority or uri.path not in ("", "/"):
        uri.refuse("a simulated line has a name and nothing else: sim://A-B?latency=30ms")
    return Conditions(
        latency_ns=uri.read("latency", duration_ns, 0),
        jitter_ns=uri.read("jitter", duration_ns, 0),
        rate_bytes_per_s=uri.read("rate", _rate, None),
        loss=uri.read("loss", _fraction, 0.0),
        bit_error_rate=uri.read("ber", _bit_error_rate, 0.0),
        duplicate=uri.read("duplicate", _fraction, 0.0),
        reorder=uri.read("reorder", _fraction, 0.0),
    )


def seed_of(uri: str) -> int:
    """Return the seed that a `sim:` URI asks for, or 0.

    >>> seed_of("sim://A-B?loss=0.5&seed=7")
    7
    """
    return parse_uri(uri, KEYS).integer("seed", 0, 0, 2**63 - 1)


def open_line(uri: str, tap: Tap | None = None) -> NoReturn:  # noqa: ARG001  openers are alike
    """Refuse: two ends in virtual time are not two ends in two processes."""
    read_conditions(parse_uri(uri, KEYS))
    raise BenchError(
        f"{uri}: simulated lines run in virtual time, inside a simulation only; "
        "between processes take pty:, udp: or tcp:"
    )


def _fraction(text: str) -> float:
    if not re.fullmatch(r"(\d+\.?\d*|\.\d+)(e-?\d{1,2})?", text) or float(text) > 1:
        raise ValueError(f"{text!r} is no fraction; write a number from 0 to 1, such as 0.001")
    return float(text)


def _bit_error_rate(text: str) -> float:
    rate = _fraction(text)
    if rate >= 1:
        raise ValueError(f"{text!r} would flip every bit; write a number below 1, such as 1e-6")
    return rate


def _rate(text: str) -> float:
    rate = rate_bytes_per_s(text)
    if rate <= 0:
        raise ValueError(f"{text!r} moves nothing; leave rate away for a line without limit")
    return rate
