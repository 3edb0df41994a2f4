"""Run the auditor: listen to both sites at once, judge, and look at whole images now and then."""

import select
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from emulator.clock import SECOND_NS
from emulator.errors import UnavailableError
from emulator.node.console import AUDIT_TRACKS_MAX
from rig.audit.ear import GONE, Ear
from rig.audit.findings import Finding, Tally
from rig.audit.host_journal import HostJournal
from rig.audit.judge import Judge

POLL_MS = 20
"""How soon a site that was started again is heard."""
LAST_LOOK_NS = 20 * SECOND_NS
"""How long the comparison of whole images at the end may take."""


class Scan:
    """Asks a site for the hashes of all its tracks, a piece at a time."""

    def __init__(self, group: str, ear: Ear) -> None:
        self._group = group
        self._ear = ear
        self._pieces: Iterator[tuple[int, int, int]] = iter(())
        self.open = False
        """A piece was asked for and is not here yet."""
        self.under_way = False

    def begin(self, tracks: list[int]) -> None:
        """Look at every track of volumes with so many tracks, from the first one on."""
        self.under_way = True
        self._pieces = (
            (volume, first, min(AUDIT_TRACKS_MAX, count - first))
            for volume, count in enumerate(tracks)
            for first in range(0, count, AUDIT_TRACKS_MAX)
        )

    def go_on(self) -> None:
        """Ask for the next piece, if none is under way."""
        if self.open or not self.under_way:
            return
        piece = next(self._pieces, None)
        if piece is None:
            self.under_way = False
            return
        volume, first, count = piece
        self.open = True
        words = {"group": self._group, "volume": volume, "first": first, "count": count}
        self._ear.ask(verb="audit-tracks", **words)

    def stop(self) -> None:
        """Forget it: the site is gone."""
        self.open = self.under_way = False


class Auditor:
    """One audit of one group of a bench."""

    def __init__(
        self,
        group: str,
        consoles: Mapping[str, Path],
        journals: Mapping[str, Path],
        tell: Callable[[Finding], None],
    ) -> None:
        first, second = consoles
        self.judge = Judge(group, (first, second), tell)
        self.ears = {site: Ear(site, path) for site, path in consoles.items()}
        self._scans = {site: Scan(group, ear) for site, ear in self.ears.items()}
        self._journal_files = journals
        self._journals: list[HostJournal] = []
        self._learnt_anew = 0

    @property
    def tally(self) -> Tally:
        """What was looked at so far."""
        return self.judge.tally

    def run(self, limit_ns: int | None, stopped: Callable[[], bool]) -> None:
        """Audit until the time is over or somebody stops it; raise at the first thing wrong."""
        end_ns = None if limit_ns is None else time.monotonic_ns() + limit_ns
        while not stopped() and (end_ns is None or time.monotonic_ns() < end_ns):
            self._round()
        self._last_look()
        if not self.tally.epochs and not self.tally.copy_tracks:
            lacks = [site for site, ear in self.ears.items() if ear.file is None]
            why = f"no site {' and no site '.join(lacks)}" if lacks else "no epoch was applied"
            raise UnavailableError(f"nothing was judged: {why}; let hosts write meanwhile")

    def _last_look(self) -> None:
        """Compare the copy's whole image once more."""
        judge = self.judge
        copies = [view for view in judge.sites.values() if view.name != judge.primary]
        for view in copies:
            view.scan_wanted = view.whole
        end_ns = time.monotonic_ns() + LAST_LOOK_NS
        while time.monotonic_ns() < end_ns and any(
            view.scan_wanted or self._scans[view.name].under_way for view in judge.sites.values()
        ):
            if all(ear.file is None for ear in self.ears.values()):
                return
            self._round()

    def _round(self) -> None:
        poll = select.poll()
        for ear in self.ears.values():
            if ear.call():
                assert ear.file is not None, "it was just opened"
                poll.register(ear.file, select.POLLIN)
        poll.poll(POLL_MS)
        answered = [(journal, journal.read()) for journal in self._journals]
        # The primary last: all that a copy says follows from what the primary has said before.
        for site in sorted(self.ears, key=lambda name: name == self.judge.primary):
            items = self.ears[site].hear()
            scan = self._scans[site]
            for item in items:
                if item is GONE:
                    scan.stop()
                elif item[0] in ("tracks", "refused"):
                    scan.open = False
            self.judge.hear(site, items)
        self.judge.settle()
        self._look_at_journals(answered)
        self._scan()

    def _look_at_journals(self, answered: list[tuple[HostJournal, list[int]]]) -> None:
        book = self.judge.book
        if book is None:
            return
        if self._learnt_anew != self.judge.learnt_anew:
            self._learnt_anew = self.judge.learnt_anew
            for journal in self._journals:
                journal.forget()
            return
        for journal, numbers in answered:
            journal.judge(numbers, book.csn)
        if self._journal_files and not self._journals:
            self._journals = [
                HostJournal(path, book.names.index(name), name, self.tally)
                for name, path in self._journal_files.items()
            ]
            self.judge.changes = self._changed

    def _changed(self, item: list[object]) -> None:
        for journal in self._journals:
            journal.told(item)

    def _scan(self) -> None:
        judge, book = self.judge, self.judge.book
        if book is None:
            return
        tracks = [book.tracks(volume) for volume in range(len(book.names))]
        # The primary first: what it reads as is what the copy must read as later.
        for view in sorted(judge.sites.values(), key=lambda v: v.name != judge.primary):
            scan = self._scans[view.name]
            if view.scan_wanted and view.live:
                view.scan_wanted = False
                scan.begin(tracks)
            if scan.under_way:
                scan.go_on()
                return

    def close(self) -> None:
        """Give everything back."""
        for ear in self.ears.values():
            ear.close()
        for journal in self._journals:
            journal.close()
