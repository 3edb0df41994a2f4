"""What a loss of power leaves of writes, and how disks refuse.

A write that power cuts off lies there whole, not at all, or in some of its sectors; with a
volatile cache every write since the last flush may be hit, in any order.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from rig.faults.plan import Drawn

SECTOR_BYTES: Final = 512
BEFORE, DURING, AFTER = 0, 1, 2
"""When a site dies, beside a step that makes something durable."""
CRASH_NS_MAX: Final = 3_000_000_000
"""How long a site that died is down at most."""
Piece = tuple[int, bytes]
"""Where bytes go, and the bytes."""


@dataclass(frozen=True, slots=True)
class DiskRates:
    """How likely each fault is for one operation of a disk."""

    write_error: float = 0.0
    read_error: float = 0.0
    flush_error: float = 0.0
    slow: float = 0.0
    latent: float = 0.0
    """A sector can no more be read, until it is written again."""
    rot: float = 0.0
    """A byte of what is read has changed on the medium, and nobody says so."""
    lost: float = 0.0
    """A write is reported done and was not done."""
    misdirected: float = 0.0
    """A write lands elsewhere."""
    lie: float = 0.0
    """A flush is reported done; what it should have flushed goes with the power."""
    misread: float = 0.0
    """A read brings the contents of another place."""
    crash: float = 0.0
    """The site dies before, in the middle of or after a write or a flush."""

    def silent(self) -> bool:
        """Return whether the medium comes to hold what nobody has written there."""
        return bool(self.rot or self.lost or self.misdirected or self.lie)


class DiskChance:
    """Chance of one disk."""

    def __init__(self, rates: DiskRates, dice: Random) -> None:
        self._rates = rates
        self._dice = dice

    def _draw(self, *kinds: tuple[str, float]) -> Drawn | None:
        at = self._dice.random()
        for kind, rate in kinds:
            if at < rate:
                return kind, self._figures(kind)
            at -= rate
        return None

    def _figures(self, kind: str) -> tuple[int, ...]:
        if kind == "slow":
            return (2 + self._dice.randrange(50),)
        if kind in ("latent", "rot", "misdirected", "misread"):
            return (self._dice.getrandbits(32),)
        if kind == "crash":
            return crash_figures(self._dice)
        return ()

    def write(self, _size_bytes: int) -> Drawn | None:
        """Return what befalls a write."""
        rates = self._rates
        return self._draw(
            ("error", rates.write_error),
            ("slow", rates.slow),
            ("lost", rates.lost),
            ("misdirected", rates.misdirected),
            ("crash", rates.crash),
        )

    def read(self, _size_bytes: int) -> Drawn | None:
        """Return what befalls a read."""
        rates = self._rates
        return self._draw(
            ("error", rates.read_error),
            ("slow", rates.slow),
            ("latent", rates.latent),
            ("rot", rates.rot),
            ("misread", rates.misread),
        )

    def flush(self, _size_bytes: int) -> Drawn | None:
        """Return what befalls a flush."""
        rates = self._rates
        return self._draw(
            ("error", rates.flush_error),
            ("slow", rates.slow),
            ("lie", rates.lie),
            ("crash", rates.crash),
        )


def crash_figures(dice: Random) -> tuple[int, int, int]:
    """Return when a site dies beside a step, what it leaves of it, and for how long it is down."""
    return dice.randrange(3), dice.getrandbits(16), int(dice.random() ** 3 * CRASH_NS_MAX)


def sectors(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the same bytes, cut where sectors of the medium begin."""
    found: list[Piece] = []
    for offset, data in pieces:
        at = 0
        while at < len(data):
            size = min(SECTOR_BYTES - (offset + at) % SECTOR_BYTES, len(data) - at)
            found.append((offset + at, data[at : at + size]))
            at += size
    return found


def torn(pieces: Iterable[Piece], pattern: int) -> list[Piece]:
    """Return what of a write that was cut off lies on the medium.

    Pattern 0 leaves nothing, 1 everything; any other chooses sectors, and is chance itself.
    """
    if pattern == 0:
        return []
    if pattern == 1:
        return list(pieces)
    dice = Random(pattern)
    keep = dice.random()
    # Often a head of the write is there and the rest is not, as when a file grows.
    if dice.random() < 0.5:
        whole = sectors(pieces)
        return whole[: int(len(whole) * keep)]
    return [piece for piece in sectors(pieces) if dice.random() < keep]
