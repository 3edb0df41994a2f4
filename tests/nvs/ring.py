"""A journal over bytes in memory, with crashes: the pair that the tests of this room drive."""

from emulator.nvs.areas import RING_START
from emulator.nvs.journal import EntryKind, Journal, Write
from emulator.nvs.recovery import Entry, Recovery


class Ring:
    """A ring's bytes, its journal, and what was made durable."""

    def __init__(self, ring_bytes: int = 4096) -> None:
        self.ring_bytes = ring_bytes
        self.stored = bytearray(RING_START + ring_bytes)
        self.journal = Journal(ring_bytes)
        self.saved_trim: tuple[int, bytes | None] = (0, self.journal.durable_chain)
        self.durable: list[bytes] = []
        self.pending: list[bytes] = []

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= len(self.stored), "a read outside the store"
        return bytes(self.stored[offset : offset + length])

    def append(self, payload: bytes, csn: int = 1) -> int:
        lsn = self.journal.append(EntryKind.HOST, 7, csn, 99, [payload[:3], payload[3:]])
        self.pending.append(payload)
        return lsn

    def apply(self, write: Write) -> None:
        for offset, buffers in write.runs:
            data = b"".join(bytes(buffer) for buffer in buffers)
            assert offset >= RING_START
            assert offset + len(data) <= len(self.stored), "a write outside the ring"
            self.stored[offset : offset + len(data)] = data

    def commit(self, *payloads: bytes) -> Write:
        """Append entries and make them durable as one write."""
        for payload in payloads:
            self.append(payload)
        write = self.journal.take()
        assert write is not None
        self.apply(write)
        self.journal.durable(write)
        self.durable += self.pending
        self.pending = []
        return write

    def trim(self, lsn: int) -> None:
        """Save a superblock that lets go of everything before `lsn`."""
        journal = self.journal
        self.saved_trim = (lsn, journal.durable_chain if lsn == journal.durable_lsn else None)
        journal.trimmed(lsn)

    def recovery(self, stored: bytes | bytearray | None = None) -> Recovery:
        store = self.stored if stored is None else stored

        def read(offset: int, length: int) -> bytes:
            assert 0 <= offset <= offset + length <= len(store), "a read outside the store"
            return bytes(store[offset : offset + length])

        return Recovery(read, self.ring_bytes, self.saved_trim[0], "nvs", self.saved_trim[1])

    def recover(self) -> list[Entry]:
        """Come up again after a crash; the journal goes on where recovery ended."""
        recovery = self.recovery()
        entries = list(recovery.entries())
        self.journal = recovery.journal()
        self.pending = []
        return entries


def payloads(entries: list[Entry]) -> list[bytes]:
    return [entry.payload for entry in entries]
