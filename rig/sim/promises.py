"""What a site promises: to hosts by its answers, to operators by what it says.

Judged by what is known of both sites: acknowledgement levels (A), visibility (V), one primary
(R1), bounds of memory (L4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.copy.levels import AckLevel
from emulator.copy.states import DUPLEX, PRIMARY, PairState, Role
from emulator.node.guard import StoreState
from rig.faults.storage import SECTOR_BYTES
from rig.sim.ledger import Known, Ledger
from rig.sim.shape import GROUP
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from emulator.copy.group import Group
    from emulator.node.processor import Processor
    from rig.sim.history import Images
    from rig.sim.operations import Operation
    from rig.sim.shell import Shell

_REMOTE = (AckLevel.REMOTE_NVS, AckLevel.REMOTE_APPLIED)
_CACHE_SLACK_TRACKS = 600
"""Images in the hands of one record or one disk write, which the bound does not count."""


class Promises(Ledger):
    """The checkers of what sites say and answer."""

    def __init__(self) -> None:
        super().__init__()
        self.forced = False
        """An operator has made a secondary primary without its primary's word."""

    # Hosts.

    def answered(self, site: Shell, csn: int) -> None:
        """A host was told that its write is complete (A)."""
        group = site.group
        generation = group.generation()
        if csn > self.durable_csn(site, generation) and group.ack is not AckLevel.VOLATILE:
            raise Violation("A1", f"{site.name} answers csn {csn}, which is not durable there")
        known = self.known[site.name]
        if csn > self.durable_csn(site, generation):
            self.mark("answered from volatile memory")
        other = self.other(site)
        honest = csn <= self.durable_csn(other, generation) or self.known[other.name].lost
        if group.ack in _REMOTE and not honest:
            body = site.nvs.body
            if body is not None and body["groups"][GROUP]["state"] == PairState.DUPLEX.value:
                raise Violation(
                    "A-honest", f"{site.name} answers csn {csn} alone, and says durably duplex"
                )
            self.mark("answered alone")
        self._look_at_applied(site, csn)
        known.answered_csn = max(known.answered_csn, csn)

    def look_at_disk(self, site: Shell, operation: Operation) -> None:
        """A host was told so while the store cannot be relied on: its disk has it (W4)."""
        good = site.processor.guard.state is StoreState.GOOD
        expected = self.contents(site)
        if good or not operation.through or expected is None or site.damaged(operation):
            return
        volume, start = operation.volume, operation.offset
        if site.disks[volume].lies():
            return
        self.mark("written through")
        assert operation.data is not None
        for at in range(0, operation.length, SECTOR_BYTES):
            span = slice(start + at, start + at + SECTOR_BYTES)
            wanted = operation.data[at : at + SECTOR_BYTES]
            # What was written over it since may lie there as well.
            newest = bytes(expected[volume][span])
            if newest == wanted != bytes(site.disks[volume].durable[span]):
                raise Violation(
                    "W4",
                    f"{site.name} answers csn {operation.csn}: its store cannot be relied on, and "
                    f"its disk lacks byte {start + at} of volume {volume}",
                )

    def _look_at_applied(self, site: Shell, csn: int) -> None:
        group, other = site.group, self.other(site)
        if (
            group.ack is AckLevel.REMOTE_APPLIED
            and group.state is PairState.DUPLEX
            and other.ready
            and other.group.generation() == group.generation()
            and csn > other.group.stream.acked.csn
        ):
            raise Violation("A4", f"{site.name} answers csn {csn}, not applied at {other.name}")

    def said(self, site: Shell, said: dict[str, Any]) -> None:
        """A site has said how it stands: neither better than it is, nor nonsense (V1, V3)."""
        group, lag = site.group, said["lag"]
        if min(lag.values()) < 0 or (not lag["records"] and any(lag.values())):
            raise Violation("V3", f"{site.name} says {lag}")
        consistent = group.consistent and not group.copy_number
        words = said["guarantee"].partition(":")[0]
        sync = group.state is PairState.DUPLEX and group.ack in _REMOTE and consistent
        if words == "DUPLEX-SYNC" and not sync:
            raise Violation("V1", f"{site.name} is {group.state.value} and says {words}")
        if words.startswith("DUPLEX") and (group.state is not PairState.DUPLEX or not consistent):
            raise Violation("V1", f"{site.name} is {group.state.value} and says {words}")
        if group.ack is AckLevel.VOLATILE and "UNSAFE" not in said["guarantee"]:
            raise Violation("V1", f"{site.name} may lose what it answers and says {words}")
        if not consistent and "not a usable copy" not in said["guarantee"]:
            raise Violation("V1", f"{site.name} has no whole copy and says {said['guarantee']!r}")
        if group.role is not Role.PRIMARY:
            return
        truth = group.csn - self.durable_csn(self.other(site), group.generation())
        if lag["records"] < min(truth, group.csn - group.stream.acked.csn):
            raise Violation("V3", f"{site.name} says {lag['records']} records, {truth} are missing")

    def contents(self, site: Shell) -> Images | None:
        """Return what a host must read at a site now."""
        group = site.group
        if group.role is Role.PRIMARY:
            return self.history.branches[self.branch(site, group.generation())].head
        if not group.consistent:
            return None
        acked = group.stream.acked
        number = self.branch(site, acked.generation)
        return self.known[site.name].cursor.at(number, acked.csn)

    def look_at_primary(self, site: Shell, group: Group, known: Known) -> None:
        """A primary has ended a turn: it is the only one (R1), and as well off as it says (V2)."""
        other = self.other(site)
        if other.ready and other.group.role is PRIMARY and not self.forced:
            mine, theirs = group.generation(), other.group.generation()
            raise Violation("R1", f"both sites are primary: {mine:016x} and {theirs:016x}")
        if group.state is not DUPLEX:
            return
        lacking: int = group.map_mode or group.copy_number
        for found in group.maps:
            lacking += found.set_bits
        if lacking:
            raise Violation("V2", f"{site.name} says duplex while its dirty map is not empty")
        if group.ack in _REMOTE and not self.known[other.name].lost:
            csn = self.durable_csn(other, group.generation())
            if known.answered_csn > csn:
                raise Violation(
                    "A-sync",
                    f"{site.name} says duplex ({group.ack.value}); csn {known.answered_csn} was "
                    f"answered, {other.name} has {csn}",
                )

    def look_at_bounds(self, processor: Processor) -> None:
        """A site has ended a turn: its cache and its journal keep their bounds (L4)."""
        cache, journal = processor.cache, processor.journal
        tracks = cache.held_tracks()
        if tracks > cache.tracks_max + _CACHE_SLACK_TRACKS:
            raise Violation(
                "L4", f"the cache holds {tracks} tracks, its bound is near {cache.tracks_max}"
            )
        if journal.used_bytes() > journal.ring_bytes:
            raise Violation(
                "W3", f"{journal.used_bytes()} bytes lie in a ring of {journal.ring_bytes}"
            )
