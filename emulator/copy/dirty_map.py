"""Which tracks the other site may lack, one bit for a run of tracks (rules F5, F6).

A bit is set durably before the write it covers is acknowledged: `dirty_bytes` hands out the
pieces of the map that must be written with the journal. A bit is cleared only when the other
site has confirmed the copy. A crash can leave bits set too many, never too few.
"""

from collections.abc import Iterable
from typing import Final

from emulator.nvs.areas import MAP_BYTES, MAP_START

_PIECE_BYTES: Final = 512
_BITS: Final = MAP_BYTES * 8


class DirtyMap:
    """The dirty map of one volume."""

    def __init__(self, index: int, tracks: int, stored: bytes) -> None:
        self._start = MAP_START + index * MAP_BYTES
        self.tracks = tracks
        # A power of two, so that a map's meaning is plain from the volume's size.
        run = 1
        while tracks > run * _BITS:
            run *= 2
        self.tracks_per_bit = run
        self.bits = -(-tracks // run)
        self._map = bytearray(stored)
        self._changed: dict[int, None] = {}
        self.set_bits = int.from_bytes(self._map, "big").bit_count()

    def mark(self, track: int) -> None:
        """Note that the other site may lack a track."""
        bit = track // self.tracks_per_bit
        byte, mask = bit >> 3, 1 << (bit & 7)
        if not self._map[byte] & mask:
            self._map[byte] |= mask
            self._changed[byte // _PIECE_BYTES] = None
            self.set_bits += 1

    def mark_all(self, tracks: Iterable[int]) -> None:
        """Note that the other site may lack these tracks."""
        for track in tracks:
            self.mark(track)

    def fill(self) -> None:
        """Note that the other site may lack everything."""
        whole, rest = divmod(self.bits, 8)
        self._map[:whole] = b"\xff" * whole
        if rest:
            self._map[whole] = (1 << rest) - 1
        self.set_bits = self.bits
        self._changed = dict.fromkeys(range(-(-(whole + (rest > 0)) // _PIECE_BYTES)))

    def empty(self) -> None:
        """Note that the other site has confirmed everything."""
        bit = self.next_bit(0)
        while bit is not None:
            self.clear(bit)
            bit = self.next_bit(bit + 1)

    def clear(self, bit: int) -> None:
        """Note that the other site has confirmed everything under a bit."""
        byte, mask = bit >> 3, 1 << (bit & 7)
        if self._map[byte] & mask:
            self._map[byte] &= ~mask
            self._changed[byte // _PIECE_BYTES] = None
            self.set_bits -= 1

    def next_bit(self, start: int) -> int | None:
        """Return the first set bit from `start` on."""
        byte = start >> 3
        if byte >= MAP_BYTES:
            return None
        first = self._map[byte] >> (start & 7)
        if first:
            return start + (first & -first).bit_length() - 1
        rest = bytes(self._map[byte + 1 :]).lstrip(b"\x00")
        if not rest:
            return None
        return (MAP_BYTES - len(rest)) * 8 + (rest[0] & -rest[0]).bit_length() - 1

    def tracks_of(self, bit: int) -> range:
        """Return the tracks under a bit."""
        first = bit * self.tracks_per_bit
        return range(first, min(first + self.tracks_per_bit, self.tracks))

    def dirty_tracks(self) -> int:
        """Return how many tracks the set bits stand for, at most."""
        return min(self.set_bits * self.tracks_per_bit, self.tracks)

    def changed(self) -> bool:
        """Return whether the stored map is behind."""
        return bool(self._changed)

    def dirty_pieces(self) -> list[tuple[int, list[bytes]]]:
        """Return (file offset, buffers) of what must be stored, and count it as handed out."""
        pieces = [
            (
                self._start + piece * _PIECE_BYTES,
                [bytes(self._map[piece * _PIECE_BYTES : (piece + 1) * _PIECE_BYTES])],
            )
            for piece in sorted(self._changed)
        ]
        self._changed.clear()
        return pieces
