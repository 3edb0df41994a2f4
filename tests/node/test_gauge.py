"""Pacing of hosts: throughput falls smoothly towards what drains, and never off a cliff."""

import itertools

import pytest

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.node.gauge import WAIT_NS_MAX, Gauge

MIB = 1 << 20
SIZE = 64 * MIB
PIECE = 64 * 1024


def run(drain_per_s: float, demand_per_s: float, seconds: float, lump: int = 0):
    """Let hosts write as fast as they may; return bytes accepted in each tenth of a second."""
    gauge = Gauge(0.5, 0.9)
    now_ns, level, drained, owed, until_ns = 0, 0.0, 0, 0.0, 0
    taken = [0] * int(seconds * 10)
    peak = 0.0
    step_ns = int(PIECE / demand_per_s * SECOND_NS)
    while now_ns < seconds * SECOND_NS:
        owed = min(owed + drain_per_s * step_ns / SECOND_NS, level)
        if owed >= lump:
            level -= owed
            drained += int(owed)
            owed = 0.0
        gauge.drained(drained, now_ns)
        if now_ns >= until_ns and level + PIECE <= SIZE:
            level += PIECE
            taken[now_ns * 10 // SECOND_NS] += PIECE
            until_ns = now_ns + gauge.wait_ns(int(level), SIZE, PIECE)
        peak = max(peak, level / SIZE)
        now_ns += step_ns
    return taken, peak


@pytest.mark.parametrize("lump", [0, SIZE // 16])
def test_throughput_falls_smoothly_to_what_drains(lump):
    taken, peak = run(20 * MIB, 100 * MIB, 12, lump)
    assert taken[0] > 9 * MIB, "nothing is paced while there is room"
    seconds = [sum(taken[at : at + 10]) for at in range(0, 120, 10)]
    for before, after in itertools.pairwise(seconds):
        assert after > before / 3, f"a cliff: {[round(s / MIB) for s in seconds]}"
    for tail in seconds[6:]:
        assert 16 * MIB < tail < 26 * MIB, "it settles at what drains"
    assert min(taken) > 0, "nobody is ever stopped"
    assert peak < 0.98


def test_nothing_is_paced_below_the_beginning():
    gauge = Gauge(0.5, 0.9)
    assert gauge.wait_ns(SIZE // 2, SIZE, PIECE) == 0
    assert gauge.wait_ns(SIZE // 2 + MIB, SIZE, 0) == 0
    assert gauge.wait_ns(SIZE // 2 + MIB, SIZE, PIECE) > 0


def test_a_fuller_thing_paces_more_and_one_wait_is_bounded():
    gauge = Gauge(0.5, 0.9)
    gauge.drained(0, 0)
    gauge.drained(MIB, 100 * MILLISECOND_NS)
    waits = [gauge.wait_ns(SIZE * part // 100, SIZE, PIECE) for part in range(51, 100)]
    assert waits == sorted(waits)
    assert gauge.wait_ns(SIZE, SIZE, 100 * MIB) == WAIT_NS_MAX
