"""The audit feed of whole processors in virtual time: off unless asked, and then complete."""

from base64 import b64decode

import pytest

from emulator.copy import audit
from emulator.wire.checksum import content_hash
from tests.node.world import World

TRACK = 4096


class Host:
    """Writes and counts answers."""

    def __init__(self, site):
        self.volumes = site.processor.volumes
        self.answered = 0

    def completed(self, _cookie, _outcome, _data):
        self.answered += 1

    def write(self, name, offset, data):
        self.volumes[name].write(offset, data, self, 0)


@pytest.fixture
def world():
    return World("audit").start()


def duplex(world):
    world.run(
        lambda: all(s.processor.groups["g"].state.value == "duplex" for s in (world.a, world.b))
    )


def of_kind(items, *kinds):
    return [item for item in items if item[0] in kinds]


def listen(site):
    site.processor.audit.begin(site.processor.groups.values())
    return site.processor.audit


def test_nothing_is_gathered_for_nobody(world):
    duplex(world)
    first = next(iter(world.a.processor.volumes))
    host = Host(world.a)
    host.write(first, 0, b"x" * TRACK)
    world.run(lambda: host.answered)
    assert not world.a.processor.audit.on
    assert world.a.processor.audit.items == []


def test_changes_answers_and_epochs_are_told(world):
    duplex(world)
    near, far = listen(world.a), listen(world.b)
    (standing,) = near.take()
    csn = standing[2]["csn"]
    assert (standing[0], standing[2]["role"], standing[2]["ack"]) == ("standing", "primary", "nvs")
    assert far.take()[0][2]["role"] == "secondary"
    first = next(iter(world.a.processor.volumes))
    host = Host(world.a)
    host.write(first, 0, b"a" * TRACK + b"b" * TRACK)
    host.write(first, TRACK + 512, b"c" * 512)
    world.run(lambda: host.answered == 2 and far.items)
    told = near.take()
    run, part = of_kind(told, "run", "part")
    hashes = [content_hash(letter * TRACK) for letter in (b"a", b"b")]
    assert run == ["run", "g", csn + 1, 0, 0, hashes]
    assert part[:6] == ["part", "g", csn + 2, 0, 1, 512]
    assert (b64decode(part[6]), b64decode(part[7])) == (b"c" * 512, b"b" * TRACK)
    answered = of_kind(told, "answered")
    assert answered[-1][2:] == [csn + 2, "duplex"]
    assert told.index(run) < told.index(answered[0])
    world.run(lambda: world.b.processor.groups["g"].stream.acked.csn == csn + 2)
    rows = {}
    for _kind, _group, said, found in of_kind(far.take(), "applied"):
        assert said["consistent"]
        rows |= {track: contents for _volume, track, contents in found}
    whole = b"b" * 512 + b"c" * 512 + b"b" * 3072
    assert rows == {0: hashes[0], 1: content_hash(whole)}


def test_zeros_are_told_by_their_number(world):
    duplex(world)
    near = listen(world.a)
    near.take()
    host = Host(world.a)
    volume = next(iter(world.a.processor.volumes.values()))
    volume.zero(0, 3 * TRACK, host, 0)
    world.run(lambda: host.answered)
    (zeros,) = of_kind(near.take(), "zeros")
    assert zeros[3:] == [0, 0, 3]


@pytest.mark.sources
def test_what_is_kept_after_a_start_waits_for_one_auditor_only(world, monkeypatch):
    duplex(world)
    feed, groups = world.a.processor.audit, world.a.processor.groups.values()
    feed.keep(groups)
    host = Host(world.a)
    host.write(next(iter(world.a.processor.volumes)), 0, b"x" * TRACK)
    world.run(lambda: host.answered)
    feed.begin(groups)
    assert [item[0] for item in feed.take()] == ["standing", "run", "answered"]
    feed.end()
    monkeypatch.setattr(audit, "KEPT_ROWS_MAX", 5)
    feed.keep(groups)
    for _ in range(4):
        host.write(next(iter(world.a.processor.volumes)), 0, b"x" * TRACK)
    world.run(lambda: host.answered == 5)
    assert not feed.on
    assert feed.items == []


def test_tracks_are_told_with_the_csn_they_belong_to(world):
    from emulator.node.console import Console

    duplex(world)
    answers = []
    console = Console(world.a.processor, lambda _status: None)
    ask = b'{"verb":"audit-tracks","group":"g","volume":0,"first":%d,"count":%d}'
    console.request(ask % (0, 2), answers.append)
    world.run(lambda: answers)
    result = answers[0]["result"]
    disk = world.a.disks[0].now
    assert result["hashes"] == [content_hash(bytes(disk[at : at + TRACK])) for at in (0, TRACK)]
    assert result["csn"] == world.a.processor.groups["g"].csn
    for first, count in ((-1, 2), (0, 1000), (10**6, 1)):
        answers.clear()
        console.request(ask % (first, count), answers.append)
        assert "name at most 256 tracks that exist" in answers[0]["error"]
    console.request(b'{"verb":"audit"}', answers.append)
    assert "is no request" in answers[1]["error"]
