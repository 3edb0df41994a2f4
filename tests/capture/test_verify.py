"""The check of a capture: each rule holds on good captures and catches what breaks it."""

import pytest

from emulator.transport.pcapng import FLAG_INBOUND, FLAG_OUTBOUND
from emulator.wire.checksum import CHAIN_NONE
from emulator.wire.layout import RecordKind
from rig.capture.reader import CaptureReader
from rig.capture.verify import PROBLEMS_MAX, RECORDS_HELD_MAX, verify
from tests.capture import golden
from tests.capture.golden import SESSION, A, B

CHANGES, RESYNC, DURABLE = RecordKind.CHANGES, RecordKind.RESYNC_BEGIN, RecordKind.DURABLE
OUT, IN = FLAG_OUTBOUND, FLAG_INBOUND


@pytest.fixture
def check(tmp_path):
    def run(rows):
        path = tmp_path / "run.pcapng"
        path.write_bytes(golden.capture_bytes(rows))
        with CaptureReader(str(path)) as reader:
            return verify(reader)

    return run


class End:
    """Sends records as one end of a link would; everything can be got wrong on purpose."""

    def __init__(self, interface=A, flags=OUT, session=SESSION):
        self.interface, self.flags, self.session = interface, flags, session
        self.number = self.record = 0
        self.chain = CHAIN_NONE

    def changes(self, first, last, *, csn=None, **fields):
        chain = fields.pop("chain", self.chain)
        body, self.chain = golden.record_of_changes(first, last, chain, **fields)
        return self.send(CHANGES, last if csn is None else csn, body)

    def send(self, kind, csn, body):
        self.number += 1
        self.record += 1
        frame = golden.data(self.number, self.record, kind, csn, body, session=self.session)
        return self.interface, self.flags, None, frame


def test_the_golden_capture_holds():
    with CaptureReader(str(golden.PATH)) as reader:
        verdict = verify(reader)
    assert verdict.held
    assert verdict.as_object() == {
        "held": True,
        "packets": 18,
        "rejected": 1,
        "other": 0,
        "repeated": 0,
        "records": 4,
        "sessions": 1,
        "problem_count": 0,
        "problems": [],
    }


def good_captures():
    end = End()
    yield "records in a row", [end.changes(1, 3), end.changes(4, 4), end.changes(5, 9)]
    end = End()
    epoch = [end.changes(1, 3, final=0), end.changes(1, 3, final=0), end.changes(1, 3)]
    yield "an epoch of three records", [*epoch, end.changes(4, 5)]
    end = End(flags=IN)
    one, two = end.changes(1, 1), end.changes(2, 2)
    yield "the line changes the order", [two, one, end.changes(3, 3)]
    end = End(flags=IN)
    one = end.changes(1, 1)
    end.changes(2, 2)
    yield "a record never arrives before the line is cut", [one, end.changes(3, 3)]
    end = End(flags=IN)
    one = end.changes(1, 1)
    yield "the line repeats a packet", [one, one]
    end, again = End(), End(session=2)
    yield "sent again after a reconnect", [end.changes(1, 5), again.changes(3, 6, chain=b"x" * 16)]
    end = End()
    begun = [end.changes(1, 5), end.send(RESYNC, 90, b"{}"), end.changes(91, 91)]
    yield "a copy begins the history anew", begun
    end = End()
    yield "another generation", [end.changes(1, 5), end.changes(2, 2, lineage=2)]
    # A was killed before it had written csn 4 to the file; B has it.
    end, peer, again = End(), End(B, IN), End(session=2)
    seen_by_b = [peer.changes(1, 3), peer.changes(4, 4)]
    yield "lost with its writer", [end.changes(1, 3), *seen_by_b, again.changes(5, 5)]
    end, other = End(), End()
    hellos = [(A, OUT, None, golden.hello("A", nonce, 0, 1)) for nonce in (1, 2)]
    yield "every hello has number 1", hellos
    both_ways = [end.changes(1, 1)[3], other.changes(7, 7)[3]]
    yield "no direction, nothing to say", [(A, 0, None, frame) for frame in both_ways]
    spoilt = golden.damaged(end.changes(2, 2)[3])
    stranger = (A, IN, "from a stranger", End().changes(3, 3)[3])
    yield "a stranger's packet under a number in use", [End(flags=IN).changes(1, 1), stranger]
    yield "a fault on purpose", [(A, OUT, "fault: bit flipped", spoilt)]
    end = End()
    first = end.changes(1, 1)
    many = [end.send(DURABLE, 1, b"{}") for _ in range(RECORDS_HELD_MAX + 2)][1:]
    yield "more records than are held", [first, *many, end.changes(9, 9)]


GOOD = list(good_captures())


@pytest.mark.parametrize("rows", [rows for _, rows in GOOD], ids=[name for name, _ in GOOD])
def test_what_is_allowed_holds(check, rows):
    assert check(rows).problems == []


def bad_captures():
    end = End()
    frame = golden.damaged(end.changes(1, 1)[3])
    yield "frame 1 (A-B/A out): does not decode: crc", [(A, OUT, None, frame)]
    yield "frame 1 (A-B/B in): does not decode: crc", [(B, IN, None, frame)]
    end = End()
    sent = end.changes(1, 1)
    yield "frame 2 (A-B/A out): packet number 1 is used again", [sent, sent]
    one, other = End(flags=IN), End(flags=IN)
    reuse = [one.changes(1, 1), other.changes(1, 2)]
    yield "frame 2 (A-B/A in): packet number 1 is used again", reuse
    end = End()
    gap = [end.changes(1, 3), end.changes(5, 5)]
    yield "frame 2 (A-B/A out): csn 5 follows where csn 4 should", gap
    end = End()
    repeated = [end.changes(1, 3), end.changes(3, 3)]
    yield "frame 2 (A-B/A out): csn 3 follows where csn 4 should", repeated
    end = End()
    within = [end.changes(1, 3, final=0), end.changes(4, 4)]
    yield "frame 2 (A-B/A out): csn 4 follows where csn 1 should", within
    end = End()
    chain = [end.changes(1, 3), end.changes(4, 4, chain=b"x" * 16)]
    yield "frame 2 (A-B/A out): the chain hash at csn 4 does not follow the one before", chain
    end, again = End(), End(session=2)
    lost = [end.changes(1, 3), again.changes(6, 6)]
    yield "frame 2 (A-B/A out): csns 4-5 are missing after a reconnect", lost
    end = End()
    yield "frame 1 (A-B/A out): csns 1-3 under a packet of csn 4", [end.changes(1, 3, csn=4)]
    end = End()
    yield "frame 1 (A-B/A out): csns 3-1 under a packet of csn 1", [end.changes(3, 1)]


BAD = list(bad_captures())


@pytest.mark.parametrize(("problem", "rows"), BAD, ids=[problem for problem, _ in BAD])
def test_what_is_wrong_is_found_and_placed(check, problem, rows):
    verdict = check(rows)
    assert verdict.problems == [problem]
    assert not verdict.held


def test_all_problems_are_counted_and_the_first_are_listed(check):
    noise = [(A, OUT, None, b"noise")] * (PROBLEMS_MAX + 5)
    verdict = check(noise)
    assert verdict.problem_count == PROBLEMS_MAX + 5
    assert len(verdict.problems) == PROBLEMS_MAX


def test_frames_of_other_protocols_are_counted(check):
    assert check([(golden.ETHERNET, OUT, None, bytes(60))]).other == 1


def test_what_the_line_did_is_counted(check):
    end = End(flags=IN)
    one = end.changes(1, 1)
    damaged = (A, IN, "damaged: crc", golden.damaged(end.changes(2, 2)[3]))
    verdict = check([one, one, damaged])
    assert (verdict.repeated, verdict.rejected, verdict.records) == (1, 1, 1)
