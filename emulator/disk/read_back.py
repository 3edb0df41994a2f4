"""Read what was written back from the medium, and compare: a lost or misdirected write is found.

The operating system would answer from its own memory; where it can be told to forget, it is.
"""

from collections.abc import Sequence
from typing import Final

from emulator.disk.base import Disk, Runs
from emulator.errors import CorruptError

PIECE_BYTES: Final = 1 << 20


def read_back(disk: Disk, runs: Runs, zeros: Sequence[tuple[int, int]] = ()) -> None:
    """Raise CorruptError unless the disk gives what these runs say, and zeros where they say.

    What was written must have been flushed.
    """
    for offset, buffers in runs:
        _compare(disk, offset, b"".join(buffers))
    for offset, length in zeros:
        for at in range(0, length, PIECE_BYTES):
            _compare(disk, offset + at, bytes(min(PIECE_BYTES, length - at)))


def _compare(disk: Disk, offset: int, expected: bytes) -> None:
    forget = getattr(disk, "forget", None)
    if forget is not None:
        forget(offset, len(expected))
    found = disk.read(offset, len(expected))
    if found != expected:
        at = next(at for at, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
        raise CorruptError(disk.uri, f"byte {offset + at} reads back another than was written")
