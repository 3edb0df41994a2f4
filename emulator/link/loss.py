"""Packets in flight: which arrived, which must be taken for lost, which wait to go again.

A packet is lost when one sent three packets later was acknowledged, or one sent later was and
9/8 of a round trip has passed (RFC 9002). If a packet taken for lost arrives after all, the line
reorders, and this end becomes more patient. Each fragment is in flight once, or waits once: so
what waits to go again can never exceed the window.

Relies on `acknowledgements.py` for ranges. Leaves how long a round trip is to `rtt.py`.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from emulator.link.packetizer import Fragment, OutRecord
from emulator.wire.packet import OVERHEAD_BYTES

REORDER_PACKETS_MIN: Final = 3
"""As in TCP and QUIC."""

REORDER_PACKETS_MAX: Final = 64
"""The most patience with reordering; beyond, time decides."""

LATE_PACKETS_MAX: Final = 256
"""Packets taken for lost that are remembered, to notice that they arrived after all."""

InFlight = tuple[OutRecord, int, int, int]
"""A fragment and when it was sent."""


class Flight:
    """The packets of one session and direction that nobody acknowledged yet."""

    __slots__ = (
        "_again",
        "_late",
        "_late_ns",
        "_reorder_packets",
        "_sent",
        "largest",
        "late_acks",
        "lost_at_ns",
        "reordering",
        "size_bytes",
    )

    def __init__(self) -> None:
        self._sent: OrderedDict[int, InFlight] = OrderedDict()
        self._again: OrderedDict[int, Fragment] = OrderedDict()
        # Numbers taken for lost, in order, and when: packets are lost from the oldest on.
        self._late: list[int] = []
        self._late_ns: list[int] = []
        self._reorder_packets = REORDER_PACKETS_MIN
        self.size_bytes = 0
        """Whole packets in flight, in bytes."""
        self.largest = 0
        """Newest packet of ours known to have arrived."""
        self.lost_at_ns: int | None = None
        """When the oldest packet in flight must be taken for lost; None if not foreseen."""
        self.reordering = False
        self.late_acks = 0

    def __bool__(self) -> bool:
        return bool(self._sent)

    @property
    def waits(self) -> bool:
        """Tell whether something waits to go again."""
        return bool(self._again)

    def sent(self, number: int, fragment: Fragment, now_ns: int) -> None:
        """Note a packet that was handed to the line."""
        self._sent[number] = (*fragment, now_ns)
        self.size_bytes += fragment[2] + OVERHEAD_BYTES

    def sent_ns(self, number: int) -> int | None:
        """Return when a packet that is in flight was sent."""
        entry = self._sent.get(number)
        return None if entry is None else entry[3]

    def acknowledge(self, ranges: list[tuple[int, int]]) -> int:
        """Take ranges of received numbers, newest first; return the bytes newly acknowledged."""
        arrived = []
        runs = self._of_those_in_flight(ranges)
        first, last = next(runs, (0, 0))
        for number in self._sent:
            while last and number > last:
                first, last = next(runs, (0, 0))
            if not last:
                break
            if number >= first:
                arrived.append(number)
        before = self.size_bytes
        for number in arrived:
            self.size_bytes -= self._sent.pop(number)[2] + OVERHEAD_BYTES
        if arrived and arrived[-1] > self.largest:
            self.largest = arrived[-1]
        if self._late:
            self._notice_late(ranges)
        return before - self.size_bytes

    def _of_those_in_flight(self, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Return the ranges that may have a packet in flight, oldest first."""
        oldest = next(iter(self._sent), 0)
        count = 0
        for _first, last in ranges:
            if last < oldest:
                break
            count += 1
        return reversed(ranges[:count])

    def detect(self, now_ns: int, wait_ns: int) -> int:
        """Take for lost what must be; return how many bytes."""
        lost = []
        self.lost_at_ns = None
        for number, entry in self._sent.items():
            if number >= self.largest:
                break
            # Later packets were sent later: the first that is not lost ends the search.
            if self.largest - number < self._reorder_packets and entry[3] + wait_ns > now_ns:
                self.lost_at_ns = entry[3] + wait_ns
                break
            lost.append(number)
        return self._lose(lost, now_ns)

    def give_up(self, count: int, now_ns: int) -> int:
        """Take the oldest packets for lost, as a trial; return how many bytes."""
        oldest = [number for number, _ in zip(self._sent, range(count), strict=False)]
        return self._lose(oldest, now_ns)

    def next_again(self) -> Fragment | None:
        """Return the fragment that is to go again first, without taking it."""
        while self._again:
            fragment = next(iter(self._again.values()))
            if not fragment[0].kept:
                return fragment
            self._again.popitem(last=False)
        return None

    def take_again(self) -> None:
        """Take away what `next_again` returned."""
        self._again.popitem(last=False)

    def forget_late(self, before_ns: int) -> None:
        """Stop watching for packets taken for lost before this time."""
        if self._late and self._late_ns[0] < before_ns:
            self._drop_late(bisect_left(self._late_ns, before_ns))

    def _drop_late(self, count: int) -> None:
        del self._late[:count], self._late_ns[:count]

    def _lose(self, numbers: list[int], now_ns: int) -> int:
        lost_bytes = 0
        for number in numbers:
            record, offset, size, _ = self._sent.pop(number)
            self.size_bytes -= size + OVERHEAD_BYTES
            # Of a kept record only the acknowledgement is missing.
            if not record.kept:
                lost_bytes += size + OVERHEAD_BYTES
                self._again[number] = (record, offset, size)
                self._late.append(number)
                self._late_ns.append(now_ns)
        if len(self._late) > LATE_PACKETS_MAX:
            self._drop_late(len(self._late) - LATE_PACKETS_MAX)
        return lost_bytes

    def _notice_late(self, ranges: list[tuple[int, int]]) -> None:
        late = self._late
        # From the newest on, so that what is taken out moves nothing that is still to be found.
        for first, last in ranges:
            end = bisect_right(late, last)
            begin = bisect_left(late, first, 0, end)
            if begin == end:
                if not end:
                    return
                continue
            for number in late[begin:end]:
                self._again.pop(number, None)
            distance = self.largest - late[begin] + 1
            self._reorder_packets = max(self._reorder_packets, min(distance, REORDER_PACKETS_MAX))
            self.late_acks += end - begin
            self.reordering = True
            del late[begin:end], self._late_ns[begin:end]
