"""Whatever the line does, every record arrives whole, once and in order, at a bounded price."""

import itertools
import random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.link.events import LinkDown
from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import decode_packet
from tests.link.world import MIB, World, check_bytes, payloads, send_all, settings

HELL = {
    "delay_ns": 5 * MILLISECOND_NS,
    "jitter_ns": 30 * MILLISECOND_NS,
    "loss": 0.2,
    "duplicate": 0.2,
    "flip": 0.1,
    "truncate": 0.05,
    "replay": 0.2,
}


def arrived(world: World) -> list[bytes]:
    return [event.data for event in world.b.got]


def both(seed: object, ways: dict, **changes) -> World:
    return World(seed, ways, settings(**changes), settings("B", "A", **changes)).up()


def swarm(dice: random.Random) -> tuple[dict, dict]:
    """Draw a line and a link: each fault is off half of the time, as in a swarm test."""

    def maybe(top: float) -> float:
        return dice.choice((0.0, top * dice.random() ** 2))

    ways = {
        "delay_ns": int(10 ** dice.uniform(5, 8.4)),
        "jitter_ns": int(maybe(1e8)),
        "loss": maybe(0.4),
        "duplicate": maybe(0.4),
        "flip": maybe(0.3),
        "truncate": maybe(0.3),
        "replay": maybe(0.4),
        "rate_bytes_per_s": dice.choice((None, 10 ** dice.uniform(3.5, 7))),
        "queue_bytes": dice.choice((None, int(10 ** dice.uniform(3.5, 6)))),
    }
    if 1 - (1 - ways["loss"]) * (1 - ways["flip"]) * (1 - ways["truncate"]) > 0.4:
        ways["loss"] = ways["truncate"] = (
            0.0  # a line that loses half is taken for dead now and then
        )
    known = dice.random() < 0.5
    link = {
        "mtu_bytes": dice.choice((96, 150, 256, 1024, 1500)),
        "rate_bytes_per_s": ways["rate_bytes_per_s"] if known else None,
        "window_bytes": dice.choice((4096, 20_000, MIB)),
    }
    return ways, link


@pytest.mark.parametrize("seed", range(60))
def test_swarm(seed):
    dice = random.Random(f"swarm/{seed}")
    ways, link = swarm(dice)
    world = World(seed, ways, settings(**link), settings("B", "A", **link))
    records = payloads(30, dice.choice((20, 2000, 9000)), seed)
    world.start().run(lambda: world.is_up, 600)
    send_all(world, world.a, records, 3000)
    assert arrived(world) == records
    assert [(event.kind, event.group, event.csn) for event in world.b.got] == [
        (1, 2, csn) for csn in range(1, 31)
    ]
    assert world.a.of(LinkDown) == []
    check_bytes(world)


@pytest.mark.parametrize("seed", range(10))
def test_everything_at_once_in_both_directions(seed):
    world = both(seed, HELL, mtu_bytes=256)
    there, back = payloads(40, 1500, seed), payloads(40, 1500, (seed, "back"))
    for csn, (one, two) in enumerate(zip(there, back, strict=True), 1):
        world.a.link.send(1, 2, csn, [one[:100], one[100:]])
        world.b.link.send(3, 4, csn, [memoryview(two)])
    world.run(lambda: world.a.kept == world.b.kept == 40, 600)
    assert arrived(world) == there
    assert [event.data for event in world.a.got] == back
    check_bytes(world)


def test_every_loss_pattern_of_the_first_ten_data_packets():
    records = payloads(8, 250, "patterns")
    for pattern in itertools.product((False, True), repeat=10):
        world = both("patterns", {}, mtu_bytes=150)
        first = world.ab.offered
        world.ab.drop = lambda nth, _, lost=pattern, first=first: (
            first <= nth < first + 10 and lost[nth - first]
        )
        for csn, record in enumerate(records, 1):
            world.a.link.send(1, 2, csn, [record])
        world.run(lambda world=world: world.a.kept == len(records), 30, 5000)
        assert arrived(world) == records, pattern


def test_every_loss_pattern_of_the_first_acknowledgements():
    records = payloads(8, 250, "patterns")
    for pattern in itertools.product((False, True), repeat=6):
        world = both("patterns", {}, mtu_bytes=150)
        first = world.ba.offered
        world.ba.drop = lambda nth, _, lost=pattern, first=first: (
            first <= nth < first + 6 and lost[nth - first]
        )
        for csn, record in enumerate(records, 1):
            world.a.link.send(1, 2, csn, [record])
        world.run(lambda world=world: world.a.kept == len(records), 30, 5000)
        assert arrived(world) == records, pattern


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.integers(0, 40), st.sampled_from(["drop", "flip", "twice", "late"])),
    st.lists(st.integers(0, 500), min_size=1, max_size=8),
)
def test_any_schedule_of_faults(faults, sizes):
    world = both("schedule", {}, mtu_bytes=150)
    records = [random.Random(n).randbytes(size) for n, size in enumerate(sizes)]
    for way in (world.ab, world.ba):
        first, carry = way.offered, way.carry

        def spoil(packet, now_ns, dice, way=way, first=first, carry=carry):
            fault = faults.get(way.offered - first)
            out = carry(packet, now_ns, dice)
            if fault == "drop":
                return []
            if fault == "flip":
                return [(at, data[:20] + bytes([data[20] ^ 1]) + data[21:]) for at, data in out]
            if fault == "late":
                return [(at + 300 * MILLISECOND_NS, data) for at, data in out]
            return out * 2 if fault == "twice" else out

        way.carry = spoil
    for csn, record in enumerate(records, 1):
        world.a.link.send(1, 2, csn, [record])
    world.run(lambda: world.a.kept == len(records), 60)
    assert arrived(world) == records
    check_bytes(world)


SLOW = {"rate_bytes_per_s": 960.0, "delay_ns": MILLISECOND_NS}


@pytest.mark.parametrize("mtu_bytes", [96, 256])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("faults", [{}, {"loss": 0.05}, {"queue_bytes": 1024}])
def test_a_slow_line_with_tiny_packets_converges(mtu_bytes, known, faults):
    """The livelock that made pacing a rule: retransmissions queued faster than a line drains."""
    world = both(
        "slow", SLOW | faults, mtu_bytes=mtu_bytes, rate_bytes_per_s=960 if known else None
    )
    records = payloads(40, 3000, "slow")
    took_ns = send_all(world, world.a, records, 2000)
    counters = world.a.link.counters
    assert arrived(world) == records
    assert world.a.of(LinkDown) == []
    sent = counters.sent_data_packets + counters.sent_again_packets
    assert sent <= 3 * counters.sent_data_packets
    if known and not faults:
        assert counters.sent_again_packets == 0
    if faults != {"queue_bytes": 1024}:
        needed = sum(map(len, records)) + 46 * counters.sent_data_packets
        assert took_ns < 1.5 * needed / 960 * SECOND_NS


@pytest.mark.parametrize("known", [True, False])
def test_a_satellite_line_stays_full_though_it_loses_packets(known):
    rate = 192_000.0
    ways = {"rate_bytes_per_s": rate, "delay_ns": 300 * MILLISECOND_NS, "loss": 0.05}
    world = both("geo", ways, mtu_bytes=1400, rate_bytes_per_s=rate if known else None)
    records = payloads(600, 20_000, "geo")
    took_ns = send_all(world, world.a, records)
    assert arrived(world) == records
    assert took_ns < sum(map(len, records)) / (0.85 * rate) * SECOND_NS


def test_a_line_that_drops_what_does_not_fit_is_not_flooded():
    ways = {"rate_bytes_per_s": 192_000.0, "delay_ns": 8 * MILLISECOND_NS, "queue_bytes": 16_384}
    world = both("tail", ways, mtu_bytes=1400)
    records = payloads(200, 20_000, "tail")
    took_ns = send_all(world, world.a, records)
    counters = world.a.link.counters
    assert counters.sent_again_packets < 0.5 * counters.sent_data_packets
    assert took_ns < sum(map(len, records)) / (0.8 * 192_000) * SECOND_NS


def test_jitter_makes_the_sender_patient_not_frantic():
    ways = {"delay_ns": 5 * MILLISECOND_NS, "jitter_ns": 20 * MILLISECOND_NS}
    world = both("jitter", ways, mtu_bytes=1400)
    records = payloads(200, 20_000, "jitter")
    send_all(world, world.a, records)
    counters = world.a.link.counters
    assert counters.late_acks > 0
    assert counters.sent_again_packets < 0.3 * counters.sent_data_packets


def test_recovery_after_a_burst_takes_a_few_round_trips():
    world = both("burst", {"delay_ns": 20 * MILLISECOND_NS}, mtu_bytes=256)
    records = payloads(10, 1000, "burst")
    send_all(world, world.a, records)
    world.ab.cut = world.ba.cut = True
    world.a.kept = 0
    more = payloads(60, 3000, "more")  # more than may fly after such a silence
    for csn, record in enumerate(more, 11):
        world.a.link.send(1, 2, csn, [record])
    world.rest(1.5)
    world.ab.cut = world.ba.cut = False
    assert world.run(lambda: world.a.kept == 70, 10) < 3 * SECOND_NS
    assert arrived(world) == records + more


def test_what_waits_and_flies_never_exceeds_window_and_one_record():
    window = 8192
    world = both("bound", {"loss": 0.3, "delay_ns": 50 * MILLISECOND_NS}, window_bytes=window)
    records = payloads(60, 4000, "bound")
    seen = 0

    def watch(nth, packet):
        nonlocal seen
        session = world.a.link._session
        if session is not None:
            flight = session.sender.flight
            waiting = sum(size for _, _, size in flight._again.values())
            flying = sum(entry[2] for entry in flight._sent.values())
            seen = max(seen, waiting + flying)
        return False

    world.ab.drop = watch
    send_all(world, world.a, records)
    assert window // 2 < seen <= window + 4000


def test_packets_are_marked_and_numbers_never_used_twice():
    world = both("marks", {"loss": 0.2}, mtu_bytes=150)
    send_all(world, world.a, payloads(20, 1000, "marks"))
    packets = [decode_packet(data) for data in world.ab.history]
    inside = [packet for packet in packets if packet.type != PacketType.HELLO]
    assert [packet.number for packet in inside] == list(range(1, len(inside) + 1))
    assert all(packet.flags & PacketFlag.UNSEALED for packet in packets)
    again = [packet for packet in inside if packet.flags & PacketFlag.AGAIN]
    assert len(again) == world.a.link.counters.sent_again_packets > 0
    fresh = [packet for packet in inside if packet.type == PacketType.DATA]
    places = [(packet.record, packet.fragment_offset) for packet in fresh]
    first_seen = set()
    for packet, place in zip(fresh, places, strict=True):
        assert bool(packet.flags & PacketFlag.AGAIN) == (place in first_seen)
        first_seen.add(place)
    assert all(len(data) <= 150 for data in world.ab.history)


def test_the_same_seed_gives_the_same_packets():
    def run() -> tuple[list[bytes], list[bytes]]:
        world = both("twice", HELL, mtu_bytes=256)
        send_all(world, world.a, payloads(30, 1500, "twice"))
        return world.ab.history, world.ba.history

    assert run() == run()
