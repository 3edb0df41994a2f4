"""What changed between the old and the new image of a track, to the byte (patent p.7).

C does the comparing: slices find the stretch that differs, one exclusive-or of that stretch
marks every changed byte, one regular expression gathers the marks into pieces. Equal stretches
shorter than a piece's own header are not worth leaving out.
"""

import re
from typing import Final

PIECES_MAX: Final = 24
_PROBE_BYTES: Final = 64
_SLICE_BYTES: Final = 256
# A piece's header takes 4 bytes; up to twice that it is cheaper to send the equal bytes too.
_PIECE: Final = re.compile(rb"[^\x00]+(?:\x00{1,8}[^\x00]+)*", re.DOTALL)
_PIECE_HEADER_BYTES: Final = 4


def changed_pieces(old: bytes, new: bytes) -> list[tuple[int, int]] | None:
    """Return the (offset, length) of what differs, or None when a delta would not pay.

    >>> changed_pieces(bytes(4096), bytes(100) + b"abc" + bytes(3993))
    [(100, 3)]
    >>> changed_pieces(b"same" * 100, b"same" * 100)
    []
    """
    size = len(new)
    if len(old) != size or _looks_all_new(old, new, size // 8):
        return None
    if old == new:
        return []
    first = 0
    while old[first : first + _SLICE_BYTES] == new[first : first + _SLICE_BYTES]:
        first += _SLICE_BYTES
    last = size
    while last - _SLICE_BYTES > first and (
        old[last - _SLICE_BYTES : last] == new[last - _SLICE_BYTES : last]
    ):
        last -= _SLICE_BYTES
    marks = int.from_bytes(old[first:last], "big") ^ int.from_bytes(new[first:last], "big")
    pieces: list[tuple[int, int]] = []
    cost = 0
    for found in _PIECE.finditer(marks.to_bytes(last - first, "big")):
        start, end = found.span()
        pieces.append((first + start, end - start))
        cost += end - start + _PIECE_HEADER_BYTES
    if len(pieces) > PIECES_MAX:
        start, end = pieces[0][0], sum(pieces[-1])
        pieces, cost = [(start, end - start)], end - start
    return pieces if cost * 4 < size * 3 else None


def _looks_all_new(old: bytes, new: bytes, step: int) -> bool:
    """Return whether four probes spread over the track all differ: then do not look closer.

    Written out, because every changed track passes here and most end at the first line.
    """
    one, two, three, four = step, 3 * step, 5 * step, 7 * step
    return (
        step >= _PROBE_BYTES
        and old[one : one + _PROBE_BYTES] != new[one : one + _PROBE_BYTES]
        and old[two : two + _PROBE_BYTES] != new[two : two + _PROBE_BYTES]
        and old[three : three + _PROBE_BYTES] != new[three : three + _PROBE_BYTES]
        and old[four : four + _PROBE_BYTES] != new[four : four + _PROBE_BYTES]
    )
