"""What is known of the sites besides what they say: the history, and what is durable where.

Fed with what goes to the stores and what is sent; `watch.py` judges by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cache.tracks import TRACK_BITS
from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.levels import AckLevel
from emulator.copy.states import Role
from emulator.node.requests import NvsSave, NvsWrite
from emulator.nvs.journal import EntryKind
from emulator.record.changes import decode_head
from rig.sim.compare import Comparison
from rig.sim.entries import Seen, host_changes, seen_entries
from rig.sim.history import Change, Cursor, Entry, History
from rig.sim.shape import GROUP
from rig.sim.violation import Violation

_GENERATION_MAX = (1 << 64) - 1

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rig.faults.storage import Piece
    from rig.sim.host import Host
    from rig.sim.nvs import Save
    from rig.sim.shell import Shell


class Known:
    """What is known of one site besides what it says itself."""

    def __init__(self) -> None:
        self.submitted: dict[int, list[Seen]] = {}
        """Number of a write to the store -> the journal entries in it."""
        self.durable: dict[int, int] = {}
        """Generation -> newest csn durable here, as primary or as secondary."""
        self.said: dict[int, int] = {}
        """Generation -> newest csn that was reported durable to the other site."""
        self.answered_csn = 0
        self.generation = 0
        self.lost = False
        """It lost what it had reported durable, and the other site may not have heard of it."""
        self.twins: dict[int, int] = {}
        """Generation -> branch of the history that has this site's contents, if not its own."""
        self.cursor: Cursor
        self.comparison = Comparison()
        self.compared: tuple[object, ...] = ()
        self.turns = 0


class Ledger:
    """The true history of a run, and how far each site has come in it."""

    def __init__(self) -> None:
        self.history = History()
        self.host: Host
        self.sites: dict[str, Shell] = {}
        self.known: dict[str, Known] = {}
        self.marks: dict[str, int] = {}
        self.unknown: set[tuple[int, int]] = set()
        """(volume, track) whose contents nothing can promise any more."""
        self.tail_losses = 0

    def add(self, site: Shell) -> None:
        """Watch a site."""
        self.sites[site.name] = site
        known = self.known[site.name] = Known()
        known.cursor = Cursor(self.history)

    def mark(self, name: str) -> None:
        """Note that a branch that campaigns must reach was reached."""
        self.marks[name] = self.marks.get(name, 0) + 1

    def other(self, site: Shell) -> Shell:
        """Return the site at the other end."""
        return self.sites["B" if site.name == "A" else "A"]

    def learn_lineage(self, site: Shell) -> None:
        """Take note of generations that a site has begun."""
        lineage = site.group.lineage
        known = self.known[site.name]
        newest = lineage[-1].number if lineage else 0
        if newest == known.generation:
            return
        known.generation = newest
        for generation in lineage:
            if generation.number not in self.history.branches:
                self.mark("new generation")
                parent = self.branch(site, generation.parent)
                self.history.fork(generation.number, parent, generation.csn)

    # The store.

    def submitted(self, site: Shell, request: NvsWrite, pieces: Sequence[Piece]) -> None:
        """A site hands a write to its store, which consists of these pieces."""
        found = seen_entries(pieces)
        self.known[site.name].submitted[request.number] = found
        self.learn_lineage(site)
        for seen in found:
            if seen.kind != EntryKind.HOST:
                continue
            csn_first, changes = host_changes(seen, site.config.volumes)
            entry = Entry(csn_first, seen.csn, changes)
            for change in changes:
                self.host.journalled(site.name, seen.csn, change)
                self._look_for(site, change)
            self.history.append(self.branch(site, seen.lineage), entry)

    def _look_for(self, site: Shell, change: Change) -> None:
        """What is journalled must go to the disk as well, also what repeats old data (C9)."""
        dirty, first = site.processor.cache.dirty, change.volume << TRACK_BITS
        end = change.offset + len(change.data)
        for track in range(change.offset // TRACK_BYTES, -(-end // TRACK_BYTES)):
            if first | track not in dirty:
                raise Violation(
                    "C9",
                    f"{site.name} journals track {track} of volume {change.volume}, and would not "
                    f"write it to the disk",
                )

    def durable(self, site: Shell, request: Save) -> None:
        """Something has become durable at a site."""
        known = self.known[site.name]
        if isinstance(request, NvsSave):
            generation, csn, _chain = request.body["groups"][GROUP]["acked"]
            known.durable[generation] = max(known.durable.get(generation, 0), csn)
            return
        for seen in known.submitted.pop(request.number, ()):
            if seen.kind == EntryKind.HOST or (
                seen.kind == EntryKind.RECEIVED and decode_head(seen.payload).final
            ):
                known.durable[seen.lineage] = max(known.durable.get(seen.lineage, 0), seen.csn)

    def durable_csn(self, site: Shell, generation: int) -> int:
        """Return up to which csn of a generation a site would know after a crash now."""
        known = self.known[site.name]
        branch = self.history.branches.get(generation & _GENERATION_MAX)
        found = known.durable.get(generation & _GENERATION_MAX)
        if found is None and branch is not None and branch.parent:
            found = min(branch.fork_csn, self.durable_csn(site, branch.parent))
        return found or 0

    def branch(self, site: Shell, generation: int) -> int:
        """Return the branch of the history that a site means by a generation."""
        return self.known[site.name].twins.get(generation, generation)

    def place(self, site: Shell) -> tuple[int, int]:
        """Return where in the history a site's contents stand: branch and csn."""
        group = site.group
        if group.role is Role.PRIMARY:
            return self.branch(site, group.generation()), group.csn
        acked = group.stream.acked
        return self.branch(site, acked.generation), acked.csn

    def tail_lost(self, site: Shell, generation: int, csn: int) -> None:
        """A site has come back without the end of its journal: take back what it had promised.

        What another site may have of the lost end is a branch of its own from now on. The tracks
        of the lost entries may be on the disk or not: nobody can tell their contents.
        """
        known = self.known[site.name]
        self.tail_losses += 1
        known.lost = True
        self.mark("journal tail lost")
        branch = self.history.branches.get(self.branch(site, generation))
        primary = site.group.role is Role.PRIMARY
        before = branch.csn if primary and branch else known.durable.get(generation, 0)
        known.answered_csn = min(known.answered_csn, csn)
        known.durable[generation] = csn
        known.said[generation] = min(known.said.get(generation, 0), csn)
        if branch is None:
            return
        for entry in branch.entries:
            if csn < entry.csn_last <= before:
                for volume, offset, data in entry.changes:
                    end = offset + len(data)
                    tracks = range(offset // TRACK_BYTES, -(-end // TRACK_BYTES))
                    self.unknown.update((volume, track) for track in tracks)
        if primary and branch.csn > csn:
            twin = self.history.split(branch.number, csn)
            other = self.known[self.other(site).name]
            other.twins[generation] = twin
            for one in self.known.values():
                one.cursor.forget()

    def answered_csn(self, site: Shell) -> int:
        """Return the newest csn that hosts of a site were told is complete."""
        level = site.group.ack
        return 0 if level is AckLevel.VOLATILE else self.known[site.name].answered_csn

    def reported_csn(self, site: Shell, generation: int) -> int:
        """Return the newest csn that a site has reported durable."""
        return self.known[site.name].said.get(generation, 0)

    def reported(self, site: Shell, generation: int, csn: int) -> None:
        """A site tells the other one what is durable (L2, O4)."""
        known = self.known[site.name]
        if csn > self.durable_csn(site, generation):
            raise Violation(
                "L2",
                f"{site.name} reports csn {csn} durable, which is at "
                f"{self.durable_csn(site, generation)}",
            )
        if csn < known.said.get(generation, 0):
            raise Violation("O4", f"{site.name} reports csn {csn} after {known.said[generation]}")
        known.said[generation] = csn
