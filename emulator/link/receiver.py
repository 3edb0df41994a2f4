"""One session's incoming half: what is held, and when to say so.

Relies on `assembler.py` for records and `acknowledgements.py` for numbers. Leaves the other
half to `sender.py`. An ACK never causes an ACK, so two idle ends stay silent.
"""

from typing import Final

from emulator.clock import MICROSECOND_NS
from emulator.link.acknowledgements import Ack, ReceivedNumbers, encode_ack
from emulator.link.assembler import HELD, Assembler
from emulator.link.counters import LinkCounters
from emulator.link.timing import ACK_DELAY_NS
from emulator.wire.layout import PacketFlag
from emulator.wire.packet import OVERHEAD_BYTES, Packet

ACK_EVERY_PACKETS: Final = 2
"""As in TCP and QUIC. A shell that takes packets in batches gets one ACK for each batch."""

CONTRADICTIONS_MAX: Final = 64
"""Fragments that contradict each other, after which the session cannot be right any more."""

WINDOW_NEWS_SHIFT: Final = 2
"""Say that the window grew once it did so by a quarter of its full size."""

_AGAIN: Final = int(PacketFlag.AGAIN)


class Receiver:
    """The incoming half of one session."""

    __slots__ = (
        "_counters",
        "_heard_largest_ns",
        "_news_bytes",
        "_ranges_max",
        "_said_granted_bytes",
        "_said_window_bytes",
        "_unacked",
        "ack_at_ns",
        "ack_now",
        "assembler",
        "contradictions",
        "numbers",
    )

    def __init__(
        self, assembler: Assembler, window_bytes: int, ranges_max: int, counters: LinkCounters
    ) -> None:
        self.assembler = assembler
        self.numbers = ReceivedNumbers()
        self.ack_now = False
        self.ack_at_ns: int | None = None
        self._counters = counters
        self._news_bytes = window_bytes >> WINDOW_NEWS_SHIFT
        self._ranges_max = ranges_max
        self._unacked = 0
        self._heard_largest_ns = 0
        self.contradictions = 0
        self._said_window_bytes = assembler.window_bytes
        self._said_granted_bytes = assembler.granted_bytes

    def data(self, packet: Packet, size_bytes: int, now_ns: int) -> bool:
        """Take a DATA packet of a new number; tell whether it was of use."""
        assembler = self.assembler
        kept = assembler.kept
        answer = assembler.receive(packet)
        counters = self._counters
        if answer == HELD:
            payload_bytes = len(packet.payload)
            counters.received_data_packets += 1
            counters.received_payload_bytes += payload_bytes
            counters.received_padding_bytes += size_bytes - payload_bytes - OVERHEAD_BYTES
        elif answer == "again":
            counters.received_again_packets += 1
            counters.received_again_bytes += size_bytes
        else:
            # Not held, so not acknowledged.
            counters.reject(answer, size_bytes)
            if answer == "window":
                self.ack_now = True  # the other end is mistaken about the window
            else:
                self.contradictions += 1
            return False
        in_order = self.note(packet.number, now_ns)
        self._unacked += 1
        if (
            assembler.kept != kept
            or not in_order
            or self._unacked >= ACK_EVERY_PACKETS
            or packet.flags & _AGAIN
        ):
            self.ack_now = True
        elif self.ack_at_ns is None:
            self.ack_at_ns = now_ns + ACK_DELAY_NS
        return True

    def note(self, number: int, now_ns: int) -> bool:
        """Note the number of a packet that was taken; tell whether it is the next one."""
        in_order = self.numbers.add(number)
        if number == self.numbers.largest:
            self._heard_largest_ns = now_ns
        return in_order

    def release(self, size_bytes: int) -> None:
        """Open the window: the layer above is done with record bytes."""
        assembler = self.assembler
        assembler.unreleased_bytes -= size_bytes
        grown_bytes = assembler.granted_bytes - self._said_granted_bytes
        if grown_bytes >= (self._news_bytes if self._said_window_bytes else 1):
            self.ack_now = True

    def wake(self, now_ns: int) -> None:
        """Acknowledge if the wait for more is over."""
        if self.ack_at_ns is not None and self.ack_at_ns <= now_ns:
            self.ack_at_ns = None
            self.ack_now = True

    def take_ack(self, now_ns: int) -> bytes:
        """Return the payload of an ACK that says how things stand now."""
        assembler = self.assembler
        self.ack_now = False
        self.ack_at_ns = None
        self._unacked = 0
        self._said_window_bytes = assembler.window_bytes
        self._said_granted_bytes = assembler.granted_bytes
        numbers = self.numbers
        delay_us = (now_ns - self._heard_largest_ns) // MICROSECOND_NS if numbers.largest else 0
        return encode_ack(
            Ack(
                assembler.kept,
                self._said_window_bytes,
                numbers.largest,
                delay_us,
                numbers.newest(self._ranges_max),
            )
        )
