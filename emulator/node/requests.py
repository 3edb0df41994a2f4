"""What the processor asks of the shell around it, and nothing else crosses that border.

Each request carries the number of the operation; the shell answers `Processor.completed(number,
result)` with bytes, None or a DeviceError. Requests of the nonvolatile store are carried out in
order, one after another; those of different disks side by side.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from emulator.wire.checksum import Buffer


class NvsWrite(NamedTuple):
    """Write runs of buffers to the nonvolatile store and make them durable."""

    number: int
    runs: list[tuple[int, list[Buffer]]]


class NvsSave(NamedTuple):
    """Write the dirty maps' pieces, then the superblock, and make them durable."""

    number: int
    runs: list[tuple[int, list[Buffer]]]
    body: dict[str, Any]


class NvsMode(NamedTuple):
    """Sync the nonvolatile store to its medium, now and with every write, or as it was opened."""

    number: int
    sync: bool


class NvsRead(NamedTuple):
    """Read whole journal entries from one lsn up to another; the answer is a list of Entry."""

    number: int
    first_lsn: int
    end_lsn: int


class DiskRead(NamedTuple):
    """Read bytes of a device."""

    number: int
    device: int
    offset: int
    length: int


class DiskWrite(NamedTuple):
    """Write runs of buffers to a device, and make ranges of it zero."""

    number: int
    device: int
    runs: list[tuple[int, Sequence[bytes]]]
    zeros: list[tuple[int, int]]
    sums: list[tuple[int, bytes]]
    """Pieces of the checksum file's table for what is written, to be written behind it."""
    verify: bool = False
    """Read it back from the medium and compare, before it counts as written."""
    unknown_first: bool = False
    """Make the checksums unknown durably before anything is written: no journal covers it."""


class DiskFlush(NamedTuple):
    """Make everything written to a device durable, then its checksums and their version."""

    number: int
    device: int
    version: int = 0


class MarkDisks(NamedTuple):
    """Say durably in every checksum file that the store was lost, with what it would say.

    Before that, the checksums of tracks whose disk may be ahead of them become unknown.
    """

    number: int
    body: dict[str, Any]
    unknown: list[list[tuple[int, bytes]]]
    """Pieces of each device's table."""


ShellRequest = NvsWrite | NvsSave | NvsMode | NvsRead | DiskRead | DiskWrite | DiskFlush | MarkDisks
