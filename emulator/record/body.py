"""The body of a record: changes in key order, neighbouring whole tracks joined into runs.

One way only to write the same changes: both ends compute the chain hash over these bytes.
"""

from collections.abc import Sequence

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, ZERO_TRACK
from emulator.channel.blocks import TRACK_BYTES
from emulator.record.changes import encode_part, encode_run_of, encode_zeros
from emulator.wire.checksum import Buffer


class Body:
    """Gathers changes in key order and joins neighbouring whole tracks into runs."""

    def __init__(self) -> None:
        self.parts: list[Buffer] = []
        self.changes = 0
        self._start = 0
        self._next = -1
        self._images: list[bytes] = []
        self._zero = False

    def whole(self, key: int, image: bytes) -> None:
        """Add a whole track."""
        zero = image is ZERO_TRACK
        if key == self._next and zero is self._zero:
            self._images.append(image)
        else:
            if self._images:
                self.flush()
            self._start = key
            self._zero = zero
            self._images = [image]
        self._next = key + 1

    def whole_many(self, keys: Sequence[int], images: Sequence[bytes]) -> None:
        """Add whole tracks, at least one, whose keys ascend; a run may go on with the next ones."""
        start, following, zero = 0, self._next, self._zero
        gathered = self._images
        for at, key in enumerate(keys):
            if key != following or (images[at] is ZERO_TRACK) is not zero:
                if at > start:
                    gathered += images[start:at]
                self.flush()
                gathered = self._images
                self._start, self._zero = key, images[at] is ZERO_TRACK
                start, zero = at, self._zero
            following = key + 1
        gathered += images[start:]
        self._next = following

    def part(self, key: int, start: int, data: Buffer) -> None:
        """Add a part of a track."""
        self.flush()
        encode_part(self.parts, key >> TRACK_BITS, key & TRACK_MASK, start, data)
        self.changes += 1

    def encoded(self, parts: list[Buffer]) -> None:
        """Add a change that is encoded already."""
        self.flush()
        self.parts += parts
        self.changes += 1

    def flush(self) -> None:
        """Close the run that is being gathered."""
        if self._images:
            self._run(self._start, self._images, zero=self._zero)
            self._images = []
            self._next = -1

    def _run(self, key: int, images: Sequence[bytes], *, zero: bool) -> None:
        self.changes += 1
        volume, track = key >> TRACK_BITS, key & TRACK_MASK
        if zero:
            encode_zeros(self.parts, volume, track, len(images))
        else:
            encode_run_of(self.parts, volume, track, images)


def canonical_body(changes: list[tuple[int, int, bytes]]) -> tuple[int, bytes]:
    """Return the count and bytes of the canonical body of (key, start, data), in key order.

    What the receiver of deltas journals, and checks the chain over.
    """
    body = Body()
    for key, start, data in changes:
        if len(data) == TRACK_BYTES:
            body.whole(key, data)
        else:
            body.part(key, start, data)
    body.flush()
    return body.changes, b"".join(body.parts)
