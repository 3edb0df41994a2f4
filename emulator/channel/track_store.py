"""A count-key-data device as tracks, over a volume of blocks: what front ends build on.

Track n fills the bytes [n * slot_bytes, (n + 1) * slot_bytes) of the volume: home address, R0,
records, end marker, then zeros (ADR 0012). So cache, journal, delta, coalescing and copy work on
CKD devices as on any other (C7), and one `write` is one csn, applied whole.

    store = TrackStore(volume, geometry("3390-1"), emit)
    image = store.read(31, who, cookie)          bytes, cut behind the end marker; None: later
    store.write(31, offset, data, who, cookie)   answered through `who.completed`

Images never carry what lies behind the end marker. An empty formatted track (home address, R0, end
marker) is a slot of zeros, which is what a new volume has everywhere. Pure: whoever asks is a
`Requester` and is told by its own cookie, perhaps during the call. Leaves channel programs,
reservations and the ownership of the device to the front ends.

All that is asked of one track is done in the order of the calls: a write that waits (for disk or
journal) holds back later reads and writes of its track, and no other's.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from emulator.channel.blocks import TRACK_BYTES, BlockVolume, Outcome, Requester
from emulator.channel.geometry import Geometry
from emulator.channel.track_image import END_MARKER, BadTrackError, build
from emulator.channel.track_walk import image_in_pages, is_contents, is_whole, used_bytes
from emulator.errors import MisuseError
from emulator.events import DiskFailed, Event

_ZERO: Final = b"\0"
EXACT_BYTES_MAX: Final = 512
"""A longer change is given to the volume in whole pages: these are compared with the old ones, so
that only what differs is sent (C7), and need no reading of what is around them."""


class _Read(NamedTuple):
    """A host's read of a track."""

    track: int
    who: Requester
    cookie: int


class _Write(NamedTuple):
    """A host's write of a part of a track."""

    track: int
    offset: int
    data: bytes
    who: Requester
    cookie: int


class TrackStore:
    """One CKD device of this site, as its tracks."""

    def __init__(
        self, volume: BlockVolume, geometry: Geometry, emit: Callable[[Event], None]
    ) -> None:
        self.volume = volume
        self.name = volume.name
        self.geometry = geometry
        self.tracks = geometry.tracks
        self._slot_bytes = geometry.slot_bytes
        self._emit = emit
        if volume.size_bytes != self.tracks * self._slot_bytes:
            raise MisuseError(
                f"{volume.name}: {volume.size_bytes} bytes are not {self.tracks} slots of "
                f"{self._slot_bytes}"
            )
        # Under our own cookie: reads, writes that need the old track, writes the volume has.
        self._number = 0
        self._reads: dict[int, _Read] = {}
        self._bases: dict[int, _Write] = {}
        self._writes: dict[int, _Write] = {}
        self._waiting: set[int] = set()
        """Cookies of the writes that hold their track."""
        self._held: dict[int, deque[_Read | _Write]] = {}
        """What came for a track since a write began to wait."""
        self._watchers: list[Callable[[int], None]] = []

    def writable(self) -> bool:
        """Return whether hosts may write here now (False on the secondary of a copy)."""
        return self.volume.writable()

    def readable(self) -> bool:
        """Return whether hosts may read here now."""
        return self.volume.readable()

    def watch(self, changed: Callable[[int], None]) -> None:
        """Have `changed` called with the number of each track that a host's write has changed."""
        self._watchers.append(changed)

    def empty(self, track: int) -> bytes:
        """Return the image of a track that was formatted and holds no user record."""
        return build(*self.geometry.address(track))

    # What hosts ask.

    def read(self, track: int, who: Requester, cookie: int) -> bytes | None:
        """Return the track at once when it is in the cache; else None, and answer later.

        The answer is `who.completed(cookie, Outcome.DONE, [image])`. A track that the device does
        not have is OUT_OF_RANGE; one whose bytes are no track is BAD_TRACK, and reported as an
        event that names track and offset.
        """
        if not 0 <= track < self.tracks:
            who.completed(cookie, Outcome.OUT_OF_RANGE, [])
            return None
        request = _Read(track, who, cookie)
        if track in self._held:
            self._held[track].append(request)
            return None
        return self._read(request)

    def write(self, track: int, offset: int, data: bytes, who: Requester, cookie: int) -> None:
        """Accept `data` at `offset` of the track image: one change, complete as the group says.

        A new end marker in `data` ends the track there. What would be no track of this device
        afterwards is refused as BAD_TRACK; a damaged track can only be replaced whole.
        """
        request = _Write(track, offset, data, who, cookie)
        if not 0 <= track < self.tracks:
            who.completed(cookie, Outcome.OUT_OF_RANGE, [])
        elif track in self._held:
            self._held[track].append(request)
        elif not self._write(request):
            self._held[track] = deque()

    def flush(self, who: Requester, cookie: int) -> None:
        """Answer when everything completed so far survives a loss of power."""
        self.volume.flush(who, cookie)

    # What the volume answers.

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        """Take the volume's answer; `Requester` for it, not for hosts."""
        if cookie in self._reads:
            self._read_done(self._reads.pop(cookie), outcome, data)
            return
        waited = cookie in self._waiting
        self._waiting.discard(cookie)
        if cookie in self._writes:
            request = self._writes.pop(cookie)
            if waited and outcome is Outcome.DONE:
                self._tell(request.track)
            request.who.completed(request.cookie, outcome, [])
        else:
            request = self._bases.pop(cookie)
            replaces = outcome is Outcome.DAMAGED and self._is_whole(request)
            if outcome is not Outcome.DONE and not replaces:
                request.who.completed(request.cookie, outcome, [])
            elif not self._accept(request, b"".join(data)):
                return
        if waited:
            self._release(request.track)

    def _release(self, track: int) -> None:
        """Do what came for a track while a write of it waited."""
        queue = self._held[track]
        while queue:
            request = queue.popleft()
            if isinstance(request, _Write):
                if not self._write(request):
                    return
                continue
            image = self._read(request)
            if image is not None:
                request.who.completed(request.cookie, Outcome.DONE, [image])
        del self._held[track]

    # Reading.

    def _read(self, request: _Read) -> bytes | None:
        self._number += 1
        number = self._number
        self._reads[number] = request
        pieces = self._slot(request.track, number)
        if pieces is None:
            return None
        del self._reads[number]
        return self._image(request, pieces)

    def _read_done(self, request: _Read, outcome: Outcome, data: list[bytes]) -> None:
        if outcome is not Outcome.DONE:
            request.who.completed(request.cookie, outcome, [])
            return
        image = self._image(request, data)
        if image is not None:
            request.who.completed(request.cookie, Outcome.DONE, [image])

    def _slot(self, track: int, number: int) -> list[bytes] | None:
        return self.volume.read(track * self._slot_bytes, self._slot_bytes, self, number)

    def _image(self, request: _Read, pieces: list[bytes]) -> bytes | None:
        if image := image_in_pages(pieces, self.geometry, request.track):
            return image
        slot = b"".join(pieces)
        try:
            used = used_bytes(slot, self.geometry, request.track)
        except BadTrackError as error:
            self._refuse(request, "read", error)
            return None
        return slot[:used] if used else self.empty(request.track)

    def _refuse(self, request: _Read | _Write, operation: str, error: BadTrackError) -> None:
        self._emit(DiskFailed(self.name, operation, str(error)))
        request.who.completed(request.cookie, Outcome.BAD_TRACK, [])

    # Writing.

    def _write(self, request: _Write) -> bool:
        """Go on with a write as far as it goes; False if its track must wait for it."""
        number = self._number = self._number + 1
        self._bases[number] = request
        pieces = self._slot(request.track, number)
        if pieces is not None:
            del self._bases[number]
            return self._accept(request, b"".join(pieces))
        if number not in self._bases:
            return True
        self._waiting.add(number)
        return False

    def _accept(self, request: _Write, old: bytes) -> bool:
        """Give the volume the bytes that change; False if it cannot take them yet."""
        try:
            start, data, zero_tracks = self._change(request, old)
        except BadTrackError as error:
            self._refuse(request, "write", error)
            return True
        volume = self.volume
        accepted = volume.writes
        number = self._number = self._number + 1
        self._writes[number] = request
        at = request.track * self._slot_bytes + start
        if zero_tracks:
            volume.write_and_zero(at, data, zero_tracks, self, number)
        else:
            volume.write(at, data, self, number)
        if volume.writes != accepted:
            # Reads see it from now on, so nobody needs to wait until it is durable.
            self._tell(request.track)
            return True
        if number not in self._writes:
            return True
        self._waiting.add(number)
        return False

    def _change(self, request: _Write, old: bytes) -> tuple[int, bytes, int]:
        """Return where in the slot it changes, the bytes there, and pages of zeros behind them."""
        track, offset, data = request[:3]
        stop = offset + len(data)
        if offset < 0 or stop > self.geometry.image_bytes:
            fits = self.geometry.image_bytes
            text = f"{len(data)} bytes do not fit in the {fits} of a track"
            raise BadTrackError(track, offset, text)
        start = offset
        try:
            blank = not used_bytes(old, self.geometry, track)
        except BadTrackError:
            if not self._is_whole(request):
                raise
            filled = stop + -stop % TRACK_BYTES
            return 0, data.ljust(filled, _ZERO), (self._slot_bytes - filled) // TRACK_BYTES
        if not blank and is_contents(old, offset, stop):
            # The commonest change by far: what it leaves is as much a track as before.
            if stop - start <= EXACT_BYTES_MAX:
                return start, data, 0
            start -= start % TRACK_BYTES
            end = stop + -stop % TRACK_BYTES
            return start, b"".join((old[start:offset], data, old[stop:end])), 0
        if blank:
            old = self.empty(track).ljust(self._slot_bytes, _ZERO)
        new = b"".join((old[:offset], data, old[stop:]))
        used = used_bytes(new, self.geometry, track)
        if blank:
            start, stop = 0, max(stop, used)
        if stop >= used:
            # The end marker moved, or was written again: what lies behind it becomes zeros.
            start = min(start, used - len(END_MARKER))
            stop = max(used, len(old.rstrip(_ZERO)))
            if new[:used] == self.empty(track):
                start = used = 0
            new = new[:used].ljust(self._slot_bytes, _ZERO)
        if stop - start <= EXACT_BYTES_MAX:
            return start, new[start:stop], 0
        start -= start % TRACK_BYTES
        stop += -stop % TRACK_BYTES
        # Behind a new end marker pages are told to be zero, not sent as bytes.
        filled = min(max(start, used + -used % TRACK_BYTES), stop)
        return start, new[start:filled], (stop - filled) // TRACK_BYTES

    def _is_whole(self, request: _Write) -> bool:
        return request.offset == 0 and is_whole(request.data, self.geometry, request.track)

    def _tell(self, track: int) -> None:
        for changed in self._watchers:
            changed(track)
