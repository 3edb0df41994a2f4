"""Ancestry: the five cases of R5, and thousands of random pasts in which ids say nothing."""

import random

import pytest

from emulator.copy.lineage import (
    GENERATIONS_MAX,
    REASON_CHARS_MAX,
    Ancestry,
    Generation,
    Position,
    decode_lineage,
    encode_lineage,
    relation,
)
from emulator.errors import PeerError
from emulator.wire.checksum import CHAIN_NONE, chain_hash


def chain(text: object) -> bytes:
    return chain_hash(CHAIN_NONE, repr(text).encode())


OLD = Generation(11, 0, 0, CHAIN_NONE, "created")
NEW = Generation(22, 11, 50, chain(50), "handed over")
FORCED = Generation(33, 11, 50, chain(50), "forced")
STRANGER = Generation(99, 0, 0, CHAIN_NONE, "created")
OURS = [OLD, NEW]
KNOWN = {80: chain(80), 90: chain(90), 100: chain(100)}
HEAD = Position(22, 100, chain(100))


@pytest.mark.parametrize(
    ("theirs", "peer", "verdict"),
    [
        (OURS, Position(22, 100, chain(100)), Ancestry.SAME),
        (OURS, Position(22, 90, chain(90)), Ancestry.BEHIND),
        (OURS, Position(22, 80, chain(80)), Ancestry.BEHIND),
        (OURS, Position(22, 70, chain(70)), Ancestry.TRIMMED),
        ([OLD], Position(11, 50, chain(50)), Ancestry.TRIMMED),
        ([OLD], Position(11, 40, chain(40)), Ancestry.TRIMMED),
        ([], Position(0, 0, CHAIN_NONE), Ancestry.EMPTY),
        (OURS, Position(22, 101, chain(101)), Ancestry.AHEAD),
        # Forks, each seen in another way.
        (OURS, Position(22, 100, chain("other")), Ancestry.FORK),
        (OURS, Position(22, 95, chain(95)), Ancestry.FORK),
        ([OLD], Position(11, 51, chain(51)), Ancestry.FORK),
        ([OLD], Position(11, 50, chain("other")), Ancestry.FORK),
        ([OLD, FORCED], Position(33, 60, chain(60)), Ancestry.FORK),
        # Nothing in common.
        ([STRANGER], Position(99, 5, chain(5)), Ancestry.UNRELATED),
    ],
)  # fmt: skip
def test_the_table_of_r5(theirs, peer, verdict):
    assert relation(OURS, HEAD, KNOWN, theirs, peer, complete=True) is verdict


def test_the_position_where_a_generation_began_can_be_replayed_if_it_is_the_last_confirmed():
    known = {50: chain(50), 60: chain(60)}
    head = Position(22, 60, chain(60))
    peer = Position(11, 50, chain(50))
    assert relation(OURS, head, known, [OLD], peer, complete=True) is Ancestry.BEHIND


def test_without_the_journal_nobody_can_tell_a_fork_between():
    peer = Position(22, 95, chain(95))
    assert relation(OURS, HEAD, {80: chain(80)}, OURS, peer, complete=False) is Ancestry.TRIMMED
    contradicted = Position(22, 80, chain("other"))
    found = relation(OURS, HEAD, {80: chain(80)}, OURS, contradicted, complete=False)
    assert found is Ancestry.FORK


class Past:
    """A random past of two sites, of which the sites themselves remember only a part."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.serial = 0
        self.ours = [(0, CHAIN_NONE)]
        self.theirs = [(0, CHAIN_NONE)]
        self.our_lineage = [OLD]
        self.their_lineage = [OLD]
        self.acked = (0, CHAIN_NONE)

    def extend(self, history: list) -> None:
        """Write an epoch of a few csns."""
        self.serial += 1
        csn, before = history[-1]
        history.append((csn + self.dice.choice([1, 1, 3]), chain_hash(before, b"%d" % self.serial)))

    def live(self) -> None:
        deed = self.dice.random()
        common = self.ours[: len(self.theirs)] == self.theirs
        if deed < 0.4:
            self.extend(self.ours)
        elif deed < 0.65 and common:
            # The secondary follows; what it confirmed may be forgotten here.
            self.theirs = self.ours[: self.dice.randrange(len(self.theirs), len(self.ours) + 1)]
            self.their_lineage = list(self.our_lineage)
            if self.dice.random() < 0.7:
                self.acked = self.theirs[-1]
        elif deed < 0.75:
            # The primary's store loses its tail, and nobody begins a new generation.
            at = self.dice.randrange(len(self.ours))
            self.ours = self.ours[: at + 1]
            self.our_lineage = [g for g in self.our_lineage if g.csn <= self.ours[-1][0]]
            self.acked = min(self.acked, self.ours[-1])
        elif deed < 0.85:
            self.theirs = self.theirs[: self.dice.randrange(len(self.theirs)) + 1]
            self.their_lineage = [g for g in self.their_lineage if g.csn <= self.theirs[-1][0]]
        elif deed < 0.95:
            # The other site writes for itself; sometimes it forgets to say so.
            if self.dice.random() < 0.5:
                csn, at = self.theirs[-1]
                number = self.dice.getrandbits(63)
                parent = self.their_lineage[-1].number
                self.their_lineage.append(Generation(number, parent, csn, at, "forced"))
            self.extend(self.theirs)
        else:
            csn, at = self.ours[-1]
            parent = self.our_lineage[-1].number
            self.our_lineage.append(
                Generation(self.dice.getrandbits(63), parent, csn, at, "handed")
            )
            self.acked = self.ours[-1]

    def judge(self) -> tuple[Ancestry, bool]:
        """Return what we say, and whether the other site's past is really a part of ours."""
        start = next(n for n, (csn, _) in enumerate(self.ours) if csn >= self.acked[0])
        known = dict(self.ours[start:])
        verdict = relation(
            self.our_lineage,
            Position(self.our_lineage[-1].number, *self.ours[-1]),
            known,
            self.their_lineage,
            Position(self.their_lineage[-1].number, *self.theirs[-1]),
            complete=True,
        )
        return verdict, self.theirs[-1] in self.ours


def test_no_wrong_decision_in_twenty_thousand_pasts():
    """Stores that lost their tails, generations that were not begun: chains still tell (R5)."""
    dice = random.Random("pasts")
    forks = missed_by_ids = 0
    seen: dict[Ancestry, int] = {}
    for number in range(20_000):
        past = Past(dice)
        for _ in range(dice.randrange(3, 16)):
            past.live()
        verdict, ancestor = past.judge()
        seen[verdict] = seen.get(verdict, 0) + 1
        if verdict in (Ancestry.SAME, Ancestry.BEHIND):
            assert ancestor, f"past {number}: a fork would be written over"
        elif verdict is Ancestry.TRIMMED:
            assert past.theirs[-1][0] < past.acked[0], f"past {number}: the journal could tell"
        elif ancestor:
            # Refused though it is an ancestor: only because it went on under a name of its own.
            assert past.their_lineage[-1] not in past.our_lineage, f"past {number}: {verdict}"
        if not ancestor:
            forks += 1
            missed_by_ids += past.their_lineage[-1] == past.our_lineage[-1]
    assert forks > 3000
    assert missed_by_ids > 300, "the histories are too easy: ids alone would do"
    assert min(seen.get(verdict, 0) for verdict in Ancestry if verdict not in _NEVER) > 100, seen


_NEVER = (Ancestry.EMPTY, Ancestry.UNRELATED)


def test_a_lineage_is_read_back():
    assert decode_lineage(encode_lineage(OURS)) == OURS


def test_a_lineage_stays_small_whatever_the_peer_says():
    rows = [[number, 0, 0, CHAIN_NONE.hex(), "x" * 5000] for number in range(3000)]
    found = decode_lineage(rows)
    assert len(found) == GENERATIONS_MAX
    assert found[-1].number == 2999
    assert all(len(generation.reason) <= REASON_CHARS_MAX for generation in found)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        5,
        "text",
        [1],
        [[1, 2, 3]],
        [[1, 2, 3, "zz", "r"]],
        [[1, 2, 3, "00", "r"]],
        [["x", 2, 3, CHAIN_NONE.hex(), "r"]],
        [[float("inf"), 2, 3, CHAIN_NONE.hex(), "r"]],
        [[float("nan"), 2, 3, CHAIN_NONE.hex(), "r"]],
        [[-1, 2, 3, CHAIN_NONE.hex(), "r"]],
        [[1, 1 << 64, 3, CHAIN_NONE.hex(), "r"]],
        [[1, 2, 3, None, "r"]],
        {"a": 1},
    ],
)
def test_a_lineage_that_makes_no_sense_is_the_peers_fault(rows):
    with pytest.raises(PeerError, match="lineage"):
        decode_lineage(rows)
