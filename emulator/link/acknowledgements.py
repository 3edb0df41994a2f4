"""Which packets were received, as ranges of their numbers, and the ACK that says so.

Relies on numbers that are never used twice: a packet sent again has a new one, so an
acknowledgement says exactly which copy arrived. Leaves when to send an ACK to `receiver.py`.
"""

import struct
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise, starmap
from typing import Final, NamedTuple

from emulator.wire.checksum import Buffer
from emulator.wire.layout import ACK_FIELDS, ACK_RANGE_FIELDS, struct_format
from emulator.wire.packet import OVERHEAD_BYTES

RANGES_HELD_MAX: Final = 256
"""Gaps remembered. Older ones are filled by packets sent again, under new numbers, so only
repeats and very late packets fall below, and they are dropped as stale."""

RANGES_SENT_MAX: Final = 32
"""Ranges in one ACK: enough for the burst losses of one round trip, at 512 bytes."""

NUMBER_AHEAD_MAX: Final = 1 << 20
"""How far a number may jump: a whole window of the smallest packets lost at once is less."""

_ACK: Final = struct.Struct(struct_format(ACK_FIELDS))
_RANGE: Final = struct.Struct(struct_format(ACK_RANGE_FIELDS))
_DELAY_US_MAX: Final = 0xFFFFFFFF


class Ack(NamedTuple):
    """What one ACK says; `ranges` are pairs of first and last, newest first."""

    kept: int
    window_bytes: int
    largest: int
    delay_us: int
    ranges: list[tuple[int, int]]


def ack_ranges_max(packet_bytes: int) -> int:
    """Return how many ranges an ACK packet of this size has room for."""
    return min(RANGES_SENT_MAX, (packet_bytes - OVERHEAD_BYTES - _ACK.size) // _RANGE.size)


def encode_ack(ack: Ack) -> bytes:
    """Return the payload of an ACK packet."""
    parts = [
        _ACK.pack(
            ack.kept,
            ack.window_bytes,
            ack.largest,
            min(ack.delay_us, _DELAY_US_MAX),
            len(ack.ranges),
        )
    ]
    parts += starmap(_RANGE.pack, ack.ranges)
    return b"".join(parts)


def decode_ack(payload: Buffer) -> Ack | None:
    """Return the ACK in a packet's payload, or None if it is not one."""
    if len(payload) < _ACK.size:
        return None
    kept, window, largest, delay, count = _ACK.unpack_from(payload)
    if len(payload) != _ACK.size + count * _RANGE.size:
        return None
    if not count:
        return None if largest else Ack(kept, window, largest, delay, [])
    newest: tuple[int, int] = _RANGE.unpack_from(payload, _ACK.size)
    older = _ranges(bytes(payload[_ACK.size + _RANGE.size :]))
    if newest[1] != largest or older is None or not _in_order([newest, *older[:1]]):
        return None
    return Ack(kept, window, largest, delay, [newest, *older])


@lru_cache(maxsize=64)
def _ranges(packed: bytes) -> tuple[tuple[int, int], ...] | None:
    """Return the ranges but the newest, which are the same in many an ACK; None if none may be."""
    ranges: tuple[tuple[int, int], ...] = tuple(_RANGE.iter_unpack(packed))
    return ranges if _in_order(ranges) else None


def _in_order(ranges: Sequence[tuple[int, int]]) -> bool:
    """Return whether ranges are what an ACK may say: newest first, with gaps between them."""
    # Numbers begin at 1, and ranges that touch would be one range.
    return all(1 <= first <= last for first, last in ranges) and all(
        first - last >= 2 for (first, _), (_, last) in pairwise(ranges)
    )


class ReceivedNumbers:
    """The packet numbers received in one session."""

    __slots__ = ("_firsts", "_floor", "_lasts", "largest")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._floor = 0
        self.largest = 0

    def why_not_new(self, number: int) -> str:
        """Return why a packet of this number brings nothing: a word, or "" if it is new."""
        if number > self.largest:
            return "" if number <= self.largest + NUMBER_AHEAD_MAX else "ahead"
        if number <= self._floor:
            return "stale"
        at = bisect_right(self._firsts, number) - 1
        return "again" if at >= 0 and number <= self._lasts[at] else ""

    def add(self, number: int) -> bool:
        """Note a new number; tell whether it is the next one."""
        lasts = self._lasts
        if number == self.largest + 1 and lasts:
            lasts[-1] = self.largest = number
            return True
        if number > self.largest:
            in_order = number == 1
            self._firsts.append(number)
            lasts.append(number)
            self.largest = number
        else:
            in_order = False
            self._fill(number)
        if len(lasts) > RANGES_HELD_MAX:
            self._floor = lasts[0]
            del self._firsts[0], lasts[0]
        return in_order

    def newest(self, count_max: int) -> list[tuple[int, int]]:
        """Return the newest ranges, newest first."""
        firsts, lasts = self._firsts[-count_max:], self._lasts[-count_max:]
        return list(zip(reversed(firsts), reversed(lasts), strict=True))

    def _fill(self, number: int) -> None:
        firsts, lasts = self._firsts, self._lasts
        above = bisect_right(firsts, number)
        joins_below = above > 0 and lasts[above - 1] == number - 1
        joins_above = above < len(firsts) and firsts[above] == number + 1
        if joins_below and joins_above:
            lasts[above - 1] = lasts[above]
            del firsts[above], lasts[above]
        elif joins_below:
            lasts[above - 1] = number
        elif joins_above:
            firsts[above] = number
        else:
            firsts.insert(above, number)
            lasts.insert(above, number)
