"""What every track must read as: at the primary now, and at the copy at its csn.

Contents are 64-bit hashes, 0 for not known. Changes wait in csn order until the copy has come to
them. Pure book-keeping; who is primary, and who says what, is left to `judge.py`.
"""

from array import array
from base64 import b64decode
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.copy.audit import ZERO_HASH
from emulator.wire.checksum import content_hash
from rig.audit.findings import AuditViolation

UNKNOWN = 0


class Pending(NamedTuple):
    """One track of a change that the copy has not applied yet."""

    csn: int
    key: int
    contents: int

    @property
    def place(self) -> tuple[int, int]:
        """Volume and track."""
        return self.key >> TRACK_BITS, self.key & TRACK_MASK


class Book:
    """The history of one group, from the csn at which an auditor began to listen."""

    def __init__(self, volumes: Sequence[tuple[str, int]], csn: int) -> None:
        self.names = [name for name, _tracks in volumes]
        self.csn = csn
        """The newest change heard of."""
        self.since_csn = csn
        """Contents are known from here on, once they were looked at."""
        self.copy_csn: int | None = None
        """Up to where the copy has applied; None until it has said so."""
        self._head = [array("Q", bytes(8 * tracks)) for _name, tracks in volumes]
        self._copy = [array("Q", bytes(8 * tracks)) for _name, tracks in volumes]
        self._pending: deque[Pending] = deque()
        self._next_key = -1

    def __len__(self) -> int:
        return len(self._pending)

    def tracks(self, volume: int) -> int:
        """Return how many tracks a volume has."""
        return len(self._head[volume])

    # What hosts have changed.

    def run(self, csn: int, volume: int, track: int, hashes: Sequence[int]) -> None:
        """Note whole tracks."""
        self._follow(csn, volume << TRACK_BITS | track, len(hashes))
        for number, contents in enumerate(hashes, track):
            self._change(csn, volume, number, contents or 1)

    def zeros(self, csn: int, volume: int, track: int, tracks: int) -> None:
        """Note tracks that were made zero."""
        self._follow(csn, volume << TRACK_BITS | track, tracks)
        for number in range(track, track + tracks):
            self._change(csn, volume, number, ZERO_HASH)

    def part(self, csn: int, volume: int, track: int, offset: int, texts: tuple[str, str]) -> None:
        """Note a part of a track, laid over what was there: both as base64."""
        self._follow(csn, volume << TRACK_BITS | track, 1)
        data, image = b64decode(texts[0]), bytearray(b64decode(texts[1]))
        old = content_hash(image) or 1
        known = self._head[volume][track]
        if known == UNKNOWN:
            self._learn(volume, track, old)
        elif known != old:
            raise self._violation(
                "C10",
                f"a part of it was laid over other contents than csn {csn - 1} has",
                csn,
                volume,
                track,
            )
        image[offset : offset + len(data)] = data
        self._change(csn, volume, track, content_hash(image) or 1)

    def _follow(self, csn: int, key: int, tracks: int) -> None:
        """One order without gaps; only the pieces of one write share a csn (O1)."""
        if csn == self.csn + 1:
            self.csn = csn
        elif csn != self.csn or key != self._next_key:
            volume, track = key >> TRACK_BITS, key & TRACK_MASK
            raise self._violation("O1", f"csn {self.csn} came before it", csn, volume, track)
        self._next_key = key + tracks

    def _change(self, csn: int, volume: int, track: int, contents: int) -> None:
        self._head[volume][track] = contents
        self._pending.append(Pending(csn, volume << TRACK_BITS | track, contents))

    def _learn(self, volume: int, track: int, contents: int) -> None:
        """Take what lies there for what was always there: nothing has changed it since we heard."""
        self._head[volume][track] = contents
        if self._copy[volume][track] == UNKNOWN:
            self._copy[volume][track] = contents

    def look_at_head(self, volume: int, first: int, hashes: Sequence[int]) -> int:
        """Compare what the primary serves; learn what is not known. Return how many were."""
        learnt = 0
        for track, contents in enumerate(hashes, first):
            known = self._head[volume][track]
            if known == UNKNOWN:
                self._learn(volume, track, contents or 1)
                learnt += 1
            elif known != (contents or 1):
                raise self._violation(
                    "A1",
                    "the primary itself does not read as what hosts have written",
                    self.csn,
                    volume,
                    track,
                )
        return learnt

    def cut(self, csn: int) -> Pending | None:
        """Forget changes after `csn`, which a crash took; return the first of them."""
        first: Pending | None = None
        gone: set[int] = set()
        while self._pending and self._pending[-1].csn > csn:
            first = self._pending.pop()
            gone.add(first.key)
        for key in gone:
            self._head[key >> TRACK_BITS][key & TRACK_MASK] = self._copied(key)
        for change in self._pending:
            if change.key in gone:
                self._head[change.key >> TRACK_BITS][change.key & TRACK_MASK] = change.contents
        self.csn = csn
        self._next_key = -1
        return first

    # What the copy has applied.

    def _copied(self, key: int) -> int:
        return self._copy[key >> TRACK_BITS][key & TRACK_MASK]

    def advance(self, csn: int) -> dict[int, Pending]:
        """Move the copy on to `csn`; return the last change of each track on the way."""
        touched: dict[int, Pending] = {}
        pending = self._pending
        while pending and pending[0].csn <= csn:
            change = pending.popleft()
            touched[change.key] = change
        self.copy_csn = csn
        for key, change in touched.items():
            self._copy[key >> TRACK_BITS][key & TRACK_MASK] = change.contents
        return touched

    def applied(self, csn: int, rows: Sequence[Sequence[int]]) -> int:
        """Judge an epoch that ends at `csn` by what its tracks read as; return how many (O3)."""
        keys = {volume << TRACK_BITS | track for volume, track, _contents in rows}
        # A track may be left out only if it reads the same before and after.
        before = {
            change.key: self._copied(change.key)
            for change in self._until(csn)
            if change.key not in keys
        }
        touched = self.advance(csn)
        for volume, track, contents in rows:
            self._judge(csn, volume, track, contents or 1, touched)
        for key, change in touched.items():
            if key not in keys and before[key] not in (change.contents, UNKNOWN):
                raise self._violation(
                    "O3",
                    f"the epoch that ends with csn {csn} does not have it",
                    change.csn,
                    *change.place,
                )
        return len(rows)

    def _until(self, csn: int) -> Iterator[Pending]:
        for change in self._pending:
            if change.csn > csn:
                return
            yield change

    def look_at_copy(self, volume: int, first: int, hashes: Sequence[int]) -> int:
        """Compare what the copy serves; return how many of its tracks are not known."""
        assert self.copy_csn is not None, "a copy that is looked at has said where it stands"
        unknown = 0
        for track, contents in enumerate(hashes, first):
            if self._copy[volume][track] == UNKNOWN:
                unknown += 1
            else:
                self._judge(self.copy_csn, volume, track, contents or 1, {})
        return unknown

    def _judge(
        self, csn: int, volume: int, track: int, contents: int, touched: dict[int, Pending]
    ) -> None:
        key = volume << TRACK_BITS | track
        expected = self._copied(key)
        if expected in (UNKNOWN, contents):
            return
        change = touched.get(key)
        said = f"at csn {csn} the copy does not read as it must"
        raise self._violation(
            "O3",
            f"{said}{self._hint(key, contents, touched)}",
            change.csn if change else csn,
            volume,
            track,
        )

    def _hint(self, key: int, contents: int, touched: dict[int, Pending]) -> str:
        """Say where wrong contents belong, if that is known."""
        for other in touched.values():
            if other.contents == contents:
                volume, track = other.place
                return (
                    f"; it holds what csn {other.csn} put into track {track} of "
                    f"{self.names[volume]}"
                )
        for change in self._pending:
            if change.key == key and change.contents == contents:
                return f"; it holds what csn {change.csn} puts there later"
        return ""

    def _violation(
        self, rule: str, found: str, csn: int, volume: int, track: int
    ) -> AuditViolation:
        name = self.names[volume] if volume < len(self.names) else f"volume {volume}"
        return AuditViolation(rule, found, csn, name, track)

    # Who is primary.

    def turned(self) -> "Book":
        """Return the book of a history that goes on at the copy: what it has is the newest now."""
        volumes = [(name, len(h)) for name, h in zip(self.names, self._head, strict=True)]
        assert self.copy_csn is not None
        book = Book(volumes, self.copy_csn)
        book.since_csn = min(self.since_csn, self.copy_csn)
        book._head = [array("Q", image) for image in self._copy]
        book._copy = self._copy
        return book
