"""One direction of a real line with the faults of a schedule: packets in, packets and times out.

The same faults, by the same numbers of packets, as in the simulator's line. Pure: told the time,
and drawing only from the plan; `fault_box.py` moves the packets.
"""

import heapq
from collections import deque
from random import Random
from typing import Final, NamedTuple

from emulator.clock import MILLISECOND_NS, SECOND_NS
from rig.faults.packets import HISTORY_MAX, PacketChance, flip_bits, forged_packet, spoilt_packet
from rig.faults.plan import Plan
from rig.sim.config import WayConfig

QUEUE_NS_MAX: Final = 250 * MILLISECOND_NS
"""What a slow line holds; a packet that would wait longer is lost, as in the queue of a router."""
KINDS: Final = (
    "drop",
    "flip",
    "truncate",
    "spoil",
    "pad",
    "late",
    "duplicate",
    "replay",
    "forge",
    "reflect",
)
_PAD: Final = b"\x5a"


class Leaving(NamedTuple):
    """A packet on its way: when it leaves the line, and whether it comes back to its sender."""

    due_ns: int
    serial: int
    packet: bytes
    reflected: bool


class FaultyWay:
    """One direction."""

    def __init__(self, name: str, config: WayConfig, plan: Plan, seed: int) -> None:
        self.name = name
        self.cut = False
        self.sent_packets = 0
        self.cut_packets = 0
        self.overflowed_packets = 0
        """Lost because the line could not carry them in time."""
        self._config = config
        self._dice = Random(f"{seed}/{name}")
        chance = PacketChance(config.rates, Random(f"{seed}/{name}/faults"))
        self._place = plan.place(f"line.{name}", chance.draw)
        self._busy_ns = 0
        self._last_ns = 0
        self._serial = 0
        self._seen: deque[bytes] = deque(maxlen=HISTORY_MAX)
        self._heap: list[Leaving] = []

    def put(self, packet: bytes, now_ns: int) -> None:
        """Put a packet on its way, and do to it what is to befall it."""
        self.sent_packets += 1
        sent_ns = now_ns
        rate = self._config.rate_bytes_per_s
        if rate:
            if self._busy_ns - now_ns > QUEUE_NS_MAX:
                self.overflowed_packets += 1
                return
            sent_ns = max(now_ns, self._busy_ns) + len(packet) * SECOND_NS // rate
            self._busy_ns = sent_ns
        fault = self._place.next(len(packet))
        if self.cut:
            self.cut_packets += 1
            return
        self._seen.append(packet)
        if fault is None or fault.kind not in KINDS:
            self._leave(packet, sent_ns)
        else:
            self._befall(fault.kind, fault.figures, packet, sent_ns)

    def _befall(self, kind: str, figures: tuple[int, ...], packet: bytes, sent_ns: int) -> None:
        if kind == "drop":
            return
        changed = packet
        if kind == "flip":
            changed = flip_bits(packet, figures)
        elif kind == "truncate":
            changed = packet[: figures[0] % len(packet)]
        elif kind == "spoil":
            changed = spoilt_packet(packet, figures[0]) or packet
        elif kind == "pad":
            changed = packet + _PAD * figures[0]
        if kind == "late":
            self._leave(packet, sent_ns + figures[0], overtaken=True)
            return
        self._leave(changed, sent_ns)
        if kind == "duplicate":
            self._leave(packet, sent_ns)
        elif kind == "replay":
            self._leave(self._seen[-1 - figures[0] % len(self._seen)], sent_ns)
        elif kind == "forge":
            self._leave(forged_packet(figures[0]), sent_ns)
        elif kind == "reflect":
            self._push(sent_ns + 2 * self._config.latency_ns, packet, reflected=True)

    def _leave(self, packet: bytes, sent_ns: int, *, overtaken: bool = False) -> None:
        due_ns = sent_ns + self._config.latency_ns
        if self._config.jitter_ns:
            due_ns += int(self._config.jitter_ns * self._dice.random())
        if not overtaken:
            # As on a cable, jitter changes distances and not the order.
            due_ns = self._last_ns = max(due_ns, self._last_ns)
        self._push(due_ns, packet, reflected=False)

    def _push(self, due_ns: int, packet: bytes, *, reflected: bool) -> None:
        self._serial += 1
        if packet:
            heapq.heappush(self._heap, Leaving(due_ns, self._serial, packet, reflected))

    def next_due_ns(self) -> int | None:
        """Return when the next packet leaves the line."""
        return self._heap[0].due_ns if self._heap else None

    def leaving(self, now_ns: int) -> list[Leaving]:
        """Return the packets that leave now; those on a line that was cut are lost."""
        found: list[Leaving] = []
        while self._heap and self._heap[0].due_ns <= now_ns:
            leaving = heapq.heappop(self._heap)
            if self.cut:
                self.cut_packets += 1
            else:
                found.append(leaving)
        return found

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return {
            "sent_packets": self.sent_packets,
            "cut_packets": self.cut_packets,
            "overflowed_packets": self.overflowed_packets,
        }
