"""Whether a capture shows a link that keeps its rules.

Checked: what we sent decodes (what came in damaged was marked so); packet numbers of an end and
session are never used twice (L1); records of changes follow one another without a gap, by csn and
by chain hash (O1, C4, R5), within a session and over a reconnect. Relies on `follow.py` for the
records' headers. What the changes do to the disks is for others to check.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from emulator.record.changes import RecordHead
from emulator.wire.checksum import content_hash
from emulator.wire.layout import PacketType, RecordKind
from emulator.wire.packet import Packet
from rig.capture.follow import Stream, record_head
from rig.capture.reader import RECEIVED, UNKNOWN, CapturedPacket

PROBLEMS_MAX: Final = 100
"""Listed; one fault may show in every packet after it. All are counted."""
NUMBERS_KEPT: Final = 65_536
"""Numbers of one stream remembered; far more than a window's worth."""
RECORDS_HELD_MAX: Final = 4096
"""Records of one stream waiting for an earlier one; the link's window is smaller."""

# After these the next record of changes need not follow the last one.
_BREAKS_HISTORY: Final = frozenset((RecordKind.RESYNC_BEGIN, RecordKind.ROLE))

# The highest csn seen of a group in a generation, on any end of any line.
Reached = dict[tuple[int, int], int]


@dataclass(slots=True)
class Verdict:
    """What was checked and what was wrong."""

    packets: int = 0
    rejected: int = 0
    """Came in damaged or from a stranger and were marked so: not a fault of ours."""
    other: int = 0
    """Frames of other protocols."""
    repeated: int = 0
    """Packets that the line delivered twice."""
    records: int = 0
    sessions: int = 0
    problem_count: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every check held."""
        return not self.problem_count

    def complain(self, captured: CapturedPacket, problem: str) -> None:
        """Note one thing that is wrong."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            place = f"{captured.interface} {captured.direction}".strip()
            self.problems.append(f"frame {captured.frame} ({place}): {problem}")

    def as_object(self) -> dict[str, Any]:
        """Return the verdict as plain data for JSON."""
        names = ("packets", "rejected", "other", "repeated", "records", "sessions")
        counts = {name: getattr(self, name) for name in names}
        return {"held": self.held, **counts, "problem_count": self.problem_count,
                "problems": self.problems}  # fmt: skip


def verify(packets: Iterable[CapturedPacket]) -> Verdict:
    """Check a whole capture."""
    verdict = Verdict()
    numbers: dict[Stream, dict[int, int]] = {}
    records: dict[Stream, _Records] = {}
    histories: dict[tuple[str, str], _Histories] = {}
    reached: Reached = {}
    for captured in packets:
        verdict.packets += 1
        packet = captured.packet
        if packet is None:
            verdict.other += 1
            continue
        if captured.comment and (captured.direction == RECEIVED or isinstance(packet, str)):
            verdict.rejected += 1
            continue
        if isinstance(packet, str):
            verdict.complain(captured, f"does not decode: {packet}")
            continue
        # A hello belongs to no session yet, and without a direction two ends look like one.
        if not packet.session or captured.direction == UNKNOWN:
            continue
        stream = (captured.interface, captured.direction, packet.session)
        _check_number(verdict, captured, packet, numbers.setdefault(stream, {}))
        if packet.type == PacketType.DATA and not packet.fragment_offset:
            if stream not in records:
                history = histories.setdefault(stream[:2], _Histories(verdict, reached))
                records[stream] = _Records(history)
            records[stream].add(captured, packet)
    for held in records.values():
        held.finish()
    verdict.sessions = len({session for _, _, session in numbers})
    verdict.records = sum(held.count for held in records.values())
    return verdict


def _check_number(
    verdict: Verdict, captured: CapturedPacket, packet: Packet, seen: dict[int, int]
) -> None:
    """A number names one packet; only a line may repeat it, byte for byte."""
    digest = content_hash(captured.data)
    if packet.number not in seen:
        if len(seen) >= NUMBERS_KEPT:
            del seen[next(iter(seen))]
        seen[packet.number] = digest
    elif captured.direction == RECEIVED and seen[packet.number] == digest:
        verdict.repeated += 1
    else:
        verdict.complain(captured, f"packet number {packet.number} is used again")


class _Histories:
    """Follows the changes of each group on one end of a link, over all its sessions."""

    def __init__(self, verdict: Verdict, reached: Reached) -> None:
        self._verdict = verdict
        self._reached = reached
        self._last: dict[int, tuple[int, RecordHead]] = {}

    def forget(self, group: int) -> None:
        """Expect nothing of the group's next record: its history begins anew."""
        self._last.pop(group, None)

    def forget_all(self) -> None:
        """Expect nothing of the next records: one before them was not seen."""
        self._last.clear()

    def add(self, captured: CapturedPacket, packet: Packet, head: RecordHead) -> None:
        """Check that a record of changes follows the one before it."""
        if packet.csn != head.csn_last or head.csn_first > head.csn_last:
            csns = f"{head.csn_first}-{head.csn_last}"
            self._verdict.complain(captured, f"csns {csns} under a packet of csn {packet.csn}")
        name = (packet.group, head.lineage)
        reached = self._reached.get(name, 0)
        self._reached[name] = max(reached, head.csn_last)
        session, last = self._last.get(packet.group, (packet.session, None))
        self._last[packet.group] = (packet.session, head)
        if last is None or last.lineage != head.lineage:
            return
        if session != packet.session:
            # A killed process takes its last turn's packets with it; the other end has them.
            if head.csn_first > reached + 1:
                gap = f"csns {reached + 1}-{head.csn_first - 1}"
                self._verdict.complain(captured, f"{gap} are missing after a reconnect")
            return
        # Records of one epoch share its csns; the next epoch goes on where it ended.
        first = last.csn_last + 1 if last.final else last.csn_first
        if head.csn_first != first:
            problem = f"csn {head.csn_first} follows where csn {first} should"
            self._verdict.complain(captured, problem)
        elif head.chain_before != last.chain_after:
            problem = f"the chain hash at csn {head.csn_first} does not follow the one before"
            self._verdict.complain(captured, problem)


class _Records:
    """Puts the records of one stream in order and hands them to the history of their group."""

    def __init__(self, histories: _Histories) -> None:
        self.count = 0
        self._histories = histories
        self._next = 1
        self._held: dict[int, tuple[CapturedPacket, Packet]] = {}

    def add(self, captured: CapturedPacket, packet: Packet) -> None:
        """Note the first fragment of a record; later ones of the same record say nothing new."""
        if packet.record < self._next:
            return
        self._held[packet.record] = (captured, packet)
        self._advance()
        if len(self._held) > RECORDS_HELD_MAX:
            self._skip()

    def finish(self) -> None:
        """Look at what is left, although records before it are missing."""
        while self._held:
            self._skip()

    def _skip(self) -> None:
        self._histories.forget_all()
        self._next = min(self._held)
        self._advance()

    def _advance(self) -> None:
        while found := self._held.pop(self._next, None):
            self._next += 1
            self.count += 1
            captured, packet = found
            head = record_head(packet)
            if head is not None:
                self._histories.add(captured, packet, head)
            elif packet.kind in _BREAKS_HISTORY or packet.kind == RecordKind.CHANGES:
                self._histories.forget(packet.group)
