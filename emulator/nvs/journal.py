"""The journal: what was accepted, in order, in a ring on the nonvolatile store.

A log sequence number (lsn) is the count of bytes ever appended, so an entry knows where it must
lie; an old lap cannot be mistaken for the present one. Each entry carries its length, csn,
lineage, CRC and chain (W3), and `durable_lsn`, up to which the journal was durable when the entry
was made: that tells a torn tail from corruption inside (see recovery.py).

Group commit: `append` only collects; `take` hands out everything that arrived together as one
write; `durable` says that it lies safe. Pure: no file is touched here.
"""

import enum
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from emulator.nvs.areas import ENTRY_ALIGN, RING_START
from emulator.wire.checksum import CHAIN_NONE, Buffer, chain_hash, crc32c


class EntryKind(enum.IntEnum):
    """What an entry of the journal holds."""

    PAD = 0
    HOST = 1
    RECEIVED = 2
    EPOCH_CLOSED = 3
    COPIED = 4


# magic, kind, group, lsn, how far before it the journal was durable, payload length and CRC, csn,
# lineage, chain; then the CRC of all that
_HEAD: Final = struct.Struct(">4sBxHQIIIQQ16s")
_CRC: Final = struct.Struct(">I")
MAGIC: Final = b"DCJE"
HEAD_BYTES: Final = ENTRY_ALIGN
assert _HEAD.size + _CRC.size == HEAD_BYTES
# Kept free for the entries of the copy itself, such as the end of an epoch.
RESERVE_BYTES: Final = 64 * 1024
# Parts shorter than this on average are joined: one copy costs less than a call for each.
JOIN_PART_BYTES: Final = 16 * 1024
_DISTANCE_MAX: Final = 0xFFFFFFFF
_ZEROS: Final = bytes(ENTRY_ALIGN)


class EntryHead(NamedTuple):
    """The header of one entry."""

    magic: bytes
    kind: int
    group: int
    lsn: int
    undurable_bytes: int
    """How much before this entry was not yet durable when it was made."""
    length: int
    payload_crc: int
    csn: int
    lineage: int
    chain: bytes

    @property
    def durable_lsn(self) -> int:
        """Up to where the journal was durable when this entry was made."""
        return self.lsn - self.undurable_bytes


class Write(NamedTuple):
    """What must be written to the file now, and what is safe once it is."""

    runs: list[tuple[int, list[Buffer]]]
    end_lsn: int
    chain: bytes
    """The chain of the last entry; what goes on at `end_lsn` must follow it."""


def entry_bytes(payload_bytes: int) -> int:
    """Return how many bytes of the ring an entry with such a payload takes."""
    return HEAD_BYTES + -(-payload_bytes // ENTRY_ALIGN) * ENTRY_ALIGN


def pack_head(head: EntryHead) -> bytes:
    """Return the header's bytes, with their CRC."""
    packed = _HEAD.pack(*head)
    return packed + _CRC.pack(crc32c(packed))


def unpack_head(data: Buffer, offset: int = 0) -> EntryHead | None:
    """Return a header, or None if its bytes are damaged or none."""
    head = EntryHead._make(_HEAD.unpack_from(data, offset))
    if head.magic != MAGIC:
        return None
    crc: int = _CRC.unpack_from(data, offset + _HEAD.size)[0]
    return head if crc32c(memoryview(data)[offset : offset + _HEAD.size]) == crc else None


def head_chain(previous: bytes, head: EntryHead) -> bytes:
    """Return the chain of an entry: it names the whole journal up to and with it."""
    return chain_hash(previous, _HEAD.pack(*head[:9], CHAIN_NONE))


class Journal:
    """The ring's book-keeping: where the next entry goes and what may be overwritten."""

    def __init__(
        self, ring_bytes: int, tail_lsn: int = 0, trim_lsn: int = 0, chain: bytes = CHAIN_NONE
    ) -> None:
        self.ring_bytes = ring_bytes
        self.tail_lsn = tail_lsn
        self.durable_lsn = tail_lsn
        self.durable_chain = chain
        self.trim_lsn = trim_lsn
        """What recovery starts from; durable in the superblock."""
        self.reserved_bytes = 0
        """Room promised to host writes that were accepted and are not appended yet."""
        self.starved = False
        """Whether a host write found no room, since whoever makes some last looked."""
        self.appended_bytes = 0
        self.entries = 0
        self._chain = chain
        self._runs: list[tuple[int, list[Buffer]]] = []
        self._runs_end = -1

    def room_bytes(self) -> int:
        """Return how much may be appended before something must be trimmed."""
        return self.ring_bytes - (self.tail_lsn - self.trim_lsn)

    def used_bytes(self) -> int:
        """Return how much of the ring recovery would read."""
        return self.tail_lsn - self.trim_lsn

    def fits(self, payload_bytes: int) -> bool:
        """Return whether an entry with such a payload can be appended now."""
        # A pad up to the ring's end may come before it, and a header must stay free for that.
        need = entry_bytes(payload_bytes)
        to_end = self.ring_bytes - self.tail_lsn % self.ring_bytes
        pad = to_end if need > to_end else 0
        return need + pad + HEAD_BYTES + self.reserved_bytes <= self.room_bytes()

    def can_reserve(self, payload_bytes: int) -> bool:
        """Return whether host writes of this size can be promised room.

        Counted twice, since a pad before an entry may be as long as the entry.
        """
        room = 2 * payload_bytes + self.reserved_bytes + RESERVE_BYTES <= self.room_bytes()
        self.starved |= not room
        return room

    def append(
        self, kind: EntryKind, group: int, csn: int, lineage: int, parts: Sequence[Buffer]
    ) -> int:
        """Collect one entry for the next write and return its lsn.

        The caller has asked `fits`; nothing acknowledged is ever dropped to make room.
        """
        length = sum(map(len, parts))
        if len(parts) > 1 and length < JOIN_PART_BYTES * len(parts):
            parts = [b"".join(parts)]
        need = entry_bytes(length)
        to_end = self.ring_bytes - self.tail_lsn % self.ring_bytes
        if need > to_end:
            self._put(EntryKind.PAD, 0, 0, 0, [], 0, to_end - HEAD_BYTES)
        lsn = self.tail_lsn
        self._put(kind, group, csn, lineage, parts, length, need - HEAD_BYTES - length)
        return lsn

    def _put(
        self,
        kind: EntryKind,
        group: int,
        csn: int,
        lineage: int,
        parts: Sequence[Buffer],
        length: int,
        fill_bytes: int,
    ) -> None:
        assert length + fill_bytes + HEAD_BYTES <= self.room_bytes(), "fits() was not asked"
        lsn = self.tail_lsn
        undurable = lsn - self.durable_lsn
        assert undurable <= _DISTANCE_MAX, "more is under way than memory can hold"
        payload_crc = 0
        for part in parts:
            payload_crc = crc32c(part, payload_crc)
        fields = (MAGIC, kind, group, lsn, undurable, length, payload_crc, csn, lineage)
        self._chain = chain_hash(self._chain, _HEAD.pack(*fields, CHAIN_NONE))
        head = pack_head(EntryHead(*fields, self._chain))
        buffers: list[Buffer] = [head, *parts]
        if kind is not EntryKind.PAD and fill_bytes:
            buffers.append(_ZEROS[:fill_bytes])
        place = lsn % self.ring_bytes
        if self._runs and place and lsn == self._runs_end:
            self._runs[-1][1].extend(buffers)
        else:
            self._runs.append((RING_START + place, buffers))
        self.tail_lsn = lsn + HEAD_BYTES + length + fill_bytes
        # A pad's rest is not written, so the next entry cannot join its run.
        self._runs_end = -1 if kind is EntryKind.PAD else self.tail_lsn
        self.appended_bytes += HEAD_BYTES + length + fill_bytes
        self.entries += 1

    def take(self) -> Write | None:
        """Return everything appended since the last call, to be written as one."""
        if not self._runs:
            return None
        runs, self._runs = self._runs, []
        return Write(runs, self.tail_lsn, self._chain)

    def durable(self, write: Write) -> None:
        """Note that a write is safe, and with it everything before its end."""
        self.durable_lsn = write.end_lsn
        self.durable_chain = write.chain

    def trimmed(self, lsn: int) -> None:
        """Note that the superblock now says recovery starts at `lsn`."""
        assert self.trim_lsn <= lsn <= self.tail_lsn
        self.trim_lsn = lsn
