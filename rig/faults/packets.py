"""What a line does to packets: the chances, and the damage itself.

Bit errors are independent and have their true rate: only the distances between flipped bits are
drawn, so that most packets cost nothing. Bursts of loss follow the model of Gilbert and Elliott:
two states, each with its own chance of loss.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from emulator.wire.layout import PacketFlag, PacketType, RecordKind
from emulator.wire.packet import Packet, decode_packet, encode_packet
from rig.faults.plan import Drawn

FLIPS_MAX: Final = 64
"""Flipped bits kept of one packet; more of them are no less detectable."""
LATE_NS_MAX: Final = 400_000_000
"""How much later than its turn a late packet comes at most."""
_DIGESTED: Final = (RecordKind.CHANGES, RecordKind.RESYNC_TRACKS, RecordKind.FETCHED)
HISTORY_MAX: Final = 64
"""Packets of a direction kept to be sent once more."""


@dataclass(frozen=True, slots=True)
class PacketRates:
    """How likely each fault is for one packet; `bit_error_rate` for one bit."""

    drop: float = 0.0
    bit_error_rate: float = 0.0
    burst_begin: float = 0.0
    """Chance, per packet, that a burst of loss begins."""
    burst_end: float = 0.3
    burst_loss: float = 0.9
    truncate: float = 0.0
    pad: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0
    replay: float = 0.0
    forge: float = 0.0
    reflect: float = 0.0
    spoil: float = 0.0
    """A bit of the payload flips before the checksum is made, as in a bad memory."""


class BitErrors:
    """Where the flipped bits of an endless stream of bits lie, at a given rate."""

    def __init__(self, rate: float, dice: Random) -> None:
        self._dice = dice
        self._scale = math.log1p(-rate) if rate > 0 else 0.0
        self._next = self._gap() if rate > 0 else 0

    def _gap(self) -> int:
        return int(math.log1p(-self._dice.random()) / self._scale)

    def flips(self, bits: int) -> list[int]:
        """Return which of the next `bits` bits are flipped."""
        if not self._scale:
            return []
        found: list[int] = []
        while self._next < bits:
            found.append(self._next)
            self._next += 1 + self._gap()
        self._next -= bits
        return found


class BurstLoss:
    """The model of Gilbert and Elliott."""

    def __init__(self, begin: float, end: float, loss: float, dice: Random) -> None:
        self._begin, self._end, self._loss = begin, end, loss
        self._dice = dice
        self._bad = False

    def lost(self) -> bool:
        """Return whether the next packet is lost."""
        if not self._begin:
            return False
        chance = self._end if self._bad else self._begin
        if self._dice.random() < chance:
            self._bad = not self._bad
        return self._bad and self._dice.random() < self._loss


class PacketChance:
    """Chance of one direction of a line."""

    def __init__(self, rates: PacketRates, dice: Random) -> None:
        self._dice = dice
        self._bits = BitErrors(rates.bit_error_rate, dice)
        self._bursts = BurstLoss(rates.burst_begin, rates.burst_end, rates.burst_loss, dice)
        kinds = (
            "drop",
            "truncate",
            "pad",
            "duplicate",
            "late",
            "replay",
            "forge",
            "reflect",
            "spoil",
        )
        self._kinds = [(kind, getattr(rates, kind)) for kind in kinds if getattr(rates, kind)]
        self._any = sum(rate for _kind, rate in self._kinds)

    def draw(self, size_bytes: int) -> Drawn | None:
        """Return what befalls a packet of `size_bytes`, if anything."""
        flips = self._bits.flips(size_bytes * 8)
        if self._bursts.lost():
            return "drop", ()
        if flips:
            return "flip", tuple(flips[:FLIPS_MAX])
        if not self._any:
            return None
        at = self._dice.random()
        for kind, rate in self._kinds:
            if at < rate:
                return kind, self._figures(kind, size_bytes)
            at -= rate
        return None

    def _figures(self, kind: str, size_bytes: int) -> tuple[int, ...]:
        dice = self._dice
        if kind == "truncate":
            return (dice.randrange(size_bytes),)
        if kind == "pad":
            return (1 + dice.randrange(64),)
        if kind == "late":
            return (int(LATE_NS_MAX * dice.random() ** 3),)
        if kind == "replay":
            return (1 + dice.randrange(HISTORY_MAX),)
        if kind in ("forge", "spoil"):
            return (dice.getrandbits(32),)
        return ()


def flip_bits(packet: bytes, bits: Sequence[int]) -> bytes:
    """Return a packet with these bits flipped.

    >>> flip_bits(bytes(2), [0, 9]).hex()
    '0102'
    """
    damaged = bytearray(packet)
    for bit in bits:
        if bit >> 3 < len(damaged):
            damaged[bit >> 3] ^= 1 << (bit & 7)
    return bytes(damaged)


def spoilt_packet(packet: bytes, bit: int) -> bytes | None:
    """Return a packet with a flipped bit in what it carries, and a checksum that fits.

    None if it carries nothing that has a digest of its own.
    """
    found = decode_packet(packet)
    if isinstance(found, str) or found.type != PacketType.DATA or found.kind not in _DIGESTED:
        return None
    payload = flip_bits(bytes(found.payload), [bit % (len(found.payload) * 8)])
    return encode_packet(found._replace(payload=payload))


def forged_packet(number: int) -> bytes:
    """Return a stranger's packet: its checksum is right, everything else is made up."""
    dice = Random(number)
    return encode_packet(
        Packet(
            type=int(dice.choice(list(PacketType))),
            flags=int(PacketFlag.UNSEALED) | dice.randrange(8),
            kind=dice.randrange(8),
            group=dice.randrange(3),
            session=dice.getrandbits(32),
            number=dice.getrandbits(dice.choice((4, 16, 64))),
            record=dice.getrandbits(dice.choice((4, 32))),
            csn=dice.getrandbits(16),
            record_length=dice.getrandbits(dice.choice((8, 32))),
            fragment_offset=dice.getrandbits(dice.choice((1, 32))),
            payload=dice.randbytes(dice.randrange(100)),
        )
    )
