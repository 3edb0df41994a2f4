"""The checkers: every rule of the semantics that a run can show broken.

Told of each thing that crosses the border of a site: what is handed to the store, what becomes
durable, what is sent, what is answered, each turn, each start and each death. Raises Violation
with the rule's letter.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from emulator.cache.tracks import TRACK_BITS
from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.levels import AckLevel
from emulator.copy.messages import decode_position, decode_text
from emulator.copy.states import PairState, Role, guarantee
from emulator.events import (
    CopyProgress,
    DiskFailed,
    Event,
    JournalOverflow,
    PairChanged,
    RecordRejected,
    Recovered,
    RoleChanged,
)
from emulator.node.requests import NvsSave, NvsWrite
from emulator.nvs.journal import EntryKind
from emulator.record.changes import decode_head
from emulator.wire.layout import RecordKind
from rig.sim.entries import Seen, host_changes, seen_entries
from rig.sim.history import Cursor, Entry, History, Images
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.copy.group import Group
    from emulator.node.processor import Processor
    from emulator.wire.checksum import Buffer
    from rig.sim.host import Host
    from rig.sim.nvs import Save
    from rig.sim.site import Site

# A whole comparison of images is made after each so many turns in which nothing was applied.
LOOK_TURNS = 32
_REMOTE = (AckLevel.REMOTE_NVS, AckLevel.REMOTE_APPLIED)
_CACHE_SLACK_TRACKS = 600
"""Images in the hands of one record or one disk write, which the bound does not count."""


class _Known:
    """What is known of one site besides what it says itself."""

    def __init__(self) -> None:
        self.submitted: dict[int, list[Seen]] = {}
        """Number of a write to the store -> the journal entries in it."""
        self.durable: dict[int, int] = {}
        """Generation -> newest csn durable here, as primary or as secondary."""
        self.said: dict[int, int] = {}
        """Generation -> newest csn that was reported durable to the other site."""
        self.answered_csn = 0
        self.lineage = 0
        self.cursor: Cursor
        self.compared: tuple[object, ...] = ()
        self.turns = 0


class Watch:
    """All checkers of one run."""

    def __init__(self) -> None:
        self.history = History()
        self.host: Host
        self.sites: dict[str, Site] = {}
        self.marks: dict[str, int] = {}
        self.digest = hashlib.blake2b(digest_size=16)
        self.compared_images = 0
        self.disk_failures: dict[str, int] = {}
        self._known: dict[str, _Known] = {}
        self._epochs: dict[tuple[int, int, bytes], tuple[int, bytes]] = {}

    def add(self, site: Site) -> None:
        """Watch a site."""
        self.sites[site.name] = site
        known = self._known[site.name] = _Known()
        known.cursor = Cursor(self.history)

    def mark(self, name: str) -> None:
        """Note that a branch that campaigns must reach was reached."""
        self.marks[name] = self.marks.get(name, 0) + 1

    def other(self, site: Site) -> Site:
        """Return the site at the other end."""
        return self.sites["B" if site.name == "A" else "A"]

    # Starts and deaths.

    def starting(self, site: Site) -> None:
        """A site has read its superblock."""
        group = site.group
        if site.nvs.body is None and group.role is Role.PRIMARY:
            # The first start, or one more after a crash before anything was saved.
            self.history.begin(group.generation(), [disk.live for disk in site.disks])
        self._learn_lineage(site)

    def started(self, site: Site) -> None:
        """A site has replayed its journal and saved: what it has must be what was promised."""
        known, group = self._known[site.name], site.group
        known.submitted.clear()
        self._learn_lineage(site)
        generation = group.generation()
        if group.role is Role.PRIMARY:
            if group.csn < known.answered_csn and group.ack is not AckLevel.VOLATILE:
                raise Violation(
                    "A1",
                    f"{site.name} restarted at csn {group.csn}; csn {known.answered_csn} was "
                    f"answered",
                )
            self._cut(site, generation, group.csn)
            known.durable[generation] = group.csn
        else:
            acked = group.stream.acked
            if acked.csn < known.said.get(acked.generation, 0):
                raise Violation(
                    "O4",
                    f"{site.name} restarted at csn {acked.csn}; it had reported "
                    f"{known.said[acked.generation]} durable",
                )
            known.durable[acked.generation] = acked.csn
        self._compare(site)

    def _cut(self, site: Site, generation: int, csn: int) -> None:
        branch = self.history.branches[generation]
        if branch.csn != csn:
            self.mark("unanswered writes lost")
            self.history.cut(generation, csn)
            for known in self._known.values():
                known.cursor.forget()
        for key in [key for key in self._epochs if key[0] == generation and key[1] > csn]:
            raise Violation("W1", f"{site.name} sent csn {key[1]} and restarted at csn {csn}")

    def dying(self, site: Site) -> None:
        """A site dies; another that must take over has to have a true past state (O3)."""
        self._compare(self.other(site))

    def _learn_lineage(self, site: Site) -> None:
        lineage = site.group.lineage
        known = self._known[site.name]
        if len(lineage) == known.lineage:
            return
        known.lineage = len(lineage)
        for generation in lineage:
            if generation.number not in self.history.branches:
                self.mark("new generation")
                self.history.fork(generation.number, generation.parent, generation.csn)

    # The store.

    def submitted(self, site: Site, request: NvsWrite) -> None:
        """A site hands a write to its store."""
        found = seen_entries(request)
        self._known[site.name].submitted[request.number] = found
        self._learn_lineage(site)
        for seen in found:
            if seen.kind != EntryKind.HOST:
                continue
            csn_first, changes = host_changes(seen, site.config.volumes)
            entry = Entry(csn_first, seen.csn, changes)
            for change in changes:
                self.host.journalled(site, seen.csn, change)
            self.history.append(seen.lineage, entry)

    def durable(self, site: Site, request: Save) -> None:
        """Something has become durable at a site."""
        known = self._known[site.name]
        if isinstance(request, NvsSave):
            generation, csn, _chain = request.body["groups"]["G"]["acked"]
            known.durable[generation] = max(known.durable.get(generation, 0), csn)
            return
        for seen in known.submitted.pop(request.number, ()):
            if seen.kind == EntryKind.HOST or (
                seen.kind == EntryKind.RECEIVED and decode_head(seen.payload).final
            ):
                known.durable[seen.lineage] = max(known.durable.get(seen.lineage, 0), seen.csn)

    def durable_csn(self, site: Site, generation: int) -> int:
        """Return up to which csn of a generation a site would know after a crash now."""
        known = self._known[site.name]
        branch = self.history.branches.get(generation)
        found = known.durable.get(generation)
        if found is None and branch is not None and branch.parent:
            found = min(branch.fork_csn, self.durable_csn(site, branch.parent))
        return found or 0

    def answered_csn(self, site: Site) -> int:
        """Return the newest csn that hosts of a site were told is complete."""
        level = site.group.ack
        return 0 if level is AckLevel.VOLATILE else self._known[site.name].answered_csn

    def reported_csn(self, site: Site, generation: int) -> int:
        """Return the newest csn that a site has reported durable."""
        return self._known[site.name].said.get(generation, 0)

    # The line.

    def sending(self, site: Site, kind: int, parts: Sequence[Buffer]) -> None:
        """A site gives a record to its link."""
        if kind == RecordKind.CHANGES:
            head = decode_head(parts[0])
            if head.csn_last > self.durable_csn(site, head.lineage):
                raise Violation("W1", f"{site.name} sends csn {head.csn_last}, not durable there")
            if head.final:
                key = (head.lineage, head.csn_last, head.chain_before)
                was = self._epochs.setdefault(key, (head.csn_first, head.chain_after))
                if was != (head.csn_first, head.chain_after):
                    raise Violation("C3", f"the epoch that ends with csn {head.csn_last} changed")
        elif kind == RecordKind.DURABLE:
            fields = decode_text(b"".join(parts))
            # What is said before the beginning of a copying is durable counts for nobody.
            if site.group.consistent or fields["base"] == site.group.copy_number:
                self._reported(site, site.group.stream.acked.generation, fields["csn"])
        elif kind == RecordKind.POSITION and site.group.role is not Role.PRIMARY:
            position = decode_position(b"".join(parts)).position
            self._reported(site, position.generation, position.csn)

    def _reported(self, site: Site, generation: int, csn: int) -> None:
        known = self._known[site.name]
        if csn > self.durable_csn(site, generation):
            raise Violation(
                "L2",
                f"{site.name} reports csn {csn} durable, which is at "
                f"{self.durable_csn(site, generation)}",
            )
        if csn < known.said.get(generation, 0):
            raise Violation("O4", f"{site.name} reports csn {csn} after {known.said[generation]}")
        known.said[generation] = csn

    # Hosts.

    def answered(self, site: Site, csn: int) -> None:
        """A host was told that its write is complete (A)."""
        group = site.group
        generation = group.generation()
        if csn > self.durable_csn(site, generation) and group.ack is not AckLevel.VOLATILE:
            raise Violation("A1", f"{site.name} answers csn {csn}, which is not durable there")
        known = self._known[site.name]
        if group.ack in _REMOTE and csn > self.durable_csn(self.other(site), generation):
            body = site.nvs.body
            if body is not None and body["groups"]["G"]["state"] == PairState.DUPLEX.value:
                raise Violation(
                    "A-honest", f"{site.name} answers csn {csn} alone, and says durably duplex"
                )
            self.mark("answered alone")
        known.answered_csn = max(known.answered_csn, csn)

    def contents(self, site: Site) -> Images | None:
        """Return what a host must read at a site now."""
        group = site.group
        if group.role is Role.PRIMARY:
            return self.history.branches[group.generation()].head
        if not group.consistent:
            return None
        acked = group.stream.acked
        return self._known[site.name].cursor.at(acked.generation, acked.csn)

    # Each turn.

    def event(self, site: Site, event: Event) -> None:
        """A site reports something."""
        self.digest.update(f"{site.scheduler.now_ns} {site.name} {event!r}\n".encode())
        match event:
            case RecordRejected(_, csn, reason):
                raise Violation("C5", f"{site.name} rejects the record after csn {csn}: {reason}")
            case PairChanged(_, _, _, after, reason):
                self.mark(f"pair {after}")
                if after == PairState.REFUSED.value:
                    raise Violation("R5", f"{site.name} refuses its peer: {reason}")
            case RoleChanged(_, role, _, _, _):
                self.mark(f"role {role}")
            case JournalOverflow():
                self.mark("journal overflow")
            case CopyProgress(_, phase, _, _):
                self.mark(f"copy {phase}")
            case DiskFailed(_, operation, _):
                self.disk_failures[site.name] = self.disk_failures.get(site.name, 0) + 1
                self.mark(f"disk {operation} failed")
            case Recovered(entries, _, torn):
                self.mark("journal replayed" if entries else "journal empty at start")
                if torn:
                    self.mark("torn journal tail")
            case _:
                pass

    def turned(self, site: Site) -> None:
        """A site has ended a turn."""
        if not site.ready:
            return
        known, group = self._known[site.name], site.group
        self._learn_lineage(site)
        known.turns += 1
        stream = group.stream
        state = (group.role, group.generation(), group.consistent, stream.acked.csn)
        if state != known.compared or not known.turns % LOOK_TURNS:
            known.compared = state
            self._compare(site)
        if group.role is Role.PRIMARY:
            self._look_at_primary(site, group, known)
        self._look_at_bounds(site.processor)

    def _look_at_primary(self, site: Site, group: Group, known: _Known) -> None:
        other = self.other(site)
        if other.ready and other.group.role is Role.PRIMARY:
            mine, theirs = group.generation(), other.group.generation()
            raise Violation("R1", f"both sites are primary: {mine:016x} and {theirs:016x}")
        if group.state is not PairState.DUPLEX:
            return
        if group.map_mode or group.copy_number or any(found.set_bits for found in group.maps):
            raise Violation("V2", f"{site.name} says duplex while its dirty map is not empty")
        if group.ack in _REMOTE:
            csn = self.durable_csn(other, group.generation())
            if known.answered_csn > csn:
                raise Violation(
                    "A-sync",
                    f"{site.name} says duplex ({group.ack.value}); csn {known.answered_csn} was "
                    f"answered, {other.name} has {csn}",
                )

    def _look_at_bounds(self, processor: Processor) -> None:
        cache = processor.cache
        tracks = len(cache.clean) + len(cache.dirty) + cache.pinned_tracks
        if tracks > cache.tracks_max + _CACHE_SLACK_TRACKS:
            raise Violation("L4", f"the cache holds {tracks} tracks, its bound is near {cache.tracks_max}")
        journal = processor.journal
        if journal.used_bytes() > journal.ring_bytes:
            raise Violation("W3", f"{journal.used_bytes()} bytes lie in a ring of {journal.ring_bytes}")

    # Images.

    def _compare(self, site: Site) -> None:
        """Compare what a site would serve with the true contents at its position (O3)."""
        if not site.ready:
            return
        group = site.group
        expected = self.contents(site)
        if expected is None:
            return
        if group.role is Role.PRIMARY:
            branch = self.history.branches[group.generation()]
            if branch.csn != group.csn:
                # What was accepted since is still to be handed to the store.
                return
        self.compared_images += 1
        found = first_difference(site.processor, [disk.live for disk in site.disks], expected)
        if found is not None:
            volume, track = found
            csn = group.csn if group.role is Role.PRIMARY else group.stream.acked.csn
            raise Violation(
                "O3",
                f"{site.name} ({group.role.value}) at csn {csn}: track {track} of volume {volume} "
                f"is not what it was then",
            )


def first_difference(
    processor: Processor, disks: Sequence[bytearray], expected: Images
) -> tuple[int, int] | None:
    """Return the first (volume, track) whose newest contents are not the expected ones."""
    peek = processor.cache.peek
    for volume, image in enumerate(expected):
        size = len(image)
        disk = memoryview(disks[volume])
        for track, start in enumerate(range(0, size, TRACK_BYTES)):
            end = min(start + TRACK_BYTES, size)
            cached = peek(volume << TRACK_BITS | track)
            if cached is None:
                if disk[start:end] != image[start:end]:
                    return volume, track
            elif cached[: end - start] != image[start:end]:
                return volume, track
    return None


def promise(group: Group) -> str:
    """Return what a group's state promises (V1)."""
    return guarantee(group.role, group.state, group.ack, consistent=group.consistent)
