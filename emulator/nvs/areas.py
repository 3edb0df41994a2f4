"""Where things lie in a nonvolatile store, and its superblock.

    0        slot 0 of the superblock      64 KiB
    64 KiB   slot 1                        64 KiB
    128 KiB  dirty maps                     1 MiB: 64 maps of 16 KiB
    ...      journal ring                  the rest

The superblock is written to the two slots in turn, so that a torn write leaves the other one
(W3). Its body is a JSON object, to be read by people too. Bytes in, bytes out: `store.py` alone
touches the file.
"""

import json
import struct
from typing import Any, Final, NamedTuple

from emulator.wire.checksum import crc32c

SLOT_BYTES: Final = 64 * 1024
MAP_BYTES: Final = 16 * 1024
MAPS_MAX: Final = 64
MAP_START: Final = 2 * SLOT_BYTES
RING_START: Final = MAP_START + MAPS_MAX * MAP_BYTES
ENTRY_ALIGN: Final = 64
# Below this a single large host write would not fit in the ring with room to spare.
NVS_BYTES_MIN: Final = 8 * 1024 * 1024

_MAGIC: Final = b"DCNVS\x00\x00\x01"
_HEAD: Final = struct.Struct(">8sQI")
_CRC: Final = struct.Struct(">I")
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
_TEXT_START: Final = _HEAD.size + _CRC.size


class Superblock(NamedTuple):
    """The newest valid superblock: how often it was written, and what it says."""

    sequence: int
    body: dict[str, Any]


def ring_bytes(size_bytes: int) -> int:
    """Return how much of a store of `size_bytes` is journal ring."""
    return (size_bytes - RING_START) // ENTRY_ALIGN * ENTRY_ALIGN


def encode_superblock(sequence: int, body: dict[str, Any]) -> tuple[int, bytes]:
    """Return the file offset and the bytes of a superblock."""
    text = _ENCODER.encode(body).encode()
    assert _TEXT_START + len(text) <= SLOT_BYTES, "the superblock has outgrown its slot"
    head = _HEAD.pack(_MAGIC, sequence, len(text))
    return (sequence % 2) * SLOT_BYTES, head + _CRC.pack(crc32c(text, crc32c(head))) + text


def decode_superblock(slots: bytes) -> Superblock | None:
    """Return the newest valid superblock in the first two slots, or None."""
    found = None
    for start in (0, SLOT_BYTES):
        magic, sequence, length = _HEAD.unpack_from(slots, start)
        if magic != _MAGIC or length > SLOT_BYTES - _TEXT_START:
            continue
        (crc,) = _CRC.unpack_from(slots, start + _HEAD.size)
        text = slots[start + _TEXT_START : start + _TEXT_START + length]
        # The sequence is covered as well: it alone says which slot is the newest.
        if crc32c(text, crc32c(slots[start : start + _HEAD.size])) != crc:
            continue
        if found is None or sequence > found.sequence:
            found = Superblock(sequence, json.loads(text))
    return found
