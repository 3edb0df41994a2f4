"""Counters held against a capture: equal to the byte at every moment that can be compared."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from rig.capture.verify import Verdict
from rig.demo.checks_line import (
    Captured,
    Row,
    capture_verified,
    carried,
    counters_equal,
    read_capture,
)
from rig.demo.watch import Sample
from rig.report.report import Outcome

CONVERSATION = Path(__file__).parents[2] / "fixtures" / "captures" / "conversation.pcapng"
LIVES = {100: 0, 101: 1000, 200: 0}


def row(time_ns, direction="out", size=50, site="A", *, again=False):
    return Row(time_ns, f"A-B/{site}", direction, size, again)


def sample(time_ns, out, out_bytes, in_, *, pid=100, site="A", rejected=0, took_ns=10):
    line = {
        "packets_sent": out,
        "bytes_sent": out_bytes,
        "packets_received": in_ - rejected,
        "packets_rejected": rejected,
    }
    status = {"pid": pid, "links": {"A-B": {"line": line}}}
    return Sample(site, time_ns, time_ns + took_ns, status)


ROWS = [row(100), row(200, size=70), row(300, "in"), row(150, site="B"), row(1100, size=9)]


def equal(samples, rows=ROWS, site="A"):
    return counters_equal(Captured(rows=sorted(rows)), samples, LIVES, site)


def test_equal_counts_hold_in_every_life():
    check = equal([sample(120, 1, 50, 0), sample(310, 2, 120, 1), sample(1200, 1, 9, 0, pid=101)])
    assert check.outcome is Outcome.HELD
    assert "3 moments in the lives of 2 processes" in check.compared


def test_what_the_line_rejected_was_captured_too():
    assert equal([sample(310, 2, 120, 1, rejected=1)]).outcome is Outcome.HELD


@pytest.mark.parametrize(
    "wrong",
    [
        sample(310, 3, 120, 1),
        sample(310, 2, 121, 1),
        sample(310, 2, 120, 2),
        sample(1200, 3, 129, 1, pid=101),  # counts what its forerunner sent
    ],
)
def test_one_packet_or_byte_off_fails(wrong):
    check = equal([sample(120, 1, 50, 0), wrong])
    assert check.outcome is Outcome.FAILED
    assert "counted" in check.compared


def test_a_moment_with_a_packet_in_it_is_not_compared():
    off = sample(195, 99, 0, 0)  # a packet passed while the site answered
    assert equal([off, sample(310, 2, 120, 1)]).outcome is Outcome.HELD


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [sample(195, 1, 50, 0)],  # nothing to compare at
        [sample(120, 1, 50, 0, site="B", pid=200)],  # nothing of this site
        [sample(120, 1, 50, 0), sample(1095, 0, 0, 0, pid=101)],  # nothing in its second life
    ],
)
def test_nothing_compared_is_no_pass(samples):
    assert equal(samples).outcome is Outcome.FAILED


def test_what_was_carried_counts_each_packet_once():
    rows = [row(10), row(12, "in", site="B"), row(20, site="B", size=7, again=True), row(30)]
    assert carried(Captured(rows=rows), 10, 30) == (2, 57, 7)


def test_a_good_capture_holds(tmp_path):
    captured = read_capture(CONVERSATION)
    names = {found.interface for found in captured.rows}
    captured.rows += [row(1), row(2, site="B")]
    check = capture_verified(captured)
    assert names
    assert check.outcome is Outcome.HELD, check
    assert len(captured.rows) - 2 == captured.verdict.packets


def test_a_torn_capture_a_missing_end_and_a_problem_fail(tmp_path):
    cut = tmp_path / "cut.pcapng"
    shutil.copy(CONVERSATION, cut)
    with cut.open("r+b") as file:
        file.truncate(cut.stat().st_size - 3)
    captured = read_capture(cut)
    captured.rows += [row(1), row(2, site="B")]
    check = capture_verified(captured)
    assert check.outcome is Outcome.FAILED
    assert "inside a block" in check.compared

    check = capture_verified(Captured(rows=[row(1)]))
    assert check.outcome is Outcome.FAILED
    assert "nothing of A-B/B" in check.compared

    verdict = Verdict()
    verdict.complain(SimpleNamespace(interface="x", direction="in", frame=3), "used again")
    check = capture_verified(Captured(verdict=verdict, rows=[row(1), row(2, site="B")]))
    assert check.outcome is Outcome.FAILED
    assert "used again" in check.compared
