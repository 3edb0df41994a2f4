"""An NBD write whose data does not come in one piece with its header.

Collects it in the pieces that a volume takes, in memory that is used again and again: a buffer as
long as a write of 32 MiB would be made page by page for each of them. What is refused is passed
over without being kept.
"""

from emulator.channel.blocks import piece_bytes
from emulator.frontend.nbd_rules import Refusal


class WriteBegun:
    """A write that is still arriving."""

    __slots__ = (
        "_piece",
        "_piece_bytes",
        "flags",
        "handle",
        "length",
        "missing_bytes",
        "offset",
        "pieces",
        "refused",
    )

    def __init__(
        self, flags: int, handle: bytes, offset: int, length: int, refused: Refusal | None
    ) -> None:
        self.flags = flags
        self.handle = handle
        self.offset = offset
        self.length = length
        self.refused = refused
        self.missing_bytes = length
        """What has not come, or is no whole piece yet."""
        self.pieces: list[bytes] = []
        """What has come, whole pieces of it; all once nothing is missing."""
        self._piece = bytearray()
        self._piece_bytes = piece_bytes(offset, length, length)

    @property
    def held_bytes(self) -> int:
        """How much memory it may take."""
        return 0 if self.refused else self.length

    def take(self, view: memoryview, at: int) -> int:
        """Take what `view` has of the data; return where that ends."""
        stop = min(at + self.missing_bytes - len(self._piece), len(view))
        if self.refused:
            self.missing_bytes -= stop - at
            return stop
        while at < stop:
            size = min(stop - at, self._piece_bytes - len(self._piece))
            if size == self._piece_bytes:
                self._whole(bytes(view[at : at + size]))
            else:
                self._piece += view[at : at + size]
                if len(self._piece) == self._piece_bytes:
                    self._whole(bytes(self._piece))
                    self._piece.clear()
            at += size
        return stop

    def _whole(self, piece: bytes) -> None:
        """Keep a piece, and begin the next one."""
        self.pieces.append(piece)
        self.missing_bytes -= len(piece)
        begin = self.offset + self.length - self.missing_bytes
        self._piece_bytes = piece_bytes(begin, self.missing_bytes, self.length)
