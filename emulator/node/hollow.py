"""Fetch from the other site what a damaged journal entry held, before hosts are served (W3).

Nobody knows which tracks the entry had changed, so every track is compared with the other site's.
That is right because the other site has confirmed all that the entry held, and because both sites
stand at one csn while they are compared, which makes all their tracks equal (O3): the stream is
sent first. The journal is not trimmed before what was fetched is safe on the disks, so a crash
on the way begins this again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.cache.tracks import TRACK_BITS
from emulator.clock import SECOND_NS
from emulator.copy.fetching import TRACKS_MAX
from emulator.copy.services import Saved, Until, pause
from emulator.copy.states import Role
from emulator.errors import CorruptError, DeviceError
from emulator.events import JournalRepaired

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.copy.group import Group
    from emulator.copy.services import Asking, Step
    from emulator.node.processor import Processor

# How long nothing may come of it: the other site may have to start, and to get the stream first.
PATIENCE_NS: Final = 30 * SECOND_NS
PAUSE_NS: Final = SECOND_NS // 10

Images = dict[int, bytes]


class Hollow:
    """The groups that lack something, and how far that is fetched."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._lsns: dict[str, int] = {}
        """Group -> where its first damaged entry lies."""
        self._limit_ns = 0
        self._open = 0

    def __bool__(self) -> bool:
        """Return whether hosts must wait."""
        return self._open > 0

    def note(self, group: Group, lsn: int) -> None:
        """Have a group's contents fetched once the journal is read."""
        if not group.hollow:
            group.hollow = True
            self._lsns[group.name] = lsn
            self._open += 1

    def retained_lsn(self) -> int | None:
        """Return from where the journal says what is missing; the disks are no newer than that."""
        return min(self._lsns.values(), default=None)

    def begin(self) -> None:
        """Fetch; the journal was read."""
        for name in self._lsns:
            self._processor.start(self._fill(self._processor.groups[name]))

    def _fill(self, group: Group) -> Step:
        processor = self._processor
        repaired = 0
        # The journal may have been read before the first turn, which brings the time.
        read_ns = processor.now_ns
        yield Until(lambda: processor.now_ns > read_ns)
        self._progress()
        for keys in _batches(group):
            images = yield from self._fetched(group, keys)
            if images is None:
                # Its copy is made anew (pair.py).
                break
            repaired += yield from self._put(group, images)
        else:
            yield from self._until_on_disks(group)
            processor.emit(JournalRepaired(group.name, self._lsns[group.name], repaired))
        del self._lsns[group.name]
        # From now on a start finds nothing missing; it need not find the other site either.
        yield Saved()
        group.hollow = False
        self._open -= 1

    def _progress(self) -> None:
        self._limit_ns = self._processor.now_ns + PATIENCE_NS

    def _fetched(self, group: Group, keys: list[int]) -> Asking[Images | None]:
        """Return the other site's images at our csn; None once this site has ceased to be primary.

        Raises CorruptError when nothing comes for too long.
        """
        processor = self._processor
        fetching = processor.pairs[group.name].fetching
        while group.role is Role.PRIMARY:
            fetched = yield from fetching.ask(keys)
            if fetched is not None and fetching.same_place(fetched):
                images = {key: fetched.images[key] for key in keys if key in fetched.images}
                if len(images) == len(keys):
                    self._progress()
                    return images
            if processor.now_ns >= self._limit_ns:
                peer = processor.config.groups[group.name].peer
                raise CorruptError(
                    processor.config.nvs,
                    f"the journal is damaged at lsn {self._lsns[group.name]}, and site {peer}, "
                    f"which has what is missing of {group.name}, does not give it: it is "
                    f"{group.state.value}, {group.reason}. Start {peer} first; or go on there, "
                    f"with `dualcopy site role {group.name} --primary {peer} --force REASON`",
                )
            yield from pause(processor, PAUSE_NS)
        return None

    def _put(self, group: Group, images: Images) -> Asking[int]:
        """Take over what differs from what is here; return how many tracks did."""
        processor = self._processor
        wanted = {
            group.volumes[key >> TRACK_BITS].site_key(key): image for key, image in images.items()
        }
        found: list[Images] = []

        def looked(result: Images | DeviceError) -> None:
            found.append({} if isinstance(result, DeviceError) else result)

        # Without mending: what is damaged here is among what differs.
        processor.reading.look(list(wanted), looked)
        yield Until(lambda: bool(found))
        changed = 0
        for key, image in wanted.items():
            if found[0].get(key) == image:
                continue
            yield Until(lambda: not processor.cache.full())
            processor.cache.put(key, image, processor.journal.tail_lsn)
            changed += 1
        return changed

    def _until_on_disks(self, group: Group) -> Step:
        processor = self._processor
        settled = processor.destage.settled
        self._progress()
        yield Until(lambda: settled() or processor.now_ns >= self._limit_ns)
        if not settled():
            raise CorruptError(
                processor.config.nvs,
                f"the journal is damaged at lsn {self._lsns[group.name]}; what it held was fetched "
                f"from the other site, but the disks of {group.name} do not take it",
            )


def _batches(group: Group) -> Iterator[list[int]]:
    """Yield the keys of every track, as many at a time as one answer holds."""
    for volume in group.volumes:
        first = volume.index << TRACK_BITS
        for at in range(0, volume.tracks, TRACKS_MAX):
            yield [first | track for track in range(at, min(at + TRACKS_MAX, volume.tracks))]
