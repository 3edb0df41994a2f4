"""A record of changes to bytes and back.

A record is a part of an epoch: a header with its csns and chain, then changes. In memory a
change is a plain tuple `(volume, track, offset, data)`; `data` at offset 0 that is as long as
one or more tracks is a run of whole tracks, `None` in place of data is zeros over `length`.
The canonical body has no deltas: both sites journal it and the chain hash is taken over it, so
that a delta is only a way to send it (C5, R5). Every byte of a record received is checked before
anything of it is used.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from emulator.cache.tracks import ZERO_TRACK, track_key
from emulator.channel.blocks import TRACK_BYTES
from emulator.record.delta import changed_pieces
from emulator.wire.checksum import Buffer, chain_hash, content_hash
from emulator.wire.layout import (
    CHANGE_DELTA_FIELDS,
    CHANGE_FIELDS,
    CHANGE_PIECE_FIELDS,
    CHANGE_RUN_FIELDS,
    CHANGE_ZERO_FIELDS,
    RECORD_FIELDS,
    ChangeForm,
    struct_format,
)

_RECORD: Final = struct.Struct(struct_format(RECORD_FIELDS))
_CHANGE: Final = struct.Struct(struct_format(CHANGE_FIELDS))
_DELTA: Final = struct.Struct(struct_format(CHANGE_DELTA_FIELDS))
_PIECE: Final = struct.Struct(struct_format(CHANGE_PIECE_FIELDS))
_ZERO: Final = struct.Struct(struct_format(CHANGE_ZERO_FIELDS))
_RUN: Final = struct.Struct(struct_format(CHANGE_RUN_FIELDS))
_RUN_CHANGE: Final = struct.Struct(struct_format((*CHANGE_FIELDS, *CHANGE_RUN_FIELDS)))
_ZERO_CHANGE: Final = struct.Struct(struct_format((*CHANGE_FIELDS, *CHANGE_ZERO_FIELDS)))
_CHANGE_BYTES: Final = _CHANGE.size
_RUN_BYTES: Final = _RUN.size
_CHAIN_HEAD: Final = struct.Struct(">QQQBI")
_FULL, _DELTA_FORM, _ZERO_FORM, _RUN_FORM = (
    int(form) for form in (ChangeForm.FULL, ChangeForm.DELTA, ChangeForm.ZERO, ChangeForm.RUN)
)
RECORD_HEAD_BYTES: Final = _RECORD.size
# A host write of 32 MiB is one change; nothing longer is believed.
RUN_TRACKS_MAX: Final = 1 << 20


class RecordHead(NamedTuple):
    """The header of a record of changes."""

    lineage: int
    csn_first: int
    csn_last: int
    chain_before: bytes
    chain_after: bytes
    final: int
    changes: int


class Extent(NamedTuple):
    """One change with its new contents resolved: part of a track, or a run of whole tracks."""

    volume: int
    track: int
    offset: int
    tracks: int
    """Whole tracks; 0 for a part of one track."""
    length: int
    data: Buffer | None
    """The new bytes; None for zeros."""


class Delta(NamedTuple):
    """A change that must be laid over the old image of its track."""

    volume: int
    track: int
    offset: int
    length: int
    base: int
    pieces: list[tuple[int, Buffer]]


class BadRecordError(Exception):
    """A record or journal entry does not parse; says what and where."""


def record_chain(
    before: bytes,
    lineage: int,
    csn_first: int,
    csn_last: int,
    final: int,
    changes: int,
    *body: Buffer,
) -> bytes:
    """Return the chain hash after a record with this canonical body, in one buffer or several."""
    return chain_hash(before, _CHAIN_HEAD.pack(lineage, csn_first, csn_last, final, changes), *body)


def encode_head(head: RecordHead) -> bytes:
    """Return the bytes of a record's header."""
    return _RECORD.pack(*head)


def decode_head(data: Buffer) -> RecordHead:
    """Return a record's header, or raise BadRecordError."""
    if len(data) < RECORD_HEAD_BYTES:
        raise BadRecordError(f"record of {len(data)} bytes is shorter than its header")
    return RecordHead._make(_RECORD.unpack_from(data))


def encode_part(parts: list[Buffer], volume: int, track: int, offset: int, data: Buffer) -> None:
    """Append a change of a part of one track."""
    parts.append(_CHANGE.pack(volume, _FULL, track, offset, len(data)))
    parts.append(data)


def encode_run(parts: list[Buffer], volume: int, track: int, data: Buffer) -> None:
    """Append a change of whole tracks that lie in one buffer."""
    size = len(data)
    parts.append(_RUN_CHANGE.pack(volume, _RUN_FORM, track, 0, 0, size // TRACK_BYTES, size))
    parts.append(data)


def encode_run_of(parts: list[Buffer], volume: int, track: int, images: Sequence[bytes]) -> None:
    """Append a change of whole tracks that lie in one buffer each."""
    count = len(images)
    parts.append(_RUN_CHANGE.pack(volume, _RUN_FORM, track, 0, 0, count, count * TRACK_BYTES))
    parts.extend(images)


def encode_zeros(parts: list[Buffer], volume: int, track: int, tracks: int) -> None:
    """Append a change that makes whole tracks zero."""
    parts.append(_ZERO_CHANGE.pack(volume, _ZERO_FORM, track, 0, 0, tracks))


def encode_delta(parts: list[Buffer], volume: int, track: int, old: bytes, new: bytes) -> bool:
    """Append a change of one whole track as what differs from `old`, if that pays."""
    pieces = changed_pieces(old, new)
    if pieces is None:
        return False
    parts.append(_CHANGE.pack(volume, _DELTA_FORM, track, 0, len(new)))
    parts.append(_DELTA.pack(content_hash(old), len(pieces)))
    for offset, length in pieces:
        parts.append(_PIECE.pack(offset, length))
        parts.append(new[offset : offset + length])
    return True


def apply_delta(delta: Delta, old: bytes) -> bytes | None:
    """Return the new contents of the change, or None when `old` is not its base (C5)."""
    if content_hash(old) != delta.base:
        return None
    image = bytearray(old)
    for offset, data in delta.pieces:
        image[offset : offset + len(data)] = data
    return bytes(memoryview(image)[delta.offset : delta.offset + delta.length])


def decode_changes(body: Buffer, count: int) -> list[Extent | Delta]:
    """Return the changes in `body`, which must be exactly `count` of them.

    Raises BadRecordError; whatever it returns lies inside tracks and inside `body`.
    """
    view = memoryview(body)
    found: list[Extent | Delta] = []
    change: Extent | Delta
    at = 0
    try:
        for _ in range(count):
            volume, form, track, offset, length = _CHANGE.unpack_from(view, at)
            if form == _RUN_FORM:
                # By far the most frequent kind, so without the table's detour.
                change, at = _decode_run(view, at + _CHANGE_BYTES, volume, track, offset, length)
                found.append(change)
                continue
            if offset + length > TRACK_BYTES:
                raise BadRecordError(f"change at byte {at} reaches past its track")
            decode = _DECODERS.get(form)
            if decode is None:
                raise BadRecordError(f"change at byte {at} has unknown form {form}")
            change, at = decode(view, at + _CHANGE_BYTES, volume, track, offset, length)
            found.append(change)
    except struct.error as error:
        raise BadRecordError(f"change at byte {at} is cut off") from error
    if at != len(view):
        raise BadRecordError(f"{len(view) - at} bytes left over after {count} changes")
    return found


def _take(view: memoryview, at: int, length: int) -> memoryview:
    if at + length > len(view):
        raise BadRecordError(f"{length} bytes at byte {at} reach past the record")
    return view[at : at + length]


def _check_whole(at: int, offset: int, length: int) -> None:
    # There is one way only to write a change, since the chain hash is taken over its bytes.
    if offset or length:
        raise BadRecordError(f"whole tracks at byte {at} claim {length} bytes at {offset}")


def _decode_full(
    view: memoryview, at: int, volume: int, track: int, offset: int, length: int
) -> tuple[Extent, int]:
    data = _take(view, at, length)
    return Extent(volume, track, offset, 0, length, data), at + length


def _decode_run(
    view: memoryview, at: int, volume: int, track: int, offset: int, length: int
) -> tuple[Extent, int]:
    tracks, size = _RUN.unpack_from(view, at)
    start = at + _RUN_BYTES
    end = start + size
    if offset or length or size != tracks * TRACK_BYTES or not 0 < tracks <= RUN_TRACKS_MAX:
        _check_whole(at, offset, length)
        raise BadRecordError(f"run of {tracks} tracks at byte {at} claims {size} bytes")
    if end > len(view):
        raise BadRecordError(f"{size} bytes at byte {start} reach past the record")
    return Extent(volume, track, 0, tracks, size, view[start:end]), end


def _decode_zero(
    view: memoryview, at: int, volume: int, track: int, offset: int, length: int
) -> tuple[Extent, int]:
    (tracks,) = _ZERO.unpack_from(view, at)
    if tracks > RUN_TRACKS_MAX:
        raise BadRecordError(f"{tracks} zero tracks at byte {at} are too many")
    if tracks:
        _check_whole(at, offset, length)
    size = tracks * TRACK_BYTES or length
    return Extent(volume, track, offset, tracks, size, None), at + _ZERO.size


def _decode_delta(
    view: memoryview, at: int, volume: int, track: int, offset: int, length: int
) -> tuple[Delta, int]:
    base, count = _DELTA.unpack_from(view, at)
    at += _DELTA.size
    pieces: list[tuple[int, Buffer]] = []
    for _ in range(count):
        piece_offset, piece_length = _PIECE.unpack_from(view, at)
        if not offset <= piece_offset <= piece_offset + piece_length <= offset + length:
            raise BadRecordError(f"piece at byte {at} lies outside its change")
        pieces.append((piece_offset, _take(view, at + _PIECE.size, piece_length)))
        at += _PIECE.size + piece_length
    return Delta(volume, track, offset, length, base, pieces), at


_Decoder = Callable[[memoryview, int, int, int, int, int], tuple[Extent | Delta, int]]
_DECODERS: Final[dict[int, _Decoder]] = {
    _FULL: _decode_full,
    _DELTA_FORM: _decode_delta,
    _ZERO_FORM: _decode_zero,
    _RUN_FORM: _decode_run,
}


def track_pieces(change: Extent) -> Iterator[tuple[int, int, bytes]]:
    """Yield (key, start, data) for each track of a change: whole tracks or the part of one."""
    volume, track, offset, tracks, length, data = change
    key = track_key(volume, track)
    if not tracks:
        yield key, offset, bytes(length) if data is None else bytes(data)
    elif data is None:
        for number in range(tracks):
            yield key + number, 0, ZERO_TRACK
    else:
        for number in range(tracks):
            start = number * TRACK_BYTES
            yield key + number, 0, bytes(data[start : start + TRACK_BYTES])
