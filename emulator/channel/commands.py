"""What a row of a command table is, for count-key-data and fixed-block devices alike."""

import enum
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from emulator.channel.control_units import ControlUnit, Feature
from emulator.channel.geometry import Geometry

Handler = Callable[[Any], Any]
"""Takes the run, which holds the command code and what the CCWs sent.

Returns what a read or sense command brings (bytes), or how many bytes another command takes (int).
A handler that may wait is a generator that ends with that value.
"""


class Kind(enum.Enum):
    """The class of a command: which way its data goes."""

    CONTROL = "control"
    READ = "read"
    WRITE = "write"
    SEARCH = "search"
    SENSE = "sense"


class Writes(enum.Enum):
    """What a command changes, and thereby which file masks (bits X'C0') let it."""

    NOTHING = (0x00, 0x40, 0x80, 0xC0)
    DATA = (0x00, 0x80, 0xC0)
    RECORDS = (0x00, 0xC0)
    HOME = (0xC0,)


class Proof(enum.Enum):
    """What a chain has shown so far about where it stands, for the write that comes next."""

    NONE = "nothing"
    HOME = "the home address compared equal or was written"
    ID = "a record's id compared equal"
    KEY = "a record's key compared equal"
    FORMATTED = "a record was just written"
    DOMAIN = "a Locate Record, whose domain is over when this is asked for"


class Command(NamedTuple):
    """One command: its code, what it is, when it may come, and the function that does it."""

    code: int
    name: str
    kind: Kind
    handler: Handler
    waits: bool = False
    """The handler is a generator."""
    multitrack: bool = False
    """The code with X'80' added is the same command, going on from track to track."""
    domain: frozenset[int] = frozenset()
    """Locate Record operations in whose domain it may come."""
    positioned: bool = False
    """On a 3990, a seek or Locate Record must come before it in the chain."""
    first: bool = False
    """Must be first in its chain, but for Suspend Multipath Reconnection."""
    last: bool = False
    """Nothing may be chained from it."""
    writes: Writes = Writes.NOTHING
    proofs: tuple[Proof, ...] = ()
    """Outside a domain, one of these must have been shown."""
    keeps: tuple[Proof, ...] = ()
    """What the chain has shown before that still counts after it."""
    control_units: Feature = Feature.NONE
    """What the control unit must have."""
    devices: tuple[int, ...] = ()
    """Device types that have it; empty for all."""
    legacy: bool = False
    """Gone with the modern control units and the 3390."""
    immediate: bool = False
    """Moves no data, whatever its count says."""
    keeps_index: bool = False
    """Passing the index before it still counts towards no record found."""
    opens_domain: bool = False
    """Does not count against the domain that it opens."""
    without_disk: bool = False
    """Answers although the disk cannot be reached."""
    masks: tuple[int, ...] = ()
    """Derived: the file masks that let it write what it writes."""
    takes_data: bool = True
    """Derived: the CCWs send something."""

    def derived(self) -> "Command":
        """Return the row with what follows from its other fields."""
        brings = self.kind in (Kind.READ, Kind.SENSE)
        return self._replace(takes_data=not brings and not self.immediate, masks=self.writes.value)


Commands = list[Command | None]

_REMOVED_FROM: Final = 0x3390
MULTITRACK: Final = 0x80


def table_for(rows: tuple[Command, ...], geometry: Geometry, unit: ControlUnit) -> Commands:
    """Return the commands that a device behind a control unit has, by code."""
    table: Commands = [None] * 256
    for row in rows:
        if row.control_units & unit.features != row.control_units:
            continue
        if row.devices and geometry.device_type not in row.devices:
            continue
        if row.legacy and (
            Feature.MODERN in unit.features or geometry.device_type == _REMOVED_FROM
        ):
            continue
        command = row.derived()
        table[row.code] = command
        if row.multitrack:
            table[row.code | MULTITRACK] = command
    return table
