"""A consistency group at one site: its volumes, its order, its role and its state.

Every host write of the group's volumes passes `accept_*` and gets the next csn (O1); the batch
of one turn becomes one journal entry. What to do with the other site is left to `primary.py` and
`secondary.py`, which hold this object.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.channel.blocks import TRACK_BYTES, Outcome, Requester
from emulator.copy.batch import Batch
from emulator.copy.copied import Copied
from emulator.copy.dirty_map import DirtyMap
from emulator.copy.entries import HOST_ENTRY
from emulator.copy.exposure import Exposure
from emulator.copy.levels import AckLevel, OnLinkLoss
from emulator.copy.lineage import Generation, Position
from emulator.copy.map_bases import MapBases
from emulator.copy.replies import Replies
from emulator.copy.services import Services
from emulator.copy.states import DUPLEX, PRIMARY, PairState, Role, Signal, next_state
from emulator.copy.stream import Stream
from emulator.copy.through import Through
from emulator.events import PairChanged
from emulator.nvs.journal import EntryKind
from emulator.record.changes import encode_part, encode_run, encode_zeros
from emulator.wire.checksum import CHAIN_NONE

# One journal entry carries at most this much, so that it fits a small ring with room to spare.
ENTRY_BYTES_MAX: Final = 1 << 20
# Headers that a host write adds to its data in the journal: its parts, and its entry's share.
CHANGE_BYTES_MAX: Final = 256
# Levels at which no host waits for the other site.
_LOCAL: Final = (AckLevel.NVS, AckLevel.VOLATILE)


@dataclass(frozen=True, slots=True)
class GroupVolume:
    """A volume of the group: its index on the wire and in the site's cache."""

    name: str
    size_bytes: int
    index: int
    site_index: int

    @property
    def tracks(self) -> int:
        """How many tracks the volume has; the last may be partly beyond its end."""
        return -(-self.size_bytes // TRACK_BYTES)

    def site_key(self, group_key: int) -> int:
        """Return the cache's key for a key of the group."""
        return group_key + ((self.site_index - self.index) << TRACK_BITS)


class Group:
    """One consistency group at this site."""

    hollow = False
    """This primary lacks what a damaged journal entry held; the other site has it (W3)."""

    def __init__(
        self,
        services: Services,
        name: str,
        number: int,
        link: str,
        volumes: list[GroupVolume],
        maps: list[DirtyMap],
        ack: AckLevel,
        on_link_loss: OnLinkLoss,
    ) -> None:
        self.services = services
        self.audit = services.audit
        self.name = name
        self.number = number
        self.link = link
        self.volumes = volumes
        self.maps = maps
        self.ack = ack
        self.on_link_loss = on_link_loss
        self.role = Role.NONE
        self.state = PairState.WAITING
        self.reason = "never connected"
        self.lineage: list[Generation] = []
        self.csn = self.durable_csn = 0
        self.consistent = True
        self.copied = Copied()
        self.copy_number = 0
        """Names one copying from the dirty map; 0 when none is under way."""
        self.map_mode = False
        """The dirty map, not the journal, knows what the other site lacks (F8)."""
        self.map_bases = MapBases()
        self.stopped = ""
        """Why this secondary takes no records, until it is started again."""
        self.store_lost = ""
        """Why this site copies nothing until it is started with a good store (W4)."""
        self.frozen = False
        self.suspended = False
        self.held: deque[Callable[[], None]] = deque()
        """Host writes that wait for the end of a freeze."""
        self.replies = Replies()
        self.through_replies = Replies()
        """Hosts that wait for their disk: writes of devices that are written through."""
        self.through = Through()
        self.write_through = ""
        """Why every write is complete only on its disk; empty while the store is good (W4)."""
        self._flushes = Replies()
        self.stream = Stream(services, link, number, Position(0, 0, CHAIN_NONE))
        self.stream.eager = ack not in _LOCAL
        self.exposure = Exposure()
        self.host_writes = 0
        self.host_bytes = 0
        self._batches: list[Batch] = []
        self._reserved_bytes = 0
        self._writing_csn = 0
        self._suspension_saved = True
        self.answered_csn = 0
        """Hosts may have been told that everything up to here is complete."""
        self.joining = False
        """Nearly duplex: hosts already wait for the other site, so that it can become true."""

    # Host writes.

    def refusal(self) -> Outcome | None:
        """Return why a host may not write here now, or None."""
        if self.role in (Role.PRIMARY, Role.NONE):
            return None
        return Outcome.READ_ONLY

    def admit(self, length: int, writes: int = 1) -> int:
        """Give host writes their csns (O1) and promise journal room; return the last csn.

        `can_accept` held for as many writes of as many bytes together.
        """
        batches = self._batches
        begin = not batches or batches[-1].size_bytes >= ENTRY_BYTES_MAX
        if begin and batches and self.noting() and self.stream.full():
            # One turn may bring more than an epoch may hold, or the other site could take.
            self.flush_batches()
            self.stream.close_epoch(self.csn)
        reserved = 2 * (length + writes * CHANGE_BYTES_MAX)
        self._reserved_bytes += reserved
        self.services.journal.reserved_bytes += reserved
        if begin:
            batches.append(Batch(self.csn + 1))
        self.csn = csn = self.csn + writes
        batches[-1].csn_last = csn
        return csn

    def accept_runs(self, volume: GroupVolume, runs: Sequence[tuple[int, bytes]]) -> None:
        """Accept runs of whole tracks, each (offset, data), into the batch, epoch and cache.

        Several at once are the writes that were admitted last, one each.
        """
        batch = self._batches[-1]
        parts, index = batch.parts, volume.index
        base = volume.site_index << TRACK_BITS
        keys: list[int] = []
        images: list[bytes] = []
        for offset, data in runs:
            size = len(data)
            track = offset // TRACK_BYTES
            encode_run(parts, index, track, data)
            batch.size_bytes += size + 32
            if size == TRACK_BYTES:
                keys.append(base | track)
                images.append(data)
            else:
                first = base | track
                keys += range(first, first + size // TRACK_BYTES)
                images += [data[at : at + TRACK_BYTES] for at in range(0, size, TRACK_BYTES)]
        batch.changes += len(runs)
        if self.audit.on:
            csn = self.csn - len(runs)
            for number, (offset, data) in enumerate(runs, 1):
                self.audit.run(self, csn + number, index, offset // TRACK_BYTES, data)
        self._note_whole(volume, keys, images)

    def _note_whole(self, volume: GroupVolume, keys: list[int], images: list[bytes]) -> None:
        """Put whole tracks into the cache, and into the open epoch or the dirty map."""
        services = self.services
        olds = services.cache.put_fresh(keys, images, services.journal.tail_lsn)
        if self.noting():
            shift = (volume.site_index - volume.index) << TRACK_BITS
            wire_keys = [key - shift for key in keys] if shift else keys
            self.stream.open.whole_many(wire_keys, images, olds)
        if self.map_mode:
            self.maps[volume.index].mark_all(key & TRACK_MASK for key in keys)

    def accept_part(
        self,
        volume: GroupVolume,
        track: int,
        offset: int,
        data: bytes,
        image: bytes,
        old: bytes | None,
    ) -> None:
        """Accept a part of one track; `image` is the track with it, `old` (if known) before it."""
        batch = self._batches[-1]
        encode_part(batch.parts, volume.index, track, offset, data)
        batch.changes += 1
        batch.size_bytes += len(data) + 16
        if self.audit.on:
            self.audit.part(self, volume.index, track, offset, data, old or image)
        lsn = self.services.journal.tail_lsn
        self.services.cache.put_fresh([volume.site_index << TRACK_BITS | track], [image], lsn)
        if self.noting():
            key = volume.index << TRACK_BITS | track
            self.stream.open.part(key, image, old, offset, offset + len(data))
        if self.map_mode:
            self.maps[volume.index].mark(track)

    def accept_zeros(self, volume: GroupVolume, track: int, tracks: int, zero: bytes) -> None:
        """Accept that whole tracks become zero."""
        batch = self._batches[-1]
        encode_zeros(batch.parts, volume.index, track, tracks)
        batch.changes += 1
        # Not in bytes: zeros weigh nothing in the journal, but an entry and an epoch should end.
        batch.size_bytes += 64 * tracks
        if self.audit.on:
            self.audit.zeros(self, volume.index, track, tracks)
        first = volume.site_index << TRACK_BITS | track
        self._note_whole(volume, list(range(first, first + tracks)), [zero] * tracks)

    def noting(self) -> bool:
        """Return whether host writes go into the stream's open epoch."""
        return self.role is PRIMARY and not self.map_mode

    # The journal.

    def can_accept(self, length: int, writes: int = 1) -> bool:
        """Return whether the journal has room now for host writes of `length` bytes together."""
        return not self.frozen and self.services.journal.can_reserve(
            length + writes * CHANGE_BYTES_MAX
        )

    def flush_batches(self) -> None:
        """Append what this turn accepted to the journal; its room was promised."""
        if not self._batches:
            return
        journal = self.services.journal
        journal.reserved_bytes -= self._reserved_bytes
        self._reserved_bytes = 0
        for batch in self._batches:
            head = HOST_ENTRY.pack(batch.csn_first, batch.changes)
            lsn = journal.append(
                EntryKind.HOST,
                self.number,
                batch.csn_last,
                self.generation(),
                [head, *batch.parts],
            )
            if self.noting():
                self.stream.journalled(lsn)
            self.through.note(batch.csn_last, lsn)
            if self.role is PRIMARY:
                self.exposure.accepted(batch.csn_last, self.services.now_ns)
        self._batches.clear()

    def all_journalled(self) -> bool:
        """Return whether every accepted write has its place in the journal."""
        return not self._batches

    def write_taken(self) -> None:
        """Note that a journal write with everything accepted is under way."""
        self._writing_csn = self.csn

    def write_durable(self) -> None:
        """Note that the journal write under way is durable."""
        if self.role in (Role.PRIMARY, Role.NONE):
            self.durable_csn = max(self.durable_csn, self._writing_csn)

    def retained_lsn(self) -> int | None:
        """Return from where the journal is needed for the other site."""
        if self.role is PRIMARY and not self.map_mode:
            return self.stream.retained_lsn()
        return None

    # Completion.

    def flush(self, who: Requester, cookie: int) -> None:
        """Answer when every write that a host was told is complete is durable here."""
        if self.replies.released_csn <= self._safe_csn():
            who.completed(cookie, Outcome.DONE, [])
        else:
            self._flushes.add(self.replies.released_csn, who, cookie)

    def release(self) -> None:
        """Tell hosts what is complete now, by the group's acknowledgement level."""
        if self._flushes.waiting:
            self._flushes.release(self._safe_csn())
        if not self.replies.waiting and not self.through_replies.waiting:
            return
        csn = self.durable_csn
        if self.role is PRIMARY and self.ack not in _LOCAL:
            csn = self._remote_csn(csn)
        elif self.ack is AckLevel.VOLATILE:
            csn = self.csn
        through_csn = min(csn, self.through.csn)
        self.through_replies.release(through_csn)
        if self.write_through:
            csn = through_csn
        self.answered_csn = max(self.answered_csn, csn)
        self.replies.release(csn)
        if self.audit.on:
            self.audit.answered(self)

    def _safe_csn(self) -> int:
        """Return up to where writes survive a loss of power here."""
        return min(self.durable_csn, self.through.csn) if self.write_through else self.durable_csn

    def begin_write_through(self, reason: str) -> None:
        """From now on a write is complete only on its disk (W4)."""
        self.through.exact = True
        self.through.note(self.csn, self.services.journal.tail_lsn)
        self.write_through = reason

    def _remote_csn(self, csn: int) -> int:
        duplex = self.joining or self.state is DUPLEX
        if duplex or self.on_link_loss is OnLinkLoss.HOLD:
            applied = self.ack is AckLevel.REMOTE_APPLIED
            return min(csn, self.stream.applied_csn if applied else self.stream.acked.csn)
        # A-honest: not in duplex, and that is durable, so the local copy alone may answer.
        return csn if self._suspension_saved else min(csn, self.stream.acked.csn)

    def lacks_answered(self) -> bool:
        """Return whether the other site may lack a write that must be safe there (A-sync).

        From now on hosts wait for the other site, so that this comes to an end.
        """
        if self.ack in _LOCAL:
            return False
        self.joining = True
        return min(self.stream.acked.csn, self.stream.applied_csn) < self.answered_csn

    def suspension_saved(self) -> None:
        """Note that leaving duplex is durable (A-honest)."""
        self._suspension_saved = True

    # State.

    def signal(self, signal: Signal, reason: str) -> None:
        """Move to the next state and report it."""
        before = self.state
        self.state = next_state(before, signal)
        self.reason = reason
        self.joining = False
        if self.state is not DUPLEX and before is DUPLEX:
            self._suspension_saved = False
            self.services.save_soon(self.suspension_saved)
        if self.state is not before:
            self.services.emit(
                PairChanged(self.name, self.role.value, before.value, self.state.value, reason)
            )

    def generation(self) -> int:
        """Return the number of the newest generation."""
        return self.lineage[-1].number if self.lineage else 0

    def position(self) -> Position:
        """Return how far this site's copy has come, with the newest provable chain hash."""
        if self.role is PRIMARY:
            return Position(self.generation(), self.csn, self.stream.newest_chain())
        return self.stream.acked

    def lag(self) -> dict[str, int]:
        """Return how far the other site is behind (V3)."""
        acked = self.stream.acked.csn
        self.exposure.forget(acked)
        records = max(0, self.csn - acked) if self.role is PRIMARY else 0
        return {
            "records": records,
            "bytes": self._waiting_bytes() if records else 0,
            "exposure_ns": self.exposure.since_ns(self.services.now_ns) if records else 0,
        }

    def _waiting_bytes(self) -> int:
        if self.map_mode:
            return sum(found.dirty_tracks() for found in self.maps) * TRACK_BYTES
        return self.stream.waiting_bytes()
