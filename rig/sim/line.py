"""The line between two sites: two ways, each with its own rate, delay and faults.

A packet that is damaged, repeated, late, forged or sent back is counted here, so that the run's
accounts can be compared with what the receiving link has counted.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS
from rig.faults.packets import HISTORY_MAX, PacketChance, flip_bits, forged_packet, spoilt_packet
from rig.faults.plan import Plan
from rig.sim.carried import Carried
from rig.sim.config import WayConfig
from rig.sim.scheduler import Scheduler

QUEUE_NS_MAX: Final = 50 * MILLISECOND_NS
"""A line takes no more than it sends in this time, as a serial line does."""
KEEP_EACH: Final = 16
PAD_LETTER: Final = b"\x5a"

Arrive = Callable[[bytes], bool]
"""Takes a packet at one end; returns whether a running site was there to receive it."""


class Way:
    """One direction."""

    def __init__(
        self, name: str, config: WayConfig, scheduler: Scheduler, plan: Plan, seed: int
    ) -> None:
        self.name = name
        self.config = config
        self.carried = Carried(name)
        self.arrive: Arrive = _nowhere
        self.reflect: Arrive = _nowhere
        self.cut = False
        self.sent_packets = 0
        self.sent_bytes = 0
        self.lost_packets = 0
        self.spoilt_packets = 0
        self.received_damaged = 0
        """Damaged packets that a running site received, and must have rejected."""
        self._scheduler = scheduler
        self._dice = Random(f"{seed}/{name}")
        chance = PacketChance(config.rates, Random(f"{seed}/{name}/faults"))
        self._place = plan.place(f"line.{name}", chance.draw)
        self._busy_ns = 0
        self._last_ns = 0
        self._seen: deque[bytes] = deque(maxlen=HISTORY_MAX)
        self._kept: list[bytes] = []
        """Packets of long ago, also of sessions that have ended."""

    def room_ns(self) -> int:
        """Return when the line takes the next packet; now or earlier if it has room."""
        return self._busy_ns - QUEUE_NS_MAX

    def put(self, packet: bytes) -> None:
        """Put a packet on its way, and do to it what is to befall it."""
        config = self.config
        sent_ns = now_ns = self._scheduler.now_ns
        self.sent_packets += 1
        self.sent_bytes += len(packet)
        self.carried.packet(packet)
        if config.rate_bytes_per_s:
            sent_ns = max(now_ns, self._busy_ns)
            sent_ns += len(packet) * SECOND_NS // config.rate_bytes_per_s
            self._busy_ns = sent_ns
        fault = self._place.next(len(packet))
        if self.cut:
            self.lost_packets += 1
            return
        self._seen.append(packet)
        if not self.sent_packets % KEEP_EACH and len(self._kept) < HISTORY_MAX:
            self._kept.append(packet)
        if fault is None:
            self._deliver(packet, sent_ns, damaged=False)
        else:
            self._befall(fault.kind, fault.figures, packet, sent_ns)

    def _befall(self, kind: str, figures: tuple[int, ...], packet: bytes, sent_ns: int) -> None:
        if kind == "drop":
            self.lost_packets += 1
            return
        if kind == "flip":
            flipped = flip_bits(packet, figures)
            # Bits behind its end, as rows written for a longer packet name, do it no harm.
            self._deliver(flipped, sent_ns, damaged=flipped != packet)
            return
        if kind == "truncate":
            self._deliver(packet[: figures[0] % len(packet)], sent_ns, damaged=True)
            return
        if kind == "spoil":
            spoilt = spoilt_packet(packet, figures[0])
            self.spoilt_packets += spoilt is not None
            self._deliver(spoilt or packet, sent_ns, damaged=False)
            return
        if kind == "pad":
            packet += PAD_LETTER * figures[0]
        if kind == "late":
            self._deliver(packet, sent_ns + figures[0], damaged=False, overtaken=True)
            return
        self._deliver(packet, sent_ns, damaged=False)
        if kind == "duplicate":
            self._deliver(packet, sent_ns, damaged=False)
        elif kind == "replay":
            known = self._kept if self._kept and figures[0] & 1 else self._seen
            old = known[-1 - figures[0] % len(known)]
            self._deliver(old, sent_ns, damaged=False)
        elif kind == "forge":
            self._deliver(forged_packet(figures[0]), sent_ns, damaged=False)
        elif kind == "reflect":
            wait_ns = 2 * self.config.latency_ns
            self._scheduler.at(sent_ns + wait_ns, lambda: self._reflected(packet))

    def _deliver(
        self, packet: bytes, sent_ns: int, *, damaged: bool, overtaken: bool = False
    ) -> None:
        config = self.config
        arrival_ns = sent_ns + config.latency_ns
        if config.jitter_ns:
            arrival_ns += int(config.jitter_ns * self._dice.random())
        if not overtaken:
            # As on a cable, jitter changes distances and not the order.
            arrival_ns = self._last_ns = max(arrival_ns, self._last_ns)
        self._scheduler.at(arrival_ns, partial(self._arrived, packet, damaged=damaged))

    def _arrived(self, packet: bytes, *, damaged: bool) -> None:
        if not self.cut and self.arrive(packet):
            self.received_damaged += damaged

    def _reflected(self, packet: bytes) -> None:
        if not self.cut:
            self.reflect(packet)


def _nowhere(_packet: bytes) -> bool:
    """Take packets before an end is there."""
    return False
