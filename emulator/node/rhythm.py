"""When a site is busy, and how much it does in one turn besides serving hosts.

Hosts go first: what they write one by one must not wait behind a record that is being formed, and
the disks' time is theirs until nobody asks for anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.clock import MICROSECOND_NS, MILLISECOND_NS
from emulator.copy.states import SECONDARY
from emulator.copy.stream import GATHER_NS
from emulator.node.destage import IDLE_NS

if TYPE_CHECKING:
    from emulator.node.processor import Processor

# Steps of forming a record in one turn, by how much hosts wrote in it; all of them while hosts are
# quiet.
STEPS_MAX: Final = 64
WRITES_A_STEP: Final = 3
QUIET_NS: Final = 200 * MICROSECOND_NS
# A busy host's epochs reach the other site about once a second: between them it is not idle.
FOLLOWER_IDLE_NS: Final = 2 * GATHER_NS
BACKGROUND_NS: Final = 500 * MICROSECOND_NS
# A store that takes this long for a write waits for its medium; one with a battery never does.
SLOW_STORE_NS: Final = 50 * MICROSECOND_NS
# Writes of hosts wait for each other no longer than this part of what the store took last, and no
# longer than this: a medium that has stood still for once says nothing of its next write.
TOGETHER_SHARE: Final = 2
TOGETHER_NS_MAX: Final = MILLISECOND_NS


class Rhythm:
    """What the processor knows of how busy it is."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._host_ns = 0
        self._journalled_ns = 0
        self._background_ns = 0
        self._seen_lsn = 0
        self._seen_csn = 0
        self._begun_csn = self._together = 0
        self._begun_ns = self._took_ns = 0
        self._gathers_since_ns = 0

    def host_spoke(self, now_ns: int) -> None:
        """Take note that a host sent something."""
        self._host_ns = now_ns

    def background_begins(self, now_ns: int) -> None:
        """Take note that a turn's background begins."""
        self._background_ns = now_ns
        tail_lsn = self._processor.journal.tail_lsn
        if tail_lsn != self._seen_lsn:
            # What another site sends keeps this one as busy as a host does.
            self._seen_lsn = tail_lsn
            self._journalled_ns = now_ns

    def idle(self, now_ns: int) -> bool:
        """Return whether neither hosts nor another site keep this one busy."""
        if self._processor.draining:
            return True
        journalled_ns = now_ns - self._journalled_ns
        if now_ns - self._host_ns <= IDLE_NS or journalled_ns <= IDLE_NS:
            return False
        return journalled_ns > FOLLOWER_IDLE_NS or not self._follows()

    def _follows(self) -> bool:
        """Return whether another site sends to this one."""
        for pair in self._processor.pairs.values():  # noqa: SIM110 - as in destage.py
            if pair.group.role is SECONDARY:
                return True
        return False

    def background_waits(self, now_ns: int) -> bool:
        """Return whether the background may be left out of this turn, in which a host spoke.

        Hosts that write one by one would else pay for it with every write.
        """
        processor = self._processor
        return (
            self._host_ns == now_ns
            and now_ns - self._background_ns < BACKGROUND_NS
            and not processor.reading.wants_turn()
            and not processor.destage.hosts_wait()
            and not any(pair.group.stream.eager for pair in processor.pairs.values())
        )

    def commit_begins(self, now_ns: int) -> None:
        """Take note that a journal write begins, with everything that hosts have written."""
        csn = self._csn()
        self._together, self._begun_csn = csn - self._begun_csn, csn
        self._begun_ns = now_ns
        self._gathers_since_ns = 0

    def commit_ends(self, now_ns: int) -> None:
        """Take note that the journal write is durable."""
        self._took_ns = now_ns - self._begun_ns

    def commit_waits(self, now_ns: int) -> bool:
        """Return whether hosts' writes should wait a moment for those that come with them.

        Answers leave together, and what hosts write upon them comes one by one: the first of it
        alone would have the store to itself, and all others would wait for that.
        """
        if self._took_ns < SLOW_STORE_NS or self._processor.write_under_way():
            return False
        waiting = self._csn() - self._begun_csn
        if not 0 < waiting < self._together:
            return False
        if not self._gathers_since_ns:
            self._gathers_since_ns = now_ns
        limit_ns = min(self._took_ns // TOGETHER_SHARE, TOGETHER_NS_MAX)
        return now_ns - self._gathers_since_ns < limit_ns

    def _csn(self) -> int:
        """Return how many changes hosts have made here."""
        groups = self._processor.groups.values()
        return sum(group.csn for group in groups if group.role is not SECONDARY)

    def steps(self, now_ns: int) -> int:
        """Return how far a record may be formed now: whoever writes little waits little."""
        if now_ns - self._host_ns > QUIET_NS:
            return STEPS_MAX
        written = self._csn()
        steps = 1 + min(STEPS_MAX, (written - self._seen_csn) // WRITES_A_STEP)
        self._seen_csn = written
        return steps
