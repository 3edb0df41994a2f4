"""The small parts: time, pace, loss and growth, each on its own."""

import pytest

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.link.congestion import FLOOR_PACKETS, INITIAL_BYTES, Congestion
from emulator.link.loss import Flight
from emulator.link.pacing import AHEAD_NS, Pacer
from emulator.link.packetizer import OutRecord, Packetizer
from emulator.link.rtt import RTO_NS_INITIAL, RTO_NS_MAX, RTO_NS_MIN, RoundTrip
from emulator.link.timing import Timing
from tests.link.world import settings

MS = MILLISECOND_NS


def fragment(size: int = 100):
    return OutRecord(1, 1, 0, 0, bytes(size)), 0, size


def test_an_unmeasured_line_is_given_a_second():
    assert RoundTrip(0).timeout_ns() == RTO_NS_INITIAL
    assert RoundTrip(270 * MS).timeout_ns() == RTO_NS_INITIAL + 4 * 270 * MS


def test_a_steady_round_trip_is_believed_and_the_others_delay_taken_off():
    trip = RoundTrip(0)
    for _ in range(100):
        trip.sample(70 * MS, 20 * MS)
    assert abs(trip.smooth_ns - 50 * MS) < MS
    assert 50 * MS < trip.timeout_ns() < 120 * MS


def test_time_outs_double_up_to_a_bound_and_an_answer_ends_that():
    trip = RoundTrip(0)
    for _ in range(50):
        trip.sample(MS, 0)
    waits = []
    for _ in range(12):
        waits.append(trip.timeout_ns())
        trip.timed_out()
    assert waits[0] == RTO_NS_MIN
    assert waits[1] == 2 * waits[0]
    assert waits[-1] == RTO_NS_MAX
    trip.answered()
    assert trip.timeout_ns() == waits[0]


def test_the_pacer_keeps_the_rate_and_lets_a_little_ahead():
    pacer = Pacer(1000.0)
    now_ns = 5 * SECOND_NS
    sent = 0
    while now_ns < 15 * SECOND_NS:
        if pacer.ready(now_ns):
            pacer.charge(98, now_ns)
            sent += 98
        else:
            assert pacer.waits_ns > now_ns
            now_ns = pacer.waits_ns
            pacer.wake(now_ns)
            assert pacer.waits_ns is None
    # Two bytes in a hundred are left for framing.
    assert 9_700 < sent < 9_900
    assert pacer.ready(now_ns + SECOND_NS)


def test_a_line_of_unknown_rate_is_not_paced():
    pacer = Pacer(None)
    pacer.charge(10**9, 0)
    assert pacer.ready(0)
    assert AHEAD_NS > 0


def test_three_later_packets_or_time_show_a_loss():
    flight = Flight()
    for number in range(1, 6):
        flight.sent(number, fragment(), number * MS)
    assert flight.acknowledge([(2, 3)]) == 2 * 146
    assert flight.detect(4 * MS, 9 * MS) == 0
    assert flight.lost_at_ns == 10 * MS
    assert flight.detect(10 * MS, 9 * MS) == 146
    assert flight.acknowledge([(5, 5)]) == 146
    assert flight.detect(10 * MS, 9 * MS) == 0
    assert flight.lost_at_ns == 13 * MS
    flight.sent(7, fragment(), 11 * MS)
    assert flight.acknowledge([(7, 7)]) == 146
    assert flight.detect(11 * MS, 9 * MS) == 146
    assert flight.size_bytes == 0
    assert flight.lost_at_ns is None


def test_a_late_acknowledgement_cancels_and_teaches_patience():
    flight = Flight()
    for number in range(1, 10):
        flight.sent(number, fragment(), MS)
    flight.acknowledge([(2, 9)])
    assert flight.detect(2 * MS, 50 * MS) == 146
    assert flight.waits
    flight.acknowledge([(1, 9)])
    assert flight.next_again() is None
    assert flight.late_acks == 1
    assert flight.reordering
    for number in range(10, 19):
        flight.sent(number, fragment(), MS)
    flight.acknowledge([(11, 18), (1, 9)])
    assert flight.detect(2 * MS, 50 * MS) == 0


def test_what_the_other_end_has_kept_is_not_sent_again():
    flight = Flight()
    one, two = fragment(), fragment()
    flight.sent(1, one, 0)
    flight.sent(2, two, 0)
    flight.give_up(2, MS)
    one[0].kept = True
    assert flight.next_again() == two


def test_the_limit_grows_while_it_limits_and_falls_to_what_got_through():
    congestion = Congestion(1500, None, 10**7)
    assert congestion.limit_bytes == INITIAL_BYTES
    number = 0

    def one_round(acked: int, lost: int, *, limited: bool) -> int:
        nonlocal number
        number += 100
        congestion.limited = limited
        congestion.acknowledged(acked)
        congestion.lost(lost)
        congestion.round_over(number, number + 50, MS)
        number += 50
        return congestion.limit_bytes

    assert one_round(60_000, 0, limited=False) == INITIAL_BYTES
    assert one_round(60_000, 0, limited=True) == 2 * INITIAL_BYTES + 1500
    grown = one_round(120_000, 12_000, limited=True)
    assert grown > 4 * INITIAL_BYTES
    assert one_round(100_000, 150_000, limited=True) == 100_000
    slowly = one_round(100_000, 0, limited=True)
    assert 100_000 < slowly < 110_000
    assert one_round(3000, 100_000, limited=False) == FLOOR_PACKETS * 1500
    assert one_round(3000, 3000, limited=False) == FLOOR_PACKETS * 1500
    for _ in range(200):
        one_round(10_000, 0, limited=True)
    assert congestion.limit_bytes == 10**7


def test_a_known_rate_keeps_the_line_filled_whatever_is_lost():
    congestion = Congestion(1500, 1e6, 10**7)
    congestion.limited = True
    congestion.acknowledged(1000)
    congestion.lost(10**6)
    congestion.round_over(1, 1, 400 * MS)
    assert congestion.limit_bytes >= 500_000


@pytest.mark.sources
def test_waits_follow_the_line():
    fast = Timing(settings())
    slow = Timing(settings(mtu_bytes=256, rate_bytes_per_s=96.0))
    assert fast.packet_ns == 0
    assert slow.packet_ns == int(256 / 96 * SECOND_NS)
    for name in Timing.__slots__:
        assert getattr(slow, name) > getattr(fast, name)
    assert slow.dead_ns > 8 * slow.packet_ns
    for timing in (fast, slow):
        assert timing.keepalive_ns < timing.silence_ns < timing.dead_ns
        assert timing.silence_ns + 3 * timing.probe_ns < timing.dead_ns


def test_the_packetizer_stops_at_the_window_but_for_the_next_record():
    packetizer = Packetizer(100, 250)
    packetizer.add(1, 0, 1, bytes(1000))
    packetizer.add(1, 0, 2, bytes(10))
    sizes = []
    while (size := packetizer.next_size()) >= 0:
        packetizer.take(size)
        sizes.append(size)
    assert sizes == [100] * 10
    assert packetizer.blocked
    assert not packetizer.may_be_kept(2)
    assert packetizer.acknowledge(1, 0)
    assert packetizer.next_size() == -1
    assert not packetizer.acknowledge(0, 10**6)  # overtaken by the one before
    assert packetizer.next_size() == -1
    assert not packetizer.acknowledge(1, 10)
    assert packetizer.next_size() == 10
