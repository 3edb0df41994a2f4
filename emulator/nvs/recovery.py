"""Read the journal after a start: every entry that was acknowledged, and nothing else.

An invalid entry at the tail is torn: its write was never acknowledged, and it is cut off. An
invalid entry that is followed by one whose `durable_lsn` lies beyond it had been durable, so it
is corruption: nothing may be cut off, and the store is refused (W3).

What was cut off stays in the ring until it is overwritten, and may look whole. It never follows
by chain what was written in its place; only where the journal was empty when the superblock was
saved must that chain be given, for there is no entry to take it from.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from emulator.errors import CorruptError
from emulator.nvs.areas import ENTRY_ALIGN, RING_START
from emulator.nvs.journal import (
    HEAD_BYTES,
    MAGIC,
    EntryHead,
    EntryKind,
    Journal,
    entry_bytes,
    head_chain,
    unpack_head,
)
from emulator.wire.checksum import CHAIN_NONE, crc32c

Read = Callable[[int, int], bytes]
_SCAN_BYTES: Final = 1 << 20


class Entry(NamedTuple):
    """One entry of the journal that is whole."""

    head: EntryHead
    payload: bytes
    end_lsn: int


class Damage(NamedTuple):
    """An entry that had been safe and cannot be read."""

    lsn: int
    head: EntryHead | None
    """What the entry was; None when its header is damaged too."""
    following_lsn: int
    """Where the next whole entry lies."""


class Recovery:
    """Walk the ring from `trim_lsn`; afterwards `journal()` goes on where it ended."""

    def __init__(
        self, read: Read, ring_bytes: int, trim_lsn: int, uri: str, chain: bytes | None = None
    ) -> None:
        self._read = read
        self._ring_bytes = ring_bytes
        self._trim_lsn = trim_lsn
        self._uri = uri
        self.tail_lsn = trim_lsn
        self.torn = False
        self.judge: Callable[[Damage], str] = _never
        """Says why a damaged entry may not be left out; nothing (empty) if it may."""
        # An entry that was durable at the save may be overwritten before: it is taken on trust.
        self._first = chain is None
        self._chain = chain or CHAIN_NONE

    def entries(self) -> Iterator[Entry]:
        """Yield the valid entries in order.

        Raises CorruptError when acknowledged entries lie behind one that cannot be read.
        """
        while self.tail_lsn - self._trim_lsn < self._ring_bytes:
            entry = self._entry(self.tail_lsn)
            if entry is None:
                if self._skip_damage(self.tail_lsn):
                    continue
                self.torn = self._something_there(self.tail_lsn)
                return
            self._chain = entry.head.chain
            self._first = False
            self.tail_lsn = entry.end_lsn
            if entry.head.kind != EntryKind.PAD:
                yield entry

    def rest(self, damage: Damage) -> Iterator[Entry]:
        """Yield the whole entries behind a damaged one, without those that are damaged too."""
        behind = Recovery(self._read, self._ring_bytes, damage.following_lsn, self._uri)
        behind.judge = _always
        return behind.entries()

    def journal(self) -> Journal:
        """Return the journal, ready to append after the last valid entry."""
        return Journal(self._ring_bytes, self.tail_lsn, self._trim_lsn, self._chain)

    def _entry(self, lsn: int) -> Entry | None:
        place = lsn % self._ring_bytes
        head = unpack_head(self._read(RING_START + place, HEAD_BYTES))
        if head is None or head.lsn != lsn:
            return None
        if place + HEAD_BYTES + head.length > self._ring_bytes:
            return None
        payload = self._read(RING_START + place + HEAD_BYTES, head.length)
        if crc32c(payload) != head.payload_crc:
            return None
        if not self._first and head_chain(self._chain, head) != head.chain:
            return None
        if head.kind == EntryKind.PAD:
            end_lsn = lsn + self._ring_bytes - place
        else:
            end_lsn = lsn + entry_bytes(head.length)
        return Entry(head, payload, end_lsn)

    def _something_there(self, lsn: int) -> bool:
        """Return whether an entry of this lap was begun here."""
        found = self._read(RING_START + lsn % self._ring_bytes, HEAD_BYTES)
        return found.startswith(MAGIC) and found[8:16] == lsn.to_bytes(8, "big")

    def _skip_damage(self, bad_lsn: int) -> bool:
        """Step over an entry that had been safe, if that is allowed; return whether there is one.

        Raises CorruptError when it may not be left out.
        """
        following_lsn: int | None = None
        for proof in self._heads_after(bad_lsn):
            following_lsn = proof.lsn if following_lsn is None else following_lsn
            if proof.durable_lsn <= bad_lsn:
                continue
            head = unpack_head(self._read(RING_START + bad_lsn % self._ring_bytes, HEAD_BYTES))
            if head is not None and head.lsn != bad_lsn:
                head = None
            why_not = self.judge(Damage(bad_lsn, head, following_lsn))
            if why_not:
                raise CorruptError(
                    self._uri,
                    f"journal entry at lsn {bad_lsn} is damaged, but entry {proof.lsn} proves that "
                    f"it was safe once; nothing was cut off. {why_not}. Restore the store, or copy "
                    f"the volume back from the other site",
                )
            self.tail_lsn = following_lsn
            # What the next one must follow is not known: it is taken on trust.
            self._first = True
            return True
        return False

    def _heads_after(self, lsn: int) -> Iterator[EntryHead]:
        """Yield the valid entries of this lap that lie behind `lsn`."""
        end_lsn = self._trim_lsn + self._ring_bytes
        at = lsn + ENTRY_ALIGN
        while at < end_lsn:
            place = at % self._ring_bytes
            chunk_bytes = min(_SCAN_BYTES, self._ring_bytes - place, end_lsn - at)
            chunk = self._read(RING_START + place, chunk_bytes)
            # Entries begin at aligned places only: their first bytes are all that is searched.
            first_bytes = chunk[: chunk_bytes - HEAD_BYTES + 1 : ENTRY_ALIGN]
            number = first_bytes.find(MAGIC[0])
            while number >= 0:
                found = number * ENTRY_ALIGN
                head = unpack_head(chunk, found)
                if head is not None and head.lsn == at + found and self._whole(head, place + found):
                    yield head
                number = first_bytes.find(MAGIC[0], number + 1)
            at += chunk_bytes

    def _whole(self, head: EntryHead, place: int) -> bool:
        if place + HEAD_BYTES + head.length > self._ring_bytes:
            return False
        payload = self._read(RING_START + place + HEAD_BYTES, head.length)
        return crc32c(payload) == head.payload_crc


def _never(_damage: Damage) -> str:
    """Leave nothing out: whoever has acknowledged an entry must have it."""
    return "What it held was acknowledged"


def _always(_damage: Damage) -> str:
    """Leave out what is damaged: only the others are looked at."""
    return ""
