"""The fault models: their rates are what they say, and rows repeat what chance drew."""

import itertools
import math
from random import Random

import pytest

from emulator.wire.packet import Packet, decode_packet
from rig.faults.packets import (
    BitErrors,
    BurstLoss,
    PacketChance,
    PacketRates,
    flip_bits,
    forged_packet,
)
from rig.faults.plan import Fault, Plan
from rig.faults.storage import DiskChance, DiskRates, sectors, torn


@pytest.mark.parametrize("rate", [1e-3, 1e-4, 1e-5, 1e-6])
def test_bit_errors_have_their_rate(rate):
    errors = BitErrors(rate, Random(f"bits {rate}"))
    bits = 10_000_000
    found = sum(len(errors.flips(8_000)) for _ in range(bits // 8_000))
    assert abs(found - bits * rate) < 3 * math.sqrt(bits * rate * (1 - rate))


def test_bit_errors_lie_inside_and_in_order():
    errors = BitErrors(0.01, Random(1))
    for _ in range(1000):
        flips = errors.flips(100)
        assert flips == sorted(set(flips))
        assert all(0 <= flip < 100 for flip in flips)
    assert BitErrors(0.0, Random(1)).flips(1_000_000) == []


def test_burst_loss_has_its_rate_and_its_bursts():
    begin, end, loss = 0.01, 0.2, 0.9
    bursts = BurstLoss(begin, end, loss, Random("bursts"))
    packets = 1_000_000
    lost = [bursts.lost() for _ in range(packets)]
    share = begin / (begin + end) * loss
    # Losses come together, so that they spread more than independent ones would.
    sigma = math.sqrt(packets * share * (1 - share) * (2 / end))
    assert abs(sum(lost) - packets * share) < 3 * sigma
    pairs = sum(a and b for a, b in itertools.pairwise(lost))
    assert pairs / sum(lost) > 5 * share


def test_each_kind_comes_at_its_rate():
    rates = PacketRates(drop=0.02, truncate=0.01, duplicate=0.03)
    chance = PacketChance(rates, Random("kinds"))
    packets = 100_000
    counts: dict[str, int] = {}
    for _ in range(packets):
        drawn = chance.draw(1000)
        if drawn is not None:
            counts[drawn[0]] = counts.get(drawn[0], 0) + 1
    for kind in ("drop", "truncate", "duplicate"):
        expected = packets * getattr(rates, kind)
        assert abs(counts.pop(kind) - expected) < 4 * math.sqrt(expected)
    assert not counts


def test_flipped_packets_are_never_taken_for_whole_ones():
    dice = Random(3)
    for number in range(300):
        packet = forged_packet(number)
        assert isinstance(decode_packet(packet), Packet)
        flips = dice.sample(range(len(packet) * 8), 1 + number % 4)
        damaged = decode_packet(flip_bits(packet, flips))
        assert isinstance(damaged, str)


def test_a_torn_write_leaves_sectors_of_it():
    pieces = [(100, bytes([7]) * 3000), (9000, bytes([8]) * 512)]
    whole = dict(sectors(pieces))
    assert sum(map(len, whole.values())) == 3512
    assert torn(pieces, 0) == []
    assert torn(pieces, 1) == pieces
    seen = {len(torn(pieces, pattern)) for pattern in range(2, 200)}
    assert {0, len(whole)} < seen
    for pattern in range(2, 50):
        assert all(whole[offset] == data for offset, data in torn(pieces, pattern))
        assert torn(pieces, pattern) == torn(pieces, pattern)


def test_disks_refuse_at_their_rates():
    chance = DiskChance(DiskRates(read_error=0.05, slow=0.1), Random("disk"))
    kinds = [drawn[0] for _ in range(20_000) if (drawn := chance.read(0)) is not None]
    assert abs(kinds.count("error") - 1000) < 4 * math.sqrt(1000)
    assert abs(kinds.count("slow") - 2000) < 4 * math.sqrt(2000)
    rates = DiskRates(latent=0.02, rot=0.03, lost=0.04, misdirected=0.01, lie=0.05)
    silent = DiskChance(rates, Random("silent disk"))
    for verb, kind, rate in (
        (silent.read, "latent", 0.02),
        (silent.read, "rot", 0.03),
        (silent.write, "lost", 0.04),
        (silent.write, "misdirected", 0.01),
        (silent.flush, "lie", 0.05),
    ):
        found = sum(drawn is not None and drawn[0] == kind for drawn in map(verb, [0] * 20_000))
        assert abs(found - 20_000 * rate) < 4 * math.sqrt(20_000 * rate)
    writes = [drawn[0] for _ in range(20_000) if (drawn := chance.write(0)) is not None]
    assert set(writes) == {"slow"}


def test_a_plan_repeats_its_rows_and_nothing_else():
    dice = Random(5)
    drawing = Plan()
    place = drawing.place("line.A-B", lambda size: ("drop", ()) if dice.random() < 0.2 else None)
    drawn = [place.next(10) for _ in range(100)]
    repeating = Plan(drawing.happened)
    again = repeating.place("line.A-B", lambda size: ("flip", (1,)))
    assert [again.next(10) for _ in range(100)] == drawn
    assert repeating.happened == drawing.happened
    assert repeating.counts() == {"line.drop": len(drawing.happened)}


def test_a_quiet_plan_has_no_faults_but_goes_on_counting():
    plan = Plan([Fault("x", 1, "drop"), Fault("x", 3, "drop")])
    place = plan.place("x", lambda size: None)
    plan.quiet = True
    assert [place.next(0), place.next(0)] == [None, None]
    plan.quiet = False
    assert [place.next(0), place.next(0)] == [None, Fault("x", 3, "drop")]
