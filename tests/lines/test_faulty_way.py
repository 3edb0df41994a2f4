"""What a schedule says befalls a packet, by its number; everything else passes unharmed."""

import pytest

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.wire.packet import decode_packet
from rig.faults.packets import PacketRates
from rig.faults.plan import Fault, Plan
from rig.lines.faulty_way import KINDS, QUEUE_NS_MAX, FaultyWay
from rig.sim.config import WayConfig

LATENCY_NS = 3 * MILLISECOND_NS
CALM = WayConfig(latency_ns=LATENCY_NS)


def way(*rows, config=CALM):
    plan = Plan([Fault("line.A-B", *row) for row in rows])
    return FaultyWay("A-B", config, plan, 1), plan


def carried(line, packets, now_ns=0):
    for packet in packets:
        line.put(packet, now_ns)
    return [
        (leaving.packet, leaving.reflected) for leaving in line.leaving(now_ns + 10 * SECOND_NS)
    ]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ((1, "drop"), [b"one", b"three"]),
        ((1, "flip", (0,)), [b"one", b"uwo", b"three"]),
        ((1, "truncate", (5,)), [b"one", b"tw", b"three"]),
        ((1, "truncate", (3,)), [b"one", b"three"]),
        ((1, "pad", (2,)), [b"one", b"twoZZ", b"three"]),
        ((1, "duplicate"), [b"one", b"two", b"two", b"three"]),
        ((1, "replay", (1,)), [b"one", b"two", b"one", b"three"]),
        ((1, "late", (SECOND_NS,)), [b"one", b"three", b"two"]),
        ((1, "spoil", (7,)), [b"one", b"two", b"three"]),  # carries nothing with a digest
        ((9, "drop"), [b"one", b"two", b"three"]),
    ],
)
def test_one_packet_meets_its_fault(row, wanted):
    line, plan = way(row)
    assert [packet for packet, _ in carried(line, [b"one", b"two", b"three"])] == wanted
    assert len(plan.happened) == (row[0] == 1)
    assert line.sent_packets == 3


def test_a_strangers_packet_and_an_echo():
    line, _ = way((0, "forge", (5,)), (1, "reflect"))
    found = carried(line, [b"one", b"two"])
    assert [packet for packet, _ in found[:1]] == [b"one"]
    assert not isinstance(decode_packet(found[1][0]), str)
    assert found[2:] == [(b"two", False), (b"two", True)]


def test_every_kind_of_the_simulators_line_is_known():
    drawn = {name for name in PacketRates.__dataclass_fields__ if "_" not in name}
    assert drawn <= set(KINDS)


def test_latency_and_order():
    line, _ = way(config=WayConfig(latency_ns=LATENCY_NS, jitter_ns=LATENCY_NS))
    for number in range(50):
        line.put(bytes([number + 1]), number)
    assert LATENCY_NS <= line.next_due_ns() <= 2 * LATENCY_NS
    assert line.leaving(LATENCY_NS - 1) == []
    left = line.leaving(SECOND_NS)
    assert [leaving.packet[0] for leaving in left] == list(range(1, 51))
    assert line.next_due_ns() is None


def test_a_slow_line_carries_so_much_and_loses_what_waits_too_long():
    line, _ = way(config=WayConfig(latency_ns=0, rate_bytes_per_s=1000))
    for _ in range(1000):
        line.put(bytes(10), 0)
    left = line.leaving(10 * SECOND_NS)
    assert left[0].due_ns == 10 * MILLISECOND_NS
    assert left[-1].due_ns <= QUEUE_NS_MAX + 20 * MILLISECOND_NS
    assert len(left) + line.overflowed_packets == 1000


def test_a_cut_line_loses_what_is_sent_and_what_is_on_its_way():
    line, _ = way()
    line.put(b"on its way", 0)
    line.cut = True
    line.put(b"sent", 0)
    assert line.leaving(SECOND_NS) == []
    line.cut = False
    line.put(b"after", SECOND_NS)
    assert [leaving.packet for leaving in line.leaving(2 * SECOND_NS)] == [b"after"]
    assert line.as_dict() == {"sent_packets": 3, "cut_packets": 2, "overflowed_packets": 0}
