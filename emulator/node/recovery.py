"""Take up after a start: what the superblock says, then every entry of the journal in order.

Applying an entry twice gives the same images, so it does not matter how much of it had reached
the disks. Records of an epoch whose last record is not there were never confirmed: they are
dropped, and the primary sends them again.
"""

from typing import Any

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.entries import EPOCH_CLOSED, HOST_ENTRY, confirmed_by, replay_into
from emulator.copy.group import Group
from emulator.copy.kept import from_superblock
from emulator.copy.lineage import GENERATIONS_MAX, Generation, Position
from emulator.copy.map_bases import MapBases
from emulator.copy.services import Step, Until, read_tracks
from emulator.copy.states import Role
from emulator.copy.stream import ClosedEpoch
from emulator.errors import BenchError, CorruptError
from emulator.events import Recovered
from emulator.node.damage import Judge
from emulator.node.processor import Processor
from emulator.nvs.journal import EntryKind, Journal
from emulator.nvs.recovery import Entry, Read, Recovery
from emulator.record.changes import (
    RECORD_HEAD_BYTES,
    BadRecordError,
    Delta,
    decode_changes,
    decode_head,
    track_pieces,
)
from emulator.wire.checksum import CHAIN_NONE


def first_start(processor: Processor) -> None:
    """Give every group its first generation; a primary has everything still to copy."""
    for group in processor.groups.values():
        if group.role is Role.PRIMARY:
            number = processor.fresh_number()
            group.lineage = [Generation(number, 0, 0, CHAIN_NONE, "created")]
            group.stream.restart_at(Position(number, 0, CHAIN_NONE))
            group.map_mode = True
            for found in group.maps:
                found.fill()
        elif group.role is Role.SECONDARY:
            group.consistent = False


def restore(processor: Processor, body: dict[str, Any], uri: str) -> None:
    """Take up what the superblock says of each group.

    Raises BenchError when the bench file does not fit the store.
    """
    if body["site"] != processor.config.name:
        raise BenchError(
            f"{uri}: this store belongs to site {body['site']}, not {processor.config.name}"
        )
    for name, saved in body["groups"].items():
        group = processor.groups.get(name)
        if group is None:
            raise BenchError(
                f"{uri}: this store holds group {name}, which the bench file does not have; put it "
                f"back, or drain and remove the store"
            )
        sizes = [[volume.name, volume.size_bytes] for volume in group.volumes]
        if saved["volumes"] != sizes:
            raise BenchError(
                f"{uri}: group {name} was kept with volumes {saved['volumes']}, the disks now are "
                f"{sizes}; put the old disks back, or remove the store to begin anew"
            )
        from_superblock(group, saved)
    if body.get("battery"):
        processor.guard.battery_failed("it had failed before the restart")
    new = [name for name in processor.groups if name not in body["groups"]]
    if new:
        raise BenchError(
            f"{uri}: the bench file has a new group {new[0]}; remove the store to begin anew"
        )


def start_replay(
    processor: Processor, body: dict[str, Any] | None, read: Read, ring_bytes: int, uri: str
) -> None:
    """Begin to replay the journal from where the superblock says; `ready` when it has ended."""
    trim_lsn, durable_lsn = 0, 0
    chain: str | None = CHAIN_NONE.hex()
    if body is not None:
        trim_lsn, chain = body["trim_lsn"], body["trim_chain"]
        durable_lsn = body.get("durable_lsn", 0)
    recovery = Recovery(
        read, ring_bytes, trim_lsn, uri, None if chain is None else bytes.fromhex(chain)
    )
    processor.journal.trim_lsn = processor.journal.tail_lsn = trim_lsn
    disks_lsn = body.get("disks_lsn", 0) if body is not None else 0
    processor.start(Replay(processor, recovery, uri, durable_lsn, disks_lsn).run())


def start_without_journal(
    processor: Processor, body: dict[str, Any] | None, lost_body: dict[str, Any]
) -> None:
    """Begin a new journal: the store was lost in the last run, and the disks are newer (W4).

    Nobody knows what of the newest writes the other site has, so it gets everything again.
    """
    for group in processor.groups.values():
        if group.role is Role.SECONDARY:
            group.consistent = False
            group.copy_number = 0
        elif group.role is Role.PRIMARY:
            # Writes that were never sent have csns of the old generation: it ends here.
            csn = group.csn + 1
            generation = Generation(
                processor.fresh_number(), group.generation(), csn, CHAIN_NONE, "store lost"
            )
            group.lineage = [*group.lineage, generation][-GENERATIONS_MAX:]
            group.stream.restart_at(Position(generation.number, csn, CHAIN_NONE))
            group.csn = group.durable_csn = csn
            group.map_mode = True
            group.map_bases = MapBases()
            for found in group.maps:
                found.fill()
    ring_bytes = processor.journal.ring_bytes
    newest_lsn = max(lost_body["trim_lsn"], body["trim_lsn"] if body else 0)
    # Beyond everything that may still lie in the ring and look whole.
    lsn = (newest_lsn // ring_bytes + 3) * ring_bytes
    processor.adopt_journal(Journal(ring_bytes, lsn, lsn))


class Replay:
    """Replays the journal into a processor."""

    def __init__(
        self,
        processor: Processor,
        recovery: Recovery,
        uri: str,
        durable_lsn: int,
        disks_lsn: int,
    ) -> None:
        self._processor = processor
        self._recovery = recovery
        self._uri = uri
        self._durable_lsn = durable_lsn
        self._disks_lsn = disks_lsn
        self._groups: dict[int, Group] = {
            group.number: group for group in processor.groups.values()
        }
        self._staged: dict[int, list[tuple[int, tuple[int, int, bytes]]]] = {}
        self._chain: dict[int, bytes] = {}

    def run(self) -> Step:
        """Apply every entry; the processor is ready afterwards."""
        processor = self._processor
        entries = 0
        self._recovery.judge = Judge(processor, self._recovery, self._disks_lsn).judge
        for entry in self._recovery.entries():
            entries += 1
            group = self._groups.get(entry.head.group)
            if group is None:
                raise CorruptError(self._uri, f"entry of unknown group {entry.head.group}")
            try:
                yield from self._entry(group, entry)
            except BadRecordError as error:
                raise CorruptError(self._uri, f"entry at lsn {entry.head.lsn}: {error}") from error
            yield Until(lambda: not processor.cache.full())
        self._refuse_lost_tail()
        journal = self._recovery.journal()
        processor.adopt_journal(journal)
        processor.emit(Recovered(entries, journal.used_bytes(), self._recovery.torn))

    def _refuse_lost_tail(self) -> None:
        """Refuse a journal that ends before what the superblock knows to have been durable (W3)."""
        end_lsn = self._recovery.tail_lsn
        if end_lsn < self._durable_lsn:
            raise CorruptError(
                self._uri,
                f"the journal ends at lsn {end_lsn}, but was durable up to lsn {self._durable_lsn} "
                f"once: its end is lost, and with it writes that hosts were told are complete. "
                f"Restore the store, or copy the volume back from the other site",
            )

    def _entry(self, group: Group, entry: Entry) -> Step:
        kind = entry.head.kind
        if kind == EntryKind.HOST:
            yield from self._host(group, entry)
        elif kind == EntryKind.EPOCH_CLOSED:
            self._epoch_closed(group, entry)
        elif kind == EntryKind.RECEIVED:
            yield from self._received(group, entry)
        elif kind == EntryKind.COPIED:
            head = decode_head(entry.payload)
            pieces = self._pieces(entry.payload, RECORD_HEAD_BYTES, head.changes)
            # The cache takes tracks in the order of lsns: an epoch that has begun comes later.
            if entry.head.lsn >= self._durable_lsn:
                # The superblock counts what was durable when it was written.
                group.copied.here = group.copied.here._replace(record=head.csn_first)
            staged = self._staged.get(group.number)
            yield from self._apply(group, pieces, staged[0][0] if staged else entry.head.lsn)

    def _host(self, group: Group, entry: Entry) -> Step:
        _first, count = HOST_ENTRY.unpack_from(entry.payload)
        pieces = self._pieces(entry.payload, HOST_ENTRY.size, count)
        yield from self._apply(group, pieces, entry.head.lsn)
        stream = group.stream
        if group.noting() and entry.head.csn > stream.acked.csn:
            replay_into(stream.open, entry.payload)
            stream.journalled(entry.head.lsn)
        elif group.role is Role.PRIMARY and group.map_mode:
            # It may have been accepted when a copying had begun and the store did not say so yet;
            # then no bit was set. A bit too many does no harm (F5).
            for key, _start, _data in pieces:
                group.maps[key >> TRACK_BITS].mark(key & TRACK_MASK)
        group.csn = group.durable_csn = max(group.csn, entry.head.csn)

    def _epoch_closed(self, group: Group, entry: Entry) -> None:
        csn_first, csn_last = EPOCH_CLOSED.unpack_from(entry.payload)
        stream = group.stream
        if not group.noting() or csn_last <= stream.acked.csn:
            return
        assert stream.open_first_lsn is not None, "an epoch was closed before it began"
        closed = ClosedEpoch(csn_first, csn_last, stream.open_first_lsn, entry.end_lsn)
        stream.add_closed(closed)
        said = confirmed_by(entry.payload)
        if said is not None and entry.head.lineage == stream.generation:
            # The superblock may be many epochs older than what the other site has told us.
            stream.was_confirmed(*said)

    def _received(self, group: Group, entry: Entry) -> Step:
        head = decode_head(entry.payload)
        staged = self._staged.setdefault(group.number, [])
        if staged and head.chain_before != self._chain.get(group.number):
            # The rest of that epoch never came; it was sent again from its first record.
            staged.clear()
        pieces = self._pieces(entry.payload, RECORD_HEAD_BYTES, head.changes)
        staged.extend((entry.head.lsn, piece) for piece in pieces)
        self._chain[group.number] = head.chain_after
        if not head.final:
            return
        for lsn, piece in staged:
            yield from self._apply(group, [piece], lsn)
        staged.clear()
        if head.csn_last > group.stream.acked.csn:
            position = Position(head.lineage, head.csn_last, head.chain_after)
            group.stream.restart_at(position)
            group.csn = group.durable_csn = head.csn_last

    def _pieces(self, payload: bytes, start: int, count: int) -> list[tuple[int, int, bytes]]:
        pieces: list[tuple[int, int, bytes]] = []
        for change in decode_changes(memoryview(payload)[start:], count):
            if isinstance(change, Delta):
                raise BadRecordError("a delta was journalled")
            pieces.extend(track_pieces(change))
        return pieces

    def _apply(self, group: Group, pieces: list[tuple[int, int, bytes]], lsn: int) -> Step:
        if lsn < self._disks_lsn:
            # The disks have it; it is kept for the other site alone.
            return
        cache = self._processor.cache
        for key, start, data in pieces:
            index = key >> TRACK_BITS
            if index >= len(group.volumes) or key & TRACK_MASK >= group.volumes[index].tracks:
                raise BadRecordError(f"track {key & TRACK_MASK} of volume {index} does not exist")
            site_key = group.volumes[index].site_key(key)
            if len(data) == TRACK_BYTES:
                cache.put(site_key, data, lsn)
                continue
            images = yield from read_tracks(self._processor, [site_key])
            image = bytearray(images[site_key])
            image[start : start + len(data)] = data
            cache.put(site_key, bytes(image), lsn)
