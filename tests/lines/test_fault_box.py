"""The box joins two real lines, whatever their kind, and does what the schedule says."""

import time

import pytest

from emulator.transport.opener import open_line
from rig.faults.plan import Fault, Plan
from rig.lines.fault_box import FaultBox
from rig.lines.faulty_way import FaultyWay
from rig.replay.medium import real_line
from rig.sim.config import WayConfig


@pytest.fixture(params=["udp", "pty", pytest.param("eth", marks=pytest.mark.needs("root", "ip"))])
def joined(request, tmp_path):
    plan = Plan([Fault("line.A-B", 1, "drop"), Fault("line.B-A", 0, "duplicate")])
    first, second = (FaultyWay(name, WayConfig(100_000), plan, 1) for name in ("A-B", "B-A"))
    with real_line(request.param, tmp_path) as line, FaultBox(line.lines, (first, second)) as box:
        ends = [open_line(line.uri(site, 1400)) for site in "AB"]
        yield ends, box
        for end in ends:
            end.close()
    assert box.failure is None


def received(end, count, limit_s=10):
    found = []
    stop_s = time.monotonic() + limit_s
    while len(found) < count and time.monotonic() < stop_s:
        found += end.receive()
    return found


def test_packets_pass_both_ways_and_faults_happen(joined):
    (a, b), box = joined
    packets = [bytes([number]) * 100 for number in range(1, 4)]
    assert a.send(packets) == 3
    assert [packet[:100] for packet in received(b, 2)] == [packets[0], packets[2]]
    b.send(packets[:1])
    assert [packet[:100] for packet in received(a, 2)] == [packets[0]] * 2
    box.cut("A-B")
    a.send(packets[:1])
    b.send(packets[1:2])
    assert [packet[:100] for packet in received(a, 1)] == [packets[1]]
    box.cut("both", cut=False)
    a.send(packets[2:])
    assert [packet[:100] for packet in received(b, 1)] == [packets[2]]
    assert box.ways[0].cut_packets == 1
