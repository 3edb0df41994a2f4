"""Fetching tracks from the other site: what comes, from where it stands, and what is refused."""

import json

import pytest

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.fetching import TRACKS_MAX
from emulator.copy.states import PairState
from emulator.errors import PeerError
from emulator.record.body import canonical_body
from emulator.record.changes import RecordHead, encode_head, record_chain
from emulator.wire.checksum import CHAIN_NONE
from tests.node.world import World


@pytest.fixture(scope="module")
def world():
    world = World("fetching").start()
    world.run(lambda: world.a.group.state is PairState.DUPLEX)
    return world


def fetched(world, site, keys):
    found = []

    def step():
        found.append((yield from site.pair.fetching.ask(keys)))

    site.processor.start(step())
    world.wake_soon(site, world.now_ns)
    world.run(lambda: found)
    return found[0]


@pytest.mark.parametrize("name", ["a", "b"])
def test_tracks_come_as_they_are_there(world, name):
    asking, other = (world.a, world.b) if name == "a" else (world.b, world.a)
    answer = fetched(world, asking, [3, 7])
    image = other.image(0)
    assert answer.images == {
        key: image[key * TRACK_BYTES : (key + 1) * TRACK_BYTES] for key in (3, 7)
    }
    assert answer.csn in (0, other.group.csn)


def test_nothing_comes_while_the_line_is_cut():
    world = World("cut").start()
    world.run(lambda: world.a.group.state is PairState.DUPLEX)
    world.cut()
    assert fetched(world, world.a, [3]) is None


@pytest.mark.parametrize(
    "text",
    [
        {"tracks": [[0, 1]]},
        {"number": 1, "tracks": []},
        {"number": 1, "tracks": [[0, 1]] * (TRACKS_MAX + 1)},
        {"number": 1, "tracks": [[0]]},
        {"number": 1, "tracks": [[0, "x"]]},
        {"number": 1, "tracks": [[9, 1]]},
        {"number": 1, "tracks": [[0, 48]]},
        {"number": 1, "tracks": [[0, -1]]},
        {"number": 1, "tracks": 5},
    ],
)
def test_a_senseless_wish_breaks_the_protocol(world, text):
    with pytest.raises(PeerError):
        world.b.pair.fetching.asked(json.dumps(text).encode())


def test_a_senseless_answer_breaks_the_protocol(world):
    fetching = world.a.pair.fetching
    with pytest.raises(PeerError):
        fetching.told(b"short")
    count, body = canonical_body([(3, 0, b"x" * TRACK_BYTES)])
    for digest, volume_body in ((CHAIN_NONE, body), (None, body[:-1])):
        chain = digest or record_chain(CHAIN_NONE, 1, 1, 1, 1, count, volume_body)
        head = RecordHead(1, 1, 1, CHAIN_NONE, chain, 1, count)
        with pytest.raises(PeerError):
            fetching.told(encode_head(head) + volume_body)


def test_an_answer_that_nobody_waits_for_changes_nothing(world):
    fetching = world.a.pair.fetching
    count, body = canonical_body([(3, 0, b"x" * TRACK_BYTES)])
    chain = record_chain(CHAIN_NONE, 1, 999, 1, 1, count, body)
    fetching.told(encode_head(RecordHead(1, 999, 1, CHAIN_NONE, chain, 1, count)) + body)
    assert not fetching._answers
