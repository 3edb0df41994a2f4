"""The primary's side of a copy: decide by ancestry, replay, copy tracks, give up order, confirm.

Each thing that takes time is a generator: negotiate with a secondary that appeared, copy what
the dirty map says, hand the role over. A session number tells a generator that the link it
began on is gone.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.copy.copied import CopiedUpTo
from emulator.copy.group import Group
from emulator.copy.lineage import Ancestry, encode_lineage
from emulator.copy.map_bases import MapBases
from emulator.copy.messages import PeerPosition, chain, encode_text, number
from emulator.copy.services import Saved, Step, Until, read_tracks
from emulator.copy.states import PairState, Signal
from emulator.copy.unconfirmed import mark_unconfirmed
from emulator.copy.verdict import at_base, verdict_on
from emulator.events import CopyProgress, JournalOverflow
from emulator.record.body import canonical_body
from emulator.record.changes import RecordHead, encode_head, record_chain
from emulator.wire.checksum import CHAIN_NONE
from emulator.wire.layout import RecordKind

# One record of copied tracks: as large as a record of changes, for the same reason.
COPY_TRACKS: Final = 64
# Copied records that the other site has not confirmed yet.
COPY_RECORDS_MAX: Final = 16
_CAN_REPLAY: Final = (Ancestry.SAME, Ancestry.BEHIND)
_CAN_COPY: Final = (*_CAN_REPLAY, Ancestry.TRIMMED, Ancestry.EMPTY)


class _Copied(NamedTuple):
    """A record of copied tracks under way."""

    csn: int
    """The newest write that may be in it."""
    bits: list[tuple[int, int]]
    """(volume, bit) of what it completes."""


class Primary:
    """What a group does while this site is its primary."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.services = group.services
        self._session = 0
        self._base = 0
        """Copy number of the last copying begun on this link; the other site repeats it."""
        self._caught_up_csn: int | None = None
        self._unconfirmed: dict[int, _Copied] = {}
        """Number of each copied record not confirmed -> what it stands for."""
        self._confirmed = 0
        """Number of the newest copied record that the other site has."""
        self._copied_records = 0
        self._overflowing = False
        self._pinned_lsn: int | None = None
        self.peer: PeerPosition | None = None
        self._fits = False
        """The other site's position was judged, and it takes what this site sends."""
        self.copied_tracks = 0

    def link_lost(self, reason: str) -> None:
        """Stop the stream; what was not confirmed stays in the journal."""
        self._session += 1
        self._base = 0
        self.peer = None
        self._fits = False
        self._unconfirmed.clear()
        self.group.stream.stop()
        if self.group.state is not PairState.REFUSED:
            self.group.signal(Signal.LINK_LOST, reason)

    def retained_lsn(self) -> int | None:
        """Return from where the journal is needed until an overflow is durable."""
        return self._pinned_lsn

    # A secondary appeared.

    def peer_appeared(self, peer: PeerPosition) -> None:
        """Decide by ancestry how the secondary is brought up to date (R5)."""
        # It begins anew, also on a link on which it was something else before.
        self._session += 1
        self._base = 0
        self._fits = False
        self._unconfirmed.clear()
        self.group.stream.stop()
        self.peer = peer
        if not self.group.suspended:
            self.services.start(self._negotiate(peer, self._session))

    def _negotiate(self, peer: PeerPosition, session: int) -> Step:
        group, stream = self.group, self.group.stream
        if not group.map_mode and peer.position.csn > stream.acked.csn:
            yield from stream.prove(peer.position.csn)
        yield Until(lambda: not self._overflowing)
        if session != self._session:
            return
        verdict = verdict_on(group, peer)
        if verdict not in _CAN_COPY:
            self._refuse(verdict, peer)
            return
        lost = not peer.copied.covers(group.copied.there)
        if lost:
            verdict = Ancestry.EMPTY
        self._fits = True
        stream.epoch_tracks_max = min(self.services.epoch_tracks_max, peer.epoch_tracks)
        mid_copy = not peer.consistent
        resumable = (
            verdict in _CAN_REPLAY and mid_copy and peer.copy_number == group.copy_number != 0
        )
        if verdict in _CAN_REPLAY and not group.map_mode and not mid_copy:
            if group.copy_number:
                # It stands behind the copying's beginning and is whole: we missed its last word.
                self._copy_done()
            self._replay(peer)
        elif resumable and not group.map_mode:
            self._copied_records = max(self._copied_records, peer.copied.record)
            stream.confirmed(peer.position.csn, peer.position.chain)
            stream.begin(deltas=False)
            group.signal(Signal.COPY_BEGUN, "copying goes on where it stopped")
            self.services.start(self._copy(session))
        else:
            # Bits say what the other site lacks only if its copy is the one they were kept for.
            trusted = verdict is not Ancestry.EMPTY and (
                (verdict in _CAN_REPLAY and not mid_copy)
                or at_base(group, peer)
                or (
                    mid_copy
                    and peer.copy_number == group.copy_number != 0
                    and peer.position.csn >= stream.acked.csn
                )
            )
            why = "it has lost tracks that were copied to it" if lost else verdict.value
            yield from self._begin_copy(session, why, everything=not trusted)

    def _replay(self, peer: PeerPosition) -> None:
        group, stream = self.group, self.group.stream
        stream.confirmed(peer.position.csn, peer.position.chain)
        stream.applied_csn = stream.acked.csn
        self._forget_bases()
        self._caught_up_csn = group.csn
        stream.begin(deltas=True)
        group.signal(
            Signal.REPLAY_BEGUN,
            f"replaying {group.csn - stream.acked.csn} records from the journal",
        )
        self._check_caught_up()

    def _refuse(self, verdict: Ancestry, peer: PeerPosition) -> None:
        group = self.group
        group.signal(
            Signal.REFUSED,
            f"{verdict.value}: primary at csn {group.csn}, secondary at csn {peer.position.csn} "
            f"of generation {peer.position.generation:016x}; nothing was changed. Choose which "
            f"site's changes to give up",
        )

    # Copying from the dirty map.

    def _begin_copy(self, session: int, why: str, *, everything: bool) -> Step:
        group, stream = self.group, self.group.stream
        if group.hollow:
            group.signal(
                Signal.REFUSED,
                "this site lacks what a damaged journal entry held, and the copy, which has it, "
                "cannot be brought up to date from the journal; nothing was changed",
            )
            return
        if not group.map_mode:
            yield from self._overflow_steps()
        if session != self._session:
            return
        if everything:
            for found in group.maps:
                found.fill()
        # From here on host writes go into epochs again; all before is under the map's bits.
        yield Until(group.all_journalled)
        if session != self._session:
            return
        position = stream.gap_position(group.csn, self.services.fresh_number())
        stream.restart_at(position)
        group.map_mode = False
        group.copy_number = self.services.fresh_number() | 1
        self._copied_records = self._confirmed = 0
        self._pinned_lsn = self.services.journal.tail_lsn
        yield Saved()
        self._pinned_lsn = None
        if session != self._session:
            return
        self._base = group.copy_number
        dirty = sum(found.dirty_tracks() for found in group.maps)
        self._send(
            RecordKind.RESYNC_BEGIN,
            copy=group.copy_number,
            generation=position.generation,
            lineage=encode_lineage(group.lineage),
            csn=position.csn,
            chain=position.chain.hex(),
        )
        stream.begin(deltas=False)
        group.signal(Signal.COPY_BEGUN, f"{why}: copying {dirty} tracks")
        self.services.emit(CopyProgress(group.name, "begun", dirty, position.csn))
        yield from self._copy(session)

    def _copy(self, session: int) -> Step:
        """Send every track under a set bit, then tell the other site where its copy is whole."""
        group = self.group

        def stale() -> bool:
            return session != self._session

        def room() -> bool:
            return stale() or (
                self._open_records() < COPY_RECORDS_MAX
                and group.stream.copy_room()
                and self.services.link_room_bytes(group.link) > 0
            )

        for volume, found in zip(group.volumes, group.maps, strict=True):
            bit = found.next_bit(0)
            while bit is not None:
                yield Until(room)
                if stale():
                    return
                bits = [bit]
                tracks = list(found.tracks_of(bit))
                bit = found.next_bit(bit + 1)
                while bit is not None and len(tracks) + found.tracks_per_bit <= COPY_TRACKS:
                    bits.append(bit)
                    tracks.extend(found.tracks_of(bit))
                    bit = found.next_bit(bit + 1)
                for start in range(0, len(tracks), COPY_TRACKS):
                    part = tracks[start : start + COPY_TRACKS]
                    last = start + COPY_TRACKS >= len(tracks)
                    done = [(volume.index, b) for b in bits] if last else []
                    yield Until(room)
                    yield from self._copy_tracks(volume.index, part, done, stale)
                    if stale():
                        return
        yield Until(lambda: stale() or not self._open_records())
        if stale():
            return
        self._send(RecordKind.RESYNC_END, copy=group.copy_number, csn=group.csn)
        self._caught_up_csn = group.csn

    def _copy_tracks(
        self,
        volume: int,
        tracks: list[int],
        done: list[tuple[int, int]],
        stale: Callable[[], bool],
    ) -> Step:
        group = self.group
        site = group.volumes[volume].site_index << TRACK_BITS
        images = yield from read_tracks(self.services, [site | track for track in tracks])
        if stale():
            return
        changes = [
            (volume << TRACK_BITS | key & TRACK_MASK, 0, images[key]) for key in sorted(images)
        ]
        count, body = canonical_body(changes)
        self._copied_records += 1
        record, lineage = self._copied_records, group.generation()
        digest = record_chain(CHAIN_NONE, lineage, record, group.csn, 0, count, body)
        head = RecordHead(lineage, record, group.csn, CHAIN_NONE, digest, 0, count)
        self._unconfirmed[self._copied_records] = _Copied(group.csn, done)
        self.copied_tracks += len(tracks)
        group.stream.copied_tracks += len(tracks)
        self.services.link_send(
            group.link, RecordKind.RESYNC_TRACKS, group.number, group.csn, [encode_head(head), body]
        )

    # Confirmations.

    def durable(self, fields: dict[str, Any]) -> None:
        """Take the other site's word for what it has durable and applied."""
        group, stream = self.group, self.group.stream
        if not stream.flowing or number(fields, "base") != self._base:
            # Sent before we decided, or before the other site saw that copying begins.
            return
        csn = number(fields, "csn")
        if csn >= stream.acked.csn and not stream.confirmed(csn, chain(fields)):
            self.services.link_refuse(group.link, f"the copy's chain hash at csn {csn} differs")
            group.signal(Signal.REFUSED, f"the copy's chain hash at csn {csn} is not what was sent")
            return
        if self._base:
            self._forget_bases()
            if group.copied.there.copy_number != self._base:
                # Only now: until it has begun this copying, the one before is what it may lose.
                group.copied.there = CopiedUpTo(self._base)
        stream.applied_csn = max(stream.applied_csn, number(fields, "applied"))
        group.exposure.forget(stream.acked.csn)
        self._confirmed = number(fields, "copied")
        if group.copy_number and fields.get("copy") == 0 and not self._open_records():
            self._copy_done()
        self._check_caught_up()

    def _open_records(self) -> int:
        """Clear the bits of what the other site has; return how many records it has not.

        Tracks are copied as they are in the cache, which may be ahead of the journal: a bit stays
        set until what was sent is durable here as well (W1, F6).
        """
        group = self.group
        for record in [
            record
            for record, copied in self._unconfirmed.items()
            if record <= self._confirmed and copied.csn <= group.durable_csn
        ]:
            for volume, bit in self._unconfirmed.pop(record).bits:
                group.maps[volume].clear(bit)
            group.copied.there = CopiedUpTo(group.copy_number, record)
        return len(self._unconfirmed)

    def _forget_bases(self) -> None:
        """Note that the other site stands at none of the positions the map was kept for."""
        if self.group.map_bases:
            self.group.map_bases = MapBases()
            self.services.save_soon()

    def _copy_done(self) -> None:
        group = self.group
        for found in group.maps:
            found.empty()
        group.copy_number = 0
        group.stream.deltas = True
        self.services.save_soon()
        self.services.emit(CopyProgress(group.name, "ended", 0, group.stream.acked.csn))

    def _check_caught_up(self) -> None:
        group = self.group
        if (
            self._caught_up_csn is not None
            and not group.copy_number
            and group.stream.flowing
            and group.stream.acked.csn >= self._caught_up_csn
            and not group.lacks_answered()
        ):
            self._caught_up_csn = None
            group.signal(Signal.CAUGHT_UP, "the copy is current")
            self.services.save_soon()

    # Giving up order.

    def overflow(self, reason: str) -> None:
        """Let the dirty map take over from the journal, with an announcement (F8)."""
        if not self.group.map_mode and not self._overflowing:
            self.services.start(self._overflow_and_restart(reason))

    def _overflow_and_restart(self, reason: str) -> Step:
        group = self.group
        self.services.emit(JournalOverflow(group.name, group.csn, reason))
        refused = group.state is PairState.REFUSED
        if not refused:
            # A refusal stays until an operator decides (R5).
            group.signal(Signal.OVERFLOWED, reason)
        # Whatever copies or negotiates now works on a map that is about to change.
        self._session += 1
        session = self._session
        self._unconfirmed.clear()
        yield from self._overflow_steps()
        if session != self._session or self.peer is None or group.suspended or refused:
            return
        if self._fits:
            yield from self._begin_copy(session, Ancestry.TRIMMED.value, everything=False)
        else:
            yield from self._negotiate(self.peer, session)

    def _overflow_steps(self) -> Step:
        """Mark everything not confirmed in the map, make that durable, then let go of it."""
        group, stream = self.group, self.group.stream
        if self._overflowing:
            yield Until(lambda: not self._overflowing)
            return
        self._overflowing = True
        try:
            self._pinned_lsn = stream.retained_lsn()
            stream.stop()
            group.map_mode = True
            yield from mark_unconfirmed(group)
            yield Saved()
            stream.restart_at(stream.acked)
            self._pinned_lsn = None
        finally:
            self._overflowing = False

    def _send(self, kind: RecordKind, **fields: object) -> None:
        self.services.link_send(
            self.group.link, kind, self.group.number, self.group.csn, encode_text(**fields)
        )
