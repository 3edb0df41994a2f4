"""Does the capture show a link that keeps its rules, and is it what the sites counted?

The capture is read once. A site's counters at a moment are held against the packets captured up to
it: exactly, because only moments are used between whose two clock readings no packet lies.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from emulator.wire.layout import PacketFlag
from emulator.wire.packet import Packet
from rig.capture.reader import RECEIVED, SENT, CapturedPacket, CaptureReader
from rig.capture.verify import Verdict, verify
from rig.demo import plan
from rig.demo.watch import Sample
from rig.report.report import Check, Outcome


class Row(NamedTuple):
    """One captured packet, without its contents."""

    time_ns: int
    interface: str
    direction: str
    size_bytes: int
    again: bool


@dataclass(slots=True)
class Captured:
    """What one reading of a capture gives."""

    verdict: Verdict = field(default_factory=Verdict)
    torn: str | None = None
    rows: list[Row] = field(default_factory=list)
    """In order of time."""


def read_capture(path: Path) -> Captured:
    """Read and verify a capture."""
    found = Captured()
    with CaptureReader(str(path)) as reader:
        found.verdict = verify(_noted(reader, found.rows))
        found.torn = reader.torn
    found.rows.sort()
    return found


def _noted(packets: CaptureReader, rows: list[Row]) -> Iterator[CapturedPacket]:
    for captured in packets:
        packet = captured.packet
        again = isinstance(packet, Packet) and bool(packet.flags & PacketFlag.AGAIN)
        size = len(captured.data)
        rows.append(Row(captured.time_ns, captured.interface, captured.direction, size, again))
        yield captured


def capture_verified(captured: Captured) -> Check:
    """Say whether the link kept its rules, and whether both its ends were heard."""
    verdict = captured.verdict
    interfaces = {row.interface for row in captured.rows}
    problems = [*verdict.problems[:1]]
    problems += [f"the file {captured.torn}"] if captured.torn else []
    problems += [f"nothing of {name}" for name in _interfaces() if name not in interfaces]
    text = (
        f"{verdict.packets} packets in {verdict.sessions} sessions, {verdict.records} records; "
        f"{verdict.problem_count} problems"
    )
    if problems:
        return Check(_VERIFIED, Outcome.FAILED, f"{text}: {'; '.join(problems)}")
    return Check(_VERIFIED, Outcome.HELD, text)


_VERIFIED = "the capture decodes and its history has no gap"


def _interfaces() -> list[str]:
    return [f"{plan.LINK}/{site}" for site in plan.SITES]


class _Tally:
    """Packets and bytes of one interface and direction, up to any time."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._times_ns = [row.time_ns for row in rows]
        self._bytes = [0, *accumulate(row.size_bytes for row in rows)]

    def between(self, begin_ns: int, end_ns: int) -> tuple[int, int]:
        """Return packets and bytes from one time on and before another."""
        first, last = bisect_left(self._times_ns, begin_ns), bisect_left(self._times_ns, end_ns)
        return last - first, self._bytes[last] - self._bytes[first]

    def is_quiet(self, begin_ns: int, end_ns: int) -> bool:
        """Return whether nothing was captured from one time to another, both included."""
        return bisect_left(self._times_ns, begin_ns) == bisect_right(self._times_ns, end_ns)


def counters_equal(
    captured: Captured, samples: Sequence[Sample], lives: Mapping[int, int], site: str
) -> Check:
    """Hold what a site's line counted against the capture, at every moment that allows it."""
    name = f"site {site} counted what was captured"
    interface = f"{plan.LINK}/{site}"
    ways = {
        way: _Tally([r for r in captured.rows if (r.interface, r.direction) == (interface, way)])
        for way in (SENT, RECEIVED)
    }
    compared = 0
    pids: set[int] = set()
    for sample in samples:
        line = sample.link.get("line", {})
        quiet = all(way.is_quiet(sample.asked_ns, sample.answered_ns) for way in ways.values())
        if sample.site != site or not quiet or "packets_sent" not in line:
            continue
        pid = sample.status["pid"]
        begin_ns = lives[pid]
        sent, sent_bytes = ways[SENT].between(begin_ns, sample.asked_ns)
        received, _ = ways[RECEIVED].between(begin_ns, sample.asked_ns)
        counted = (
            line["packets_sent"],
            line["bytes_sent"],
            line["packets_received"] + line["packets_rejected"],
        )
        if counted != (sent, sent_bytes, received):
            text = (
                f"process {pid}: counted {counted[0]} packets of {counted[1]} bytes out, "
                f"{counted[2]} in; captured {sent} of {sent_bytes} out, {received} in"
            )
            return Check(name, Outcome.FAILED, text)
        compared += 1
        pids.add(pid)
    wanted = {
        pid for pid in lives if any(s.status["pid"] == pid for s in samples if s.site == site)
    }
    if not wanted or pids != wanted:
        text = f"no moment to compare at in processes {sorted(wanted - pids) or 'of this site'}"
        return Check(name, Outcome.FAILED, text)
    text = (
        f"packets out and in, and bytes out, at {compared} moments in the lives of "
        f"{len(pids)} processes: all equal"
    )
    return Check(name, Outcome.HELD, text)


def carried(captured: Captured, begin_ns: int, end_ns: int) -> tuple[int, int, int]:
    """Return packets, bytes, and bytes sent again, that both sites sent in a stretch of time."""
    rows = [
        row for row in captured.rows if row.direction == SENT and begin_ns <= row.time_ns < end_ns
    ]
    return (
        len(rows),
        sum(row.size_bytes for row in rows),
        sum(row.size_bytes for row in rows if row.again),
    )
