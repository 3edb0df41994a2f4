"""Two ends find each other, and only each other; old packets part nobody."""

import itertools

import pytest

from emulator.errors import MisuseError
from emulator.link.events import LinkDown, LinkRefused, LinkUp
from emulator.link.hello import Hello, decode_hello, encode_hello
from emulator.link.link import Link
from emulator.link.states import LINK_TABLE, LinkState, Signal, next_state
from emulator.wire.checksum import crc32c
from emulator.wire.layout import PacketType
from emulator.wire.packet import Packet, decode_packet
from tests.link.world import World, entropy, payloads, send_all, settings


def hellos(packets: list[bytes]) -> list[Hello]:
    read = [decode_packet(packet) for packet in packets]
    found = [p for p in read if isinstance(p, Packet) and p.type == PacketType.HELLO]
    return [hello for p in found if (hello := decode_hello(p.payload)) is not None]


def test_both_ends_come_up_with_one_session_and_the_smaller_packets():
    world = World(1, a=settings(mtu_bytes=9000), b=settings("B", "A", mtu_bytes=512)).up()
    (up_a,), (up_b,) = world.a.of(LinkUp), world.b.of(LinkUp)
    assert up_a == LinkUp("B", up_b.session, 512)
    assert up_b == LinkUp("A", up_a.session, 512)
    assert up_a.session > 0


def test_an_end_that_starts_late_is_found_within_the_longest_wait():
    world = World(2)
    world.a.link.start(world.now_ns)
    world.rest(100)
    assert world.a.link.state is LinkState.HELLO
    assert 40 < world.ab.offered < 60  # every two seconds, for ever
    world.b.link.start(world.now_ns)
    assert world.run(lambda: world.is_up) < 3e9


@pytest.mark.parametrize("dead", ["ab", "ba"])
def test_a_line_that_works_one_way_is_never_up(dead):
    world = World(3)
    getattr(world, dead).cut = True
    world.start().rest(300)
    assert world.a.of(LinkUp) == world.b.of(LinkUp) == []
    assert world.a.link.state is world.b.link.state is LinkState.HELLO


def test_a_line_that_loses_one_way_in_the_middle_goes_down_at_both_ends_and_stays_down():
    world = World(4).up()
    world.ab.cut = True
    world.run(lambda: world.a.of(LinkDown) and world.b.of(LinkDown), 20)
    world.rest(60)
    assert world.a.link.state is world.b.link.state is LinkState.HELLO
    assert len(world.a.of(LinkUp)) == len(world.b.of(LinkUp)) == 1
    world.ab.cut = False
    world.run(lambda: world.is_up, 5)


def test_every_pattern_of_lost_first_packets_still_comes_up():
    for pattern in itertools.product((False, True), repeat=8):
        world = World("pattern")
        world.ab.drop = lambda nth, _, lost=pattern: nth < 4 and lost[nth]
        world.ba.drop = lambda nth, _, lost=pattern: nth < 4 and lost[4 + nth]
        world.up()
        assert len(world.a.of(LinkUp)) == len(world.b.of(LinkUp)) == 1


def test_a_lost_hello_is_made_up_for_by_any_packet_of_the_session():
    world = World(6)
    # B never hears that A heard it, only what A sends in the session.
    world.ab.drop = lambda nth, packet: packet[3] == PacketType.HELLO and nth > 0
    world.up()
    assert world.b.of(LinkUp)


def test_a_restarted_peer_is_noticed_and_a_new_session_made():
    world = World(7).up()
    first = world.a.of(LinkUp)[0].session
    send_all(world, world.a, payloads(20, 3000))
    world.restart(world.b)
    world.run(lambda: len(world.a.of(LinkUp)) == 2 and world.is_up, 2)
    assert world.a.of(LinkDown) == [LinkDown("peer restarted")]
    second = world.a.of(LinkUp)[1].session
    assert second not in (0, first)
    assert world.b.of(LinkUp)[-1].session == second
    world.a.kept = 0
    send_all(world, world.a, payloads(20, 3000, "second"))
    assert [event.data for event in world.b.got] == payloads(20, 3000, "second")


@pytest.mark.parametrize("seed", range(20))
def test_a_peer_that_restarts_again_and_again_on_a_bad_line_is_found(seed):
    world = World(seed, {"loss": 0.2, "duplicate": 0.2, "replay": 0.3, "jitter_ns": 50_000_000})
    world.up()
    for n in range(4):
        world.rest(world.dice.random())
        world.restart(world.dice.choice((world.a, world.b)), n)
        world.run(lambda: world.is_up, 30)
        world.rest(5)
        assert world.is_up
        assert world.a.of(LinkUp)[-1].session == world.b.of(LinkUp)[-1].session


def test_replayed_hellos_of_all_earlier_sessions_part_nobody():
    world = World(8).up()
    for n in range(4):
        world.restart(world.dice.choice((world.a, world.b)), n)
        world.run(lambda: world.is_up, 10)
        world.rest(1)
    world.rest(3)
    assert world.is_up
    downs = len(world.a.of(LinkDown)), len(world.b.of(LinkDown))
    for _ in range(400):
        # Whatever the answers provoke is on the record too, and comes back in its turn.
        end, way = world.dice.choice(((world.a, world.ba), (world.b, world.ab)))
        old = [packet for packet in way.history if packet[3] == PacketType.HELLO]
        world.inject(end, world.dice.choice(old))
        world.rest(world.dice.choice((0, 0.001, 0.01, 0.3)))
        assert (len(world.a.of(LinkDown)), len(world.b.of(LinkDown))) == downs
    world.a.kept = 0
    world.b.got.clear()
    send_all(world, world.a, payloads(20, 3000))
    assert [event.data for event in world.b.got] == payloads(20, 3000)


def test_an_old_hello_is_answered_with_a_nonce_never_used_before():
    world = World(9).up()
    known = {hello.nonce for hello in hellos(world.ab.history + world.ba.history)}
    stranger = Hello(12345, 0, 1500, 4096, True, "A-B", "B")
    world.inject(world.a, encode_hello(stranger))
    (answer,) = hellos(world.a.link.outgoing(world.now_ns, 10))
    assert answer.echo == 12345
    assert answer.nonce not in known
    world.rest(2)
    assert world.is_up
    assert world.a.of(LinkDown) == []
    # Only who heard that answer can make A give up its session.
    world.inject(world.a, encode_hello(stranger._replace(echo=answer.nonce)))
    assert world.a.of(LinkDown) == [LinkDown("peer restarted")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "A-X"}, "'A-X'"),
        ({"site": "C"}, "site 'C'"),
        ({"lab_plaintext": False}, "lab_plaintext"),
        ({"site": "A", "peer": "B"}, "loop"),
    ],
)
def test_the_wrong_other_end_is_refused_once_slowly_and_a_corrected_one_comes_up(wrong, words):
    world = World(10, b=settings(**({"site": "B", "peer": "A"} | wrong)))
    world.start().rest(60)
    (refused,) = world.a.of(LinkRefused)
    assert words in refused.reason
    assert world.a.link.state is LinkState.REFUSED
    assert world.a.of(LinkUp) == world.b.of(LinkUp) == []
    assert world.a.link.counters.rejected["refused"] > 5
    assert world.ab.offered < 40
    world.b.link = Link(settings("B", "A"), entropy("corrected"))
    world.b.link.start(world.now_ns)
    assert world.run(lambda: world.is_up, 10) < 6e9
    assert len(world.a.of(LinkRefused)) == 1


def test_another_reason_is_said_too():
    world = World(11)
    world.a.link.start(world.now_ns)
    for site in ("C", "C", "D", "D"):
        world.rest(2)
        world.inject(world.a, encode_hello(Hello(5, 0, 1500, 4096, True, "A-B", site)))
    reasons = [event.reason for event in world.a.of(LinkRefused)]
    assert [reason.split(",")[0] for reason in reasons] == [
        "the other end is site 'C'",
        "the other end is site 'D'",
    ]


def test_strangers_that_take_turns_do_not_flood_the_log():
    world = World(12)
    world.a.link.start(world.now_ns)
    for nth in range(500):
        world.rest(0.01)
        world.inject(world.a, encode_hello(Hello(5, 0, 1500, 4096, True, "A-B", f"X{nth}")))
    assert 4 <= len(world.a.of(LinkRefused)) <= 6


def test_while_up_a_stranger_is_counted_and_nothing_else():
    world = World(13).up()
    for hello in (
        Hello(5, 0, 1500, 4096, True, "other", "B"),
        Hello(5, 0, 1500, 4096, True, "A-B", "C"),
        Hello(5, 0, 1500, 4096, False, "A-B", "B"),
        Hello(5, 0, 95, 4096, True, "A-B", "B"),
    ):
        world.inject(world.a, encode_hello(hello))
    assert world.a.link.outgoing(world.now_ns, 10) == []
    assert world.a.link.counters.rejected["refused"] == 4
    assert world.a.of(LinkRefused) == world.a.of(LinkDown) == []


def test_a_looped_line_is_named():
    world = World(14)
    world.a.link.start(world.now_ns)
    for packet in world.a.link.outgoing(world.now_ns, 10):
        world.inject(world.a, packet)
    (refused,) = world.a.of(LinkRefused)
    assert refused.reason.startswith("loop")


def test_another_layout_version_is_refused_but_a_flipped_bit_is_not():
    world = World(15)
    world.a.link.start(world.now_ns)
    packet = bytearray(encode_hello(Hello(5, 0, 1500, 4096, True, "A-B", "B")))
    packet[2] = 2
    world.inject(world.a, bytes(packet))
    assert world.a.of(LinkRefused) == []
    packet[-4:] = crc32c(packet[:-4]).to_bytes(4, "big")
    world.inject(world.a, bytes(packet))
    (refused,) = world.a.of(LinkRefused)
    assert "layout version 2" in refused.reason
    assert world.a.link.counters.rejected["version"] == 2


@pytest.mark.parametrize("broken", [bytes(8), b"constant"])
def test_a_source_of_nonces_that_repeats_itself_makes_no_second_session(broken):
    world = World(16)
    world.a.link = Link(settings(), lambda size: broken[:size])
    world.start().rest(1)
    first = list(world.a.of(LinkUp))
    world.a.link.line_lost(world.now_ns, "unplugged")
    world.a.link.start(world.now_ns)
    world.rest(30)
    assert world.a.of(LinkUp) == first
    assert "entropy" in world.a.of(LinkRefused)[-1].reason


def test_equal_nonces_at_both_ends_make_no_session():
    world = World(17)
    world.a.link = Link(settings(), entropy("same"))
    world.b.link = Link(settings("B", "A"), entropy("same"))
    world.start().rest(10)
    assert world.a.of(LinkUp) == world.b.of(LinkUp) == []
    assert "same nonce" in world.a.of(LinkRefused)[0].reason


def test_the_table_names_what_has_no_meaning():
    for state in LinkState:
        assert (state, Signal.LINE_CLOSED) in LINK_TABLE
    with pytest.raises(MisuseError, match=r"line open.*up"):
        next_state(LinkState.UP, Signal.LINE_OPEN)
    world = World(18).start()
    with pytest.raises(MisuseError):
        world.a.link.start(world.now_ns)
