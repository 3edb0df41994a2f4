"""What the journal's entries of a primary hold, and how host writes come out of them again."""

import struct
from typing import Final

from emulator.cache.tracks import track_key
from emulator.record.changes import Extent, decode_changes, track_pieces
from emulator.record.epoch import Epoch
from emulator.wire.checksum import CHAIN_BYTES

# The first csn of a batch of host writes, and how many changes follow.
HOST_ENTRY: Final = struct.Struct(">QI")
# An epoch's first and last csn; what the other site had confirmed by then follows.
EPOCH_CLOSED: Final = struct.Struct(">QQ")
EPOCH_ACKED: Final = struct.Struct(f">Q{CHAIN_BYTES}s")


def confirmed_by(payload: bytes) -> tuple[int, bytes] | None:
    """Return up to where, with which chain hash, the other site had confirmed at an epoch's end.

    None for an entry of an older program, which did not say so.
    """
    if len(payload) < EPOCH_CLOSED.size + EPOCH_ACKED.size:
        return None
    csn, chain = EPOCH_ACKED.unpack_from(payload, EPOCH_CLOSED.size)
    return csn, chain


def replay_into(epoch: Epoch, payload: bytes) -> None:
    """Note the host writes of a journal entry in an epoch."""
    csn_first, count = HOST_ENTRY.unpack_from(payload)
    assert csn_first >= epoch.csn_first
    for change in decode_changes(memoryview(payload)[HOST_ENTRY.size :], count):
        assert isinstance(change, Extent), "a host write is journalled whole"
        if change.tracks:
            images = [image for _key, _start, image in track_pieces(change)]
            first = track_key(change.volume, change.track)
            epoch.whole_many(range(first, first + change.tracks), images, [None] * change.tracks)
            continue
        for key, start, data in track_pieces(change):
            epoch.replay(key, start, data)
