"""What becomes of a journal entry that rotted: may the start go on without it (W3)?

What hosts were told is complete is never dropped. An entry may be left out when everything that
it held is somewhere else, and that is certain:

    a secondary          its primary has everything, and copies it here anew
    on the disks         the superblock says that the disks need nothing of the journal before
    at the other site    its csn lies behind what the other site had confirmed: hollow.py fetches it

How far the other site had confirmed is known from the superblock and from each end of an epoch in
the journal. Anything else stops the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from emulator.copy.entries import HOST_ENTRY, confirmed_by
from emulator.copy.lineage import Position
from emulator.copy.map_bases import MapBases
from emulator.copy.states import Role
from emulator.events import JournalDamaged
from emulator.nvs.journal import EntryKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.copy.group import Group
    from emulator.node.processor import Processor
    from emulator.nvs.recovery import Damage, Entry, Recovery


class _Rest:
    """What the whole entries behind a damaged one say of a group."""

    def __init__(self, group: Group) -> None:
        self._generation = group.generation()
        self.csn: int | None = None
        """The damaged entry held no later write than this; None: nothing says so."""
        self.acked = group.stream.acked
        """The newest position that the other site is known to have confirmed."""

    def look(self, entry: Entry) -> None:
        """Take note of an entry of the group, in the journal's order."""
        kind = entry.head.kind
        if self.csn is None:
            if kind == EntryKind.HOST:
                self.csn = int(HOST_ENTRY.unpack_from(entry.payload)[0]) - 1
            elif kind in (EntryKind.EPOCH_CLOSED, EntryKind.RECEIVED):
                self.csn = entry.head.csn
        if kind == EntryKind.EPOCH_CLOSED and entry.head.lineage == self._generation:
            said = confirmed_by(entry.payload)
            if said is not None and said[0] > self.acked.csn:
                self.acked = Position(self._generation, *said)


class _Fate(NamedTuple):
    """What becomes of a group whose entry is left out."""

    action: str
    why_not: str
    act: Callable[[], None]


class Judge:
    """Decides for one start's replay."""

    def __init__(self, processor: Processor, recovery: Recovery, disks_lsn: int) -> None:
        """`disks_lsn` is from where the disks need the journal."""
        self._processor = processor
        self._recovery = recovery
        self._disks_lsn = disks_lsn

    def judge(self, damage: Damage) -> str:
        """Leave a damaged entry out, with all that follows from it; or say why that cannot be."""
        head = damage.head
        groups = [
            group
            for group in self._processor.groups.values()
            if head is None or head.group == group.number
        ]
        rests = {group.number: _Rest(group) for group in groups}
        for entry in self._recovery.rest(damage):
            rest = rests.get(entry.head.group)
            if rest is not None:
                rest.look(entry)
        fates = [self._fate(group, damage, rests[group.number]) for group in groups]
        for fate in fates:
            if fate.why_not:
                return fate.why_not
        for group, fate in zip(groups, fates, strict=True):
            fate.act()
            csn = 0 if head is None else head.csn
            self._processor.emit(JournalDamaged(group.name, damage.lsn, csn, fate.action))
        return ""

    def _fate(self, group: Group, damage: Damage, rest: _Rest) -> _Fate:
        if group.role is Role.SECONDARY:
            action = "left out; the primary copies everything to this site anew"
            return _Fate(action, "", lambda: _copied_anew(group))
        # A record that was copied has no csn of its own.
        csn = damage.head.csn if damage.head is not None and damage.head.csn else rest.csn
        confirmed = (
            csn is not None
            and csn <= rest.acked.csn
            and group.role is not Role.NONE
            and not group.copy_number
            and not group.map_mode
        )
        on_disks = damage.lsn < self._disks_lsn
        if on_disks and confirmed:
            action = "left out; the disks and the other site have what it held"
            return _Fate(action, "", lambda: _go_on_from(group, rest.acked))
        if on_disks and group.role is Role.NONE:
            return _Fate("left out; the disks have what it held", "", _nothing)
        if on_disks and group.role is Role.PRIMARY and csn is not None:
            action = (
                "left out; the disks have what it held, and everything is copied anew from here"
            )
            return _Fate(action, "", lambda: _copy_anew(group, csn))
        if confirmed and group.role is Role.PRIMARY:

            def fetch() -> None:
                _go_on_from(group, rest.acked)
                self._processor.hollow.note(group, damage.lsn)

            action = "left out; what it held is fetched from the other site before hosts are served"
            return _Fate(action, "", fetch)
        return _Fate("", _why_not(group, csn, rest.acked.csn), _nothing)


def _why_not(group: Group, csn: int | None, acked_csn: int) -> str:
    if group.role is Role.NONE:
        return f"No other site has what it held of {group.name}"
    if csn is None:
        return f"Nothing says which writes of {group.name} it held"
    return (
        f"It held writes of {group.name} up to csn {csn}, and the other site is known to have "
        f"those up to {acked_csn}"
    )


def _nothing() -> None:
    """Nothing follows from it."""


def _copied_anew(group: Group) -> None:
    """Give up a copy of which an entry is damaged: the primary has everything, and sends it."""
    group.consistent = False
    group.copy_number = 0


def _go_on_from(group: Group, acked: Position) -> None:
    """Take up the stream behind what the other site has confirmed."""
    if acked.csn > group.stream.acked.csn:
        group.stream.restart_at(acked)
        group.csn = group.durable_csn = max(group.csn, acked.csn)


def _copy_anew(group: Group, csn: int) -> None:
    """Give up order: the epoch cannot be formed again, and the tracks in it are not known."""
    group.map_mode = True
    group.map_bases = MapBases()
    group.copy_number = 0
    for found in group.maps:
        found.fill()
    group.stream.restart_at(group.stream.acked)
    # What was given is not given again (C4).
    group.csn = group.durable_csn = max(group.csn, csn)
