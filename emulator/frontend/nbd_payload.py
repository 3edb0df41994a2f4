"""An NBD write whose data does not come in one piece with its header.

Collects into one buffer that grows, so that a write of 32 MiB that arrives in a thousand pieces, or
in a million, costs little more than its bytes. What is refused is passed over without being kept.
"""

from emulator.frontend.nbd_rules import Refusal


class WriteBegun:
    """A write that is still arriving."""

    __slots__ = ("_data", "flags", "handle", "length", "missing_bytes", "offset", "refused")

    def __init__(
        self, flags: int, handle: bytes, offset: int, length: int, refused: Refusal | None
    ) -> None:
        self.flags = flags
        self.handle = handle
        self.offset = offset
        self.length = length
        self.refused = refused
        self.missing_bytes = length
        self._data = bytearray()

    @property
    def held_bytes(self) -> int:
        """How much memory it may take."""
        return 0 if self.refused else self.length

    def take(self, view: memoryview, at: int) -> int:
        """Take what `view` has of the data; return where that ends."""
        stop = min(at + self.missing_bytes, len(view))
        self.missing_bytes -= stop - at
        if self.refused:
            return stop
        self._data += view[at:stop]
        return stop

    def data(self) -> bytes:
        """Return the data, once nothing is missing."""
        return bytes(self._data)
