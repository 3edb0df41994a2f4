"""Host writes that arrived together and will be one entry of the journal."""

from emulator.wire.checksum import Buffer


class Batch:
    """Host writes that will be one journal entry."""

    __slots__ = ("changes", "csn_first", "csn_last", "parts", "size_bytes")

    def __init__(self, csn_first: int) -> None:
        self.csn_first = csn_first
        self.csn_last = csn_first
        self.changes = 0
        self.parts: list[Buffer] = []
        self.size_bytes = 0
