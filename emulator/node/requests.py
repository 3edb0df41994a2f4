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


class DiskFlush(NamedTuple):
    """Make everything written to a device durable."""

    number: int
    device: int


ShellRequest = NvsWrite | NvsSave | NvsRead | DiskRead | DiskWrite | DiskFlush
