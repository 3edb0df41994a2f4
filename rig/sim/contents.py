"""What a simulated host writes: contents that say of each sector which write it is of."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from rig.faults.storage import SECTOR_BYTES

if TYPE_CHECKING:
    from random import Random

    from rig.sim.config import WorldConfig
    from rig.sim.history import Images
    from rig.sim.operations import Operation

STAMP = struct.Struct(">QQ")
"""Number of the write, and which sector of it this is."""
_FILLER = bytes(range(256))[: SECTOR_BYTES - STAMP.size] * 2


class Contents:
    """What one host has written so far."""

    def __init__(self, config: WorldConfig, dice: Random) -> None:
        self._config = config
        self._dice = dice
        self._number = 0

    def of(self, operation: Operation, now: Images | None) -> bytes:
        """Return what a write is to bring; `now` is what a host reads before it."""
        config, dice = self._config, self._dice
        if dice.random() < config.zeros:
            return bytes(operation.length)
        if now is not None and dice.random() < config.repeats:
            start = operation.offset
            old = bytes(now[operation.volume][start : start + operation.length])
            if dice.random() < 0.3:
                return old
            self._number += 1
            at = dice.randrange(operation.length // SECTOR_BYTES) * SECTOR_BYTES
            return old[:at] + STAMP.pack(self._number, at) + old[at + STAMP.size :]
        self._number += 1
        filler = _FILLER[: SECTOR_BYTES - STAMP.size]
        if dice.random() < 0.5:
            filler = dice.randbytes(SECTOR_BYTES - STAMP.size)
        return b"".join(
            STAMP.pack(self._number, sector) + filler
            for sector in range(operation.length // SECTOR_BYTES)
        )
