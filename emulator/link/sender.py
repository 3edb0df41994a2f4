"""One session's outgoing half: what goes next, what is lost, when to doubt.

Relies on `packetizer.py` for records, `loss.py` for packets in flight, `rtt.py` for time and
`congestion.py` for how much may be in flight. Leaves the line's rate to `link.py`, which asks
for the next packet only when the line is free.
"""

from collections import deque
from typing import Final

from emulator.clock import MICROSECOND_NS, SECOND_NS
from emulator.link.acknowledgements import Ack
from emulator.link.congestion import Congestion
from emulator.link.counters import LinkCounters
from emulator.link.loss import Flight
from emulator.link.packetizer import Packetizer, data_packet
from emulator.link.rtt import RoundTrip
from emulator.wire.packet import OVERHEAD_BYTES

TRIAL_PACKETS: Final = 2
"""Packets sent again when nothing is acknowledged in time: one may be lost once more."""

SILENT_TIMEOUTS: Final = 2
"""Time-outs in a row after which the line is taken to have changed."""

PROBE_NS_MAX: Final = SECOND_NS
"""Longest wait between questions to an end whose window is shut: its answer may be lost."""

STUCK_PROBES: Final = 4
"""Answers without progress, where any answer must show some, until the session is given up."""

ACKS_TIMED_MAX: Final = 4
"""Own ACKs whose sending time is remembered: an end that sends no DATA knows the round trip too."""

_LATE_TRIPS: Final = 4


class Sender:
    """The outgoing half of one session."""

    __slots__ = (
        "_acks",
        "_counters",
        "_probes",
        "_quiet_since_ns",
        "_session",
        "_trials",
        "congestion",
        "flight",
        "number",
        "packetizer",
        "rtt",
    )

    def __init__(
        self,
        session: int,
        packetizer: Packetizer,
        congestion: Congestion,
        rtt: RoundTrip,
        counters: LinkCounters,
    ) -> None:
        self.number = 0
        """The last packet number used, by a packet of any type."""
        self.packetizer = packetizer
        self.congestion = congestion
        self.flight = Flight()
        self.rtt = rtt
        self._session = session
        self._counters = counters
        self._quiet_since_ns = 0
        self._probes = 0
        self._trials = 0
        self._acks: deque[tuple[int, int]] = deque(maxlen=ACKS_TIMED_MAX)

    def next_packet(self, now_ns: int) -> bytes | None:
        """Return the next DATA packet, or None if there is none or it may not go now."""
        flight = self.flight
        fragment = flight.next_again() if flight.waits else None
        again = fragment is not None
        if fragment is None:
            size = self.packetizer.next_size()
            if size < 0:
                return None
        else:
            size = fragment[2]
        if self._trials:
            self._trials -= 1
        elif flight.size_bytes and flight.size_bytes + size > self.congestion.limit_bytes:
            self.congestion.limited = True
            return None
        self.number += 1
        counters = self._counters
        if fragment is None:
            fragment = self.packetizer.take(size)
            counters.sent_data_packets += 1
            counters.sent_payload_bytes += size
        else:
            flight.take_again()
            counters.sent_again_packets += 1
            counters.sent_again_bytes += size + OVERHEAD_BYTES
        flight.sent(self.number, fragment, now_ns)
        self._quiet_since_ns = now_ns
        return data_packet(self._session, self.number, fragment, again=again)

    @property
    def idle(self) -> bool:
        """Tell whether there is nothing that `next_packet` could send."""
        return not self.flight.waits and not self.packetizer.waiting

    def take_ack_number(self, now_ns: int) -> int:
        """Return the number for an ACK or CLOSE packet that is sent now."""
        self.number += 1
        self._acks.append((self.number, now_ns))
        return self.number

    def acknowledge(self, ack: Ack, now_ns: int) -> bool | None:
        """Take an ACK; tell whether more records are kept, or None if it cannot be true."""
        if not self.packetizer.may_be_kept(ack.kept):
            return None
        flight = self.flight
        sent_ns = flight.sent_ns(ack.largest)
        if sent_ns is None:
            # Perhaps an ACK of ours arrived last; its round trip is as good as that of DATA.
            sent_ns = next((at_ns for n, at_ns in self._acks if n == ack.largest), None)
        if sent_ns is not None:
            self.rtt.sample(now_ns - sent_ns, ack.delay_us * MICROSECOND_NS)
        arrived = flight.acknowledge(ack.ranges) if ack.ranges else 0
        advanced = self.packetizer.acknowledge(ack.kept, ack.window_bytes)
        if arrived or advanced:
            self._quiet_since_ns = now_ns
            self._probes = 0
            self.rtt.answered()
        congestion = self.congestion
        congestion.acknowledged(arrived)
        self._detect(now_ns)
        congestion.round_over(flight.largest, self.number, self.rtt.min_ns)
        self._counters.late_acks += flight.late_acks
        flight.late_acks = 0
        return advanced

    def wake(self, now_ns: int) -> bool:
        """Do what is due; tell whether the other end should be asked for a sign."""
        flight = self.flight
        if flight.lost_at_ns is not None and flight.lost_at_ns <= now_ns:
            self._detect(now_ns)
        due_ns = self._doubt_ns()
        if due_ns is None or due_ns > now_ns:
            return False
        self._quiet_since_ns = now_ns
        if not flight:
            # The window is shut, or all has arrived and yet nothing is kept: ask.
            self._probes = min(self._probes + 1, 2 * STUCK_PROBES)
            return True
        timeouts = self.rtt.timed_out()
        self._counters.timeouts += 1
        self.congestion.lost(flight.give_up(TRIAL_PACKETS, now_ns))
        # What is lost still counts as flying: the limit must not hold back what finds that out.
        self._trials = TRIAL_PACKETS
        if timeouts >= SILENT_TIMEOUTS:
            self.congestion.silent(self.rtt.min_ns)
        return False

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` has something to do."""
        doubt_ns, lost_at_ns = self._doubt_ns(), self.flight.lost_at_ns
        if lost_at_ns is None or (doubt_ns is not None and doubt_ns < lost_at_ns):
            return doubt_ns
        return lost_at_ns

    @property
    def stuck(self) -> bool:
        """Tell whether a whole record was acknowledged and yet, asked again, is not kept.

        Only the acknowledgement of a packet that never came can do that, such as one spoilt
        before its checksum was made; nothing but a new session helps.
        """
        return self._probes > STUCK_PROBES and self._owed()

    def _owed(self) -> bool:
        return self.packetizer.head_cut and not self.flight and not self.flight.waits

    def _doubt_ns(self) -> int | None:
        if self.flight.size_bytes:
            return self._quiet_since_ns + self.rtt.timeout_ns()
        if not self.packetizer.blocked and not self._owed():
            return None
        base_ns = self.rtt.base_ns
        return self._quiet_since_ns + min(base_ns << self._probes, max(PROBE_NS_MAX, base_ns))

    def _detect(self, now_ns: int) -> None:
        flight = self.flight
        wait_ns = self.rtt.loss_ns(reordering=flight.reordering)
        self.congestion.lost(flight.detect(now_ns, wait_ns))
        flight.forget_late(now_ns - _LATE_TRIPS * self.rtt.base_ns)
