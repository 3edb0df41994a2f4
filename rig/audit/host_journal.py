"""Hold the changes that a site tells of against what a host says it wrote and was answered.

Follows the journal that `dualcopy host load` keeps, while it grows. An acknowledged write whose
every piece was not among the changes is one that the site has told the host about and nobody
else (A1).
"""

import contextlib
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import BenchError, DeviceError
from emulator.wire.checksum import content_hash
from rig.audit.ear import Item
from rig.audit.findings import AuditViolation, Tally
from rig.host.workload import contents
from rig.host.write_journal import read_plan

Piece = tuple[int, int, int]
"""Track, offset in it, hash of the bytes written there."""


def pieces_of(offset: int, data: bytes) -> Iterator[Piece]:
    """Yield a write as a site tells of it: whole tracks, and parts of tracks at its ends."""
    at = 0
    while at < len(data):
        track, within = divmod(offset + at, TRACK_BYTES)
        size = min(TRACK_BYTES - within, len(data) - at)
        yield track, within, content_hash(data[at : at + size])
        at += size


class HostJournal:
    """One host's journal of the writes to one volume."""

    def __init__(self, path: Path, volume: int, name: str, tally: Tally) -> None:
        self.volume = volume
        self._path = path
        self._name = name
        self._tally = tally
        self._rest = b""
        with contextlib.ExitStack() as stack:
            try:
                self._file = stack.enter_context(path.open("rb"))
                first = self._file.readline()
            except OSError as error:
                raise DeviceError(f"file://{path}", error.strerror or str(error)) from error
            self._plan = read_plan(path, first.decode(errors="replace"))
            stack.pop_all()
        self._begun: dict[int, int] = {}
        self._told: dict[Piece, int] = {}
        self._ignored_until = 0
        self.forget()

    def forget(self) -> None:
        """Judge no write that was begun up to now: not all changes were heard."""
        self.read()
        self._ignored_until = max(self._begun, default=self._ignored_until)
        self._told.clear()

    def _new_lines(self) -> list[bytes]:
        """Return the lines that have been completed since the last call."""
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        return lines

    def told(self, item: Item) -> None:
        """Take note of a change that a site tells of."""
        kind, volume, track = item[0], item[3], item[4]
        if volume != self.volume:
            return
        if kind == "run":
            for number, found in enumerate(item[5], track):
                self._note((number, 0, found))
        elif kind == "part":
            self._note((track, item[5], content_hash(b64decode(item[6]))))

    def _note(self, piece: Piece) -> None:
        self._told[piece] = self._told.get(piece, 0) + 1

    def read(self) -> list[int]:
        """Return the numbers of writes acknowledged since the last call."""
        found: list[int] = []
        for line in self._new_lines():
            words = line.split()
            if len(words) == 3 and words[0] == b"w":
                self._begun[int(words[1])] = int(words[2])
            elif len(words) == 2 and words[0] == b"a":
                found.append(int(words[1]))
            else:
                raise BenchError(f"{self._path}: {line[:60]!r} is no line of a journal of writes")
        return found

    def judge(self, acknowledged: list[int], csn: int) -> None:
        """Raise unless every piece of these writes was told, after all was heard."""
        for number in acknowledged:
            offset = self._begun.pop(number, None)
            if number <= self._ignored_until or offset is None:
                continue
            for piece in pieces_of(offset, contents(self._plan, number, offset)):
                left = self._told.pop(piece, 0)
                if not left:
                    raise AuditViolation(
                        "A1",
                        f"the host was told that its write {number} at byte {offset} is complete; "
                        f"no change up to here has its contents",
                        csn,
                        self._name,
                        piece[0],
                    )
                if left > 1:
                    self._told[piece] = left - 1
            self._tally.host_writes += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()
