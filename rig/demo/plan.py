"""The figures of the demo, each with its reason; together they make it last under a minute."""

from dataclasses import dataclass

from emulator.clock import SECOND_NS

BAUD_RATE = 16_000_000
"""Faster than USB serial adapters (12 Mbaud), so that nobody waits; slow enough to see a lag."""
BITS_PER_BYTE = 10
RATE_BYTES_PER_S = BAUD_RATE / BITS_PER_BYTE

FILE_SYSTEM_BYTES = 16 * 2**20
AREA_BYTES = 4 * 2**20
"""Behind the file system: what the host writes blocks to, as a data base does to its own area."""
VOLUME_BYTES = FILE_SYSTEM_BYTES + AREA_BYTES
FILES_BYTES = 4 * 2**20
"""Contents of the file system; under three seconds of line."""
OLD_BYTES = 5 * 2**20
"""What lies on site A's volume before anybody copies it, from the end back; three seconds of line.
More than the area, so that a part of the file system replaces old data."""

BLOCK_BYTES = 4096
CHANGE_BYTES = 100
"""New in each block the host writes, as when one row of a table changes."""
WRITES_PER_S = 100
"""While the first copy runs, whole blocks travel: a quarter of the line."""
HOST_TURN_NS = SECOND_NS // 4
"""The host flushes, and hears of an order to stop, this often."""
WRITES_AT_B = 100

CUT_NS = SECOND_NS
"""How long the line stays cut, or a site down, after the other site has noticed."""
DOWN_NS = SECOND_NS
SETTLE_NS = SECOND_NS
"""How long the host writes undisturbed between two troubles."""

GROUP = "g0"
VOLUME = "vol0"
SITES = ("A", "B")
LINK = "A-B"

PATIENCE_NS = 60 * SECOND_NS
"""For anything that should happen within seconds, on a machine with much else to do."""
STORY_NS_MAX = 110 * SECOND_NS
"""For the whole play; with its checks it ends within two minutes, whatever happens."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs from run to run."""

    seed: int
    rate_bytes_per_s: float = RATE_BYTES_PER_S
