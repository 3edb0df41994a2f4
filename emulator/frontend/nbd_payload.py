"""An NBD write whose data does not come in one piece with its header.

Collects the pieces and joins them once, so that a write of 32 MiB that arrives in a thousand pieces
is copied twice, not a thousand times. What is refused is passed over without being kept.
"""

from emulator.frontend.nbd_rules import Refusal


class WriteBegun:
    """A write that is still arriving."""

    __slots__ = ("_parts", "flags", "handle", "length", "missing_bytes", "offset", "refused")

    def __init__(
        self, flags: int, handle: bytes, offset: int, length: int, refused: Refusal | None
    ) -> None:
        self.flags = flags
        self.handle = handle
        self.offset = offset
        self.length = length
        self.refused = refused
        self.missing_bytes = length
        self._parts: list[bytes] = []

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
        self._parts.append(view[at:stop].tobytes())
        return stop

    def data(self) -> bytes:
        """Return the data, once nothing is missing."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
