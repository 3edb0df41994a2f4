"""One device as hosts see it: blocks in any alignment over cached tracks.

A write that covers whole tracks is accepted at once. One that covers a part of a track first
needs the rest of that track; one that the journal has no room for, or that meets a freeze,
waits. Leaves order, journal and copy to the group.
"""

import contextlib
from collections.abc import Sequence
from typing import Final

from emulator.cache.tracks import TRACK_BITS, ZERO_TRACK
from emulator.channel.blocks import PIECE_BYTES, TRACK_BYTES, Outcome, Requester, pieces_of
from emulator.copy.group import ENTRY_BYTES_MAX, Group, GroupVolume
from emulator.copy.services import Asking, ReadTracks, Services, Step, Until
from emulator.copy.states import Role
from emulator.errors import CorruptError, DeviceError, UnreadableError

# Who hands its role over cannot know whether the other site writes already.
_NOT_PRIMARY: Final = (Role.SECONDARY, Role.HANDING_OVER)
_TRACK_MASK: Final = TRACK_BYTES - 1
_TRACK_SHIFT: Final = TRACK_BYTES.bit_length() - 1
ZERO_PIECE_TRACKS: Final = 4096


class Volume:
    """One device of this site; a `BlockVolume`."""

    def __init__(
        self,
        services: Services,
        group: Group,
        place: GroupVolume,
        *,
        secondary_reads: bool,
        write_through: bool = False,
    ) -> None:
        self.name = place.name
        self.size_bytes = place.size_bytes
        self.group = group
        self._services = services
        self._cache = services.cache
        self._get = services.cache.get
        self._place = place
        self._base = place.site_index << TRACK_BITS
        self._secondary_reads = secondary_reads
        self.write_through = write_through
        self._replies = group.through_replies if write_through else group.replies
        self.reads = 0
        self.writes = 0
        self.read_bytes = 0
        self.written_bytes = 0
        # Tracks of a read beyond its first, which `reads` has counted.
        self._further_tracks = 0
        self.missed_tracks = 0
        """Tracks that hosts asked for and that were not in the cache then."""

    def writable(self) -> bool:
        """Return whether hosts may write here now."""
        return self.group.refusal() is None

    def readable(self) -> bool:
        """Return whether hosts may read here now."""
        return self.group.role not in _NOT_PRIMARY or self._secondary_reads

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data); what is not cached as zeros counts as data."""
        runs: list[tuple[int, bool]] = []
        end = offset + length
        peek = self._cache.peek
        while offset < end:
            size = min(TRACK_BYTES - (offset & _TRACK_MASK), end - offset)
            data = peek(self._base | offset >> _TRACK_SHIFT) is not ZERO_TRACK
            if runs and runs[-1][1] is data:
                runs[-1] = (runs[-1][0] + size, data)
            else:
                runs.append((size, data))
            offset += size
        return runs

    # Reading.

    def cached(self, offset: int, length: int) -> bytes | None:
        """Return the bytes if they lie in one track that may be read and is cached; else None."""
        within = offset & _TRACK_MASK
        end = within + length
        if end > TRACK_BYTES or offset + length > self.size_bytes:
            return None
        if self.group.role in _NOT_PRIMARY and not self._secondary_reads:
            return None
        image = self._get(self._base | offset >> _TRACK_SHIFT)
        if image is None:
            return None
        self.reads += 1
        self.read_bytes += length
        return image if length == TRACK_BYTES else image[within:end]

    def read(self, offset: int, length: int, who: Requester, cookie: int) -> list[bytes] | None:
        """Return the bytes at once when they are cached; else None, and answer later."""
        if offset + length > self.size_bytes:
            who.completed(cookie, Outcome.OUT_OF_RANGE, [])
            return None
        if self.group.role in _NOT_PRIMARY and not self._secondary_reads:
            who.completed(cookie, Outcome.NOT_HERE, [])
            return None
        self.reads += 1
        self.read_bytes += length
        first = self._base | offset >> _TRACK_SHIFT
        keys = range(first, (self._base | offset + length - 1 >> _TRACK_SHIFT) + 1)
        self._further_tracks += len(keys) - 1
        images = [image for key in keys if (image := self._get(key)) is not None]
        if len(images) == len(keys):
            return _cut(images, offset, length)
        self._services.start(self._read(keys, offset, length, who, cookie))
        return None

    def _read(self, keys: range, offset: int, length: int, who: Requester, cookie: int) -> Step:
        peek = self._cache.peek
        self.missed_tracks += sum(peek(key) is None for key in keys)
        try:
            images = yield ReadTracks(keys)
        except DeviceError as error:
            who.completed(cookie, _refused(error), [])
            return
        who.completed(cookie, Outcome.DONE, _cut([images[key] for key in keys], offset, length))

    @property
    def read_tracks(self) -> int:
        """How many tracks hosts have asked for."""
        return self.reads + self._further_tracks

    # Writing.

    def write(self, offset: int, data: bytes, who: Requester, cookie: int) -> None:
        """Accept new contents."""
        length = len(data)
        group = self.group
        if offset + length > self.size_bytes:
            who.completed(cookie, Outcome.OUT_OF_RANGE, [])
        elif group.refusal() is not None:
            who.completed(cookie, Outcome.READ_ONLY, [])
        elif (
            not (offset | length) & _TRACK_MASK
            and length <= PIECE_BYTES
            and group.can_accept(length)
        ):
            csn = group.admit(length)
            group.accept_runs(self._place, [(offset, data)])
            self.writes += 1
            self.written_bytes += length
            self._replies.add(csn, who, cookie)
        elif length <= PIECE_BYTES and (edges := self._cached_edges(offset, length)) is not None:
            csn = self._accept(offset, data, edges)
            self.writes += 1
            self.written_bytes += length
            self._replies.add(csn, who, cookie)
        else:
            self._services.start(self._write(offset, pieces_of(offset, data), who, cookie))

    def write_pieces(
        self, offset: int, pieces: Sequence[bytes], who: Requester, cookie: int
    ) -> None:
        """Accept new contents that lie in several buffers (see `blocks.piece_bytes`)."""
        if offset + sum(map(len, pieces)) > self.size_bytes:
            who.completed(cookie, Outcome.OUT_OF_RANGE, [])
        elif self.group.refusal() is not None:
            who.completed(cookie, Outcome.READ_ONLY, [])
        else:
            self._services.start(self._write(offset, pieces, who, cookie))

    def write_and_zero(
        self, offset: int, data: bytes, zero_tracks: int, who: Requester, cookie: int
    ) -> None:
        """Accept new contents up to the end of a track, and zeros behind them, as one change."""
        length = len(data)
        group = self.group
        assert not (offset + length) & _TRACK_MASK
        assert length <= PIECE_BYTES
        if offset + length + zero_tracks * TRACK_BYTES > self.size_bytes:
            who.completed(cookie, Outcome.OUT_OF_RANGE, [])
        elif group.refusal() is not None:
            who.completed(cookie, Outcome.READ_ONLY, [])
        elif (edges := self._cached_edges(offset, length)) is not None:
            csn = self._accept(offset, data, edges, zero_tracks)
            self.writes += 1
            self.written_bytes += length
            self._replies.add(csn, who, cookie)
        else:
            self._services.start(self._write(offset, [data], who, cookie, zero_tracks))

    def write_many(
        self, writes: Sequence[tuple[int, bytes]], who: Requester, cookies: Sequence[int]
    ) -> None:
        """Accept writes, each (offset, data), in order, as if each had come alone.

        Those that cover whole tracks are accepted together, which costs a fraction.
        """
        group = self.group
        marks = end = length = longest = 0
        for offset, data in writes:
            size = len(data)
            length += size
            marks |= offset | size
            longest = max(longest, size)
            end = max(end, offset + size)
        count = len(writes)
        if (
            marks & _TRACK_MASK
            or end > self.size_bytes
            or longest > PIECE_BYTES
            or length > ENTRY_BYTES_MAX
            or group.refusal() is not None
            or not group.can_accept(length, count)
        ):
            for (offset, data), cookie in zip(writes, cookies, strict=True):
                self.write(offset, data, who, cookie)
            return
        csn = group.admit(length, count)
        group.accept_runs(self._place, writes)
        self.writes += count
        self.written_bytes += length
        self._replies.add_many(csn - count + 1, who, cookies)

    def _write(
        self,
        offset: int,
        pieces: Sequence[bytes],
        who: Requester,
        cookie: int,
        zero_tracks: int = 0,
    ) -> Step:
        """Accept a write that is unaligned, long, or has to wait; one with zeros is one piece."""
        group = self.group
        csn = group.csn
        at = offset
        for piece in pieces:
            # Pieces end at a track, so that only the first and last may be part of one. What fits
            # in one piece stays whole: a track of a CKD device must not be torn (ADR 0012).
            try:
                images = yield from self._edges_and_room(at, len(piece))
            except DeviceError as error:
                who.completed(cookie, _refused(error), [])
                return
            if group.refusal() is not None:
                who.completed(cookie, Outcome.READ_ONLY, [])
                return
            csn = self._accept(at, piece, images, zero_tracks)
            at += len(piece)
        self.writes += 1
        self.written_bytes += at - offset
        self._replies.add(csn, who, cookie)

    def _edges_and_room(self, offset: int, length: int) -> Asking[dict[int, bytes]]:
        """Wait until a range can be accepted, and return its edges as they are then.

        Reading may take a while, in which the room may go to others; waiting may take longer, in
        which the edges may be written, destaged and evicted. So neither counts without the other.
        """
        while True:
            yield Until(lambda: self.group.refusal() is not None or self._room(length))
            edges = yield from self._edges(offset, length)
            if self.group.refusal() is not None or self._room(length):
                return edges

    def _room(self, size: int) -> bool:
        return self.group.can_accept(size) and not self._cache.full()

    def _edges(self, offset: int, length: int) -> Asking[dict[int, bytes]]:
        """Return the images of the tracks that a range covers only in part."""
        keys = self._edge_keys(offset, length)
        images: dict[int, bytes] = {}
        whole_from = (keys[-1] - self._base) << _TRACK_SHIFT if keys else 0
        if keys and offset <= whole_from and offset + length == self.size_bytes:
            # All that there is of the last track is written: it does not matter if it is damaged.
            with contextlib.suppress(DeviceError):
                images.update((yield ReadTracks([keys.pop()])))
        if keys:
            images.update((yield ReadTracks(keys)))
        return images

    def _cached_edges(self, offset: int, length: int) -> dict[int, bytes] | None:
        """Return those images if all are cached and the range can be accepted now; else None."""
        if not self._room(length):
            return None
        found: dict[int, bytes] = {}
        for key in self._edge_keys(offset, length):
            image = self._cache.get(key)
            if image is None:
                return None
            found[key] = image
        return found

    def _edge_keys(self, offset: int, length: int) -> list[int]:
        """Return the keys of the tracks that a range covers only in part."""
        first = offset & ~_TRACK_MASK
        last = (offset + length) & ~_TRACK_MASK
        keys: list[int] = []
        if not length:
            return keys
        if offset != first or length < TRACK_BYTES:
            keys.append(self._base | first >> _TRACK_SHIFT)
        if offset + length != last and last >= first + TRACK_BYTES:
            keys.append(self._base | last >> _TRACK_SHIFT)
        return keys

    def _accept(
        self, offset: int, data: bytes, edges: dict[int, bytes], zero_tracks: int = 0
    ) -> int:
        """Accept what lies in one piece, and whole tracks of zeros behind it; return its csn."""
        group, place = self.group, self._place
        csn = group.admit(len(data))
        end = offset + len(data)
        at = offset
        while at < end:
            track = at >> _TRACK_SHIFT
            within = at & _TRACK_MASK
            if within or end - at < TRACK_BYTES:
                size = min(TRACK_BYTES - within, end - at)
                key = self._base | track
                old = edges.get(key)
                around = old or ZERO_TRACK
                part = data[at - offset : at - offset + size]
                image = b"".join((around[:within], part, around[within + size :]))
                group.accept_part(place, track, within, part, image, old)
            else:
                tracks = (end - at) >> _TRACK_SHIFT
                size = tracks << _TRACK_SHIFT
                run = data if size == len(data) else data[at - offset : at - offset + size]
                group.accept_runs(place, [(at, run)])
            at += size
        if zero_tracks:
            group.accept_zeros(place, end >> _TRACK_SHIFT, zero_tracks, ZERO_TRACK)
        return csn

    def zero(self, offset: int, length: int, who: Requester, cookie: int) -> None:
        """Make a range read as zeros."""
        if offset + length > self.size_bytes:
            who.completed(cookie, Outcome.OUT_OF_RANGE, [])
        elif self.group.refusal() is not None:
            who.completed(cookie, Outcome.READ_ONLY, [])
        else:
            self._services.start(self._zero(offset, length, who, cookie))

    def _zero(self, offset: int, length: int, who: Requester, cookie: int) -> Step:
        group = self.group
        end = offset + length
        csn = group.csn
        while offset < end:
            within = offset & _TRACK_MASK
            whole = not within and (end - offset >= TRACK_BYTES or end == self.size_bytes)
            if whole:
                tracks = min(-(-(end - offset) >> _TRACK_SHIFT), ZERO_PIECE_TRACKS)
                if end != self.size_bytes:
                    tracks = min(tracks, (end - offset) >> _TRACK_SHIFT)
                size = min(tracks * TRACK_BYTES, end - offset)
            else:
                size = min(TRACK_BYTES - within, end - offset)
            try:
                # Whole tracks have no edges, and their zeros take next to no room.
                edges = yield from self._edges_and_room(offset, TRACK_BYTES if whole else size)
            except DeviceError as error:
                who.completed(cookie, _refused(error), [])
                return
            if group.refusal() is not None:
                who.completed(cookie, Outcome.READ_ONLY, [])
                return
            if whole:
                csn = group.admit(0)
                group.accept_zeros(self._place, offset >> _TRACK_SHIFT, tracks, ZERO_TRACK)
            else:
                csn = self._accept(offset, bytes(size), edges)
            offset += size
        self._replies.add(csn, who, cookie)

    def flush(self, who: Requester, cookie: int) -> None:
        """Answer when every write completed so far survives a loss of power.

        At every level but `volatile` that holds already, so a flush costs nothing.
        """
        self.group.flush(who, cookie)


def _refused(error: DeviceError) -> Outcome:
    damaged = isinstance(error, CorruptError) and not isinstance(error, UnreadableError)
    return Outcome.DAMAGED if damaged else Outcome.DEVICE


def _cut(images: list[bytes], offset: int, length: int) -> list[bytes]:
    """Return the buffers of a byte range that lies in these consecutive tracks."""
    start = offset & _TRACK_MASK
    if len(images) == 1:
        return images if length == TRACK_BYTES else [images[0][start : start + length]]
    if start:
        images[0] = images[0][start:]
    end = (offset + length) & _TRACK_MASK
    if end:
        images[-1] = images[-1][:end]
    return images
