"""What lies in a write to a nonvolatile store: its journal entries, as the disk would see them."""

from collections.abc import Sequence
from typing import NamedTuple

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.entries import HOST_ENTRY
from emulator.nvs.areas import RING_START
from emulator.nvs.journal import HEAD_BYTES, EntryKind, entry_bytes, unpack_head
from emulator.record.changes import Extent, decode_changes
from rig.faults.storage import Piece
from rig.sim.history import Change


class Seen(NamedTuple):
    """One journal entry on its way to the store."""

    kind: int
    lineage: int
    csn: int
    payload: bytes


def seen_entries(pieces: Sequence[Piece]) -> list[Seen]:
    """Return the journal entries in what is written to a store, in order."""
    found: list[Seen] = []
    for offset, data in pieces:
        if offset < RING_START:
            continue
        at = 0
        while at + HEAD_BYTES <= len(data):
            head = unpack_head(data, at)
            if head is None or head.kind == EntryKind.PAD:
                break
            payload = data[at + HEAD_BYTES : at + HEAD_BYTES + head.length]
            found.append(Seen(head.kind, head.lineage, head.csn, payload))
            at += entry_bytes(head.length)
    return found


def host_changes(seen: Seen, sizes: Sequence[int]) -> tuple[int, list[Change]]:
    """Return the first csn of a host's entry and its changes, cut to the volumes' sizes."""
    csn_first, count = HOST_ENTRY.unpack_from(seen.payload)
    changes: list[Change] = []
    for extent in decode_changes(memoryview(seen.payload)[HOST_ENTRY.size :], count):
        assert isinstance(extent, Extent)
        offset = extent.track * TRACK_BYTES + extent.offset
        size = min(extent.length, sizes[extent.volume] - offset)
        data = bytes(size) if extent.data is None else bytes(extent.data[:size])
        changes.append(Change(extent.volume, offset, data))
    return csn_first, changes
