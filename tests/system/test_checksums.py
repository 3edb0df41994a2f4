"""Disks that give what they never took: found by checksum, and mended from wherever it is (K2)."""

import random

import pytest

from emulator.errors import UnavailableError
from rig.host.nbd_client import connect_nbd
from tests.system.sites import until

KIB = 1 << 10
MIB = 1 << 20
TRACK = 4 * KIB
UNAVAILABLE = 69
QUIET = 'scrub = "0B"\n'
BUSY = 'scrub = "64MiB"\n'


def flip(path, offset: int) -> None:
    """Let one bit of a file rot."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def filled(bench) -> bytes:
    """Run both sites until they hold the same and have it on their disks; return what."""
    bench.start()
    bench.wait("duplex", 60)
    data = random.Random(1).randbytes(2 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(MIB, data)
    bench.wait("identical")
    for site in bench.sites.values():
        on_disk(site)
    return data


def on_disk(site) -> None:
    """Wait until the disk has everything, and no replay of the journal would bring it again."""
    until(lambda: not site.status()["cache"]["dirty_tracks"], "all is on the disk")
    until(lambda: not site.status()["nvs"]["used_bytes"], "the journal is empty")


def repairs(site) -> list[tuple[int, str]]:
    return [(event["track"], event["source"]) for event in site.events("track-repaired")]


def test_a_rotten_track_of_the_primary_comes_from_the_other_site(two_sites):
    bench = two_sites(device=QUIET)
    data = filled(bench)
    bench.a.kill()
    flip(bench.a.image, MIB + 5 * TRACK + 77)
    bench.start("A")
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, len(data)) == data
    track = MIB // TRACK + 5
    assert repairs(bench.a) == [(track, "the other site")]
    status = bench.a.status()
    assert status["repaired_tracks"] == {"the other site": 1}
    assert status["devices"]["vol0"]["damaged_tracks"] == 0
    assert status["devices"]["vol0"]["found_damaged_tracks"] == 1
    bench.finish()


def test_the_scrub_finds_what_nobody_reads(two_sites):
    """A rotten track of the secondary, where no host reads; and a lost and a misdirected write."""
    bench = two_sites(device=QUIET)
    data = filled(bench)
    bench.b.kill()
    flip(bench.b.image, MIB + 9 * TRACK)
    with bench.b.image.open("r+b") as image:
        # A write of track 3 that never came, and one of track 20 that went to track 30.
        image.seek(MIB + 3 * TRACK)
        image.write(bytes(TRACK))
        image.seek(MIB + 30 * TRACK)
        image.write(data[20 * TRACK : 21 * TRACK])
    bench.rewrite(device=BUSY)
    bench.start("B")
    bench.wait("duplex")
    until(lambda: len(repairs(bench.b)) == 3, "all three are found and mended")
    first = MIB // TRACK
    assert {track - first for track, _source in repairs(bench.b)} == {3, 9, 30}
    until(lambda: bench.b.events("scrub-passed"), "the scrub comes round")
    assert bench.b.status()["devices"]["vol0"]["scrub"]["passes"] >= 1
    bench.finish()


def test_a_rotten_track_that_nobody_has_is_refused_and_said(two_sites):
    bench = two_sites(device=QUIET)
    data = filled(bench)
    bench.a.kill()
    bench.b.kill()
    flip(bench.a.image, MIB + 5 * TRACK + 77)
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        with pytest.raises(UnavailableError):
            volume.read(MIB + 5 * TRACK, TRACK)
        assert volume.read(MIB, 5 * TRACK) == data[: 5 * TRACK], "its neighbours are served"
        (lost,) = bench.a.events("track-lost")
        assert lost["track"] == MIB // TRACK + 5
        assert bench.a.status()["devices"]["vol0"]["damaged"] == [MIB // TRACK + 5]
        assert "mended or written anew: 1" in bench.a.group()["guarantee"]
        # The other site comes back, and has it.
        bench.start("B")
        bench.wait("duplex")
        assert volume.read(MIB, len(data)) == data
    assert bench.a.status()["devices"]["vol0"]["damaged_tracks"] == 0
    bench.finish()


def test_an_image_of_yesterday_is_found_and_brought_up_to_date(two_sites):
    bench = two_sites(device=QUIET)
    filled(bench)
    bench.stop("A", "B")
    yesterday = bench.a.image.read_bytes()
    bench.start()
    bench.wait("duplex")
    data = random.Random(2).randbytes(MIB)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(2 * MIB, data)
    bench.wait("identical")
    on_disk(bench.a)
    bench.stop("A", "B")
    bench.a.image.write_bytes(yesterday)
    bench.rewrite(device=BUSY)
    bench.start()
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(2 * MIB, MIB) == data
    until(lambda: bench.a.events("scrub-passed"), "the scrub comes round")
    assert len(repairs(bench.a)) == MIB // TRACK
    bench.finish()


def test_an_image_of_yesterday_with_its_checksums_is_refused(two_sites):
    """The nonvolatile store knows how far the disk was (K13)."""
    bench = two_sites(device=QUIET)
    filled(bench)
    bench.stop("A", "B")
    yesterday = bench.a.image.read_bytes(), bench.a.sums.read_bytes()
    bench.start()
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(0, b"today" * 1000)
        until(lambda: bench.a.status()["destage"]["flushes"], "it is on the disk")
        on_disk(bench.a)
        volume.write(0, b"later" * 1000)
    bench.wait("identical")
    on_disk(bench.a)
    bench.stop("A", "B")
    bench.a.image.write_bytes(yesterday[0])
    bench.a.sums.write_bytes(yesterday[1])
    code, said = bench.a.refused()
    assert code == UNAVAILABLE
    assert "an older copy of its disk was put back" in said
    assert "Traceback" not in said


def test_what_the_journal_still_has_is_taken_from_there(two_sites):
    """The other site is away, so that the journal keeps what it lacks; the disk loses it."""
    bench = two_sites(device=QUIET, cache="1MiB", nvs="64MiB")
    filled(bench)
    bench.b.kill()
    until(lambda: bench.a.group()["state"] == "suspended", "the line is down")
    data = random.Random(3).randbytes(64 * TRACK)
    with connect_nbd(bench.a.uri) as volume:
        volume.write(8 * MIB, data)
        until(lambda: not bench.a.status()["cache"]["dirty_tracks"], "all is on the disk")
        flip(bench.a.image, 8 * MIB + 7 * TRACK)
        volume.read(0, 2 * MIB)  # drives the written tracks out of the cache
        assert volume.read(8 * MIB, len(data)) == data
    assert repairs(bench.a) == [(8 * MIB // TRACK + 7, "the journal")]
    bench.start("B")
    bench.finish()


def test_what_was_found_is_in_the_log_before_the_host_has_its_answer(two_sites):
    bench = two_sites(device=QUIET)
    data = filled(bench)
    bench.a.kill()
    tracks = range(0, len(data) // TRACK, 16)
    for track in tracks:
        flip(bench.a.image, MIB + track * TRACK + track)
    bench.start("A")
    bench.wait("duplex")
    with connect_nbd(bench.a.uri) as volume:
        for count, track in enumerate(tracks, 1):
            assert volume.read(MIB + track * TRACK, TRACK) == data[track * TRACK :][:TRACK]
            assert len(repairs(bench.a)) == count
            assert bench.a.status()["repaired_tracks"] == {"the other site": count}
    bench.finish()


def test_checksums_that_were_lost_are_learned_anew(two_sites):
    bench = two_sites(device=BUSY)
    filled(bench)
    bench.stop("A", "B")
    bench.a.sums.unlink()
    bench.start()
    bench.wait("duplex")
    (changed,) = bench.a.events("checksums-changed")
    assert changed["state"] == "replaced"
    (passed, *_) = until(lambda: bench.a.events("scrub-passed")[-1:], "the scrub comes round")
    assert passed["damaged"] == 0
    bench.finish()


def test_the_last_track_of_a_volume_is_written_anew_though_it_is_short_and_damaged(two_sites):
    size, tail = 16 * MIB + 1536, 16 * MIB
    bench = two_sites(size_bytes=size, device=QUIET)
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        volume.write(tail, b"t" * 1536)
    on_disk(bench.a)
    bench.a.kill()
    flip(bench.a.image, tail + 700)
    bench.start("A")
    with connect_nbd(bench.a.uri) as volume:
        with pytest.raises(UnavailableError):
            volume.write(tail + 512, b"p" * 512)
        assert bench.a.status()["devices"]["vol0"]["damaged"] == [tail // TRACK]
        volume.write(tail, b"n" * 1536)
        assert volume.read(tail, 1536) == b"n" * 1536
    on_disk(bench.a)
    assert bench.a.status()["devices"]["vol0"]["damaged_tracks"] == 0
    assert "written anew" not in bench.a.group()["guarantee"]
    bench.start("B")
    bench.finish()


def test_a_secondary_that_must_build_on_a_lost_track_is_copied_anew(two_sites):
    bench = two_sites(device=QUIET)
    data = bytearray(filled(bench))
    bench.b.kill()
    at = 5 * TRACK
    flip(bench.b.image, MIB + at + 77)
    new = random.Random(2).randbytes(2 * 512)
    with connect_nbd(bench.a.uri) as volume:
        # The primary has other contents of that track by now, so that nobody has the old ones.
        for number, start in enumerate((at + 512, at + 2048)):
            part = new[number * 512 : number * 512 + 512]
            volume.write(MIB + start, part)
            data[start : start + 512] = part
    bench.start("B")
    bench.wait("duplex", 60)
    assert [event["track"] for event in bench.b.events("track-lost")] == [(MIB + at) // TRACK]
    reasons = [event["reason"] for event in bench.b.events("link-changed")]
    assert any("the copy here is given up" in reason for reason in reasons), reasons
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, len(data)) == data
    bench.finish()
