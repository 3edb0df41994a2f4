"""A compressed CKD image as Hercules has them: `cckd:///var/tmp/vol001.cckd`.

Each track lies in the file compressed by zlib or bzip2, or as it is, and moves when it is written.
The order is that of `flush`: a track's new image is durable before a table points to it, a table
before the one above it, and only then its old space may be taken. So at each moment, also after a
loss of power, the tables in the file point to whole tracks. Lists of free space and totals are
written by `close`; until then the image says that it was not closed, as Hercules has it.
"""

import os
from collections.abc import Iterator
from typing import Final

from emulator.channel import track_image
from emulator.channel.geometry import HOME_ADDRESS_BYTES, Geometry
from emulator.channel.track_image import BadTrackError
from emulator.disk import cckd_format as form
from emulator.disk import ckd_header
from emulator.disk.base import Damage, disk_errors, file_path, opening
from emulator.disk.cckd_space import FILE_BYTES_MAX, FreeSpace
from emulator.disk.cckd_tables import Place, read_headers, read_tables, table_damages
from emulator.disk.ckd_header import COMPRESSED, header_of, new_geometry
from emulator.disk.descriptor import DescriptorDisk
from emulator.disk.image_file import check_regular, new_file, open_locked
from emulator.disk.slots import SlotDisk
from emulator.errors import CorruptError, DeviceError
from emulator.uri import Uri, parse_uri

KEYS: Final[dict[str, str]] = {"compress": "how to compress tracks: zlib, bzip2 or none"}
_ALL_KEYS: Final = ckd_header.KEYS | KEYS
_REPAIR: Final = "Hercules' cckdcdsk -3 recovers what can be"


class CckdDisk(SlotDisk):
    """A volume in one compressed image file."""

    def __init__(self, uri: str, *, writable: bool = True) -> None:
        parsed = parse_uri(uri, _ALL_KEYS)
        self._file = _open(parsed, writable=writable)
        try:
            tables = read_tables(parsed, self._file)
            for damage in table_damages(tables, self._file.size_bytes):
                raise CorruptError(uri, f"{damage}; {_REPAIR}")
        except BaseException:
            self._file.close()
            raise
        super().__init__(uri, tables.model, writable=writable)
        self._header = tables.header
        self._level1 = tables.level1
        self._places = tables.places
        self._forms = tables.forms
        self._space = FreeSpace(tables.extents)
        self._method = parsed.choice("compress", tables.header.method, form.METHODS)
        # Where pieces are written, which goes on growing.
        self._file.size_bytes = FILE_BYTES_MAX
        self._changed: set[int] = set()
        """Level 2 tables that are newer than the file's."""
        self._marked = False
        self._broken = False

    @staticmethod
    def create(uri: str, size_bytes: int | None) -> None:
        """Make a volume of empty formatted tracks; an existing file is never touched."""
        parsed = parse_uri(uri, _ALL_KEYS)
        model = new_geometry(parsed, size_bytes)
        header = form.new_header(model, parsed.choice("compress", form.ZLIB, form.METHODS))
        head = header_of(model).encode(COMPRESSED) + header.encode()
        with new_file(parsed, file_path(parsed)) as descriptor:
            os.write(descriptor, head.ljust(header.file_bytes, b"\0"))

    @staticmethod
    def measure(uri: str) -> int:
        """Return the size of all slots, also while a site has the image open."""
        parsed = parse_uri(uri, _ALL_KEYS)
        with opening(parsed, missing=_missing(parsed)):
            descriptor = os.open(file_path(parsed), os.O_RDONLY | os.O_CLOEXEC)
        try:
            with disk_errors(uri):
                size = _regular_bytes(parsed, descriptor)
            file = DescriptorDisk(uri, descriptor, size, writable=False)
            model, _ = read_headers(parsed, file)
        finally:
            os.close(descriptor)
        return model.tracks * model.slot_bytes

    @staticmethod
    def inspect(uri: str) -> Iterator[Damage]:
        """Yield all that is wrong in an image, also in one that would not be opened."""
        parsed = parse_uri(uri, _ALL_KEYS)
        file = _open(parsed, writable=False)
        try:
            tables = read_tables(parsed, file)
            damages = list(table_damages(tables, file.size_bytes))
            yield from damages
            bad = {damage.track for damage in damages}
            for track, place in sorted(tables.places.items()):
                if track not in bad:
                    yield from _check_track(file, tables.model, track, place)
        finally:
            file.close()

    # Tracks.

    def load(self, track: int) -> bytes:
        """Return the track, and what lies behind its end if we keep that."""
        place = self._places.get(track)
        if place is None:
            return form.null_track(self.geometry, track, self._forms[track])
        stored = self._file.read(place.position, place.size)
        try:
            image = form.unpack(stored[: place.length], self.geometry.image_bytes, track)
        except BadTrackError as error:
            raise CorruptError(
                self.uri, f"{error} (in the file at {place.position}); {_REPAIR}"
            ) from error
        return image + form.read_tail(stored[place.length :])

    def store(self, track: int, slot: bytes) -> None:
        """Write the track to a new place; the old one stays as it is until `flush`."""
        image, tail = self._split(track, slot)
        self._mark()
        if not tail and image == self._end_of_file(track) and self._header.null_format != 2:
            self._move(track, None, 0)
            return
        stored = form.pack(image, self._method, self._header.level)
        whole = form.add_tail(stored, tail) if tail else stored
        room = self._space.take(len(whole))
        if room is None:
            raise DeviceError(self.uri, "is full: a compressed image ends at 4 GiB; use ckd:")
        position, size = room
        # What was there before must not look like a tail.
        self._file.write([(position, [whole.ljust(size, b"\0")])])
        self._move(track, Place(position, len(stored), size), 0)

    def store_empty(self, track: int) -> None:
        """Note in the tables that the track is an empty formatted one."""
        self._mark()
        self._move(track, None, form.EMPTY_FORMAT)

    def is_empty(self, track: int) -> bool:
        """Return whether the tables, or the track itself, say that it is an empty one."""
        place = self._places.get(track)
        if place is None:
            return self._forms[track] == form.EMPTY_FORMAT
        empty = self.empty_image(track)
        return place.length == len(empty) and self.load(track) == empty

    def _split(self, track: int, slot: bytes) -> tuple[bytes, bytes]:
        """Return the image to store, and what lies behind its end marker."""
        image = slot.rstrip(b"\0")
        try:
            used = track_image.check(slot, self.geometry, track)
        except BadTrackError:
            # Half of a track, of which the rest is on its way: kept as it is.
            if slot[0]:
                cause = f"track {track}, offset 0: a home address cannot begin with {slot[0]:02X}"
                raise DeviceError(self.uri, cause) from None
            return slot[: max(len(image), HOME_ADDRESS_BYTES)], b""
        return slot[:used], image[used:]

    def _end_of_file(self, track: int) -> bytes:
        return form.null_track(self.geometry, track, 0)

    def _move(self, track: int, place: Place | None, null_form: int) -> None:
        old = self._places.pop(track, None)
        if old is not None:
            self._space.give(old.position, old.size)
        if place is not None:
            self._places[track] = place
        self._forms[track] = null_form
        self._changed.add(track // form.LEVEL2_ENTRIES)

    # Tables.

    def flush(self) -> None:
        """Return when everything written so far survives a loss of power."""
        if not self._changed:
            self._file.flush()
            return
        try:
            self._harden()
        except DeviceError:
            # Nobody knows what the disk has; the tables in the file must stay as they are.
            self._broken = True
            raise

    def _harden(self) -> None:
        with self._lock:
            changed, self._changed = sorted(self._changed), set()
            tables = {number: self._encode_table(number) for number in changed}
            given = self._space.given
        self._file.flush()
        new = [number for number in changed if not self._level1[number]]
        with self._lock:
            for number in new:
                room = self._space.take(form.LEVEL2_BYTES, exactly=True)
                if room is None:
                    raise DeviceError(self.uri, "is full: a compressed image ends at 4 GiB")
                self._level1[number] = room[0]
        self._file.write([(self._level1[number], [table]) for number, table in tables.items()])
        self._file.flush()
        if new:
            level1 = b"".join(map(form.LEVEL1_ENTRY.pack, self._level1))
            self._file.write([(form.LEVEL1_OFFSET, [level1])])
            self._file.flush()
        with self._lock:
            self._space.settle(given)

    def _encode_table(self, number: int) -> bytes:
        first = number * form.LEVEL2_ENTRIES
        rows = []
        for track in range(first, first + form.LEVEL2_ENTRIES):
            null = self._forms[track] if track < len(self._forms) else self._header.null_format
            place = self._places.get(track, (0, null, null))
            rows.append(form.LEVEL2_ENTRY.pack(*place))
        return b"".join(rows)

    def _mark(self) -> None:
        """Say in the file, before its first change, that it was not closed."""
        if not self._marked:
            self._marked = True
            options = form.options_while(self._header.options, opened=True)
            self._header = self._header._replace(options=options)
            self._file.write([(form.HEADER_OFFSET, [self._header.encode()])])

    def close(self) -> None:
        """Leave the image complete in itself, and let go of it; closing twice does nothing."""
        try:
            if self._marked and not self._broken:
                self.flush()
                self._write_totals()
        finally:
            self._marked = False
            self.size_bytes = 0
            self._file.close()

    def _write_totals(self) -> None:
        """Write the list of free space and the header that points to it."""
        gaps = self._space.rows()
        end = self._space.end
        list_bytes = (len(gaps) + 1) * form.FREE_ENTRY.size
        position = next((at for at, size in gaps if size >= list_bytes), end) if gaps else 0
        free = sum(size for _, size in gaps)
        inside = sum(place.size - place.length for place in self._places.values())
        self._file.truncate(end)
        if gaps:
            rows = b"".join(form.FREE_ENTRY.pack(*gap) for gap in gaps)
            self._file.write([(position, [form.FREE_LIST, rows])])
        self._header = self._header._replace(
            options=form.options_while(self._header.options, opened=False),
            file_bytes=end,
            used_bytes=end - free - inside,
            free_position=position,
            free_bytes=free + inside,
            free_largest=max((size for _, size in gaps), default=0),
            free_spaces=len(gaps),
            free_inside=inside,
        )
        self._file.flush()
        self._file.write([(form.HEADER_OFFSET, [self._header.encode()])])
        self._file.flush()


def _open(uri: Uri, *, writable: bool) -> DescriptorDisk:
    descriptor = open_locked(uri, file_path(uri), writable=writable, missing=_missing(uri))
    size = _regular_bytes(uri, descriptor)
    return DescriptorDisk(uri.text, descriptor, size, writable=writable)


def _regular_bytes(uri: Uri, descriptor: int) -> int:
    status = os.fstat(descriptor)
    check_regular(uri, status)
    return status.st_size


def _missing(uri: Uri) -> str:
    return f"no such file; make it: dualcopy disk create '{uri.text}' --kind 3390-1"


def _check_track(
    file: DescriptorDisk, model: Geometry, track: int, place: Place
) -> Iterator[Damage]:
    try:
        image = form.unpack(file.read(place.position, place.length), model.image_bytes, track)
        used = track_image.check(image, model, track) if track < model.tracks else len(image)
    except BadTrackError as error:
        yield Damage(track, error.offset, error.cause)
        return
    if used != len(image):
        yield Damage(track, used, f"{len(image) - used} bytes follow the end marker")
