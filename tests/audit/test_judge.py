"""The auditor's mind: each way in which a copy or a primary can be wrong is named."""

from base64 import b64encode

import pytest

from emulator.channel.blocks import TRACK_BYTES
from emulator.wire.checksum import content_hash
from rig.audit import judge as judging
from rig.audit.ear import CAME, GONE
from rig.audit.findings import AuditViolation, PrefixOk, Remark, ScanOk
from rig.audit.judge import Judge

TRACKS = 8
GEN, GEN_2 = 77, 78


def hash_of(letter):
    return content_hash(letter.encode() * TRACK_BYTES)


def standing(role="primary", csn=0, **more):
    said = {
        "role": role,
        "state": "duplex",
        "ack": "nvs",
        "consistent": True,
        "csn": csn,
        "generation": GEN,
        "lineage": [[GEN, 0, 0, "", ""]],
        "volumes": [["vol0", TRACKS]],
    }
    return ["standing", "g", said | more]


def run(csn, track, letters):
    return ["run", "g", csn, 0, track, [hash_of(letter) for letter in letters]]


def part(csn, track, offset, data, old):
    texts = [b64encode(data).decode(), b64encode(old.encode() * TRACK_BYTES).decode()]
    return ["part", "g", csn, 0, track, offset, *texts]


def applied(first, csn, tracks, *, consistent=True):
    rows = [[0, track, hash_of(letter)] for track, letter in tracks.items()]
    said = {"generation": GEN, "first": first, "csn": csn, "chain": "", "consistent": consistent}
    return ["applied", "g", said, rows]


def tracks(first, letters, csn, *, consistent=True):
    hashes = [hash_of(letter) for letter in letters]
    said = {"volume": 0, "first": first, "csn": csn, "consistent": consistent, "hashes": hashes}
    return ["tracks", "", said]


class Court:
    """A judge and what it has said."""

    def __init__(self, **primary):
        self.findings = []
        self.judge = Judge("g", ("A", "B"), self.findings.append)
        self.hear("A", CAME, standing(**primary))
        self.hear("B", CAME, standing("secondary"))

    def hear(self, site, *items):
        self.judge.hear(site, list(items))
        self.judge.settle()

    def told(self, kind):
        return [finding for finding in self.findings if isinstance(finding, kind)]

    def remarks(self):
        return " ".join(map(str, self.told(Remark)))

    def refuses(self, rule, site, *items):
        with pytest.raises(AuditViolation) as caught:
            self.hear(site, *items)
        assert caught.value.rule == rule, caught.value
        return caught.value


@pytest.fixture
def court():
    return Court()


def test_an_epoch_that_gives_a_past_state_is_ok(court):
    court.hear("A", run(1, 0, "ab"), run(2, 1, "c"), ["answered", "g", 2, "duplex"])
    court.hear("B", applied(1, 2, {0: "a", 1: "c"}))
    assert court.told(PrefixOk) == [PrefixOk("B", 1, 2, 2)]
    assert court.judge.tally.epochs == 1
    assert court.judge.tally.answered_csn == 2


def test_what_a_copy_says_waits_for_the_changes_that_explain_it(court):
    court.hear("B", applied(1, 1, {3: "x"}))
    assert court.told(PrefixOk) == []
    court.hear("A", run(1, 3, "x"))
    assert len(court.told(PrefixOk)) == 1


def test_two_tracks_swapped_are_named(court):
    court.hear("A", run(1, 0, "a"), run(2, 5, "b"))
    found = court.refuses("O3", "B", applied(1, 2, {0: "b", 5: "a"}))
    assert (found.csn, found.volume, found.track) == (1, "vol0", 0)
    assert "csn 2 put into track 5" in str(found)
    assert found.exit_code == 1


def test_a_newer_write_of_the_same_track_is_not_a_past_state(court):
    court.hear("A", run(1, 0, "a"), run(2, 0, "b"))
    assert "csn 2 puts there later" in str(court.refuses("O3", "B", applied(1, 1, {0: "b"})))


def test_a_track_that_no_write_touched_must_stay(court):
    court.hear("A", tracks(0, "zzzzzzzz", 0), run(1, 0, "a"))
    assert court.refuses("O3", "B", applied(1, 1, {0: "a", 4: "x"})).track == 4


def test_an_epoch_may_leave_out_only_what_does_not_change(court):
    court.hear("A", tracks(0, "zzzzzzzz", 0), run(1, 3, "z"), run(2, 4, "a"))
    court.hear("B", applied(1, 2, {4: "a"}))
    court.hear("A", run(3, 5, "b"), run(4, 6, "c"))
    found = court.refuses("O3", "B", applied(3, 4, {6: "c"}))
    assert (found.csn, found.track) == (3, 5)


def test_csns_have_no_gaps_and_are_used_once():
    for bad in (run(3, 0, "x"), run(1, 4, "x")):
        court = Court()
        court.hear("A", run(1, 0, "a"))
        court.refuses("O1", "A", bad)


def test_epochs_follow_one_another(court):
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"), run(3, 2, "c"))
    court.hear("B", applied(1, 1, {0: "a"}))
    assert court.refuses("O3", "B", applied(3, 3, {2: "c"})).csn == 3


def test_a_part_is_laid_over_what_lies_there(court):
    court.hear("A", run(1, 0, "a"), part(2, 0, 100, b"bb", "a"))
    whole = bytearray(b"a" * TRACK_BYTES)
    whole[100:102] = b"bb"
    row = [[0, 0, content_hash(whole)]]
    said = {"generation": GEN, "first": 1, "csn": 2, "chain": "", "consistent": True}
    court.hear("B", ["applied", "g", said, row])
    assert len(court.told(PrefixOk)) == 1
    assert court.refuses("C10", "A", part(3, 0, 0, b"c", "x")).track == 0


def test_a_copy_that_is_ahead_of_its_living_primary_has_what_nobody_wrote(court):
    court.hear("B", applied(1, 9, {0: "?"}))
    found = None
    for _ in range(judging.ROUNDS_MAX + 2):
        try:
            court.hear("A", ["answered", "g", 0, "duplex"])
        except AuditViolation as violation:
            found = violation
            break
    assert found is not None
    assert (found.rule, found.csn) == ("O5", 9)


def test_whole_images_are_learnt_from_the_primary_and_held_against_the_copy(court):
    court.hear("A", tracks(0, "abcdefgh", 0))
    court.hear("B", tracks(0, "abcdefgh", 0))
    assert court.told(ScanOk) == [ScanOk("A", 0, TRACKS, 0), ScanOk("B", 0, TRACKS, 0)]
    assert court.refuses("O3", "B", tracks(0, "abcdXfgh", 0)).track == 4
    court = Court()
    court.hear("A", run(1, 2, "n"))
    assert court.refuses("A1", "A", tracks(0, "abcd", 1)).track == 2


def test_whoever_comes_late_judges_what_it_knows():
    court = Court(csn=50)
    court.hear("B", standing("secondary", 40))
    court.hear("B", applied(41, 45, {0: "?"}))
    court.hear("A", run(51, 0, "a"), run(52, 1, "b"))
    court.hear("B", applied(46, 51, {0: "a", 7: "?"}), applied(52, 52, {1: "b"}))
    assert [found.csn_last for found in court.told(PrefixOk)] == [51, 52]
    assert court.judge.tally.epochs_not_judged == 1


# Restarts.


def test_a_primary_that_is_killed_may_lose_what_it_had_not_answered(court):
    court.hear("A", run(1, 0, "a"), run(2, 0, "b"), ["answered", "g", 1, "duplex"], GONE)
    court.hear("A", CAME, standing(csn=1), run(2, 0, "c"))
    court.hear("B", applied(1, 2, {0: "c"}))
    assert "site A is away" in court.remarks()
    assert "csn 2 to 2 were never answered" in court.remarks()
    assert court.judge.tally.reconnections == 1


def test_a_primary_may_not_lose_what_it_has_answered(court):
    court.hear("A", run(1, 0, "a"), run(2, 6, "b"), ["answered", "g", 2, "duplex"], GONE)
    found = court.refuses("A1", "A", CAME, standing(csn=1))
    assert (found.csn, found.track) == (2, 6)


def test_a_primary_may_not_be_behind_its_copy(court):
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"), GONE)
    court.hear("B", applied(1, 2, {0: "a", 1: "b"}))
    court.refuses("W1", "A", CAME, standing(csn=1))


def test_a_copy_never_goes_back(court):
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"))
    court.hear("B", applied(1, 2, {0: "a", 1: "b"}), GONE)
    court.refuses("O4", "B", CAME, standing("secondary", 1))


def test_a_copy_may_come_back_with_more_than_it_had_told(court):
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"))
    court.hear("B", GONE, CAME, standing("secondary", 2), tracks(0, "ab", 2))
    court.hear("A", run(3, 0, "c"))
    court.hear("B", applied(3, 3, {0: "c"}))
    assert len(court.told(PrefixOk)) == 1
    assert court.judge.sites["B"].scan_wanted


def test_changes_that_nobody_heard_are_counted_and_learnt_anew(court):
    court.hear("A", run(1, 0, "a"), GONE, CAME, standing(csn=5))
    court.hear("B", applied(1, 5, {0: "?"}))
    court.hear("A", tracks(0, "abcdefgh", 5), run(6, 0, "x"))
    court.hear("B", applied(6, 6, {0: "x"}))
    assert court.judge.tally.changes_not_heard == 4
    assert court.judge.learnt_anew == 1
    assert court.judge.tally.epochs_not_judged == 1
    assert len(court.told(PrefixOk)) == 1


def test_without_a_restart_a_primary_cannot_move(court):
    court.hear("A", run(1, 0, "a"))
    court.refuses("O1", "A", standing(csn=0))


# Copying, and roles.


def test_a_copy_that_is_being_made_is_not_judged(court):
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"), run(3, 2, "c"))
    court.hear("B", standing("secondary", 2, consistent=False))
    court.hear("B", applied(3, 3, {2: "?"}, consistent=False))
    court.hear("B", standing("secondary", 3))
    assert court.told(PrefixOk) == []
    court.hear("A", run(4, 3, "d"))
    court.refuses("O3", "B", applied(4, 4, {3: "x"}))


def promoted(csn, fork_csn):
    lineage = [[GEN, 0, 0, "", ""], [GEN_2, GEN, fork_csn, "", ""]]
    return standing("primary", csn, generation=GEN_2, lineage=lineage)


def test_roles_are_exchanged_and_the_history_goes_on(court):
    court.hear("A", tracks(0, "abcdefgh", 0), run(1, 0, "x"))
    court.hear("B", applied(1, 1, {0: "x"}), promoted(1, 1), run(2, 1, "y"))
    court.hear("A", standing("secondary", 1), applied(2, 2, {1: "y"}))
    assert court.told(PrefixOk)[-1] == PrefixOk("A", 2, 2, 1)
    court.hear("B", run(3, 7, "z"))
    assert court.refuses("O3", "A", applied(3, 3, {7: "h"})).track == 7


def test_an_old_primary_that_speaks_on_is_not_listened_to(court):
    court.hear("A", run(1, 0, "a"), GONE)
    court.hear("B", applied(1, 1, {0: "a"}), promoted(1, 1))
    court.hear("A", CAME, standing(csn=1))
    assert "that was given up" in court.remarks()
    assert court.judge.primary == "B"


def test_a_promotion_by_force_gives_up_what_its_level_allows():
    court = Court()
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"), ["answered", "g", 2, "duplex"], GONE)
    court.hear("B", applied(1, 1, {0: "a"}), promoted(1, 1))
    assert "1 changes after csn 1 are given up, 1 of them answered" in court.remarks()


def test_at_a_remote_level_nothing_answered_may_be_given_up():
    court = Court(ack="remote-nvs")
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"), ["answered", "g", 2, "duplex"], GONE)
    court.hear("B", applied(1, 1, {0: "a"}))
    assert court.refuses("A-sync", "B", promoted(1, 1)).csn == 2
    court = Court(ack="remote-nvs")
    court.hear("A", run(1, 0, "a"), run(2, 1, "b"), ["answered", "g", 2, "suspended"], GONE)
    court.hear("B", applied(1, 1, {0: "a"}), promoted(1, 1))
    assert court.judge.primary == "B"


def test_a_copy_that_is_too_far_behind_is_learnt_anew(court, monkeypatch):
    monkeypatch.setattr(judging, "PENDING_MAX", 10)
    court.hear("A", *(run(csn, 0, "a") for csn in range(1, 13)))
    court.hear("B", applied(1, 12, {0: "?"}))
    court.hear("A", run(13, 0, "b"))
    court.hear("B", applied(13, 13, {0: "b"}))
    assert "too far behind" in court.remarks()
    assert court.judge.tally.epochs_not_judged == 1
    assert len(court.told(PrefixOk)) == 1
