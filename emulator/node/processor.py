"""The cache processor as a whole: hosts in front, disks behind, links to other sites.

Pure: it is given bytes, time and the answers to its requests, and gives back requests, packets
and events. One turn goes like this:

    the shell hands in what hosts and lines sent     volumes, `line_received`
    turn          journal what was accepted          -> NvsWrite, NvsSave
    the shell carries out the requests               `completed`
    complete      what is durable now                -> replies
    background    send, destage, trim                -> packets, DiskWrite, DiskFlush

The simulator drives this very object in virtual time.
"""

from collections.abc import Callable, Sequence
from typing import Final

from emulator.cache.tracks import TrackCache
from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.copy.audit import AuditFeed
from emulator.copy.services import ReadJournal, ReadTracks, Request, Saved, Step
from emulator.copy.states import PRIMARY
from emulator.errors import BenchError, DeviceError
from emulator.events import DiskFailed, Event
from emulator.node.building import build
from emulator.node.care import Care
from emulator.node.config import SiteConfig
from emulator.node.destage import Destage
from emulator.node.devices import slot_tracks
from emulator.node.forward import Forward
from emulator.node.guard import Guard
from emulator.node.hollow import Hollow
from emulator.node.mending import Mending
from emulator.node.pacing import Pacing
from emulator.node.reading import Reading
from emulator.node.requests import (
    DiskRead,
    MarkDisks,
    NvsMode,
    NvsRead,
    NvsSave,
    NvsWrite,
    ShellRequest,
)
from emulator.node.rhythm import Rhythm
from emulator.node.saving import Saving
from emulator.node.scrub import Scrub
from emulator.node.sums import Sums, TrackSums
from emulator.node.tasks import Task, Tasks
from emulator.nvs.areas import MAPS_MAX
from emulator.nvs.journal import Journal, Write
from emulator.wire.checksum import Buffer

# Epochs hold at most this share of the cache's tracks and of the journal, and never more than
# this many tracks.
EPOCH_SHARE: Final = 2
EPOCH_TRACKS_MAX: Final = 131072
# Share of the cache's tracks that may be dirty before they are destaged though hosts are busy:
# half, since what is written again meanwhile goes to the disk once.
DESTAGE_SHARE: Final = 2
# Share of the journal that may lie behind a track that waits, before it is destaged though hosts
# are busy; and behind one that was written, before that is flushed. What lies between makes one
# flush serve thousands of tracks. Hosts are paced from `pacing.PACE_DISKS_FILL` on.
DESTAGE_FILL: Final = 0.3
FLUSH_FILL: Final = 0.36
# A turn comes at least so often, and while tracks wait for their disks.
TICK_NS: Final = SECOND_NS // 4
DIRTY_TICK_NS: Final = 20 * MILLISECOND_NS


class Processor:
    """One site's cache processor."""

    def __init__(
        self,
        config: SiteConfig,
        sizes: dict[str, int],
        ring_bytes: int,
        maps: bytes,
        entropy: Callable[[int], bytes],
        sums: Sequence[TrackSums | None] = (),
    ) -> None:
        """`sums` are the checksums of each device; none for those that keep none."""
        if len(sizes) > MAPS_MAX:
            raise BenchError(f"site {config.name}: {len(sizes)} devices; at most {MAPS_MAX}")
        self.config = config
        self.entropy = entropy
        self.now_ns = 0
        self.cache = TrackCache(config.cache_bytes)
        self.journal = Journal(ring_bytes)
        self.audit = AuditFeed()
        self.epoch_tracks_max = min(
            self.cache.tracks_max // EPOCH_SHARE,
            ring_bytes // EPOCH_SHARE // TRACK_BYTES,
            EPOCH_TRACKS_MAX,
        )
        self.ready = False
        self.draining = False
        device_sizes = list(sizes.values())
        self.sums = Sums(sums or [None] * len(sizes))
        self.mending = Mending(self)
        devices = [config.devices[name] for name in sizes]
        slots = [slot_tracks(row.kind) for row in devices]
        self.reading = Reading(
            self.cache, device_sizes, self.sums.devices, self.mending.mend, slots
        )
        verify = [row.verify for row in devices]
        self.destage = Destage(self.cache, device_sizes, self.sums.devices, verify, slots)
        self.scrub = Scrub(self, device_sizes, [row.scrub_bytes_per_s for row in devices])
        self._tasks = Tasks(self._ask, self._task_failed)
        self._events: list[Event] = []
        self._requests: list[ShellRequest] = []
        self._number = 0
        self._write: Write | None = None
        self._write_number = 0
        self._journal_reads: dict[int, Task] = {}
        self.rhythm = Rhythm(self)
        parts = build(self, config, sizes, maps)
        self.links = parts.links
        self.groups = parts.groups
        self.pairs = parts.pairs
        self.volumes = parts.volumes
        self.track_stores = parts.track_stores
        self.saving = Saving(self)
        self.pacing = Pacing(self)
        self.guard = Guard(self)
        self.hollow = Hollow(self)
        self._forward = Forward(self)
        self._care = Care(self)

    def adopt_journal(self, journal: Journal) -> None:
        """Go on with the journal that recovery has read; hosts may come."""
        self.journal = journal
        self.ready = True
        self._care.started()
        self.hollow.begin()

    # Services to the copy.

    def start(self, step: Step) -> None:
        """Run a generator until it ends, resuming it as its requests are answered."""
        self._tasks.start(step)

    def emit(self, event: Event) -> None:
        """Report what happened."""
        self._events.append(event)
        if self.audit.on:
            self.audit.event(event, self.groups)

    def fresh_number(self) -> int:
        """Return 64 random bits."""
        return int.from_bytes(self.entropy(8), "big")

    def link_send(self, link: str, kind: int, group: int, csn: int, parts: Sequence[Buffer]) -> int:
        """Queue a record on a link; a record for a link that is down is lost, as on the line."""
        end = self.links[link]
        return end.machine.send(kind, group, csn, parts) if end.up else 0

    def link_room_bytes(self, link: str) -> int:
        """Return how much may be queued on a link now; 0 while it is down."""
        return self.links[link].machine.room_bytes()

    def link_release(self, link: str, size_bytes: int) -> None:
        """Say that received bytes are dealt with."""
        self.links[link].release(size_bytes)

    def link_refuse(self, link: str, reason: str) -> None:
        """End the link's session; it is tried again after a while."""
        self.links[link].refuse(self.now_ns, reason)

    def save_soon(self, done: Callable[[], None] | None = None) -> None:
        """Have the superblock written as it is now; call `done` when that is durable."""
        self.saving.ask(done)

    def _ask(self, request: Request, task: Task) -> None:
        if isinstance(request, ReadTracks):

            def done(result: dict[int, bytes] | DeviceError) -> None:
                if isinstance(result, DeviceError):
                    self._tasks.fail(task, result)
                else:
                    self._tasks.resume(task, result)

            self.reading.read(request.keys, done)
        elif isinstance(request, Saved):
            self.saving.ask(lambda: self._tasks.resume(task, None))
        elif isinstance(request, ReadJournal):
            number = self.new_number()
            self._journal_reads[number] = task
            self._requests.append(NvsRead(number, request.first_lsn, request.end_lsn))

    def _task_failed(self, error: DeviceError) -> None:
        self.emit(DiskFailed(error.uri, "read", error.cause))

    def ask_shell(self, request: ShellRequest) -> None:
        """Have the shell carry out a request after those that were made before."""
        self._requests.append(request)

    def write_under_way(self, number: int | None = None) -> bool:
        """Return whether a journal write, or the one of this number, is not durable yet."""
        return self._write is not None and number in (None, self._write_number)

    def new_number(self) -> int:
        """Return a number for a request that is not a disk's."""
        self._number += 1
        return self._number

    # The turn.

    def turn(self, now_ns: int) -> None:
        """Journal everything that was accepted since the last turn."""
        self.now_ns = now_ns
        self._tasks.poll()
        if not self.ready:
            # While the journal is read nothing may be written to it: its tail is not known yet.
            return
        for group in self.groups.values():
            group.flush_batches()
        for pair in self.pairs.values():
            group = pair.group
            if group.role is PRIMARY and not group.map_mode and group.stream.wants_close():
                group.stream.close_epoch(group.csn)
        self._commit()

    def _commit(self) -> None:
        """Ask for one journal write with everything that arrived together (group commit)."""
        if self._write is not None or (self.guard.is_lost and not self.guard.marked):
            return
        write = self.journal.take()
        if write is not None:
            self.cache.write_taken()
            self._write = write
            self._write_number = self.new_number()
            self.rhythm.commit_begins(self.now_ns)
            for group in self.groups.values():
                group.write_taken()
            if self.guard.is_lost:
                self.nvs_written()
                return
            # Bits of the dirty map are durable before the writes they cover are acknowledged.
            self._requests.append(NvsWrite(self._write_number, self.map_pieces() + write.runs))
        self.saving.request(self._requests)

    def map_pieces(self) -> list[tuple[int, list[Buffer]]]:
        """Return the pieces of dirty maps that are not stored yet."""
        pieces: list[tuple[int, list[Buffer]]] = []
        for group in self.groups.values():
            for found in group.maps:
                if found.changed():
                    pieces.extend((offset, list(data)) for offset, data in found.dirty_pieces())
        return pieces

    def nvs_written(self) -> None:
        """Take note that the journal write under way is durable."""
        assert self._write is not None
        self.journal.durable(self._write)
        self._write = None
        self.rhythm.commit_ends(self.now_ns)
        if self.guard.is_lost:
            # Nothing will ever be read from it.
            self.journal.trimmed(self.journal.durable_lsn)
        self.cache.write_durable()
        for group in self.groups.values():
            group.write_durable()

    def complete(self, now_ns: int) -> None:
        """Tell hosts what is complete; the shell sends that before anything else."""
        self.now_ns = now_ns
        self._tasks.poll()
        for group in self.groups.values():
            if group.through.exact:
                self._care.look_at_disks_of(group)
            group.release()
        self.destage.refused.clear()
        if self.guard.is_lost:
            self.guard.look()

    def background(self, now_ns: int) -> None:
        """Send to other sites, destage and trim."""
        self.now_ns = now_ns
        destage, rhythm = self.destage, self.rhythm
        rhythm.background_begins(now_ns)
        steps = rhythm.steps(now_ns)
        for pair in self.pairs.values():
            if pair.group.role is PRIMARY:
                pair.standing.say()
                pair.group.stream.pump(steps)
            else:
                pair.secondary.say()
        self.pacing.judge()
        idle = rhythm.idle(now_ns)
        starved, self.journal.starved = self.journal.starved, False
        pressed = starved or self._pressed()
        if destage.refuses_tracks or self._forward.under_way:
            self._forward.run()
        destage.run(now_ns, pressed=idle or pressed)
        if destage.hosts_wait():
            destage.flush(everywhere=False)
        if self.scrub.read_on:
            self.scrub.run(now_ns, idle=idle)
        if idle or starved or self._far_behind(destage.unflushed_lsn, FLUSH_FILL):
            destage.flush()
        self.saving.consider_trim(idle=idle, starved=starved)
        self._requests += self.reading.take_requests()
        if destage.requests:
            self._requests += destage.requests
            destage.requests.clear()

    def _pressed(self) -> bool:
        """Return whether dirty tracks must go to their disks now."""
        cache, journal = self.cache, self.journal
        return (
            len(cache.dirty) * DESTAGE_SHARE > cache.tracks_max - cache.pinned_tracks
            or self._far_behind(self.destage.waiting_lsn, DESTAGE_FILL)
            or self.destage.too_old(self.now_ns, journal.tail_lsn)
        )

    def _far_behind(self, needed_lsn: Callable[[], int | None], share: float) -> bool:
        """Return whether a share of the journal lies behind what the disks still need of it.

        What only another site needs is none of the disks' business.
        """
        journal, share_bytes = self.journal, int(self.journal.ring_bytes * share)
        if journal.used_bytes() <= share_bytes:  # what is needed was not trimmed
            return False
        lsn = needed_lsn()
        return lsn is not None and journal.tail_lsn - lsn > share_bytes

    # The shell's side.

    def take_requests(self) -> list[ShellRequest]:
        """Return what the shell must do now."""
        requests, self._requests = self._requests, []
        return requests

    def completed(self, request: ShellRequest, result: object, now_ns: int) -> None:
        """Take the outcome of a request: what was read, None, or a DeviceError."""
        self.now_ns = now_ns
        match request:
            case NvsWrite() | NvsSave() | NvsMode() | MarkDisks():
                self._care.store_answered(request, result)
            case NvsRead(number):
                self._tasks.answer(self._journal_reads.pop(number), result)
            case DiskRead(number):
                assert isinstance(result, bytes | DeviceError)
                self.reading.completed(number, result)
            case _:
                error = result if isinstance(result, DeviceError) else None
                self.destage.completed(request.number, error, now_ns)
        if isinstance(result, DeviceError):
            operation = type(request).__name__.removeprefix("Disk").lower()
            self.emit(DiskFailed(result.uri, operation, result.cause))

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    def busy(self) -> bool:
        """Return whether another turn at once would move something."""
        if self._requests:
            return True
        for pair in self.pairs.values():
            stream = pair.group.stream
            if pair.group.role is PRIMARY and (stream.busy() or stream.wants_close()):
                return True
        return False

    def settled(self) -> bool:
        """Return whether everything accepted is on its disk and the journal is empty."""
        return (
            self.destage.settled()
            and self._write is None
            and all(pair.secondary.settled() for pair in self.pairs.values())
            and (self.saving.idle() or self.guard.is_lost)
        )

    def next_deadline_ns(self) -> int:
        """Return when the next turn is due even if nothing happens."""
        now_ns = self.now_ns
        found_ns = now_ns + (DIRTY_TICK_NS if self.cache.dirty else TICK_NS)
        for end in self.links.values():
            due_ns = end.next_deadline_ns()
            if due_ns is not None and due_ns < found_ns:
                found_ns = due_ns
        for pair in self.pairs.values():
            due_ns = pair.group.stream.next_deadline_ns()
            # What is over has waited for something else, which wakes the loop by itself.
            if due_ns is not None and now_ns < due_ns < found_ns:
                found_ns = due_ns
        due_ns = self.pacing.until_ns()
        if due_ns is not None and due_ns < found_ns:
            found_ns = due_ns
        if self.scrub.read_on:
            due_ns = self.scrub.next_deadline_ns()
            if due_ns is not None and due_ns < found_ns:
                found_ns = due_ns
        return found_ns
