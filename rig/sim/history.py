"""The true history of a group: every change in order, and the image after each of them.

Fed with what a primary hands to its nonvolatile store, entry by entry. An entry is the smallest
thing that a crash keeps or loses, and an epoch ends where an entry ends, so that a copy may stand
at the end of any entry and nowhere else. Each new generation is a branch that begins at some csn
of its parent (rules O1 to O5). So is what a site still has after another lost the end of its
journal: two contents then have the same generation and csn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rig.sim.image import Image
from rig.sim.violation import Violation

_TWIN_BITS = 64
"""Generations have numbers of this many bits; twins of them have larger ones."""


Images = list[Image]


class Change(NamedTuple):
    """New contents of a run of bytes of a volume."""

    volume: int
    offset: int
    data: bytes


class Entry(NamedTuple):
    """The changes from one csn to another."""

    csn_first: int
    csn_last: int
    changes: list[Change]


@dataclass(slots=True)
class Branch:
    """One generation: where it left its parent, and its entries since."""

    number: int
    parent: int
    fork_csn: int
    entries: list[Entry] = field(default_factory=list)
    head: Images = field(default_factory=list)

    @property
    def csn(self) -> int:
        """The newest csn."""
        return self.entries[-1].csn_last if self.entries else self.fork_csn


def apply(images: Images, entry: Entry) -> None:
    """Carry out an entry's changes."""
    for volume, offset, data in entry.changes:
        images[volume].put(offset, data)


class History:
    """All generations of one group."""

    def __init__(self) -> None:
        self.branches: dict[int, Branch] = {}
        self._base: Images = []
        self._splits = 0

    def begin(self, number: int, base: Sequence[bytearray]) -> None:
        """Begin the first generation with what lies on the primary's disks."""
        self._base = [Image(image) for image in base]
        self.branches.clear()
        self.branches[number] = Branch(number, 0, 0, head=[Image(image) for image in base])

    def fork(self, number: int, parent: int, csn: int) -> None:
        """Begin a generation that builds on its parent up to `csn`."""
        if number in self.branches:
            return
        self.branches[number] = Branch(number, parent, csn, head=self.image(parent, csn))

    def append(self, number: int, entry: Entry) -> None:
        """Add what a primary has handed to its store (O1: one order, without gaps)."""
        branch = self.branches[number]
        if entry.csn_first != branch.csn + 1 or entry.csn_last < entry.csn_first:
            raise Violation(
                "O1",
                f"csn {entry.csn_first} to {entry.csn_last} was journalled after csn {branch.csn}",
            )
        branch.entries.append(entry)
        apply(branch.head, entry)

    def split(self, number: int, csn: int) -> int:
        """Cut a branch at `csn`; return the number of a new branch that has what was cut off."""
        branch = self.branches[number]
        rest = [entry for entry in branch.entries if entry.csn_last > csn]
        self._splits += 1
        twin = number + (self._splits << _TWIN_BITS)
        self.branches[twin] = Branch(twin, number, csn, rest, branch.head)
        if rest:
            del branch.entries[-len(rest) :]
        if branch.csn != csn:
            raise Violation("O1", f"restarted at csn {csn}, inside an entry after {branch.csn}")
        branch.head = self.image(number, csn)
        return twin

    def stands_in(self, place: tuple[int, int], other: tuple[int, int]) -> bool:
        """Return whether the contents at one (branch, csn) are a past state of those at another."""
        number, csn = self._settled(*place)
        at, limit = other
        while at in self.branches:
            if at == number:
                return csn <= limit
            limit = min(limit, self.branches[at].fork_csn)
            at = self.branches[at].parent
        return False

    def _settled(self, number: int, csn: int) -> tuple[int, int]:
        """Return the branch in which a csn lies, which may be a parent of the one named."""
        branch = self.branches.get(number)
        while branch is not None and branch.parent and csn <= branch.fork_csn:
            number = branch.parent
            branch = self.branches.get(number)
        return number, csn

    def cut(self, number: int, csn: int) -> None:
        """Forget what a crash has lost: everything after `csn`."""
        branch = self.branches[number]
        if branch.csn == csn:
            return
        if csn > branch.csn:
            raise Violation("O1", f"restarted at csn {csn}, the newest was {branch.csn}")
        while branch.entries and branch.entries[-1].csn_last > csn:
            branch.entries.pop()
        if branch.csn != csn:
            raise Violation("O1", f"restarted at csn {csn}, inside an entry after {branch.csn}")
        branch.head = self.image(number, csn)

    def entries(self, number: int, csn: int) -> Iterator[Entry]:
        """Yield everything from the beginning up to `csn` of a generation.

        A csn inside an entry, or beyond the newest, is no state that ever existed (O3).
        """
        branch = self.branches.get(number)
        if branch is None:
            raise Violation("O3", f"generation {number:016x} was never begun by a primary")
        if branch.parent:
            yield from self.entries(branch.parent, min(branch.fork_csn, csn))
        at = branch.fork_csn
        for entry in branch.entries:
            if entry.csn_last > csn:
                break
            at = entry.csn_last
            yield entry
        if at < csn or (not branch.parent and csn < branch.fork_csn):
            raise Violation("O3", f"csn {csn} is no state of generation {number:016x} (near {at})")

    def image(self, number: int, csn: int) -> Images:
        """Return the contents after `csn` of a generation."""
        images = [Image(image) for image in self._base]
        for entry in self.entries(number, csn):
            apply(images, entry)
        return images


class Cursor:
    """A replica's place in the history, carried forward as the replica goes on."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._number = 0
        self._csn = -1
        self._entries = 0
        self._images: Images = []

    def at(self, number: int, csn: int) -> Images:
        """Return the contents after `csn`; cheap when the replica has only gone forward."""
        branch = self._history.branches.get(number)
        if number != self._number or csn < self._csn or branch is None:
            return self._jump(number, csn)
        while self._csn < csn:
            if self._entries >= len(branch.entries):
                return self._jump(number, csn)
            entry = branch.entries[self._entries]
            if entry.csn_first != self._csn + 1 or entry.csn_last > csn:
                return self._jump(number, csn)
            apply(self._images, entry)
            self._entries += 1
            self._csn = entry.csn_last
        return self._images

    def forget(self) -> None:
        """Begin anew: the history was cut."""
        self._number = 0
        self._csn = -1

    def _jump(self, number: int, csn: int) -> Images:
        self._images = self._history.image(number, csn)
        branch = self._history.branches[number]
        self._number = number
        self._csn = csn
        self._entries = sum(1 for entry in branch.entries if entry.csn_last <= csn)
        return self._images
