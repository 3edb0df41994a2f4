"""Judge what both sites of a group say, item by item, against what hosts have written.

Each site's items are taken in their order. What a copy says of a csn waits until the primary's
changes up to that csn are known; since a site tells of a change before it sends it, a copy that
is ahead of everything heard from a living primary has something that no host wrote.
"""

from collections.abc import Callable
from typing import Any

from emulator.copy.states import Role
from rig.audit.book import Book
from rig.audit.ear import CAME, GONE, Item
from rig.audit.findings import AuditViolation, Finding, PrefixOk, Remark, ScanOk, Tally
from rig.audit.promises import Promises
from rig.audit.view import SiteView

PENDING_MAX = 4_000_000
"""Tracks of changes that the copy lacks, kept in memory; half a gigabyte."""
ROUNDS_MAX = 3
"""Times that everything was heard from the primary and a change was still not among it."""
_CHANGES = ("run", "part", "zeros")


class Judge:
    """The auditor's mind, for one group."""

    def __init__(self, group: str, sites: tuple[str, str], tell: Callable[[Finding], None]) -> None:
        self.group = group
        self.sites = {name: SiteView(name) for name in sites}
        self.book: Book | None = None
        self.primary = ""
        self.tally = Tally()
        self.changes: Callable[[Item], None] | None = None
        """Also told every change, to compare with hosts' own journals."""
        self.learnt_anew = 0
        """How often changes were missed, and all had to be learnt again."""
        self._tell = tell
        self._generation = 0
        self._past: set[int] = set()
        self._promises = Promises()

    # Hearing.

    def hear(self, site: str, items: list[Item]) -> None:
        """Take what a site has said; `settle` judges it."""
        view = self.sites[site]
        for item in items:
            if item is CAME or item is GONE:
                view.live = item is CAME
            if item is CAME or item is GONE or item[1] in ("", self.group):
                view.items.append(item)

    def settle(self) -> None:
        """Judge everything that can be judged; raise AuditViolation at the first thing wrong."""
        moved = True
        while moved:
            moved = False
            for view in sorted(self.sites.values(), key=lambda v: v.name != self.primary):
                while view.items and self._ready(view, view.items[0]):
                    self._take(view, view.items.popleft())
                    view.blocked_rounds = 0
                    moved = True
        for view in self.sites.values():
            self._look_at_blocked(view)
        if self.book is not None and len(self.book) > PENDING_MAX:
            self._restart(self.book.csn, "the copy is too far behind to remember everything")

    def _ready(self, view: SiteView, item: Item) -> bool:
        kind = str(item[0])
        if item is CAME or item is GONE or kind in ("event", "refused"):
            return True
        if kind == "standing" and item[2]["role"] == Role.PRIMARY.value:
            return True
        if self.book is None:
            return False
        if view.name == self.primary:
            # Once it has stepped down, what it applies is for the next primary to explain.
            return kind != "applied"
        if kind in ("applied", "standing", "tracks"):
            return int(item[2]["csn"]) <= self.book.csn
        return True

    def _look_at_blocked(self, view: SiteView) -> None:
        primary = self.sites.get(self.primary)
        if not view.items or primary is None or view is primary or primary.came:
            return
        view.blocked_rounds += primary.live
        if view.blocked_rounds > ROUNDS_MAX and view.items[0][0] == "applied":
            csn = int(view.items[0][2]["csn"])
            found = f"site {view.name} has applied what no host has written"
            raise AuditViolation("O5", found, csn)

    def _take(self, view: SiteView, item: Item) -> None:
        if item is CAME:
            view.came = view.here = True
            return
        if item is GONE:
            if view.here:
                self._tell(Remark(f"site {view.name} is away"))
            view.here = False
            return
        kind = item[0]
        if kind == "standing":
            self._standing(view, item[2])
        elif kind in _CHANGES and view.name == self.primary:
            self._changed(kind, item)
        elif kind == "answered" and view.name == self.primary:
            self._promises.answered(int(item[2]), str(item[3]))
            self.tally.answered_csn = self._promises.csn
        elif kind == "applied":
            self._applied(view, item[2], item[3])
        elif kind == "tracks":
            self._tracks(view, item[2])
        elif kind == "refused":
            self._tell(Remark(f"site {view.name}: {item[2]}"))
        elif kind == "event" and item[2] == "PairChanged" and view.name == self.primary:
            self._tell(Remark(f"site {view.name}: {item[3]['after']} ({item[3]['reason']})"))

    # The primary.

    def _changed(self, kind: str, item: Item) -> None:
        book = self._known_book()
        csn, volume, track = item[2:5]
        if kind == "run":
            book.run(csn, volume, track, item[5])
        elif kind == "zeros":
            book.zeros(csn, volume, track, item[5])
        else:
            book.part(csn, volume, track, item[5], (item[6], item[7]))
        self.tally.changes += 1
        if self.changes is not None:
            self.changes(item)

    def _known_book(self) -> Book:
        assert self.book is not None, "nothing is taken before a primary has said where it stands"
        return self.book

    # Where sites stand.

    def _standing(self, view: SiteView, said: dict[str, Any]) -> None:
        came, view.came = view.came, False
        view.lives += came
        self.tally.reconnections = sum(max(0, one.lives - 1) for one in self.sites.values())
        if said["role"] == Role.PRIMARY.value:
            self._primary_stands(view, said, came=came)
        elif view.name != self.primary:
            self._copy_stands(view, said, came=came)

    def _primary_stands(self, view: SiteView, said: dict[str, Any], *, came: bool) -> None:
        csn, generation = int(said["csn"]), int(said["generation"])
        if self.book is None:
            self.primary, self._generation = view.name, generation
            self.book = Book([(str(n), int(t)) for n, t in said["volumes"]], csn)
            self._tell(Remark(f"listening from csn {csn} on; site {view.name} is primary"))
            view.scan_wanted = True
        elif generation in self._past:
            self._tell(
                Remark(f"site {view.name} goes on at csn {csn} of a generation that was given up")
            )
        elif view.name != self.primary or generation != self._generation:
            self._promoted(view, said)
        elif csn != self.book.csn:
            self._came_back(view, csn, came=came)
        elif came:
            view.scan_wanted = True
        # Last: what was answered before is judged by the level at which it was.
        self._promises.ack = str(said["ack"])

    def _came_back(self, view: SiteView, csn: int, *, came: bool) -> None:
        """A primary of the same generation was started again: what has it kept (A1, O4)?"""
        book = self._known_book()
        if not came:
            raise AuditViolation("O1", f"site {view.name} went from csn {book.csn} to {csn}", csn)
        if csn > book.csn:
            self.tally.changes_not_heard += csn - book.csn
            self._restart(csn, f"csn {book.csn + 1} to {csn} were written while nobody listened")
            view.scan_wanted = True
            return
        copy_csn = book.copy_csn or 0
        if csn < copy_csn:
            found = f"site {view.name} restarted at csn {csn}; its copy has csn {copy_csn}"
            raise AuditViolation("W1", found, csn + 1)
        before = book.csn
        self._promises.hold_after_restart(view.name, csn, book.cut(csn), book.names)
        self._tell(Remark(f"csn {csn + 1} to {before} were never answered, and are gone"))
        view.scan_wanted = True

    def _promoted(self, view: SiteView, said: dict[str, Any]) -> None:
        """A new generation begins; it builds on a past state of the one before (R1, R2)."""
        book = self._known_book()
        fork_csn = next((int(g[2]) for g in said["lineage"] if int(g[1]) == self._generation), None)
        generation = int(said["generation"])
        was, self.primary = self.primary, view.name
        self._past.add(self._generation)
        self._generation = generation
        if fork_csn is None or view.name == was or book.copy_csn is None or fork_csn > book.csn:
            self._restart(int(said["csn"]), "a change of roles was not heard")
        else:
            if fork_csn < book.copy_csn:
                found = f"site {view.name} had applied csn {book.copy_csn}, promoted at {fork_csn}"
                raise AuditViolation("O4", found, fork_csn + 1)
            book.advance(fork_csn)
            given_up = self._promises.hold_after_promotion(view.name, fork_csn, book.csn)
            if given_up:
                self._tell(Remark(given_up))
            self.book = book.turned()
            if int(said["csn"]) > fork_csn:
                self._restart(int(said["csn"]), "writes after a change of roles were not heard")
        other = next(one for one in self.sites.values() if one is not view)
        other.whole = self._known_book().copy_csn is not None and book.csn == fork_csn
        self._known_book().copy_csn = fork_csn if other.whole else None
        view.scan_wanted = True
        self._tell(Remark(f"site {view.name} is primary from csn {said['csn']} on"))

    def _restart(self, csn: int, why: str) -> None:
        """Begin to learn anew; what is known no longer follows from what was heard."""
        old = self._known_book()
        self.learnt_anew += 1
        self.book = Book([(n, old.tracks(v)) for v, n in enumerate(old.names)], csn)
        self.book.copy_csn = old.copy_csn
        self._promises.forget()
        self.sites[self.primary].scan_wanted = True
        self._tell(Remark(f"{why}; contents are learnt again from csn {csn} on"))

    # The copy.

    def _copy_stands(self, view: SiteView, said: dict[str, Any], *, came: bool) -> None:
        book = self._known_book()
        csn, consistent = int(said["csn"]), bool(said["consistent"])
        was_whole, view.whole = view.whole, consistent and csn >= book.since_csn
        if book.copy_csn is None or not was_whole:
            book.advance(csn)
        elif csn < book.copy_csn and consistent:
            raise AuditViolation(
                "O4", f"site {view.name} had applied csn {book.copy_csn}, and is at csn {csn}", csn
            )
        elif csn > book.copy_csn:
            book.advance(csn)
        if not consistent and was_whole:
            self._tell(Remark(f"site {view.name} is being copied; not judged until that ends"))
        if view.whole and (came or not was_whole):
            view.scan_wanted = True

    def _applied(self, view: SiteView, said: dict[str, Any], rows: list[list[int]]) -> None:
        book = self._known_book()
        first, csn = int(said["first"]), int(said["csn"])
        if book.copy_csn is not None and first != book.copy_csn + 1 and view.whole:
            found = f"site {view.name} applied csn {first} to {csn} after csn {book.copy_csn}"
            raise AuditViolation("O3", found, first)
        if csn < first:
            raise AuditViolation("C4", f"an epoch of csn {first} ends with csn {csn}", csn)
        if not said["consistent"] or csn <= book.since_csn:
            book.advance(csn)
            self.tally.epochs_not_judged += 1
            return
        if not view.whole:
            view.whole = view.scan_wanted = True
        tracks = book.applied(csn, rows)
        self.tally.epochs += 1
        self.tally.epoch_tracks += tracks
        self._tell(PrefixOk(view.name, first, csn, tracks))

    # Whole images.

    def _tracks(self, view: SiteView, result: dict[str, Any]) -> None:
        book = self._known_book()
        volume, first, hashes = result["volume"], result["first"], result["hashes"]
        if not volume and not first:
            view.scan_tracks = view.scan_unknown = 0
        if view.name == self.primary:
            book.look_at_head(volume, first, hashes)
        elif view.whole and result["consistent"] and result["csn"] == book.copy_csn:
            unknown = book.look_at_copy(volume, first, hashes)
            view.scan_unknown += unknown
            self.tally.copy_tracks += len(hashes) - unknown
        else:
            view.scan_unknown += len(hashes)
        self.tally.scanned_tracks += len(hashes)
        view.scan_tracks += len(hashes)
        if volume == len(book.names) - 1 and first + len(hashes) == book.tracks(volume):
            self.tally.scans += 1
            self._tell(ScanOk(view.name, result["csn"], view.scan_tracks, view.scan_unknown))
