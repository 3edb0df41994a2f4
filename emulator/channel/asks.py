"""What a channel program asks of whoever runs it, and how it waits.

A program is a generator that yields one of the requests below and is resumed with the answer. A
device that cannot do what is asked throws DeviceError into it, which the host sees as equipment
check, or CorruptError, which is a data check when it reads. While a program runs, nobody else
changes the tracks of its device.
"""

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar


class ReadTrack(NamedTuple):
    """Wait for the newest image of a track; answered by its bytes."""

    track: int


class WriteTrack(NamedTuple):
    """Accept new bytes of a track; answered by None as soon as later reads will see them.

    Whole records only. `ends` says that `data` closes with the end marker, so that what lay
    behind it is gone (`track_image.overlay` does both).
    """

    track: int
    offset: int
    data: bytes
    ends: bool


class ReadBlocks(NamedTuple):
    """Wait for the newest contents of blocks; answered by their bytes."""

    block: int
    blocks: int


class WriteBlocks(NamedTuple):
    """Accept new contents of whole blocks; answered by None as soon as later reads see them."""

    block: int
    data: bytes


class Settle(NamedTuple):
    """Wait until all that this program has written is as safe as the volume's copy demands."""


Ask = ReadTrack | WriteTrack | ReadBlocks | WriteBlocks | Settle
Found = TypeVar("Found")
Waiting = Generator[Ask, Any, Found]
"""A step that may wait and ends with a value, for another step to `yield from`."""
