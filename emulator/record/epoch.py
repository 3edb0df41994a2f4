"""An epoch: host writes gathered between two csns, coalesced, then frozen (C1, C3, C4).

While an epoch is open a later write to the same bytes replaces an earlier one; that is safe
because the other site applies an epoch as one (C1). Once closed it never changes (C3): after a
crash it is formed again from the journal and comes out the same, byte for byte. It is cut into
records by its canonical contents alone, so both ends and both lives cut it the same way.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Final, NamedTuple

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, ZERO_TRACK
from emulator.channel.blocks import TRACK_BYTES
from emulator.record.body import Body
from emulator.record.changes import RecordHead, encode_delta, encode_head, record_chain
from emulator.wire.checksum import Buffer

# A record is formed in one go, so this bounds how long a host waits behind it: half a millisecond.
RECORD_BYTES_MAX: Final = 256 * 1024
RECORD_TRACKS_MAX: Final = 4096
# What a part of a track takes at most beyond its own bytes, when there are many of them.
PART_BYTES: Final = 16
# Old images kept for deltas. An epoch grows longer only when the line is busy coalescing whole
# tracks; keeping twice as much memory for it would not pay.
BASES_MAX: Final = 4096
# After so many tracks in a row that had changed all over, only every so-many-th is compared with
# its old contents until one pays again: hosts rewrite like with like.
VAIN_MAX: Final = 8
# Tracks and deltas that are put into a record in one step.
STEP_TRACKS: Final = 16
STEP_DELTAS: Final = 8

Extents = list[tuple[int, int]]


class Record(NamedTuple):
    """One record of changes, ready for the line."""

    csn_first: int
    csn_last: int
    final: bool
    chain_after: bytes
    parts: list[Buffer]
    host_bytes: int
    """How many changed bytes the record stands for, before deltas."""
    size_bytes: int


class Epoch:
    """Changes of one group from `csn_first` on; open until `close` is called."""

    def __init__(self, lineage: int, csn_first: int) -> None:
        self.lineage = lineage
        self.csn_first = csn_first
        self.csn_last = csn_first - 1
        self.images: dict[int, bytes] = {}
        self.bases: dict[int, bytes] = {}
        """Old images as far as they are known and worth keeping."""
        self.extents: dict[int, Extents] = {}

    def __len__(self) -> int:
        return len(self.images)

    def whole(self, key: int, image: bytes, old: bytes | None) -> None:
        """Note that a whole track was written over `old` (None: not known)."""
        images = self.images
        if key not in images:
            if old is not None and len(self.bases) < BASES_MAX:
                self.bases[key] = old
        elif self.extents:
            self.extents.pop(key, None)
        images[key] = image

    def whole_many(
        self, keys: Sequence[int], images: Sequence[bytes], olds: Sequence[bytes | None]
    ) -> None:
        """Do as `whole` for many tracks, all at once."""
        mine, bases = self.images, self.bases
        if len(bases) < BASES_MAX:
            for key, old in zip(keys, olds, strict=True):
                if old is not None and key not in mine:
                    bases[key] = old
        if self.extents:
            for key in keys:
                self.extents.pop(key, None)
        mine.update(zip(keys, images, strict=True))

    def part(self, key: int, image: bytes, old: bytes | None, start: int, end: int) -> None:
        """Note that the bytes from `start` to `end` were written, giving `image`."""
        if key not in self.images:
            if old is not None and len(self.bases) < BASES_MAX:
                self.bases[key] = old
            self.extents[key] = [(start, end)]
        elif key in self.extents:
            merged = _merged(self.extents[key], start, end)
            if merged == [(0, TRACK_BYTES)]:
                del self.extents[key]
            else:
                self.extents[key] = merged
        self.images[key] = image

    def replay(self, key: int, start: int, data: Buffer) -> None:
        """Note a write read back from the journal, where the old image is not known."""
        if len(data) == TRACK_BYTES:
            self.whole(key, bytes(data), None)
            return
        image = bytearray(self.images.get(key, ZERO_TRACK))
        image[start : start + len(data)] = data
        self.part(key, bytes(image), None, start, start + len(data))

    def records(self, chain: bytes, *, deltas: bool) -> Iterator[Record]:
        """Yield the epoch's records in order, each formed when asked for.

        `chain` is the chain hash before the epoch; the last record's `chain_after` is the one
        after it. With `deltas` false every record carries whole contents (C6).
        """
        return (record for record in self.steps(chain, deltas=deltas) if record is not None)

    def steps(self, chain: bytes, *, deltas: bool) -> Iterator[Record | None]:
        """Yield the epoch's records as `records` does, and None after each step on the way.

        A step takes a processor some tens of microseconds, so that a host can go before.
        """
        keys = sorted(self.images)
        at = 0
        while True:
            end = self._cut(keys, at)
            final = end == len(keys)
            record = yield from self._record(keys[at:end], chain, final=final, deltas=deltas)
            chain = record.chain_after
            yield record
            if final:
                return
            at = end

    def _cut(self, keys: list[int], at: int) -> int:
        """Return where the record that begins with `keys[at]` ends."""
        images, extents = self.images, self.extents
        size = 0
        end = at
        last = min(len(keys), at + RECORD_TRACKS_MAX)
        while end < last and size < RECORD_BYTES_MAX:
            key = keys[end]
            if extents and key in extents:
                # Many small parts of a track weigh more than the track: each has its own header.
                size += max(TRACK_BYTES, PART_BYTES * len(extents[key]))
            elif images[key] is not ZERO_TRACK:
                size += TRACK_BYTES
            end += 1
        return end

    def _record(
        self, keys: list[int], chain: bytes, *, final: bool, deltas: bool
    ) -> Generator[None, None, Record]:
        canonical = yield from self._body(keys, {})
        after = record_chain(
            chain,
            self.lineage,
            self.csn_first,
            self.csn_last,
            final,
            canonical.changes,
            *canonical.parts,
        )
        yield
        wire = canonical
        if deltas and self.bases:
            found = yield from self._deltas(keys)
            if found:
                wire = yield from self._body(keys, found)
        head = encode_head(
            RecordHead(
                self.lineage, self.csn_first, self.csn_last, chain, after, final, wire.changes
            )
        )
        host_bytes = sum(map(len, canonical.parts))
        size = len(head) + (host_bytes if wire is canonical else sum(map(len, wire.parts)))
        return Record(
            self.csn_first, self.csn_last, final, after, [head, *wire.parts], host_bytes, size
        )

    def _body(
        self, keys: list[int], deltas: dict[int, list[Buffer]]
    ) -> Generator[None, None, Body]:
        body = Body()
        images, all_extents = self.images, self.extents
        if not deltas and not all_extents:
            for at in range(0, len(keys), STEP_TRACKS):
                some = keys[at : at + STEP_TRACKS]
                body.whole_many(some, [images[key] for key in some])
                yield
            body.flush()
            return body
        for number, key in enumerate(keys, 1):
            if key in deltas:
                body.encoded(deltas[key])
            elif key in all_extents:
                for start, end in all_extents[key]:
                    body.part(key, start, images[key][start:end])
            else:
                body.whole(key, images[key])
            if not number % STEP_TRACKS:
                yield
        body.flush()
        return body

    def _deltas(self, keys: list[int]) -> Generator[None, None, dict[int, list[Buffer]]]:
        """Return the encoded deltas of the whole tracks for which that pays."""
        found: dict[int, list[Buffer]] = {}
        bases, images, extents = self.bases, self.images, self.extents
        vain = 0
        for key in keys:
            base = bases.get(key)
            if base is None:
                continue
            vain += 1
            if vain > VAIN_MAX and vain % VAIN_MAX:
                continue
            image = images[key]
            if image is ZERO_TRACK or key in extents:
                continue
            parts: list[Buffer] = []
            if encode_delta(parts, key >> TRACK_BITS, key & TRACK_MASK, base, image):
                found[key] = parts
                vain = 0
                if not len(found) % STEP_DELTAS:
                    yield
        return found


def _merged(extents: Extents, start: int, end: int) -> Extents:
    """Return disjoint, ordered extents that cover these and the new one."""
    merged: Extents = []
    for first, last in extents:
        if last < start:
            merged.append((first, last))
        elif first > end:
            merged.append((start, end))
            start, end = first, last
        else:
            start, end = min(first, start), max(last, end)
    merged.append((start, end))
    return merged
