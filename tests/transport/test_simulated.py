"""The simulated line: virtual time, repeatable chance, and the odds it promises."""

import dataclasses
import itertools
import math
import random

import pytest

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import BenchError, MisuseError
from emulator.transport.simulated import ON_THE_WAY_MAX, SimulatedMedium, seed_of


def medium(query: str = "", seed: int = 7) -> SimulatedMedium:
    return SimulatedMedium(f"sim://A-B{query}", random.Random(seed))


def run(line: SimulatedMedium, packets: list[bytes]) -> list[tuple[int, bytes]]:
    """Send from a to b as fast as the line takes; return arrivals with their times."""
    arrivals: list[tuple[int, bytes]] = []
    waiting = packets
    while True:
        waiting = waiting[line.a.send(waiting) :]
        arrivals += [(line.now_ns, packet) for packet in line.b.receive()]
        due_ns = line.next_deadline_ns()
        if due_ns is None:
            return arrivals
        line.advance(max(due_ns, line.now_ns))


def numbered(count: int, size_bytes: int = 100) -> list[bytes]:
    return [n.to_bytes(4, "big") + bytes(size_bytes - 4) for n in range(count)]


def test_latency_is_exact_and_nothing_comes_early() -> None:
    line = medium("?latency=30ms")
    line.a.send([b"x"])
    line.advance(30 * MILLISECOND_NS - 1)
    assert line.b.receive() == []
    assert line.next_deadline_ns() == 30 * MILLISECOND_NS
    line.advance(30 * MILLISECOND_NS)
    assert line.b.receive() == [b"x"]
    assert line.next_deadline_ns() is None


def test_rate_spaces_packets_and_holds_the_sender_back() -> None:
    line = medium("?rate=800kbit")  # 100,000 bytes a second: 1 ms for 100 bytes
    assert line.a.send(numbered(1000)) == 51, "50 ms of line time, and the packet that reaches it"
    assert line.a.rate_bytes_per_s == 100_000
    arrivals = run(medium("?rate=800kbit"), numbered(1000))
    assert [time_ns for time_ns, _ in arrivals] == [n * MILLISECOND_NS for n in range(1, 1001)]
    assert [packet for _, packet in arrivals] == numbered(1000)


def test_jitter_never_changes_the_order_but_reorder_does() -> None:
    arrivals = run(medium("?latency=5ms&jitter=5ms&rate=8Mbit"), numbered(2000))
    assert [packet for _, packet in arrivals] == numbered(2000)
    line = medium("?latency=5ms&jitter=5ms&rate=8Mbit&reorder=0.1")
    arrivals = run(line, numbered(2000))
    order = [packet for _, packet in arrivals]
    assert order != numbered(2000)
    assert sorted(order) == numbered(2000)
    overtaken = sum(a > b for a, b in itertools.pairwise(order))
    assert 0 < overtaken <= line.a_to_b.damage.packets_reordered


@pytest.mark.parametrize(
    ("query", "name", "chance"),
    [
        ("?loss=0.05", "packets_lost", 0.05),
        ("?duplicate=0.05", "packets_duplicated", 0.05),
        ("?reorder=0.05", "packets_reordered", 0.05),
        ("?ber=0.0001", "packets_damaged", 1 - (1 - 0.0001) ** 800),
    ],
)
def test_odds_are_kept_and_every_deed_is_counted(query: str, name: str, chance: float) -> None:
    count = 20_000
    line = medium(query)
    sent = [random.Random(number).randbytes(100) for number in range(count)]
    received = [packet for _, packet in run(line, sent)]
    damage = line.a_to_b.damage
    done = getattr(damage, name)
    assert abs(done - count * chance) < 4 * math.sqrt(count * chance * (1 - chance))
    assert len(received) == count - damage.packets_lost + damage.packets_duplicated
    assert len(set(sent) - set(received)) == damage.packets_lost + damage.packets_damaged


def test_bits_flip_independently_at_the_asked_rate() -> None:
    line = medium("?ber=0.001")
    zeros = [bytes(1000)] * 1000
    received = [packet for _, packet in run(line, zeros)]
    flipped = sum(int.from_bytes(packet, "big").bit_count() for packet in received)
    assert flipped == line.a_to_b.damage.bits_flipped
    bits = 8 * 1000 * 1000
    assert abs(flipped - bits * 0.001) < 4 * math.sqrt(bits * 0.001)
    # Every place of a packet is hit about as often as any other.
    places = [0] * 8
    for packet in received:
        for place in range(8):
            piece = packet[place * 125 : (place + 1) * 125]
            places[place] += int.from_bytes(piece, "big").bit_count()
    assert max(places) < 1.25 * min(places)


def test_same_seed_same_fate() -> None:
    query = "?latency=3ms&jitter=9ms&loss=0.1&ber=0.0001&duplicate=0.1&reorder=0.1&rate=8Mbit"
    first, second = (run(medium(query, seed=3), numbered(500)) for _ in range(2))
    assert first == second
    assert first != run(medium(query, seed=4), numbered(500))


def test_conditions_may_change_and_hold_for_one_way_only() -> None:
    line = medium()
    line.a_to_b.conditions = dataclasses.replace(line.a_to_b.conditions, loss=1.0)
    line.a.send([b"lost"])
    line.b.send([b"heard"])
    assert line.b.receive() == []
    assert line.a.receive() == [b"heard"]
    assert line.a_to_b.damage.packets_lost == 1


def test_an_end_that_does_not_read_fills_no_memory() -> None:
    line = medium("?latency=1s")
    packets = [b"x"] * (ON_THE_WAY_MAX + 5)
    assert line.a.send(packets) == ON_THE_WAY_MAX
    assert line.next_deadline_ns() == SECOND_NS, "only the receiver can make room"
    line.advance(SECOND_NS)
    line.b.receive()
    assert line.a.send(packets) == 128


def test_what_goes_to_a_closed_end_is_gone() -> None:
    line = medium("?latency=1ms")
    line.a.send([b"on the way"])
    line.b.close()
    assert line.a.send([b"to nobody"]) == 1
    assert line.next_deadline_ns() is None


def test_time_goes_one_way_and_nothing_can_be_polled() -> None:
    line = medium()
    line.advance(5)
    with pytest.raises(MisuseError, match="time cannot go back"):
        line.advance(4)
    with pytest.raises(MisuseError, match="no descriptor"):
        line.a.fileno()


def test_seed_is_part_of_the_name() -> None:
    assert (seed_of("sim://A-B?seed=11"), seed_of("sim://A-B")) == (11, 0)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sim:", "a simulated line has a name"),
        ("sim://A-B/x", "a simulated line has a name"),
        ("udp://A-B", "a simulated line has a name"),
        ("sim://A-B?loss=0.1%", "a % must be written"),
        ("sim://A-B?loss=0.1%25", "'0.1%' is no fraction"),
        ("sim://A-B?loss=1.1", "is no fraction"),
        ("sim://A-B?loss=-1", "is no fraction"),
        ("sim://A-B?loss=nan", "is no fraction"),
        ("sim://A-B?ber=1", "would flip every bit"),
        ("sim://A-B?jitter=5", "is not a length of time"),
        ("sim://A-B?rate=1MB", "is not a rate"),
        ("sim://A-B?rate=0bit", "moves nothing"),
        ("sim://A-B?mtu=10", "it must lie from 128"),
        ("sim://A-B?sed=1", "did you mean seed?"),
    ],
)
def test_bad_uris_name_the_key_and_the_fix(uri: str, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        SimulatedMedium(uri, random.Random(0))
    assert said in str(caught.value)
    assert uri in str(caught.value)
