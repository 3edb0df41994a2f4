"""When a host reads in sequence, what is read ahead for it, and when that ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cache.streams import RETRY_TRACKS, STREAMS_MAX, WINDOW_TRACKS_MAX, Streams

VOLUME = 10_000


def test_one_read_is_no_stream_and_the_second_is():
    streams = Streams(VOLUME, 64)
    assert not streams.missed(0, 100)
    assert streams.missed(100, 108) == range(108, 112)


def test_small_reads_need_a_few_tracks_in_sequence():
    streams = Streams(VOLUME, 64)
    assert [len(streams.missed(track, track + 1)) for track in range(4)] == [0, 0, 0, 4]


def test_random_reads_are_never_followed():
    streams = Streams(VOLUME, 64)
    assert not any(streams.missed(track, track + 1) for track in range(0, VOLUME, 7))


def test_a_window_that_is_reached_brings_the_next_and_they_grow():
    streams = Streams(VOLUME, 64)
    streams.missed(0, 4)
    window = streams.missed(4, 8)
    lengths = []
    for _ in range(7):
        lengths.append(len(window))
        following = streams.used(window.start)
        assert following.start == window.stop
        assert not streams.used(window.start), "once only"
        window = following
    assert lengths == [4, 8, 16, 32, 64, 64, 64]


def test_a_miss_behind_the_window_goes_on_with_the_stream():
    streams = Streams(VOLUME, 64)
    streams.missed(0, 4)
    window = streams.missed(4, 8)
    assert streams.missed(window.stop, window.stop + 1)


def test_several_hosts_streams_are_told_apart_and_the_oldest_forgotten():
    streams = Streams(VOLUME, 64)
    starts = range(0, 500 * STREAMS_MAX, 500)
    for start in starts:
        streams.missed(start, start + 4)
    assert all(streams.missed(start + 4, start + 8) for start in starts)
    for start in starts:
        streams.missed(start + 250, start + 254)
    assert not streams.missed(starts[0] + 12, starts[0] + 13)


def test_nothing_is_read_beyond_the_volume():
    streams = Streams(10, 64)
    streams.missed(0, 4)
    assert streams.missed(4, 8) == range(8, 10)
    assert not streams.used(8)


def test_useless_windows_shrink_and_end_and_a_long_run_is_tried_again():
    streams = Streams(VOLUME, 64)
    unused = 0
    for _ in range(20):
        unused += 64
        streams.judge(0, unused)
    assert streams.window_tracks_max == 0
    track = 0
    while not streams.missed(track, track + 1):
        track += 1
    assert track == RETRY_TRACKS - 1


def test_windows_that_are_used_may_grow_again():
    streams = Streams(VOLUME, 64)
    streams.judge(0, 64)
    assert streams.window_tracks_max == 32
    streams.judge(64, 64)
    assert streams.window_tracks_max == 64
    streams.judge(100_000, 64)
    assert streams.window_tracks_max == 64


def test_a_little_waste_changes_nothing():
    streams = Streams(VOLUME, 64)
    streams.judge(40, 30)
    assert streams.window_tracks_max == 64


@settings(deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 400),
    st.lists(
        st.tuples(
            st.sampled_from(["missed", "used", "judge"]), st.integers(0, 299), st.integers(1, 9)
        )
    ),
)
def test_whatever_is_read_windows_lie_in_the_volume_and_are_bounded(tracks, most, acts):
    streams = Streams(tracks, most)
    used = unused = 0
    for act, track, count in acts:
        first = track % tracks
        if act == "missed":
            window = streams.missed(first, min(first + count, tracks))
        elif act == "used":
            window = streams.used(first)
        else:
            used, unused = used + track, unused + count * 30
            streams.judge(used, unused)
            continue
        assert len(window) <= min(most, WINDOW_TRACKS_MAX)
        assert not window or 0 < window.start < window.stop <= tracks
        assert len(streams._streams) <= STREAMS_MAX + 1
        assert len(streams._triggers) <= 2 * STREAMS_MAX
