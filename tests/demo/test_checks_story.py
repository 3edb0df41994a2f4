"""Checks of the play itself: what each needs to hold, taken away piece by piece."""

from dataclasses import replace

import pytest

from rig.demo import checks_story as checks
from rig.demo import plan
from rig.demo.checks_line import Captured, Row
from rig.demo.children import Ending
from rig.demo.evidence import Act, Evidence, Refusal, Trouble
from rig.demo.folder import RunFolder
from rig.demo.plan import Plan
from rig.demo.watch import Sample
from rig.report.report import Outcome

GOOD = Trouble(
    "line cut",
    100,
    noticed_ns=120,
    repaired_ns=200,
    duplex_ns=300,
    lag_before=2,
    lag_after=90,
    acknowledged_before=10,
    acknowledged_after=99,
    copied_before=5120,
    copied_after=5120,
)
REPLAY = {
    "event": "pair-changed",
    "site": "A",
    "time_ns": 210,
    "role": "primary",
    "after": "catching-up",
    "reason": "replaying 95 records from the journal",
}
COPY = {"event": "copy-progress", "site": "A", "time_ns": 220, "phase": "begun", "tracks": 5120}


@pytest.fixture
def evidence(tmp_path):
    return Evidence(RunFolder(tmp_path), Plan(1), 0, end_ns=10**9, acts=[Act("begin", 0)])


def held(check):
    return check.outcome is Outcome.HELD


def captured(size=1000):
    return Captured(rows=[Row(250, "A-B/A", "out", size, False)])


def test_a_play_that_broke_off_fails_and_says_where(evidence):
    assert held(checks.played_to_end(evidence))
    evidence.failure = "site A ended by itself"
    check = checks.played_to_end(evidence)
    assert not held(check)
    assert "in the act 'begin': site A ended by itself" in check.compared


def test_a_replay_is_a_resumption():
    check = checks.resumed(GOOD, [REPLAY], captured())
    assert held(check)
    assert "replaying 95 records" in check.compared


@pytest.mark.parametrize(
    ("trouble", "events", "size"),
    [
        (replace(GOOD, duplex_ns=0), [REPLAY], 1000),
        (GOOD, [], 1000),
        (GOOD, [{**REPLAY, "time_ns": 190}], 1000),  # before the repair
        (GOOD, [{**REPLAY, "after": "copying"}], 1000),
        (GOOD, [{**REPLAY, "role": "secondary"}], 1000),
        (GOOD, [REPLAY, COPY], 1000),
        (replace(GOOD, copied_after=5121), [REPLAY], 1000),
        (GOOD, [REPLAY], plan.VOLUME_BYTES),
    ],
)
def test_anything_else_is_not(trouble, events, size):
    assert not held(checks.resumed(trouble, events, captured(size)))


def test_lag_has_to_grow_while_the_host_writes():
    assert held(checks.lag_grew(GOOD))
    for wrong in (
        replace(GOOD, noticed_ns=0),
        replace(GOOD, lag_after=2),
        replace(GOOD, acknowledged_after=10),
    ):
        assert not held(checks.lag_grew(wrong))


def site_sample(time_ns, writes):
    status = {"devices": {plan.VOLUME: {"writes": writes}}}
    return Sample("A", time_ns, time_ns + 1, status)


def test_the_host_has_to_write_during_the_one_first_copy(evidence):
    ended = {**COPY, "time_ns": 400, "phase": "ended", "tracks": 0}
    evidence.events = [COPY, ended]
    evidence.samples = [site_sample(230, 5), site_sample(390, 25), site_sample(500, 99)]
    check = checks.copied_while_writing(evidence)
    assert held(check)
    assert check.compared.startswith("20 writes")
    evidence.samples = [site_sample(230, 5), site_sample(390, 5), site_sample(500, 99)]
    assert not held(checks.copied_while_writing(evidence))
    evidence.samples = [site_sample(230, 5), site_sample(390, 25)]
    for events in ([], [COPY], [COPY, ended, COPY, ended], [{**COPY, "site": "B"}, ended]):
        evidence.events = events
        assert not held(checks.copied_while_writing(evidence))


def test_the_host_has_to_come_back_and_find_everything(evidence):
    good = {"event": "host-back", "acknowledged": 9, "blocks": 7, "wrong": 0}
    for words, wanted in (
        ([good], True),
        ([], False),
        ([good, good], False),
        ([{**good, "wrong": 1}], False),
        ([{**good, "acknowledged": 0}], False),
    ):
        evidence.host_words = words
        assert held(checks.nothing_lost_at_primary(evidence)) is wanted


@pytest.mark.parametrize(
    ("refusals", "wanted"),
    [
        ([Refusal("B", "then", "WRITE of 4KiB: EPERM")], True),
        ([], False),
        ([Refusal("A", "then", "WRITE of 4KiB: EPERM")], False),
        ([Refusal("B", "then", "")], False),
        ([Refusal("B", "then", "No such file or directory")], False),
        ([Refusal("B", "then", "EPERM"), Refusal("B", "later", "")], False),
    ],
)
def test_a_write_at_the_wrong_site_has_to_be_refused(refusals, wanted):
    assert held(checks.refused(refusals, "B")) is wanted


def final(role, csn=7):
    position = {"lineage": "aa", "csn": csn, "hash": "00" * 16}
    return {"groups": {plan.GROUP: {"role": role, "position": position}}}


def test_roles_have_to_change_and_positions_to_meet(evidence):
    for sites, wanted in (
        ({"A": final("secondary"), "B": final("primary")}, True),
        ({"A": final("primary"), "B": final("secondary")}, False),
        ({"A": final("secondary"), "B": final("primary", 8)}, False),
        ({"B": final("primary")}, False),
        ({}, False),
    ):
        evidence.final = sites
        assert held(checks.roles_changed(evidence)) is wanted


@pytest.mark.parametrize("event", checks.UNWANTED)
def test_any_failure_that_a_site_reports_fails(event):
    assert held(checks.nothing_unwanted([REPLAY]))
    assert not held(checks.nothing_unwanted([REPLAY, {"event": event}]))
    assert not held(checks.nothing_unwanted([]))


def test_processes_have_to_end_as_told(evidence):
    evidence.endings = [Ending("site A", "kill -9", -9, -9), Ending("site A", "stop", 0, 0)]
    assert held(checks.ended_as_told(evidence))
    evidence.endings.append(Ending("site B", "stop", 70, 0))
    check = checks.ended_as_told(evidence)
    assert not held(check)
    assert check.compared == "site B: stop -> 70"
    evidence.endings = []
    assert not held(checks.ended_as_told(evidence))
