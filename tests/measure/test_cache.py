"""The measurement of the cache: rivals as published, a bound that is one, traces that repeat."""

import itertools
import json
import random
from xml.etree import ElementTree as ET

import pytest

from emulator.cache.tracks import TrackCache
from emulator.channel.blocks import TRACK_BYTES
from rig.measure.cache import RIVALS, Options, judge, measure
from rig.measure.cache_report import HEADS, leave, table
from rig.measure.cache_rivals import (
    POLICIES,
    Arc,
    Lru,
    Ours,
    S3Fifo,
    counting_hits,
    known_hits,
    optimal_hits,
)
from rig.measure.cache_traces import TRACES, make_trace, popularity
from rig.report.report import Outcome


def hits(policy, trace) -> int:
    return sum(map(policy.access, trace))


def best_by_trying(trace, tracks: int) -> int:
    """Try every choice of who leaves."""
    states = {frozenset(): 0}
    for track in trace:
        following: dict[frozenset, int] = {}
        for held, count in states.items():
            if track in held:
                options = [(held, count + 1)]
            elif len(held) < tracks:
                options = [(held | {track}, count)]
            else:
                options = [(held - {gone} | {track}, count) for gone in held]
            for state, total in options:
                following[state] = max(total, following.get(state, 0))
        states = following
    return max(states.values())


@pytest.mark.parametrize("seed", range(20))
def test_the_optimum_is_what_trying_everything_finds(seed):
    dice = random.Random(seed)
    trace = [dice.randrange(6) for _ in range(30)]
    for tracks in (1, 2, 3):
        assert optimal_hits(trace, tracks) == best_by_trying(trace, tracks)


def test_who_knows_popularity_keeps_the_most_popular():
    popular = [7, 3, 9, 1]
    # 7 never leaves; the second place is always the newcomer's.
    assert known_hits([7, 9, 1, 3, 7, 3, 1, 3, 9, 3], 2, popular) == 2
    assert known_hits([7, 3, 9, 1] * 5, 3, popular) == 2 * 4


def test_who_counts_everything_remembers_what_left():
    # 1 leaves with two uses, comes back with three, and 3 leaves, which has one.
    assert counting_hits([1, 1, 2, 2, 2, 3, 1], 2) == 3
    assert counting_hits([1, 1, 2, 2, 2, 3, 1, 3, 1, 2], 2) == 4


@pytest.mark.parametrize("name", ["zipf-0.8", "zipf-1.0", "zipf-1.2"])
def test_without_the_future_nobody_passes_who_knows_popularity(name):
    """By more than chance, in one short trace; and only independent accesses have such a bound."""
    trace, popular = make_trace(name, 3, 200, 20_000), popularity(name, 3, 200)
    known = known_hits(trace, 200, popular)
    assert counting_hits(trace, 200) <= known <= optimal_hits(trace, 200)
    for policy in POLICIES.values():
        assert hits(policy(200), trace) <= 1.01 * known


def test_only_independent_accesses_have_a_popularity():
    assert popularity("drift", 1, 100) is None
    draws = make_trace("zipf-1.2", 4, 100, 5000)
    assert max(set(draws), key=draws.count) == popularity("zipf-1.2", 4, 100)[0]


def test_the_table_has_a_cell_for_every_head():
    found = measure(Options(traces=("zipf-0.8", "drift"), tracks=100, accesses=3000), print)
    bounded, other = (dict(zip(HEADS, row, strict=True)) for row in table(found))
    assert float(bounded["dualcopy"]) < float(bounded["knows all"]) < float(bounded["optimum"])
    assert (other["knows all"], other["counts all"]) == ("-", "-")


@pytest.mark.parametrize("name", TRACES)
def test_no_policy_passes_the_optimum_or_holds_more_than_it_may(name):
    trace = make_trace(name, 3, 100, 4000)
    bound = optimal_hits(trace, 100)
    for policy in POLICIES.values():
        assert hits(policy(100), trace) <= bound


def test_traces_repeat_by_seed_and_differ_without():
    for name in TRACES:
        assert make_trace(name, 5, 100, 500) == make_trace(name, 5, 100, 500)
    assert make_trace("zipf-1.0", 5, 100, 500) != make_trace("zipf-1.0", 6, 100, 500)


def test_lru_keeps_what_was_used_last():
    lru = Lru(2)
    assert [lru.access(track) for track in (1, 2, 1, 3, 1, 2)] == [0, 0, 1, 0, 1, 0]


def test_arc_keeps_frequent_tracks_through_a_scan():
    arc = Arc(10)
    frequent = [1, 2, 3, 4, 5] * 2
    hits(arc, frequent)
    hits(arc, range(100, 200))
    assert hits(arc, frequent[:5]) == 5
    assert len(arc._recent) + len(arc._frequent) <= 10


def test_s3_fifo_keeps_what_was_used_twice_and_remembers_what_left():
    cache = S3Fifo(10)
    hits(cache, [1, 1, 1])
    hits(cache, range(100, 130))
    assert cache.access(1)
    assert not cache.access(125 - 10)
    hits(cache, range(200, 210))
    assert cache.access(115), "a track that came back from the ghosts is in the main queue"


def test_what_is_measured_is_what_a_site_runs():
    size = 4 << 20
    cache = TrackCache(size)
    cache.add_volume()
    ours = Ours(cache.tracks_max)
    image = bytes(TRACK_BYTES)
    for track in make_trace("database", 2, cache.tracks_max, 20_000):
        found = cache.get(track) is not None
        assert found is ours.access(track)
        if not found:
            mark = cache.read_begun([track])
            cache.read_done(track, image, mark)


def test_on_every_trace_ours_is_near_the_best_rival_and_on_zipf_near_the_optimum():
    """The promise, on a smaller cache and another seed than the command's own."""
    found = measure(Options(tracks=600, accesses=40_000, seed=2), lambda _line: None)
    failed = [check for check in judge(found) if check.outcome is not Outcome.HELD]
    assert not failed
    assert len(judge(found)) == len(TRACES) + 3


def test_a_policy_that_falls_behind_is_told():
    found = measure(Options(traces=("zipf-1.0",), tracks=100, accesses=3000), lambda _line: None)
    row = found["traces"]["zipf-1.0"]
    row["hit_ratio"]["dualcopy"] = 0.96 * max(row["hit_ratio"][name] for name in RIVALS)
    row["optimum"] = row["hit_ratio"]["dualcopy"] / 0.84
    assert [check.outcome for check in judge(found)] == [Outcome.FAILED] * 2


def test_the_run_folder_holds_raw_figures_chart_and_report(tmp_path):
    options = Options(traces=("loop-1.9", "mixed"), tracks=100, accesses=3000)
    found = measure(options, lambda _line: None)
    report = leave(found, tmp_path, 1.0)
    assert {path.name for path in tmp_path.iterdir()} == {
        "run.json", "measurements.json", "cache.svg", "report.html",
    }  # fmt: skip
    assert json.loads((tmp_path / "measurements.json").read_text())["traces"] == found["traces"]
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["verdict_text"] == report.verdict()
    bars = [
        node
        for node in ET.fromstring((tmp_path / "cache.svg").read_text()).iter()
        if node.tag.endswith("rect")
    ]
    assert len(bars) == len(POLICIES) * (len(options.traces) + 1)
    assert (tmp_path / "cache.svg").read_text().strip() in (tmp_path / "report.html").read_text()


def test_a_trace_goes_on_for_ever():
    for name, trace in TRACES.items():
        assert len(list(itertools.islice(trace(random.Random(name), 64), 3000))) == 3000
