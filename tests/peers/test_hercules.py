"""A real Hercules host in front, a real Hercules control unit behind: nobody notices us."""

import re

import pytest

from rig.host.waiting import Goal, wait_for
from rig.measure.channel_work import (
    check_row,
    format_row,
    read_row,
    records_row,
    update_row,
    write_row,
)
from rig.measure.guest import Guest, RowResult
from tests.peers.hercules_stage import DATA_SET, LIBRARY, Stage, address, numbers_on, tool, used
from tests.peers.library import block as text_block
from tests.peers.library import directory, member, member_text
from tests.system.sites import until

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(300),
    pytest.mark.needs("hercules", "dasdload", "netns"),
]

FIRST = 10 * 15  # behind the data set that dasdload made
TRACKS = 24
RECORD = 4096
UPDATED = 5
ROUNDS = 60


def block(track: int, record: int) -> bytes:
    return bytes([track % 251, record]) * (RECORD // 2)


def guest_of(*makers) -> Guest:
    guest = Guest(0x0A00)
    for make in makers:
        for track in range(FIRST, FIRST + TRACKS):
            guest.rows.append(make(guest, track))
    return guest


def formats(guest, track):
    return format_row(guest, address(track), [block(track, record) for record in range(1, 13)])


def updates(guest, track):
    return update_row(guest, address(track), UPDATED, RECORD)


def checks(guest, track):
    return check_row(guest, address(track), 7, block(track, 7))


def run(host, guest: Guest, times: int = 1, limit_s: float = 60) -> list[RowResult]:
    """Run a guest to its good end; every row was done, and none was bad."""
    host.run_to_end(guest.image(times), limit_s)
    results = guest.results(host.memory(guest.results_end))
    assert [(result.done, result.bad) for result in results] == [(times, 0)] * len(results)
    return results


def start(host, guest: Guest, times: int) -> None:
    host.load(guest.image(times, stop_at_bad=False))
    host.run_guest()


def believed(host, guest: Guest, limit_s: float = 120) -> list[RowResult]:
    """Wait until the guest has done all its rounds; return what its host believes."""
    host.wait_end(limit_s)
    return guest.results(host.memory(guest.results_end))


def await_writes(stage: Stage, count: int) -> None:
    """Wait until the site has taken so many writes beyond those of the formatting."""
    wanted = TRACKS + count
    until(lambda: stage.sites["A"].status()["devices"]["vol0"]["writes"] > wanted, "writes")


def lost_tracks(stage: Stage) -> set[int]:
    """Return the tracks whose update the host, or we, have reported as lost."""
    said = stage.host.messages("HHCSH02[78]E")
    found = {int(number) for line in said for number in re.findall(r"writing track (\d+)", line)}
    return found | {event["track"] for event in stage.sites["A"].events("host-update-lost")}


def compare(stage: Stage, results: list[RowResult]) -> None:
    """Every update that its host believes in is on the volume, or was reported as lost."""
    tracks = stage.contents("A")
    lost = lost_tracks(stage)
    wrong = {
        track: (numbers_on(tracks[track], UPDATED), result.last_number)
        for track, result in enumerate(results, FIRST)
        if numbers_on(tracks[track], UPDATED) < result.last_number and track not in lost
    }
    assert not wrong, f"(on the volume, believed) by track; reported as lost: {lost}"


@pytest.fixture
def stage(tmp_path):
    with Stage(tmp_path, copied=False) as stage:
        yield stage


def test_a_host_does_all_it_does_at_a_control_unit_and_the_copy_is_the_same(tmp_path):
    with Stage(tmp_path, copied=True) as stage:
        before = tool("dasdls", stage.images["A"])
        stage.host.start()
        run(stage.host, guest_of(formats, checks))
        run(stage.host, guest_of(updates), times=20)
        run(stage.host, guest_of(checks))
        # A shorter track, and one of another shape, so that end markers move.
        guest = Guest(0x0A00)
        guest.rows.append(format_row(guest, address(FIRST), [b"short"]))
        guest.rows.append(format_row(guest, address(FIRST + 1), [b"k" * n for n in range(1, 40)]))
        guest.rows.append(check_row(guest, address(FIRST + 1), 39, b"k" * 39))
        run(stage.host, guest)
        consoles = {name: site.console for name, site in stage.sites.items()}
        wait_for(Goal.IDENTICAL, consoles, {"g0": ("A", "B")}, 60 * 10**9)
        stage.stop()

        first, second = stage.contents("A"), stage.contents("B")
        assert [track for track in range(len(first)) if first[track] != second[track]] == []
        assert tool("dasdls", stage.images["A"]) == before
        assert "SEQ.DATA" in tool("dasdls", stage.images["B"])
        tool("cckdcdsk", "-3", "-ro", stage.images["B"])
        for name in "AB":
            assert stage.unloaded(name) == stage.data.read_bytes()
        numbers = [numbers_on(track, UPDATED) for track in first[FIRST + 2 : FIRST + TRACKS]]
        assert numbers == list(range(19 * TRACKS + 3, 20 * TRACKS + 1))
        assert len(first[FIRST]) == 5 + 16 + 8 + 5 + 8


def test_members_of_a_library_written_through_us_are_read_at_both_sites(tmp_path):
    """The host fills a library, updates a block in place and adds a member; others' tools judge."""
    texts = {
        "ALPHA": [f"ALPHA LINE {number}" for number in range(25)],
        "BETA": ["ONE LINE"],
        "GAMMA": [f"GAMMA {number}" for number in range(120)],
    }
    places = {name: at for at, name in enumerate(texts, 1)}
    with Stage(tmp_path, copied=True) as stage:
        listed = tool("dasdls", stage.images["A"])
        stage.host.start()
        guest = Guest(0x0A00)
        at = address(LIBRARY)
        guest.rows.append(records_row(guest, at, directory({"ALPHA": 1, "BETA": 2})))
        for name in ("ALPHA", "BETA"):
            track = address(LIBRARY + places[name])
            guest.rows.append(records_row(guest, track, member(texts[name])))
        run(stage.host, guest)
        texts["ALPHA"][10:20] = [f"CHANGED {number}" for number in range(10)]
        guest = Guest(0x0A00)
        changed = text_block(texts["ALPHA"][10:20])
        guest.rows.append(write_row(guest, address(LIBRARY + 1), 2, changed))
        guest.rows.append(check_row(guest, address(LIBRARY + 1), 2, changed))
        guest.rows.append(check_row(guest, address(LIBRARY + 2), 1, text_block(texts["BETA"])))
        guest.rows.append(records_row(guest, address(LIBRARY + 3), member(texts["GAMMA"])))
        guest.rows.append(records_row(guest, at, directory(places)))
        run(stage.host, guest)
        consoles = {name: site.console for name, site in stage.sites.items()}
        wait_for(Goal.IDENTICAL, consoles, {"g0": ("A", "B")}, 60 * 10**9)
        stage.stop()
        assert stage.contents("A") == stage.contents("B")
        tool("cckdcdsk", "-3", "-ro", stage.images["B"])
        for site in "AB":
            image = stage.images[site]
            assert {name: member_text(image, name) for name in texts} == texts
            for data_set in ("PEER.PDS.DATA", "PEER.SEQ.DATA"):
                assert data_set in tool("dasdls", image)
            assert stage.unloaded(site) == stage.data.read_bytes()
        assert tool("dasdls", stage.images["A"]) == listed


def test_hosts_in_front_and_past_us_see_the_same_volume(stage):
    """Each in its turn: what went through us is at the control unit once it is destaged."""
    stage.host.start()
    run(stage.host, guest_of(formats, updates))
    until(lambda: stage.sites["A"].status()["cache"]["dirty_tracks"] == 0, "destaged")
    stage.host.stop()
    assert stage.sites["A"].terminate() == 0
    stage.direct.start()
    guest = guest_of(checks)
    buffer = guest.room(12 * RECORD)
    for track in range(FIRST, FIRST + TRACKS):
        guest.rows.append(read_row(guest, address(track), 12, RECORD, buffer))
    run(stage.direct, guest)
    assert stage.direct.messages("HHCSH0(2|3)[0-9]E") == []


def test_a_killed_site_loses_nothing_that_was_acknowledged(stage):
    stage.host.start()
    run(stage.host, guest_of(formats))
    guest = guest_of(updates)
    start(stage.host, guest, ROUNDS)
    await_writes(stage, ROUNDS * TRACKS // 4)
    site = stage.sites["A"]
    site.kill()
    site.launch()
    site.await_ready()
    results = believed(stage.host, guest)
    assert sum(result.done for result in results) > 0
    stage.stop()
    compare(stage, results)
    # One at most: the one whose WRITE was on its way when the site died.
    assert len(lost_tracks(stage)) <= 1


def test_a_control_unit_that_is_restarted_is_not_noticed(stage):
    stage.host.start()
    run(stage.host, guest_of(formats))
    guest = guest_of(updates)
    start(stage.host, guest, ROUNDS)
    await_writes(stage, ROUNDS * TRACKS // 4)
    stage.units["A"].stop()
    stage.units["A"].start()
    results = believed(stage.host, guest)
    assert [(result.done, result.bad) for result in results] == [(ROUNDS, 0)] * TRACKS
    stage.stop()
    assert lost_tracks(stage) == set()
    compare(stage, results)


def test_a_host_that_died_leaves_the_device_to_its_successor(stage):
    stage.host.start()
    run(stage.host, guest_of(formats))
    guest = guest_of(updates)
    start(stage.host, guest, 100_000)
    await_writes(stage, TRACKS)
    stage.host.kill()
    stage.host.start()
    results = run(stage.host, guest_of(updates, checks), times=3)
    stage.stop()
    tracks = stage.contents("A")
    for track, result in enumerate(results[:TRACKS], FIRST):
        assert numbers_on(tracks[track], UPDATED) == result.last_number
        assert used(tracks[track]) == tracks[track]


def test_a_track_that_cannot_be_read_is_a_unit_check_until_it_can(tmp_path):
    """Its control unit is away, and the site has not read the track: sense says equipment check."""
    with Stage(tmp_path, copied=False, patience="1s") as stage:
        stage.host.start()
        run(stage.host, guest_of(formats))
        stage.units["A"].kill()
        guest = guest_of(checks)
        # The first track of the data set, which nobody has read yet; then tracks that are cached.
        into = guest.room(4000)
        guest.rows.insert(0, read_row(guest, address(DATA_SET), 1, 4000, into))
        stage.host.load(guest.image(1, stop_at_bad=False))
        stage.host.run_guest()
        stage.host.wait_end(60)
        memory = stage.host.memory(guest.results_end)
        lost, *others = guest.results(memory)
        assert (lost.done, lost.bad, lost.bad_csw[4] & 0x0F) == (0, 1, 0x0E)
        sense = guest.sense(memory)
        assert (sense[0], sense[1], sense[7]) == (0x10, 0x00, 0x10)
        assert [(row.done, row.bad) for row in others] == [(1, 0)] * TRACKS
        assert stage.sites["A"].events("disk-failed")
        stage.units["A"].start()
        run(stage.host, guest)
        found = stage.host.memory(into + 4000)[into:]
        assert found == stage.data.read_bytes()[:4000]
        stage.stop()
