"""What a host has done to tracks, kept in a file, and what may be on them after it (the oracle).

The first line is the plan as JSON; then a line for each program begun (`b NUMBER TRACK RECORD`,
record 0 for a format write of the whole track) and each that ended well (`a NUMBER`). Contents
follow from the seed and the number. A program without an ending may be on the track or not, but
as a whole (semantics O5): `Oracle` keeps every state that is allowed.
"""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from emulator.channel.track_image import NewRecord
from emulator.errors import BenchError

STATES_MAX = 4096
_MARK = "dualcopy-tracks"

TrackState = tuple[int, ...]
"""For each record the number of the program that wrote it; empty for a track never written."""


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """How the places and contents of a load of tracks follow from program numbers."""

    seed: int
    first_track: int
    tracks: int
    records: int
    length: int
    """Bytes of data of each record."""
    key: int
    """Bytes of key of each record."""
    pattern: str
    format_percent: int
    read_percent: int


def record_contents(plan: TrackPlan, number: int, record: int) -> bytes:
    """Return the data that program `number` writes to a record."""
    return random.Random(f"{plan.seed}/{number}/{record}").randbytes(plan.length)


def track_records(plan: TrackPlan, state: TrackState) -> list[NewRecord]:
    """Return the records of a track in some state."""
    return [
        NewRecord(place, record_contents(plan, number, place), bytes([place]) * plan.key)
        for place, number in enumerate(state, 1)
    ]


def after(plan: TrackPlan, state: TrackState, number: int, record: int) -> TrackState:
    """Return the state of a track after a program.

    >>> plan = TrackPlan(1, 0, 1, 3, 80, 0, "random", 0, 0)
    >>> after(plan, after(plan, (), 4, 0), 5, 2)
    (4, 5, 4)
    """
    if not record:
        return (number,) * plan.records
    return tuple(number if place == record else was for place, was in enumerate(state, 1))


class Oracle:
    """Every state that each track may be in."""

    def __init__(self, plan: TrackPlan) -> None:
        self.plan = plan
        self._settled: dict[int, set[TrackState]] = {}
        self._begun: dict[int, tuple[int, int]] = {}
        self.acknowledged = 0
        self.last_number = 0

    @property
    def tracks(self) -> list[int]:
        """Tracks that were written, in their order."""
        return sorted(self._settled)

    @property
    def unsettled(self) -> int:
        """How many programs have no ending."""
        return len(self._begun)

    def begin(self, number: int, track: int, record: int) -> None:
        """Take note of a program that may be on its track from now on."""
        self.last_number = max(self.last_number, number)
        self._begun[number] = (track, record)
        states = self._settled.setdefault(track, {()})
        states |= {after(self.plan, state, number, record) for state in states}
        if len(states) > STATES_MAX:
            raise BenchError(f"track {track}: too many programs without an ending to judge it")

    def acknowledge(self, number: int) -> None:
        """Take note of a program that is on its track for sure."""
        track, record = self._begun.pop(number)
        self.acknowledged += 1
        if record:
            kept = {
                state for state in self._settled[track] if state and state[record - 1] == number
            }
        else:
            kept = {state for state in self._settled[track] if number in state}
        self._settled[track] = kept

    def allowed(self, track: int) -> Iterator[list[NewRecord]]:
        """Yield what may be on a track."""
        for state in sorted(self._settled[track]):
            yield track_records(self.plan, state)


class TrackJournal:
    """The journal while it is written; every line is with the system before the next step."""

    def __init__(self, path: Path, plan: TrackPlan, *, append: bool) -> None:
        self.oracle = Oracle(plan)
        if append and path.exists():
            self.oracle = read_tracks_journal(path)
            if self.oracle.plan != plan:
                raise BenchError(f"{path}: was begun with other options; go on with the same")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags if append else flags | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise BenchError(f"{path}: exists; remove it, or go on with --append") from error
        except OSError as error:
            raise BenchError(f"{path}: {error.strerror or error}") from error
        if not self.oracle.last_number:
            self._line(json.dumps({"kind": _MARK, **asdict(plan)}))

    def begin(self, number: int, track: int, record: int) -> None:
        """Note a program before it is sent."""
        self._line(f"b {number} {track} {record}")
        self.oracle.begin(number, track, record)

    def acknowledge(self, number: int) -> None:
        """Note a program that ended well."""
        self._line(f"a {number}")
        self.oracle.acknowledge(number)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _line(self, text: str) -> None:
        os.write(self._file, text.encode() + b"\n")


def is_tracks_journal(path: Path) -> bool:
    """Return whether a file is a journal of tracks."""
    try:
        with path.open("rb") as file:
            return _MARK.encode() in file.readline()
    except OSError:
        return False


def read_tracks_journal(path: Path) -> Oracle:
    """Return what a journal says may be on the tracks; a last line that was cut is left out."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror or error}") from error
    lines = text.split("\n")[:-1]
    oracle = Oracle(_plan(path, lines))
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        try:
            numbers = [int(word) for word in words[1:]]
            if words[0] == "b":
                oracle.begin(*numbers)
            else:
                oracle.acknowledge(*numbers)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise BenchError(f"{path}:{number}: {line!r} is no line of a journal") from error
    return oracle


def _plan(path: Path, lines: list[str]) -> TrackPlan:
    try:
        found: dict[str, Any] = json.loads(lines[0])
        if found.pop("kind") != _MARK:
            raise ValueError
        known = {field.name for field in fields(TrackPlan)}
        if set(found) != known:
            raise ValueError
        return TrackPlan(**found)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise BenchError(f"{path}: is no journal of tracks") from error
