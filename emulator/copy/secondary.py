"""The secondary's side of a copy: journal each record, confirm it durable, apply epochs whole.

Records arrive whole and in order. Each is checked against the chain (R5), its deltas are laid
over their bases (C5), and its canonical form is journalled; only when an epoch's last record is
durable is the epoch applied, all of it in one step (O3, O7). Nothing is confirmed before it is
durable here.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from emulator.cache.tracks import TRACK_BITS
from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.bases import read_bases
from emulator.copy.copied import CopiedUpTo
from emulator.copy.group import Group
from emulator.copy.incoming import Incoming, Pieces, StopApplyError, check_order
from emulator.copy.lineage import Generation, Position, decode_lineage
from emulator.copy.messages import chain, decode_text, encode_text, number
from emulator.copy.services import Asking, Saved, Step, Until
from emulator.copy.states import PairState, Signal
from emulator.errors import PeerError
from emulator.events import CopyProgress, RecordRejected
from emulator.nvs.journal import EntryKind
from emulator.record.body import canonical_body
from emulator.record.changes import (
    RECORD_HEAD_BYTES,
    BadRecordError,
    Delta,
    decode_changes,
    decode_head,
    encode_head,
    record_chain,
)
from emulator.wire.checksum import CHAIN_NONE, Buffer
from emulator.wire.layout import RecordKind


class _Durable(NamedTuple):
    """Something journalled: what becomes true once the journal is durable up to `end_lsn`."""

    first_lsn: int
    end_lsn: int
    pieces: Pieces
    position: Position | None
    """The position after the epoch that these pieces complete; None for copied tracks."""
    copied: int
    """Number of the record of copied tracks; 0 for an epoch."""


class Secondary:
    """What a group does while this site is its secondary."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.services = group.services
        self._incoming = Incoming(group.name, group.volumes)
        self.peer_lineage: list[Generation] = []
        """What the primary says its history is; ours as soon as we follow it."""
        self.received_csn = 0
        self.applied_records = 0
        self._session = 0
        self._queue: deque[tuple[int, bytes]] = deque()
        self._staged: Pieces = []
        self._staged_lsn: int | None = None
        self._chain = group.stream.acked.chain
        self._durable: deque[_Durable] = deque()
        self._position = group.stream.acked
        """Journalled, not necessarily durable."""
        self._base = 0
        self._copy_end_csn: int | None = None
        self._copy_end_lsn = 0
        """Where the last of the copied tracks lies in the journal."""
        self._copy_said = group.copy_number
        """The copying under way, as the primary is told; 0 only once its end is durable."""
        self._said: tuple[object, ...] = ()

    def settled(self) -> bool:
        """Return whether everything journalled is applied."""
        return not self._durable

    def link_up(self) -> None:
        """Begin to take records from a new session of the link."""
        self._session += 1
        self._drop_queue()
        self._base = 0
        self._copy_end_csn = None
        self._said = ()
        self._position = self.group.stream.acked
        self._copy_said = self.group.copy_number
        self._forget_staged()
        self.services.start(self._work(self._session))

    def link_lost(self, reason: str) -> None:
        """Drop what is not whole: records of an epoch that did not end."""
        self.retire()
        if self.group.state is not PairState.REFUSED:
            self.group.signal(Signal.LINK_LOST, reason)

    def retire(self) -> None:
        """Take nothing more: this site becomes primary, or another session begins."""
        self._session += 1
        self._drop_queue()
        self._forget_staged()

    def received(self, kind: int, data: bytes) -> None:
        """Take a record from the link; it is worked on in order."""
        self._queue.append((kind, data))

    def retained_lsn(self) -> int | None:
        """Return from where the journal is needed for what is not applied yet."""
        if self._durable:
            return self._durable[0].first_lsn
        return self._staged_lsn

    def pinned_tracks(self) -> int:
        """Return how many images wait here to be applied."""
        tracks = len(self._staged)
        for waiting in self._durable:
            tracks += len(waiting.pieces)
        return tracks

    def _drop_queue(self) -> None:
        for _kind, data in self._queue:
            self.services.link_release(self.group.link, len(data))
        self._queue.clear()

    def _forget_staged(self) -> None:
        self._staged = []
        self._staged_lsn = None
        self._chain = self._position.chain

    # Working on records, in order.

    def _work(self, session: int) -> Step:
        group = self.group

        def ready() -> bool:
            return session != self._session or bool(self._queue)

        while True:
            yield Until(ready)
            if session != self._session:
                return
            kind, data = self._queue.popleft()
            try:
                yield from self._record(kind, data, session)
            except (BadRecordError, PeerError, StopApplyError) as error:
                self._reject(error)
            finally:
                # Released once, whatever became of it: the link counts every byte.
                self.services.link_release(group.link, len(data))
            if session != self._session:
                return

    def _record(self, kind: int, data: bytes, session: int) -> Step:
        if kind == RecordKind.CHANGES:
            yield from self._changes(data, session)
        elif kind == RecordKind.RESYNC_TRACKS:
            yield from self._copied_tracks(data, session)
        elif kind == RecordKind.RESYNC_BEGIN:
            yield from self._copy_begin(data)
        elif kind == RecordKind.RESYNC_END:
            self._copy_end(data)

    def _reject(self, error: Exception) -> None:
        group = self.group
        self.services.emit(RecordRejected(group.name, self._position.csn, str(error)))
        if isinstance(error, StopApplyError):
            group.stopped = str(error)
            group.signal(Signal.REFUSED, str(error))
        self._session += 1
        self.services.link_refuse(group.link, str(error))

    def _changes(self, data: bytes, session: int) -> Step:
        head = decode_head(data)
        check_order(head, self._position, self._chain)
        changes = decode_changes(memoryview(data)[RECORD_HEAD_BYTES:], head.changes)
        body: Buffer = memoryview(data)[RECORD_HEAD_BYTES:]
        count = head.changes
        bases: dict[int, bytes] = {}
        deltas = [change for change in changes if isinstance(change, Delta)]
        if deltas:
            # Bases are the contents after the epoch before this one, so that must be applied.
            yield Until(lambda: session != self._session or not self._durable)
            keys = [delta.volume << TRACK_BITS | delta.track for delta in deltas]
            bases = yield from self._read(keys)
            if session != self._session:
                return
        pieces = self._incoming.pieces(changes, bases)
        if deltas:
            count, body = canonical_body(pieces)
        after = record_chain(
            self._chain, head.lineage, head.csn_first, head.csn_last, head.final, count, body
        )
        if after != head.chain_after:
            raise StopApplyError(
                f"record of csn {head.csn_first} to {head.csn_last}: its chain hash does not match "
                f"its contents"
            )
        entry = [encode_head(head._replace(changes=count)), body]
        lsn = yield from self._append(
            EntryKind.RECEIVED, head.csn_last, head.lineage, entry, session
        )
        if lsn is None:
            return
        self._chain = after
        if self._staged_lsn is None:
            self._staged_lsn = lsn
        self._staged.extend(pieces)
        self.received_csn = head.csn_last
        if head.final:
            position = Position(head.lineage, head.csn_last, after)
            self._position = position
            end_lsn = self.services.journal.tail_lsn
            self._durable.append(_Durable(self._staged_lsn, end_lsn, self._staged, position, 0))
            self._staged = []
            self._staged_lsn = None
            if len(self._durable) == 1:
                self.services.start(self._apply())

    def _read(self, keys: Sequence[int]) -> Asking[dict[int, bytes]]:
        """Return the newest images by the group's keys."""
        site_keys = self._incoming.site_keys(keys)
        images = yield from read_bases(self.services, self.group, site_keys)
        if not (self.group.consistent or self.group.copy_number):
            self._session += 1  # the copy was given up, and nothing more of it is taken
        return {key: images[site] for key, site in zip(keys, site_keys, strict=True)}

    def _append(
        self, kind: EntryKind, csn: int, lineage: int, parts: list[Buffer], session: int
    ) -> Asking[int | None]:
        journal = self.services.journal
        size = sum(map(len, parts))

        def room() -> bool:
            # An epoch that has begun must come whole before anything of it can leave the cache.
            begun = self._staged_lsn is not None
            return journal.fits(size) and (begun or not self.services.cache.full())

        yield Until(lambda: session != self._session or room())
        if session != self._session:
            return None
        return journal.append(kind, self.group.number, csn, lineage, parts)

    # Applying.

    def _apply(self) -> Step:
        """Apply what is durable, one epoch at a time, each in one step (O7)."""
        journal = self.services.journal
        while self._durable:
            waiting = self._durable[0]
            yield Until(lambda end_lsn=waiting.end_lsn: journal.durable_lsn >= end_lsn)  # type: ignore[misc]
            parts = [key for key, _start, data in waiting.pieces if len(data) != TRACK_BYTES]
            bases: dict[int, bytes] = {}
            if parts:
                bases = yield from self._read(list(dict.fromkeys(parts)))
            cache = self.services.cache
            self._incoming.put(cache, waiting.pieces, waiting.first_lsn, bases)
            self._durable.popleft()
            if waiting.position is not None:
                self._follow(waiting.position)
                stream = self.group.stream
                csn_first = stream.acked.csn + 1
                stream.acked = waiting.position
                stream.generation = waiting.position.generation
                stream.applied_csn = waiting.position.csn
                self.group.csn = self.group.durable_csn = waiting.position.csn
                self.applied_records += 1
                if self.group.audit.on:
                    keys = [key for key, _start, _data in waiting.pieces]
                    self.group.audit.applied(self.group, csn_first, keys)
            else:
                self._copied_up_to(waiting.copied)
            self._maybe_consistent()

    def note_copied(self) -> None:
        """Count what is durable of copied tracks, before the count is saved."""
        durable_lsn = self.services.journal.durable_lsn
        for waiting in self._durable:
            if waiting.position is None and waiting.end_lsn <= durable_lsn:
                self._copied_up_to(waiting.copied)

    def _copied_up_to(self, record: int) -> None:
        group = self.group
        group.copied.here = group.copied.here._replace(record=record)

    def _follow(self, position: Position) -> None:
        """Take over the primary's history when its newest generation begins here."""
        group = self.group
        if position.generation != group.generation() and any(
            generation.number == position.generation for generation in self.peer_lineage
        ):
            group.lineage = self.peer_lineage
            self.services.save_soon()

    # Copying from the primary's dirty map.

    def _copy_begin(self, data: bytes) -> Step:
        fields = decode_text(data)
        copy_number = number(fields, "copy")
        position = Position(number(fields, "generation"), number(fields, "csn"), chain(fields))
        lineage = decode_lineage(fields.get("lineage"))
        yield Until(lambda: not self._durable)
        group = self.group
        group.lineage = lineage
        group.consistent = False
        group.copy_number = copy_number
        group.copied.here = CopiedUpTo(copy_number)
        group.stream.restart_at(position)
        group.csn = group.durable_csn = position.csn
        self._position = position
        self._forget_staged()
        self._copy_end_csn = None
        yield Saved()
        self._base = self._copy_said = copy_number
        group.signal(
            Signal.COPY_BEGUN, "the primary copies tracks; not a usable copy until it ends"
        )
        self.services.emit(CopyProgress(group.name, "begun", 0, position.csn))

    def _copied_tracks(self, data: bytes, session: int) -> Step:
        head = decode_head(data)
        body = memoryview(data)[RECORD_HEAD_BYTES:]
        digest = record_chain(CHAIN_NONE, *head[:3], head.final, head.changes, body)
        if digest != head.chain_after:
            raise BadRecordError("copied tracks are not what was sent: their digest differs (L3)")
        if self.group.consistent:
            raise BadRecordError("copied tracks arrived while no copying is under way")
        changes = decode_changes(body, head.changes)
        if any(isinstance(change, Delta) for change in changes):
            raise BadRecordError("a copied track arrived as a delta")
        pieces = self._incoming.pieces(changes, {})
        parts: list[Buffer] = [encode_head(head), body]
        lsn = yield from self._append(EntryKind.COPIED, 0, head.lineage, parts, session)
        if lsn is None:
            return
        end_lsn = self.services.journal.tail_lsn
        # The cache takes tracks in the order of their lsns: an epoch that has begun comes later.
        first_lsn = lsn if self._staged_lsn is None else self._staged_lsn
        self._durable.append(_Durable(first_lsn, end_lsn, pieces, None, head.csn_first))
        if len(self._durable) == 1:
            self.services.start(self._apply())

    def _copy_end(self, data: bytes) -> None:
        fields = decode_text(data)
        if number(fields, "copy") != self.group.copy_number:
            raise BadRecordError("the end of another copying arrived")
        if not self.group.copy_number:
            raise BadRecordError("the end of a copying that never began arrived")
        self._copy_end_csn = number(fields, "csn")
        self._copy_end_lsn = self._durable[-1].end_lsn if self._durable else 0
        self._maybe_consistent()

    def _maybe_consistent(self) -> None:
        group = self.group
        end_csn = self._copy_end_csn
        if end_csn is None or not group.copy_number or group.stream.acked.csn < end_csn:
            return
        if self._durable and self._durable[0].end_lsn <= self._copy_end_lsn:
            return
        self._copy_end_csn = None
        self.services.start(self._consistent())

    def _consistent(self) -> Step:
        group = self.group
        group.consistent = True
        group.copy_number = 0
        yield Saved()
        if not group.copy_number and group.consistent:
            # The link may be down by now; the primary says `duplex` once it has heard of this.
            self._copy_said = 0
            self.services.emit(CopyProgress(group.name, "ended", 0, group.stream.acked.csn))

    # What the primary is told.

    def say(self) -> None:
        """Confirm what is durable and applied, if that has changed."""
        group = self.group
        position = group.stream.acked
        copied = group.copied.here.record
        said = (position, copied, self._copy_said, self._base)
        if said == self._said or self.services.link_room_bytes(group.link) <= 0:
            return
        self._said = said
        self.services.link_send(
            group.link,
            RecordKind.DURABLE,
            group.number,
            position.csn,
            encode_text(
                base=self._base,
                csn=position.csn,
                chain=position.chain.hex(),
                applied=position.csn,
                copied=copied,
                copy=self._copy_said,
            ),
        )
