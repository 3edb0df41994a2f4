"""The checkers: every rule of the semantics that a run can show broken.

Told of each thing that crosses the border of a site: what is handed to the store, what becomes
durable, what is sent, what is answered, each turn, each start and each death. Raises Violation
with the rule's letter.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import xxhash

from emulator.copy.levels import AckLevel
from emulator.copy.messages import decode_position, decode_text
from emulator.copy.states import PRIMARY, PairState, Role
from emulator.events import (
    CopyProgress,
    DiskFailed,
    Event,
    JournalOverflow,
    PairChanged,
    RecordRejected,
    Recovered,
    RoleChanged,
    TrackLost,
    TrackRepaired,
)
from emulator.record.changes import RECORD_HEAD_BYTES, Delta, decode_changes, decode_head
from emulator.wire.layout import RecordKind
from rig.sim.promises import Promises
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.wire.checksum import Buffer
    from rig.sim.shell import Shell

# A whole comparison of images is made after each so many turns in which nothing was applied.
LOOK_TURNS = 32
_MARKS = {
    JournalOverflow: "journal overflow",
    TrackRepaired: "damaged track mended",
    TrackLost: "damaged track lost",
}


class Watch(Promises):
    """All checkers of one run."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = xxhash.xxh3_128()
        self.compared_images = 0
        self.disk_failures: dict[str, int] = {}
        self._epochs: dict[tuple[int, int, bytes], tuple[int, bytes]] = {}
        self._said_stopped: dict[str, set[str]] = defaultdict(set)
        """Why each site has told the other one that it takes no records."""

    # Starts and deaths.

    def starting(self, site: Shell) -> None:
        """A site has read its superblock."""
        group = site.group
        if site.nvs.body is None and group.role is Role.PRIMARY:
            # The first start, or one more after a crash before anything was saved.
            self.history.begin(group.generation(), [disk.live for disk in site.disks])
        self.learn_lineage(site)

    def started(self, site: Shell) -> None:
        """A site has replayed its journal and saved: what it has must be what was promised."""
        known, group = self.known[site.name], site.group
        known.submitted.clear()
        self.learn_lineage(site)
        generation = group.generation()
        if site.nvs.damaged and site.ready:
            self._started_on_remains(site)
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

    def filled(self, site: Shell) -> None:
        """A site has fetched what its damaged journal held: it is as if that had been whole."""
        self.mark("damaged entry fetched")
        self._started_on_remains(site)
        self._compare(site)

    def _started_on_remains(self, site: Shell) -> None:
        """A site goes on although its journal is not what it was (W3, P6 of the faults)."""
        group = site.group
        rotten = site.nvs.rotten
        site.nvs.forget_damage()
        if rotten:
            # It got the entry from the other site, or nobody needed it: all promises hold.
            self.mark("damaged entry mended")
            if group.role is not Role.PRIMARY and not group.consistent:
                # It has given its copy up, and says so: what it had reported counts for nobody.
                acked, said = group.stream.acked, self.known[site.name].said
                said[acked.generation] = min(said.get(acked.generation, 0), acked.csn)
            return
        generation, csn = group.stream.acked[:2]
        if group.role is Role.PRIMARY:
            generation, csn = group.generation(), group.csn
        for key in [key for key in self._epochs if key[0] == generation and key[1] > csn]:
            del self._epochs[key]
        self.tail_lost(site, generation, csn)

    def _cut(self, site: Shell, generation: int, csn: int) -> None:
        number = self.branch(site, generation)
        if self.history.branches[number].csn != csn:
            self.mark("unanswered writes lost")
            self.history.cut(number, csn)
            for known in self.known.values():
                known.cursor.forget()
        for key in [key for key in self._epochs if key[0] == generation and key[1] > csn]:
            raise Violation("W1", f"{site.name} sent csn {key[1]} and restarted at csn {csn}")

    def dying(self, site: Shell) -> None:
        """A site dies; another that must take over has to have a true past state (O3)."""
        self._compare(self.other(site))

    # The line.

    def sending(self, site: Shell, kind: int, parts: Sequence[Buffer]) -> None:
        """A site gives a record to its link."""
        if kind == RecordKind.CHANGES:
            head = decode_head(parts[0])
            if head.csn_last > self.durable_csn(site, head.lineage):
                raise Violation("W1", f"{site.name} sends csn {head.csn_last}, not durable there")
            if site.group.copy_number and self._has_deltas(head.changes, parts):
                raise Violation("C6", f"{site.name} sends deltas while it copies")
            if head.final:
                key = (head.lineage, head.csn_last, head.chain_before)
                was = self._epochs.setdefault(key, (head.csn_first, head.chain_after))
                if was != (head.csn_first, head.chain_after):
                    raise Violation("C3", f"the epoch that ends with csn {head.csn_last} changed")
        elif kind == RecordKind.DURABLE:
            fields = decode_text(b"".join(parts))
            # What is said before the beginning of a copying is durable counts for nobody.
            if site.group.consistent or fields["base"] == site.group.copy_number:
                self.reported(site, site.group.stream.acked.generation, fields["csn"])
        elif kind == RecordKind.POSITION and site.group.role is not Role.PRIMARY:
            said = decode_position(b"".join(parts))
            if said.stopped:
                self._said_stopped[site.name].add(said.stopped)
            position = said.position
            self.reported(site, position.generation, position.csn)

    def _has_deltas(self, changes: int, parts: Sequence[Buffer]) -> bool:
        body = memoryview(b"".join(parts))[RECORD_HEAD_BYTES:]
        return any(isinstance(change, Delta) for change in decode_changes(body, changes))

    # Each turn.

    def event(self, site: Shell, event: Event) -> None:
        """A site reports something."""
        self.digest.update(f"{site.scheduler.now_ns} {site.name} {event!r}\n".encode())
        match event:
            case RecordRejected(_, csn, reason):
                self.mark("record rejected")
                if self._spoilt():
                    return
                raise Violation("C5", f"{site.name} rejects the record after csn {csn}: {reason}")
            case PairChanged(_, role, _, after, reason):
                self.mark(f"pair {after}")
                if after == PairState.REFUSED.value:
                    self._refused(site, reason)
                # It may have become primary after this, in the same turn.
                primary = role == Role.PRIMARY.value and site.group.role is Role.PRIMARY
                if primary and after in (PairState.COPYING.value, PairState.CATCHING_UP.value):
                    self._begun(site, after)
            case RoleChanged(_, role, _, _, _):
                self.mark(f"role {role}")
            case CopyProgress(_, phase, _, _):
                self.mark(f"copy {phase}")
            case DiskFailed(_, operation, _):
                self.disk_failures[site.name] = self.disk_failures.get(site.name, 0) + 1
                self.mark(f"disk {operation} failed")
            case Recovered(entries, _, torn):
                self.mark("journal replayed" if entries else "journal empty at start")
                if torn:
                    self.mark("torn journal tail")
            case JournalOverflow() | TrackRepaired() | TrackLost():
                self.mark(_MARKS[type(event)])
            case _:
                pass

    def _spoilt(self) -> int:
        """Return how many causes there are for records that do not fit."""
        return len(self.unknown) + self.spoilt_packets()

    def silent_damage(self, volume: int, tracks: set[int]) -> None:
        """A disk has done harm without a word: nothing can be said of these tracks any more."""
        if tracks:
            self.mark("silent damage")
        self.unknown.update((volume, track) for track in tracks)

    def spoilt_packets(self) -> int:
        """Return how many packets were spoilt so that only a record's own digest can tell."""
        return sum(site.way_out.spoilt_packets for site in self.sites.values())

    def _refused(self, site: Shell, reason: str) -> None:
        """A site refuses the other one: only for something that would be lost otherwise (R5)."""
        if not (self.forced or self.tail_losses or self._spoilt()):
            raise Violation("R5", f"{site.name} refuses its peer: {reason}")
        other = self.other(site)
        # It may have been started again since it said that it takes no more records.
        told = any(reason.endswith(said) for said in self._said_stopped[other.name])
        if (
            site.group.role is Role.PRIMARY
            and other.ready
            and not other.group.consistent
            and not told
        ):
            raise Violation("R5", f"{site.name} refuses a copy that never ended: {reason}")

    def _begun(self, site: Shell, after: str) -> None:
        """A primary begins to bring the other site up to date: it must stand in its past (R5)."""
        other = self.other(site)
        if not other.ready:
            return
        if other.group.consistent and not self.history.stands_in(
            self.place(other), self.place(site)
        ):
            raise Violation(
                "R5",
                f"{site.name} is {after}, and {other.name} at csn {other.group.stream.acked.csn} "
                f"has changes of its own, which would be lost",
            )
        known, generation = self.known[other.name], site.group.generation()
        known.twins = dict(self.known[site.name].twins)
        known.lost = False
        if not other.group.consistent:
            # A copy that never ended counts for nothing: it may begin at an earlier csn.
            for said in (known.said, known.durable):
                said[generation] = min(said.get(generation, 0), site.group.stream.acked.csn)

    def turned(self, site: Shell) -> None:
        """A site that is ready has ended a turn."""
        known, group = self.known[site.name], site.group
        generation = group.generation()
        if generation != known.generation:
            self.learn_lineage(site)
        known.turns += 1
        role = group.role
        state = (role, generation, group.consistent, group.stream.acked.csn)
        if state != known.compared or not known.turns % LOOK_TURNS:
            known.compared = state
            self._compare(site)
        if role is PRIMARY:
            self.look_at_primary(site, group, known)
        self.look_at_bounds(site.processor)

    # Images.

    def _compare(self, site: Shell) -> None:
        """Compare what a site would serve with the true contents at its position (O3)."""
        if not site.ready:
            return
        group = site.group
        expected = self.contents(site)
        if expected is None:
            return
        if group.role is Role.PRIMARY:
            branch = self.history.branches[self.branch(site, group.generation())]
            if branch.csn != group.csn:
                # What was accepted since is still to be handed to the store.
                return
        self.compared_images += 1
        disks, damaged = zip(*((disk.live, disk.damaged) for disk in site.disks), strict=True)
        known = self.known[site.name]
        found = known.comparison.first_difference(
            site.processor, disks, expected, self.unknown, damaged
        )
        if found is not None:
            volume, track = found
            csn = group.csn if group.role is Role.PRIMARY else group.stream.acked.csn
            raise Violation(
                "O3",
                f"{site.name} ({group.role.value}) at csn {csn}: track {track} of volume {volume} "
                f"is not what it was then",
            )
