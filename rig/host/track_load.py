"""A host that formats, updates and reads tracks in a pattern, and later says what is on them.

Two programs on the same track are never under way at once, so their order is known; any number on
different tracks are. A read is checked against the oracle when it ends. Relies on
`track_journal.py` for what may be there.
"""

import random
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from emulator.channel.track_image import NewRecord
from emulator.clock import SECOND_NS
from rig.host.channel_device import ChannelResult
from rig.host.channel_volume import TrackChannel, TrackRecord
from rig.host.patterns import PATTERNS
from rig.host.programs import read_track
from rig.host.track_journal import Oracle, TrackJournal, TrackPlan, record_contents, track_records
from rig.host.workload import Stop

WRONG_MAX = 20
_FORMAT = 0


class _UnderWay(NamedTuple):
    """A program that was started: its number (0 for a read), its track and its future."""

    number: int
    track: int
    future: "Future[ChannelResult]"


@dataclass(slots=True)
class TrackLoadResult:
    """What a load did."""

    formats: int = 0
    updates: int = 0
    reads: int = 0
    elapsed_ns: int = 0
    wrong: list[str] = field(default_factory=list)
    """Reads that brought what may not be there."""


class TrackLoad:
    """One load under way."""

    def __init__(self, volume: TrackChannel, journal: TrackJournal, depth: int) -> None:
        self._volume = volume
        self._journal = journal
        self._plan = journal.oracle.plan
        self._depth = depth
        self._number = journal.oracle.last_number
        self._dice = random.Random(f"{self._plan.seed}/{self._number}")
        self._places: Iterator[int] = PATTERNS[self._plan.pattern](self._plan.tracks, self._dice)
        self._under_way: dict[int, _UnderWay] = {}
        self._formatted = set(journal.oracle.tracks)
        self.result = TrackLoadResult()

    def run(self, stop: Stop) -> TrackLoadResult:
        """Work until `stop`; raise DeviceError when a program does not end well."""
        begun_ns = time.monotonic_ns()
        count = 0
        while (stop.writes is None or count < stop.writes) and (
            stop.time_ns is None or time.monotonic_ns() - begun_ns < stop.time_ns
        ):
            self._one(self._plan.first_track + next(self._places))
            count += 1
        for track in list(self._under_way):
            self._settle(track)
        self.result.elapsed_ns = time.monotonic_ns() - begun_ns
        return self.result

    def _one(self, track: int) -> None:
        if track in self._under_way:
            self._settle(track)
        elif len(self._under_way) >= self._depth:
            self._settle(next(iter(self._under_way)))
        choice = self._dice.randrange(100)
        plan = self._plan
        if track not in self._formatted or choice < plan.format_percent:
            self._formatted.add(track)
            self.result.formats += 1
            self._write(track, _FORMAT)
        elif choice < plan.format_percent + plan.read_percent:
            self.result.reads += 1
            future = self._volume.device.start(
                read_track(self._volume.volume, self._address(track))
            )
            self._under_way[track] = _UnderWay(0, track, future)
        else:
            self.result.updates += 1
            self._write(track, 1 + self._dice.randrange(plan.records))

    def _write(self, track: int, record: int) -> None:
        self._number += 1
        number = self._number
        self._journal.begin(number, track, record)
        address = self._address(track)
        if record:
            data = record_contents(self._plan, number, record)
            future = self._volume.start_update(address, [(record, data)])
        else:
            records = track_records(self._plan, (number,) * self._plan.records)
            future = self._volume.start_format(address, records)
        self._under_way[track] = _UnderWay(number, track, future)

    def _settle(self, track: int) -> None:
        done = self._under_way.pop(track)
        cylinder, head = self._address(track)
        what = f"program on track {cylinder}/{head}"
        result = self._volume.settle(done.future, what)
        if done.number:
            self._journal.acknowledge(done.number)
            return
        found = self._volume.records_of(result)
        if not _is_allowed(self._journal.oracle, track, found):
            self.result.wrong.append(f"track {cylinder}/{head}: a read brought what is not there")

    def _address(self, track: int) -> tuple[int, int]:
        return divmod(track, self._volume.geometry.heads)


@dataclass(slots=True)
class TrackVerdict:
    """What holding a volume against a journal showed."""

    tracks: int = 0
    acknowledged: int = 0
    unsettled: int = 0
    wrong: int = 0
    places: list[str] = field(default_factory=list)


def verify_tracks(volume: TrackChannel, oracle: Oracle) -> TrackVerdict:
    """Read every track that the journal knows, and compare it with what may be there."""
    verdict = TrackVerdict(acknowledged=oracle.acknowledged, unsettled=oracle.unsettled)
    for track in oracle.tracks:
        verdict.tracks += 1
        cylinder, head = divmod(track, volume.geometry.heads)
        found = volume.read_track((cylinder, head))
        if _is_allowed(oracle, track, found):
            continue
        verdict.wrong += 1
        if len(verdict.places) < WRONG_MAX:
            verdict.places.append(f"track {cylinder}/{head}: {_first_wrong(oracle, track, found)}")
    return verdict


def _is_allowed(oracle: Oracle, track: int, found: list[TrackRecord]) -> bool:
    there = [NewRecord(row.number, row.data, row.key) for row in found]
    return any(there == allowed for allowed in oracle.allowed(track))


def _first_wrong(oracle: Oracle, track: int, found: list[TrackRecord]) -> str:
    """Say what differs from the likeliest state."""
    wanted = max(
        oracle.allowed(track),
        key=lambda allowed: sum(
            (row.number, row.data) == other[:2] for row, other in zip(found, allowed, strict=False)
        ),
    )
    if len(wanted) != len(found):
        return f"{len(found)} records, and {len(wanted)} were written"
    for row, other in zip(found, wanted, strict=True):
        if (row.number, row.data, row.key) != tuple(other):
            return f"record {row.number} is not what the last acknowledged program wrote"
    return "differs"


def check_plan(volume: TrackChannel, plan: TrackPlan) -> None:
    """Refuse a plan whose records do not fit on a track of the volume, or tracks it has not."""
    volume.check_plan(plan.first_track, plan.tracks, plan.records, plan.key, plan.length)


def seconds_text(result: TrackLoadResult) -> str:
    """Return how many programs a second were performed."""
    programs = result.formats + result.updates + result.reads
    return f"{programs * SECOND_NS / max(result.elapsed_ns, 1):.0f} a second"
