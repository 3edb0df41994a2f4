"""Packets on a byte stream: COBS, so that a zero byte can only mean "a packet ends here".

Relies on the cobs library (its C extension; `cobs_is_fast` tells). Nothing here believes what a
frame holds: a damaged frame that is still good COBS is left to the packet's CRC.
"""

from collections.abc import Callable
from typing import Final, cast

from cobs import cobs

DELIMITER: Final = b"\0"

FRAMING_ERROR: Final = "framing error"
OVERLONG_FRAME: Final = "over-long frame"

Rejected = Callable[[bytes, str], None]


def cobs_is_fast() -> bool:
    """Return whether the cobs library runs as C; without it, framing is 40 times slower."""
    return bool(cobs._using_extension)  # noqa: SLF001  the library offers no other way to ask


def frame_bytes_max(packet_bytes: int) -> int:
    """Return how many bytes a packet of `packet_bytes` takes on a stream at worst.

    >>> frame_bytes_max(254), frame_bytes_max(1)
    (256, 3)
    """
    return cast("int", cobs.max_encoded_length(packet_bytes)) + len(DELIMITER)


def encode_frame(packet: bytes) -> bytes:
    r"""Return `packet` as it goes on a byte stream.

    >>> encode_frame(b"a\x00b")
    b'\x02a\x02b\x00'
    """
    return cast("bytes", cobs.encode(packet)) + DELIMITER


def _ignore(_raw: bytes, _reason: str) -> None:
    pass


class FrameDecoder:
    """Cut a byte stream back into packets, whatever pieces it arrives in.

    Frames, counters and rejects depend on the bytes alone, never on how they were chunked. A
    frame that cannot be a packet is dropped, counted, and shown to `on_reject` in its raw form,
    of an over-long one only as much as a packet may be long; decoding goes on after the next
    delimiter. Never more than one packet of `limit_bytes` is held.
    """

    def __init__(self, limit_bytes: int, on_reject: Rejected = _ignore) -> None:
        self.frames = 0
        self.errors = 0
        self.dropped_bytes = 0
        self._limit_bytes = limit_bytes
        self._encoded_bytes_max = frame_bytes_max(limit_bytes) - len(DELIMITER)
        self._on_reject = on_reject
        self._held = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the packets that `chunk` completes, in order."""
        pieces = chunk.split(DELIMITER)
        packets: list[bytes] = []
        if len(pieces) > 1:
            self._end_held(pieces[0], packets)
            for piece in pieces[1:-1]:
                self._decode(piece, packets)
        self._hold(pieces[-1])
        return packets

    def reset(self) -> None:
        """Forget a half-received frame: the stream begins anew."""
        self._held.clear()
        self._skipping = False

    def _hold(self, piece: bytes) -> None:
        if self._skipping:
            self.dropped_bytes += len(piece)
            return
        self._held += piece
        if len(self._held) > self._encoded_bytes_max:
            self._reject(bytes(self._held), OVERLONG_FRAME)
            self._held.clear()
            self._skipping = True

    def _end_held(self, piece: bytes, packets: list[bytes]) -> None:
        if self._held or self._skipping:
            self._hold(piece)
            piece = bytes(self._held)
            self._held.clear()
            self._skipping = False
        self._decode(piece, packets)

    def _decode(self, encoded: bytes, packets: list[bytes]) -> None:
        if not encoded:  # delimiters in a row: an idle line, or a sender that cleared its throat
            return
        if len(encoded) > self._encoded_bytes_max:
            self._reject(encoded, OVERLONG_FRAME)
            return
        try:
            packet = cobs.decode(encoded)
        except cobs.DecodeError:
            self._reject(encoded, FRAMING_ERROR)
            return
        if not packet:
            self._reject(encoded, FRAMING_ERROR)
        elif len(packet) > self._limit_bytes:
            self._reject(encoded, OVERLONG_FRAME)
        else:
            self.frames += 1
            packets.append(packet)

    def _reject(self, encoded: bytes, reason: str) -> None:
        self.errors += 1
        self.dropped_bytes += len(encoded)
        self._on_reject(encoded[: self._encoded_bytes_max], reason)
