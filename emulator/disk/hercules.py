"""A volume of a real control unit as a disk: `hercules://127.0.0.1:3990/0A00`.

Hercules serves it with `SHRDPORT 3990`. Track n of the volume fills slot n of the disk, as with
images (ADR 0012): home address, R0, records, end marker, and zeros behind that. Durable is what
the control unit has written when it answers END, as for any host; its protocol knows no flush.
A zero slot is kept as an empty formatted track, since a volume has nothing else to say it with.

Nobody else may write to the volume meanwhile: what another host changes there is not seen here.
The control unit tells, and the next write fails with that.
"""

import dataclasses
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from emulator.channel.geometry import Geometry, smallest_model
from emulator.channel.track_image import BadTrackError, build
from emulator.channel.track_walk import used_bytes
from emulator.disk.base import Runs, check_range, check_writable
from emulator.disk.hercules_client import ControlUnit, Where, read, write
from emulator.disk.hercules_talk import Request
from emulator.errors import DeviceError
from emulator.frontend.shared_identity import SharedIdentity
from emulator.frontend.shared_uri import shared_place
from emulator.units import duration_ns
from emulator.uri import Uri, parse_uri

KEYS: Final = {"patience": "how long to wait for a control unit that is away"}
PATIENCE_S: Final = 10.0
# Tracks in one channel program: others, and our own reads, wait for its end.
PROGRAM_TRACKS: Final = 8
_SECOND_NS: Final = 1e9


class HerculesDisk:
    """A volume of a Hercules control unit, track by track."""

    def __init__(self, uri: str, *, writable: bool = True) -> None:
        self.uri = uri
        self._writable = writable
        self._unit = ControlUnit(_where(uri))
        try:
            told = self._unit.identity()
            self.geometry = _geometry(uri, told)
        except BaseException:
            self._unit.close()
            raise
        self.identity = dataclasses.replace(told, image_bytes=self.geometry.image_bytes)
        """What the control unit says of its device, for hosts in front of us."""
        self._slot_bytes = self.geometry.slot_bytes
        self.size_bytes = self.geometry.tracks * self._slot_bytes
        self._lock = threading.Lock()
        # Parts of slots that shall be zeros, until a write brings the rest of the track.
        self._zeros: dict[int, list[tuple[int, int]]] = {}

    @staticmethod
    def create(uri: str, size_bytes: int) -> None:  # noqa: ARG004  same shape for every kind
        """Refuse: volumes are made where the control unit keeps them."""
        _parse(uri).refuse(
            "a control unit's volume is not made from here; use dasdinit or dasdload there"
        )

    @staticmethod
    def measure(uri: str) -> int:
        """Return the size in slots, also while a site has the volume open."""
        unit = ControlUnit(_where(uri, patience_s=0))
        try:
            found = _geometry(uri, unit.identity())
        finally:
            unit.close()
        return found.tracks * found.slot_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        check_range(self, offset, length)
        if not length:
            return b""
        first = offset // self._slot_bytes
        tracks = range(first, (offset + length - 1) // self._slot_bytes + 1)
        with self._lock:
            slots = b"".join(
                piece
                for at in range(0, len(tracks), PROGRAM_TRACKS)
                for piece in self._read_slots(tracks[at : at + PROGRAM_TRACKS])
            )
        start = offset - first * self._slot_bytes
        return slots[start : start + length]

    def write(self, runs: Runs) -> None:
        """Write every run whole, in the order given; runs of one track in one channel program."""
        check_writable(self.uri, writable=self._writable)
        changes: dict[int, list[tuple[int, bytes]]] = {}
        for offset, buffers in runs:
            data = b"".join(buffers)
            check_range(self, offset, len(data))
            at = 0
            while at < len(data):
                track, within = divmod(offset + at, self._slot_bytes)
                size = min(self._slot_bytes - within, len(data) - at)
                changes.setdefault(track, []).append((within, data[at : at + size]))
                at += size
        with self._lock:
            self._refuse_foreign_changes()
            tracks = list(changes)
            for at in range(0, len(tracks), PROGRAM_TRACKS):
                some = tracks[at : at + PROGRAM_TRACKS]
                self._write_tracks({track: changes[track] for track in some})

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros; whole slots become empty tracks."""
        check_writable(self.uri, writable=self._writable)
        check_range(self, offset, length)
        end = offset + length
        with self._lock:
            empty: dict[int, list[tuple[int, bytes]]] = {}
            while offset < end:
                track, within = divmod(offset, self._slot_bytes)
                size = min(self._slot_bytes - within, end - offset)
                if size == self._slot_bytes:
                    empty[track] = [(0, bytes(size))]
                else:
                    # Alone it would leave a track without end; its other part is on its way.
                    self._zeros.setdefault(track, []).append((within, size))
                offset += size
            tracks = list(empty)
            for at in range(0, len(tracks), PROGRAM_TRACKS):
                some = tracks[at : at + PROGRAM_TRACKS]
                self._write_tracks({track: empty[track] for track in some})

    def flush(self) -> None:
        """Write what still waits for its other part; the control unit has all the rest."""
        with self._lock:
            if self._zeros:
                self._write_tracks({track: [] for track in list(self._zeros)})

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return that all is data: a control unit does not tell which tracks were ever used."""
        check_range(self, offset, length)
        return [(length, True)] if length else []

    def close(self) -> None:
        """Say good-bye to the control unit; closing twice does nothing."""
        self._unit.close()

    # Tracks and slots.

    def _read_slots(self, tracks: Sequence[int]) -> Iterator[bytes]:
        images = self._unit.run([read(track) for track in tracks])
        for track, image in zip(tracks, images, strict=True):
            yield from self._slot(track, image)

    def _slot(self, track: int, image: bytes) -> tuple[bytes, ...]:
        """Return a track as the pieces of its slot; behind the end marker there may be anything."""
        # In a compressed image the first byte says how, and a real server may leave it so.
        image = b"\0" + image[1:] if image[:1] != b"\0" else image
        try:
            used = used_bytes(image, self.geometry, track)
            image = image[:used]
        except BadTrackError:
            image = image[: self.geometry.image_bytes]
        if track not in self._zeros:
            return image, bytes(self._slot_bytes - len(image))
        slot = bytearray(image.ljust(self._slot_bytes, b"\0"))
        for within, size in self._zeros[track]:
            slot[within : within + size] = bytes(size)
        return (bytes(slot),)

    def _write_tracks(self, changes: dict[int, list[tuple[int, bytes]]]) -> None:
        requests: list[Request] = []
        done: list[int] = []
        for track, parts in changes.items():
            zeros = [(within, bytes(size)) for within, size in self._zeros.get(track, ())]
            for within, data in self._joined(track, [*zeros, *parts]):
                requests.append(write(track, within, data))
            done.append(track)
        if requests:
            self._unit.run(requests)
        for track in done:
            self._zeros.pop(track, None)

    def _joined(self, track: int, parts: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Return the parts of one track without overlap and within the track's image."""
        room = self.geometry.image_bytes
        slot = bytearray(self._slot_bytes)
        for within, data in parts:
            slot[within : within + len(data)] = data
        if any(slot[room:]):
            raise DeviceError(
                self.uri, f"track {track}: there are bytes behind the {room} that a track may have"
            )
        places = _merged((within, within + len(data)) for within, data in parts)
        if places == [(0, self._slot_bytes)] and not any(slot):
            return [(0, build(*self.geometry.address(track)).ljust(room, b"\0"))]
        return [
            (start, bytes(slot[start : min(end, room)])) for start, end in places if start < room
        ]

    def _refuse_foreign_changes(self) -> None:
        changed, self._unit.foreign_changes = self._unit.foreign_changes, []
        if changed != []:
            which = "all tracks" if changed is None else f"tracks {sorted(set(changed))}"
            raise DeviceError(
                self.uri,
                f"another host has changed {which} at the control unit; what is cached here is "
                "old: stop one of the two, then restart this site",
            )


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges, by start and end, in order and with those joined that touch.

    >>> _merged([(4, 8), (0, 4), (9, 10)])
    [(0, 8), (9, 10)]
    """
    found: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _parse(uri: str) -> Uri:
    return parse_uri(uri, KEYS)


def _where(text: str, patience_s: float | None = None) -> Where:
    uri = _parse(text)
    host, port, number = shared_place(uri)
    asked_s = uri.read("patience", duration_ns, round(PATIENCE_S * _SECOND_NS)) / _SECOND_NS
    return Where(text, host, port, number, asked_s if patience_s is None else patience_s)


def _geometry(uri: str, told: SharedIdentity) -> Geometry:
    """Return what kind of device the control unit describes; it must be one we know."""
    characteristics = told.characteristics
    device_type = int.from_bytes(characteristics[3:5], "big")
    heads = int.from_bytes(characteristics[14:16], "big")
    if not told.cylinders:
        raise DeviceError(uri, "the control unit's device has no cylinders; is it an FBA device?")
    try:
        found = smallest_model(device_type, told.cylinders)
    except ValueError as error:
        raise DeviceError(uri, f"the control unit's device is unknown here: {error}") from error
    if heads != found.heads:
        raise DeviceError(uri, f"a {device_type:04X} has {found.heads} heads, not {heads}")
    return found
