"""Replies to NBD requests, as buffers for the socket.

Relies on `nbd_protocol.py` for layouts. Read data is passed on as it came, never joined. Leaves
it to the session which kind of reply a client has agreed to.
"""

import struct
from collections.abc import Iterable
from typing import Final

from emulator.channel.blocks import TRACK_BYTES
from emulator.frontend.nbd_protocol import (
    CHUNK,
    CHUNK_MAGIC,
    REPLY_FLAG_DONE,
    SIMPLE_REPLY,
    SIMPLE_REPLY_MAGIC,
    STATE_HOLE,
    STATE_ZERO,
    Chunk,
)

SIMPLE_DONE: Final = struct.pack(">II", SIMPLE_REPLY_MAGIC, 0)
"""A simple reply that says all went well, but for the request's handle, which follows it."""

CONTEXT_ID: Final = 1
"""What we call `base:allocation` on the wire; there is no other context."""

HOLE_BYTES_MIN: Final = TRACK_BYTES
# Shorter runs of zeros are sent as data: the reply would hardly be shorter, and clients write
# what they get as holes in pieces of this size anyway.

TRACK_OF_ZEROS: Final = bytes(TRACK_BYTES)
"""The shortest piece that is named as zeros, not sent."""

_DATA_HEAD: Final = struct.Struct(CHUNK.format + "Q")
_OFFSET_DATA: Final = int(Chunk.OFFSET_DATA)
_OFFSET_BYTES: Final = 8
_HOLE: Final = struct.Struct(">QI")
_ERROR: Final = struct.Struct(">IH")
_EXTENT: Final = struct.Struct(">II")
_CONTEXT: Final = struct.Struct(">I")
_TEXT_BYTES_MAX: Final = 4096  # the protocol's limit for a string


def simple_error(handle: bytes, errno: int) -> bytes:
    """Return the reply to a failed request for a client without structured replies."""
    return SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, errno, handle)


def error_chunk(handle: bytes, errno: int, text: str) -> bytes:
    """Return the structured reply to a failed request, with a text for people."""
    message = text.encode()[:_TEXT_BYTES_MAX]
    payload = _ERROR.pack(errno, len(message)) + message
    return _chunk(Chunk.ERROR, handle, len(payload)) + payload


def nothing_chunk(handle: bytes) -> bytes:
    """Return the structured reply to a read of no bytes."""
    return _chunk(Chunk.NONE, handle, 0)


def whole_head(handle: bytes, offset: int, length: int) -> bytes:
    """Return what precedes the data in a structured reply of one chunk."""
    return _DATA_HEAD.pack(
        CHUNK_MAGIC, REPLY_FLAG_DONE, _OFFSET_DATA, handle, _OFFSET_BYTES + length, offset
    )


def whole_read(handle: bytes, offset: int, length: int, data: list[bytes]) -> list[bytes]:
    """Return a structured reply that holds all of `data` in one chunk."""
    return [_data_head(REPLY_FLAG_DONE, handle, offset, length), *data]


def sparse_read(handle: bytes, offset: int, length: int, data: list[bytes]) -> list[bytes]:
    """Return a structured reply in which buffers of zeros are named, not sent."""
    for piece in data:
        # The first byte nearly always settles it, so that most reads end here.
        if piece and not piece[0] and _is_hole(piece):
            break
    else:
        return whole_read(handle, offset, length, data)
    runs = _runs(data)
    buffers: list[bytes] = []
    for index, (run_bytes, pieces) in enumerate(runs):
        flags = REPLY_FLAG_DONE if index == len(runs) - 1 else 0
        if pieces:
            buffers.append(_data_head(flags, handle, offset, run_bytes))
            buffers += pieces
        else:
            head = _chunk(Chunk.OFFSET_HOLE, handle, _HOLE.size, flags)
            buffers.append(head + _HOLE.pack(offset, run_bytes))
        offset += run_bytes
    return buffers


def status_chunk(handle: bytes, extents: Iterable[tuple[int, bool]]) -> bytes:
    """Return the structured reply that says which runs hold data and which are holes."""
    payload = _CONTEXT.pack(CONTEXT_ID) + b"".join(
        _EXTENT.pack(length, 0 if is_data else STATE_HOLE | STATE_ZERO)
        for length, is_data in extents
    )
    return _chunk(Chunk.BLOCK_STATUS, handle, len(payload)) + payload


def extents_within(
    runs: Iterable[tuple[int, bool]], length: int, *, only_one: bool
) -> list[tuple[int, bool]]:
    """Return `runs` clipped to `length`, with neighbours of one kind joined."""
    extents: list[tuple[int, bool]] = []
    for run_length, is_data in runs:
        run_bytes = min(run_length, length)
        if not run_bytes:
            continue
        length -= run_bytes
        if extents and extents[-1][1] == is_data:
            extents[-1] = (extents[-1][0] + run_bytes, is_data)
        elif extents and only_one:
            break
        else:
            extents.append((run_bytes, is_data))
    return extents


def _chunk(kind: int, handle: bytes, size_bytes: int, flags: int = REPLY_FLAG_DONE) -> bytes:
    return CHUNK.pack(CHUNK_MAGIC, flags, kind, handle, size_bytes)


def _data_head(flags: int, handle: bytes, offset: int, length: int) -> bytes:
    return _DATA_HEAD.pack(CHUNK_MAGIC, flags, _OFFSET_DATA, handle, _OFFSET_BYTES + length, offset)


def _runs(data: list[bytes]) -> list[tuple[int, list[bytes]]]:
    """Return runs of (length, buffers to send); no buffers mean that the run is zeros."""
    runs: list[tuple[int, list[bytes]]] = []
    for piece in filter(None, data):
        pieces = [] if _is_hole(piece) else [piece]
        if runs and bool(runs[-1][1]) == bool(pieces):
            length, before = runs[-1]
            runs[-1] = (length + len(piece), before)
            before += pieces
        else:
            runs.append((len(piece), pieces))
    return runs


def _is_hole(piece: bytes) -> bool:
    size_bytes = len(piece)
    if size_bytes < HOLE_BYTES_MIN:
        return False
    return piece == (TRACK_OF_ZEROS if size_bytes == TRACK_BYTES else bytes(size_bytes))
