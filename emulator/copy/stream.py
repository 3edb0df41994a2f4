"""The primary's stream: host writes become epochs, epochs become records on the link.

An epoch is closed when the link can take it, so that the longer the line is busy the more is
coalesced (C1). Closing is journalled and durable before the first record leaves (W1), which
freezes the epoch: after a crash the same records are formed again from the journal (C3, C4).
What was sent stays in the journal until the other site has confirmed it durable.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.copy.entries import EPOCH_ACKED, EPOCH_CLOSED, replay_into
from emulator.copy.lineage import Position
from emulator.copy.services import Asking, ReadJournal, Services, Step, Until
from emulator.errors import DeviceError
from emulator.nvs.journal import EntryKind
from emulator.record.epoch import Epoch, Record
from emulator.wire.checksum import chain_hash
from emulator.wire.layout import RecordKind

# Sent and not yet confirmed: enough to keep a fast line busy over a round trip, little enough
# that the other site's memory holds it and that a slow line coalesces instead of queueing.
INFLIGHT_BYTES_MAX: Final = 8 << 20
INFLIGHT_BYTES_MIN: Final = 1 << 20
CACHE_SHARE: Final = 32
# Epochs sent and not confirmed: a longer round trip coalesces more, and where the other site may
# stand when the line is cut stays short enough to be kept (map_bases.py).
EPOCHS_SENT_MAX: Final = 16
# While an epoch is on its way, the next one is closed only when it is worth its cost on both
# sides; a lone write does not wait, for then nothing is on its way.
WORTH_TRACKS: Final = 128
# While hosts write without a pause as long as this, their writes are gathered: what they write
# again meanwhile is sent once, and the processor is theirs.
PAUSE_NS: Final = 2 * MILLISECOND_NS
# Once they have written much, a shorter pause than this is the machine's, not theirs.
BUSY_PAUSE_NS: Final = 20 * MILLISECOND_NS
GATHER_NS: Final = SECOND_NS
# What is gathered stays in memory when the cache lets it go: of a full cache at most this share.
GATHER_SHARE: Final = 8


class ClosedEpoch:
    """An epoch whose content is frozen; its images may live in the journal alone."""

    __slots__ = (
        "chain_after",
        "csn_first",
        "csn_last",
        "end_lsn",
        "epoch",
        "first_lsn",
        "sent_bytes",
    )

    def __init__(self, csn_first: int, csn_last: int, first_lsn: int, end_lsn: int) -> None:
        self.csn_first = csn_first
        self.csn_last = csn_last
        self.first_lsn = first_lsn
        self.end_lsn = end_lsn
        self.epoch: Epoch | None = None
        self.chain_after: bytes | None = None
        self.sent_bytes = 0


class Stream:
    """The open epoch, the closed ones not yet confirmed, and what of them was sent."""

    def __init__(self, services: Services, link: str, number: int, acked: Position) -> None:
        self._services = services
        self._link = link
        self._number = number
        self.acked = acked
        self.applied_csn = acked.csn
        self.generation = acked.generation
        self.open = Epoch(acked.generation, acked.csn + 1)
        self.open_first_lsn: int | None = None
        self.closed: deque[ClosedEpoch] = deque()
        self.flowing = False
        """Whether the other site takes records now."""
        self.deltas = False
        self.eager = False
        """Close epochs as soon as they have anything: a host waits for the other site."""
        self.gather_ns = GATHER_NS
        """How long at most the writes of a busy host are gathered into one epoch."""
        self.epoch_tracks_max = 1024
        self.inflight_bytes = 0
        # A small site has no memory for it besides its cache.
        self._inflight_bytes_max = min(
            INFLIGHT_BYTES_MAX, max(INFLIGHT_BYTES_MIN, services.cache.size_bytes // CACHE_SHARE)
        )
        self.sent_records = 0
        self.host_bytes = 0
        self.record_bytes = 0
        self._sent = 0
        self._chain = acked.chain
        self._records: Iterator[Record | None] | None = None
        self._loading = False
        self.copied_tracks = 0
        """Tracks that were copied to the other site since the epoch under way began."""
        self._reading: Epoch | None = None
        """The epoch that is being formed again from the journal."""
        self.unreadable = ""
        """Why the journal cannot give what the other site lacks; empty while it can."""
        self._opened_ns = 0
        self._written_ns = 0

    # What is kept.

    def retained_lsn(self) -> int | None:
        """Return from where the journal is still needed for the other site."""
        if self.closed:
            return self.closed[0].first_lsn
        return self.open_first_lsn

    def pinned_tracks(self) -> int:
        """Return how many images are held here, at most, beyond those in the cache."""
        tracks = len(self.open.bases) + len(self._reading or ())
        for closed in self.closed:
            if closed.epoch is not None:
                tracks += len(closed.epoch)
        return tracks

    def waiting_bytes(self) -> int:
        """Return how many journalled bytes the other site has not confirmed."""
        first = self.retained_lsn()
        return 0 if first is None else self._services.journal.tail_lsn - first

    def journalled(self, lsn: int) -> None:
        """Note that changes of the open epoch lie in the journal at `lsn`."""
        now_ns = self._services.now_ns
        if self.open_first_lsn is None:
            self.open_first_lsn = lsn
            self._opened_ns = now_ns
        self._written_ns = now_ns

    # Closing.

    def close_epoch(self, csn: int) -> None:
        """Close the open epoch at `csn`, and journal that."""
        epoch = self.open
        if self.open_first_lsn is None or csn < epoch.csn_first:
            return
        acked = EPOCH_ACKED.pack(self.acked.csn, self.acked.chain)
        payload = EPOCH_CLOSED.pack(epoch.csn_first, csn) + acked
        journal = self._services.journal
        if not journal.fits(len(payload)):
            return
        journal.append(EntryKind.EPOCH_CLOSED, self._number, csn, self.generation, [payload])
        epoch.csn_last = csn
        closed = ClosedEpoch(epoch.csn_first, csn, self.open_first_lsn, journal.tail_lsn)
        closed.epoch = epoch
        self.add_closed(closed)

    def add_closed(self, closed: ClosedEpoch) -> None:
        """Queue a closed epoch; the next one begins behind it."""
        self.closed.append(closed)
        self.open = Epoch(self.generation, closed.csn_last + 1)
        self.open_first_lsn = None
        # Only the next epoch to send is worth its memory; the journal has the others.
        if not self.flowing or len(self.closed) - self._sent > 1:
            closed.epoch = None

    def full(self) -> bool:
        """Return whether the open epoch has as many tracks as both sites want to hold."""
        return len(self.open.images) >= self.epoch_tracks_max

    def wants_close(self) -> bool:
        """Return whether the open epoch should be closed now."""
        if not self.open.images:
            return False
        if self.full():
            return True
        return (
            self.flowing
            and self._sent == len(self.closed) < EPOCHS_SENT_MAX
            and (self.eager or not self._gathering())
            and self.inflight_bytes < self._inflight_bytes_max
            and self._services.link_room_bytes(self._link) > 0
        )

    def _gathering(self) -> bool:
        """Return whether the open epoch should go on, as long as no host waits for its end."""
        if self.closed and len(self.open.images) < WORTH_TRACKS:
            return True
        now_ns, cache = self._services.now_ns, self._services.cache
        return (
            now_ns - self._written_ns < self._pause_ns()
            and now_ns - self._opened_ns < self.gather_ns
            and len(self.open) < cache.free_tracks() + cache.tracks_max // GATHER_SHARE
        )

    def next_deadline_ns(self) -> int | None:
        """Return when the open epoch has been gathered for long enough, if that is due."""
        if not self.flowing or self.open_first_lsn is None:
            return None
        return min(self._written_ns + self._pause_ns(), self._opened_ns + self.gather_ns)

    def _pause_ns(self) -> int:
        """Return how long hosts must write nothing to count as quiet."""
        return BUSY_PAUSE_NS if len(self.open) >= WORTH_TRACKS else PAUSE_NS

    # Sending.

    def begin(self, *, deltas: bool) -> None:
        """Send everything after the acknowledged position, from its first record on."""
        self._records = None
        self._sent = 0
        self.inflight_bytes = 0
        for closed in self.closed:
            closed.sent_bytes = 0
        self._chain = self.acked.chain
        self.deltas = deltas
        self.flowing = True

    def stop(self) -> None:
        """Send no more: the other site cannot take it."""
        self.flowing = False
        self._records = None
        # Nobody knows for how long: images that wait must not take the cache from hosts.
        for closed in self.closed:
            closed.epoch = None

    def busy(self) -> bool:
        """Return whether `pump` could send more at once."""
        # An epoch that has begun goes on: only its end lets the other site confirm anything.
        return (
            self.flowing
            and (self._records is not None or self._may_begin())
            and self._services.link_room_bytes(self._link) > 0
        )

    def _may_begin(self) -> bool:
        """Return whether there is an epoch to be sent next, and it may go."""
        return (
            len(self.closed) > self._sent < EPOCHS_SENT_MAX
            and self.inflight_bytes < self._inflight_bytes_max
            and not self._loading
            and self.closed[self._sent].end_lsn <= self._services.journal.durable_lsn
        )

    def copy_room(self) -> bool:
        """Return whether tracks may be copied to the other site now.

        It keeps everything from an epoch's first record on until the last one has come, so what is
        copied meanwhile must fit into its journal beside the epoch, which has half of it.
        """
        return self._records is None or self.copied_tracks < self.epoch_tracks_max // 2

    def pump(self, steps: int) -> None:
        """Go so many steps towards the next record, and send it when it is whole.

        At most one record in a turn, in which hosts may bring four times as much: they go first,
        and what the line cannot carry meanwhile is coalesced. Sends nothing but what is durable
        here (W1), and what the link has room for.
        """
        if not self.busy():
            return
        closed = self.closed[self._sent]
        if self._records is None:
            if closed.epoch is None:
                self._loading = True
                self._services.start(self._load_to_send(closed))
                return
            self._records = closed.epoch.steps(self._chain, deltas=self.deltas)
            self.copied_tracks = 0
        record = None
        for _ in range(steps):
            record = next(self._records)
            if record is not None:
                break
        if record is not None:
            self._send(closed, record)

    def _send(self, closed: ClosedEpoch, record: Record) -> None:
        self._services.link_send(
            self._link, RecordKind.CHANGES, self._number, record.csn_last, record.parts
        )
        closed.sent_bytes += record.size_bytes
        self.inflight_bytes += record.size_bytes
        self.sent_records += 1
        self.host_bytes += record.host_bytes
        self.record_bytes += record.size_bytes
        if record.final:
            closed.chain_after = self._chain = record.chain_after
            closed.epoch = None
            self._records = None
            self._sent += 1

    def _load_to_send(self, closed: ClosedEpoch) -> Step:
        try:
            yield from self.load(closed)
        except DeviceError as error:
            # Not asked again: whoever looks after the group gives up order (F8).
            self.unreadable = str(error)
            self.flowing = False
        finally:
            self._loading = False

    def load(self, closed: ClosedEpoch) -> Asking[Epoch]:
        """Form a closed epoch again from the journal, and return it."""
        journal = self._services.journal
        yield Until(lambda: journal.durable_lsn >= closed.end_lsn)
        self._reading = epoch = Epoch(self.generation, closed.csn_first)
        epoch.csn_last = closed.csn_last
        at_lsn = closed.first_lsn
        while at_lsn < closed.end_lsn:
            entries = yield ReadJournal(at_lsn, closed.end_lsn)
            for entry in entries:
                if entry.head.kind == EntryKind.HOST and entry.head.group == self._number:
                    replay_into(epoch, entry.payload)
            at_lsn = entries[-1].end_lsn
        closed.epoch = epoch
        self._reading = None
        return epoch

    def prove(self, csn: int) -> Step:
        """Compute the chain hash of every closed epoch up to `csn` that lacks one."""
        chain = self.acked.chain
        for closed in list(self.closed):
            if closed.csn_last > csn:
                return
            if closed.chain_after is None:
                epoch = yield from self.load(closed)
                for record in epoch.records(chain, deltas=False):
                    closed.chain_after = record.chain_after
                closed.epoch = None
            assert closed.chain_after is not None
            chain = closed.chain_after

    def known_chains(self) -> dict[int, bytes]:
        """Return the chain hash at each csn that can be proved."""
        known = {self.acked.csn: self.acked.chain}
        for closed in self.closed:
            if closed.chain_after is not None:
                known[closed.csn_last] = closed.chain_after
        return known

    # Confirmation.

    def confirmed(self, csn: int, chain: bytes) -> bool:
        """Note that the other site has everything up to `csn` durable.

        Returns False when its chain hash says that it is not what was sent.
        """
        while self.closed and self.closed[0].csn_last <= csn:
            closed = self.closed[0]
            if closed.chain_after is None:
                return False
            if closed.csn_last == csn and closed.chain_after != chain:
                return False
            self.closed.popleft()
            self.inflight_bytes -= closed.sent_bytes
            self._sent = max(0, self._sent - 1)
            self.acked = Position(self.generation, closed.csn_last, closed.chain_after)
        return self.acked.csn == csn and self.acked.chain == chain

    def was_confirmed(self, csn: int, chain: bytes) -> None:
        """Take it from the journal that the other site had everything up to `csn` durable."""
        if csn <= self.acked.csn:
            return
        while self.closed and self.closed[0].csn_last <= csn:
            self.closed.popleft()
        self.acked = Position(self.generation, csn, chain)

    def newest_chain(self) -> bytes:
        """Return the chain hash of the newest epoch that has one."""
        chain = self.acked.chain
        for closed in self.closed:
            chain = closed.chain_after or chain
        return chain

    def restart_at(self, position: Position) -> None:
        """Forget every epoch and go on from `position`, which the other site will be given."""
        self.stop()
        self.closed.clear()
        self.acked = position
        self.generation = position.generation
        self.applied_csn = position.csn
        self._sent = 0
        self.inflight_bytes = 0
        self._chain = position.chain
        self.open = Epoch(position.generation, position.csn + 1)
        self.open_first_lsn = None

    def gap_position(self, csn: int, salt: int) -> Position:
        """Return a position at `csn` whose chain stands for changes that were not sent in order."""
        chain = chain_hash(self.newest_chain(), b"gap", EPOCH_CLOSED.pack(csn, salt))
        return Position(self.generation, csn, chain)

    def noted_keys(self) -> Iterator[int]:
        """Yield the key of every track in an epoch that is in memory."""
        for closed in self.closed:
            if closed.epoch is not None:
                yield from closed.epoch.images
        yield from self.open.images
