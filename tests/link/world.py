"""Two ends of a link, a line that spoils packets, and a clock that jumps: no test here waits.

Everything is drawn from one seed. `World.run` carries packets until a condition holds and fails
if virtual time runs out; the message names the seed.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.link.events import (
    LinkDown,
    LinkEvent,
    LinkRefused,
    LinkUp,
    RecordKept,
    RecordReceived,
)
from emulator.link.link import Link
from emulator.link.settings import LinkSettings
from emulator.link.states import LinkState

MIB = 1024 * 1024
BATCH = 16


def settings(site: str = "A", peer: str = "B", **changes) -> LinkSettings:
    """Return the settings of one end, as most tests want them."""
    values = {
        "name": "A-B",
        "site": site,
        "peer": peer,
        "mtu_bytes": 1500,
        "rate_bytes_per_s": None,
        "window_bytes": 4 * MIB,
        "lab_plaintext": True,
    }
    return LinkSettings(**(values | changes))


def entropy(seed: object) -> Callable[[int], bytes]:
    """Return a source of nonces that a seed repeats."""
    return random.Random(f"nonces/{seed}").randbytes


@dataclass
class Way:
    """One direction of a line, and what it does to packets."""

    delay_ns: int = MILLISECOND_NS
    jitter_ns: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    flip: float = 0.0
    truncate: float = 0.0
    replay: float = 0.0
    rate_bytes_per_s: float | None = None
    queue_bytes: int | None = None
    cut: bool = False
    drop: Callable[[int, bytes], bool] | None = None
    """Told how many packets went before, and the packet."""
    history: list[bytes] = field(default_factory=list)
    offered: int = 0
    offered_bytes: int = 0
    dropped: int = 0
    busy_until_ns: int = 0

    def carry(self, packet: bytes, now_ns: int, dice: random.Random) -> list[tuple[int, bytes]]:
        """Return what comes out, and when."""
        nth, self.offered = self.offered, self.offered + 1
        self.offered_bytes += len(packet)
        self.history.append(packet)
        if self.cut or (self.drop and self.drop(nth, packet)) or dice.random() < self.loss:
            self.dropped += 1
            return []
        at_ns = self._through_queue(len(packet), now_ns)
        if at_ns is None:
            self.dropped += 1
            return []
        copies = [packet]
        if dice.random() < self.duplicate:
            copies.append(packet)
        if dice.random() < self.replay:
            copies.append(dice.choice(self.history))
        out = []
        for copy in copies:
            data = copy
            if dice.random() < self.flip:
                bit = dice.randrange(8 * len(data))
                spoilt = bytearray(data)
                spoilt[bit // 8] ^= 1 << bit % 8
                data = bytes(spoilt)
            if dice.random() < self.truncate:
                data = data[: dice.randrange(len(data))]
            late_ns = dice.randrange(self.jitter_ns) if self.jitter_ns else 0
            out.append((at_ns + self.delay_ns + late_ns, data))
        return out

    def _through_queue(self, size: int, now_ns: int) -> int | None:
        if self.rate_bytes_per_s is None:
            return now_ns
        start_ns = max(now_ns, self.busy_until_ns)
        waiting = (start_ns - now_ns) * self.rate_bytes_per_s / SECOND_NS
        if self.queue_bytes is not None and waiting + size > self.queue_bytes:
            return None
        self.busy_until_ns = start_ns + int(size * SECOND_NS / self.rate_bytes_per_s)
        return self.busy_until_ns


class End:
    """A link and what its shell and the layer above did with it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.log: list[LinkEvent] = []
        self.got: list[RecordReceived] = []
        self.kept = 0
        self.releases = True
        self.offered_bytes = 0
        self.taken_bytes = 0

    def drain(self) -> None:
        for event in self.link.events():
            self.log.append(event)
            if isinstance(event, RecordReceived):
                self.got.append(event)
                if self.releases:
                    self.link.release(len(event.data))
            elif isinstance(event, RecordKept):
                assert event.record > self.kept
                self.kept = event.record
            elif isinstance(event, LinkUp | LinkDown):
                self.kept = 0

    def of(self, kind: type) -> list:
        return [event for event in self.log if isinstance(event, kind)]


class World:
    """Two ends, two ways, one clock."""

    def __init__(self, seed: object = 0, ways: dict | None = None, a=None, b=None) -> None:
        self.seed = seed
        self.now_ns = 1_000 * SECOND_NS
        self.dice = random.Random(f"line/{seed}")
        common = ways or {}
        self.ab, self.ba = Way(**common), Way(**common)
        self.a = End(Link(a or settings(), entropy(f"{seed}/A")))
        self.b = End(Link(b or settings("B", "A"), entropy(f"{seed}/B")))
        self._flying: list[tuple[int, int, End, bytes]] = []
        self._serial = 0
        self.steps = 0

    # What a test does --------------------------------------------------------------------------

    def start(self) -> "World":
        self.a.link.start(self.now_ns)
        self.b.link.start(self.now_ns)
        return self

    def up(self) -> "World":
        """Start both ends and run until both are up."""
        self.start().run(lambda: self.is_up)
        return self

    @property
    def is_up(self) -> bool:
        return self.a.link.state is LinkState.UP and self.b.link.state is LinkState.UP

    def restart(self, end: End, seed: object = "again") -> None:
        """Kill the process behind one end and start another in its place."""
        end.link = Link(end.link.settings, entropy(f"{self.seed}/{seed}"))
        end.got.clear()
        end.kept = 0
        end.link.start(self.now_ns)

    def inject(self, end: End, data: bytes) -> None:
        """Let a packet arrive now, whoever sent it."""
        end.link.receive(data, self.now_ns)
        end.offered_bytes += len(data)
        end.drain()

    def run(self, until: Callable[[], bool], limit_s: float = 120, steps_max: int = 2_000_000):
        """Carry packets until the condition holds; return how long that took."""
        began_ns = self.now_ns
        self.settle()
        while not until():
            at_ns = self._next_ns()
            assert at_ns is not None, f"seed {self.seed}: both ends wait for ever"
            assert at_ns <= began_ns + limit_s * SECOND_NS, (
                f"seed {self.seed}: not within {limit_s} s\n"
                f"A {self.a.link.state} {self.a.log[-5:]} {self.a.link.counters.as_dict()}\n"
                f"B {self.b.link.state} {self.b.log[-5:]} {self.b.link.counters.as_dict()}"
            )
            self.steps += 1
            assert self.steps < steps_max, f"seed {self.seed}: too many steps"
            self._step(at_ns)
        return self.now_ns - began_ns

    def rest(self, for_s: float) -> None:
        """Let so much time pass."""
        end_ns = self.now_ns + int(for_s * SECOND_NS)
        self.settle()
        while (at_ns := self._next_ns()) is not None and at_ns <= end_ns:
            self._step(at_ns)
        self.now_ns = end_ns

    def settle(self) -> None:
        """Take what the ends have to say now."""
        for end, way, other in ((self.a, self.ab, self.b), (self.b, self.ba, self.a)):
            end.drain()
            while True:
                packets = end.link.outgoing(self.now_ns, BATCH)
                end.drain()
                for packet in packets:
                    end.taken_bytes += len(packet)
                    for at_ns, data in way.carry(packet, self.now_ns, self.dice):
                        self._serial += 1
                        heapq.heappush(self._flying, (at_ns, self._serial, other, data))
                if len(packets) < BATCH:
                    break

    # Inside ------------------------------------------------------------------------------------

    def _next_ns(self) -> int | None:
        times = [self._flying[0][0]] if self._flying else []
        for end in (self.a, self.b):
            at_ns = end.link.next_deadline_ns()
            if at_ns is not None:
                times.append(at_ns)
        return min(times, default=None)

    def _step(self, at_ns: int) -> None:
        self.now_ns = max(self.now_ns, at_ns)
        while self._flying and self._flying[0][0] <= self.now_ns:
            _, _, end, data = heapq.heappop(self._flying)
            end.link.receive(data, self.now_ns)
            end.offered_bytes += len(data)
        for end in (self.a, self.b):
            end.link.wake(self.now_ns)
            at_ns = end.link.next_deadline_ns()
            assert at_ns is None or at_ns > self.now_ns, "a shell would spin"
        self.settle()


def payloads(count: int, size_max: int, seed: object = 0) -> list[bytes]:
    """Return records of all sizes up to a maximum, and of no content that could be guessed."""
    dice = random.Random(f"payloads/{seed}")
    return [dice.randbytes(dice.randint(0, size_max)) for _ in range(count)]


def send_all(world: World, end: End, records: list[bytes], limit_s: float = 600) -> int:
    """Send records as room allows and run until all are kept; return how long it took."""
    queue = list(reversed(records))
    csn = 0
    began_ns = world.now_ns

    def fill() -> bool:
        nonlocal csn
        while queue and end.link.state is LinkState.UP and end.link.room_bytes() > 0:
            csn += 1
            end.link.send(1, 2, csn, [queue.pop()])
        world.settle()
        return not queue and end.kept == len(records)

    world.run(fill, limit_s)
    return world.now_ns - began_ns


def check_bytes(world: World) -> None:
    """Every byte that passed is counted under exactly one name."""
    for end in (world.a, world.b):
        counters = end.link.counters
        assert counters.sent_bytes == end.taken_bytes
        assert counters.received_bytes == end.offered_bytes


__all__ = [
    "BATCH",
    "MIB",
    "End",
    "LinkDown",
    "LinkRefused",
    "LinkUp",
    "Way",
    "World",
    "check_bytes",
    "entropy",
    "payloads",
    "send_all",
    "settings",
]
