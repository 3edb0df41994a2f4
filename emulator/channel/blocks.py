"""What a host sees of a fixed-block device, whichever front end carries it.

A front end holds `BlockVolume`s and is itself a `Requester`: an operation that cannot be
answered at once is answered later through `completed`. Nothing here knows a protocol.
"""

import enum
from collections.abc import Sequence
from typing import Final, Protocol

BLOCK_BYTES: Final = 512
TRACK_BYTES: Final = 4096
# What is longer than this is written in pieces that end at multiples of it, each a change of its
# own, so that a small journal can hold them. What fits stays whole.
PIECE_BYTES: Final = 256 * 1024


class Outcome(enum.Enum):
    """How an operation on a volume ended."""

    DONE = "done"
    OUT_OF_RANGE = "outside the volume"
    READ_ONLY = "the volume is read-only here: it is the secondary of a copy"
    NOT_HERE = "the volume cannot be read here: it is the secondary of a copy"
    DEVICE = "the device or the nonvolatile store failed"
    DAMAGED = "what the device holds there is damaged, and nobody has what was there"
    CLOSING = "the site is shutting down"
    BAD_TRACK = "the bytes are not a track that the device can hold"


class Requester(Protocol):
    """Whoever asked; told when an operation that had to wait has ended."""

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        """Take the outcome of the operation called `cookie`; `data` is what a read read."""


class BlockVolume(Protocol):
    """One device as a run of bytes, addressed in any alignment.

    `write`, `zero` and `flush` are answered through `Requester.completed`, perhaps before they
    return. A write is complete when the group's acknowledgement level is reached.
    """

    name: str
    size_bytes: int
    writes: int
    """How many writes were accepted so far: from then on reads see them."""

    def writable(self) -> bool:
        """Return whether hosts may write here now (False on the secondary of a copy)."""

    def readable(self) -> bool:
        """Return whether hosts may read here now."""

    def read(self, offset: int, length: int, who: Requester, cookie: int) -> list[bytes] | None:
        """Return the bytes at once when they are in the cache; else None, and answer later."""

    def cached(self, offset: int, length: int) -> bytes | None:
        """Return the bytes if they lie in one track that may be read and is cached; else None.

        The short way for most reads; who gets None asks `read`.
        """

    def write(self, offset: int, data: bytes, who: Requester, cookie: int) -> None:
        """Accept new contents."""

    def write_and_zero(
        self, offset: int, data: bytes, zero_tracks: int, who: Requester, cookie: int
    ) -> None:
        """Accept new contents, which end where a track ends, and as one change with them zeros.

        So many whole tracks behind them become zero. There may be no `data`.
        """

    def write_pieces(
        self, offset: int, pieces: Sequence[bytes], who: Requester, cookie: int
    ) -> None:
        """Accept one long write, in the pieces that `piece_bytes` says; nothing is copied."""

    def write_many(
        self, writes: Sequence[tuple[int, bytes]], who: Requester, cookies: Sequence[int]
    ) -> None:
        """Accept writes, each (offset, data), in order, as if each had come alone."""

    def zero(self, offset: int, length: int, who: Requester, cookie: int) -> None:
        """Make a range read as zeros; also what a trim does here."""

    def flush(self, who: Requester, cookie: int) -> None:
        """Answer when everything completed so far survives a loss of power."""

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data) that cover the range; False reads as zeros."""


def piece_bytes(offset: int, left_bytes: int, length: int) -> int:
    """Return how long the next piece of a write of `length` bytes is.

    >>> piece_bytes(4096, PIECE_BYTES, PIECE_BYTES), piece_bytes(4096, 1 << 20, 1 << 20)
    (262144, 258048)
    """
    if length <= PIECE_BYTES:
        return left_bytes
    return min(left_bytes, PIECE_BYTES - offset % PIECE_BYTES)


def pieces_of(offset: int, data: bytes) -> list[bytes]:
    """Return the pieces in which a write is accepted.

    >>> [len(piece) for piece in pieces_of(4096, bytes(300_000))]
    [258048, 41952]
    """
    pieces: list[bytes] = []
    at, length = 0, len(data)
    while at < length:
        size = piece_bytes(offset + at, length - at, length)
        pieces.append(data if size == length else data[at : at + size])
        at += size
    return pieces
