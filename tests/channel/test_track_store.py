"""Tracks over blocks: what hosts write is what they read, in their order, and only tracks."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.channel.blocks import BLOCK_BYTES, Outcome
from emulator.channel.geometry import geometry
from emulator.channel.track_image import BadTrackError, NewRecord, build, canonical, cut
from emulator.channel.track_store import TrackStore
from emulator.channel.track_walk import used_bytes
from emulator.errors import MisuseError
from tests.frontend.memory_volume import MemoryVolume

MODEL = geometry("3390-1", cylinders=1)
SLOT = MODEL.slot_bytes
SIZE = MODEL.tracks * SLOT


class LateVolume(MemoryVolume):
    """Accepts a write only when it settles, as a volume does whose journal is full."""

    def write(self, offset, data, who, cookie) -> None:
        def accept():
            self.writes += 1
            self.contents[offset : offset + len(data)] = data
            return []

        self._answer(who, cookie, self._outcome_of_change(), accept)


class Host:
    """A front end: remembers every answer."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Outcome, list[bytes]]] = []

    def completed(self, cookie, outcome, data) -> None:
        self.answers.append((cookie, outcome, data))

    def outcomes(self) -> list[tuple[int, Outcome]]:
        return [(cookie, outcome) for cookie, outcome, _ in self.answers]


@pytest.fixture
def events() -> list:
    return []


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def volume() -> MemoryVolume:
    return MemoryVolume(size_bytes=SIZE)


@pytest.fixture
def store(volume, events) -> TrackStore:
    return TrackStore(volume, MODEL, events.append)


def image(track: int, *contents: NewRecord) -> bytes:
    return build(*MODEL.address(track), contents)


def put(store: TrackStore, track: int, new: bytes) -> None:
    host = Host()
    store.write(track, 0, new, host, 0)
    store.volume.settle()
    assert host.outcomes() == [(0, Outcome.DONE)]


def test_a_new_volume_holds_empty_formatted_tracks(store, host):
    for track in range(MODEL.tracks):
        assert store.read(track, host, 0) == image(track)
    assert host.answers == []


def test_a_format_write_is_one_write_of_the_pages_it_changes(store, volume, host):
    new = image(3, NewRecord(1, b"d" * 4096), NewRecord(2, b"e" * 80, b"key"))
    put(store, 3, new)
    assert store.read(3, host, 0) == new
    assert volume.calls[-2:] == [("write", 3 * SLOT, 8192), ("read", 3 * SLOT, SLOT)]


def test_an_update_writes_its_own_bytes_only(store, volume, host):
    new = image(3, NewRecord(1, b"d" * 4096), NewRecord(2, b"e" * 80))
    put(store, 3, new)
    store.write(3, 100, b"upd", host, 7)
    assert volume.calls[-1] == ("write", 3 * SLOT + 100, 3)
    assert store.read(3, host, 0) == new[:100] + b"upd" + new[103:]
    volume.settle()
    assert host.outcomes() == [(7, Outcome.DONE)]


def test_a_shorter_track_leaves_zeros_behind_its_end(store, volume, host):
    put(store, 5, image(5, NewRecord(1, b"x" * 30_000), NewRecord(2, b"y" * 20_000)))
    short = image(5, NewRecord(1, b"z" * 50))
    store.write(5, 21, short[21:], host, 1)  # from R1 on, as a format write goes
    assert store.read(5, host, 0) == short
    assert bytes(volume.contents[5 * SLOT : 6 * SLOT]) == canonical(short, SLOT)


def test_an_erased_track_is_a_slot_of_zeros(store, volume, host):
    put(store, 5, image(5, NewRecord(1, b"x" * 30_000)))
    store.write(5, 21, b"\xff" * 8, host, 1)
    assert store.read(5, host, 0) == image(5)
    assert bytes(volume.contents[5 * SLOT : 6 * SLOT]) == bytes(SLOT)


def test_the_same_bytes_again_are_a_write_again(store, volume, host):
    new = image(0, NewRecord(1, b"x" * 80))
    put(store, 0, new)
    put(store, 0, new)
    assert volume.writes == 2


def test_leftovers_of_others_behind_the_end_marker_are_not_shown_and_go_at_a_format(
    store, volume, host
):
    volume.contents[SLOT : SLOT + 5000] = canonical(image(1), 4000) + b"old" * 333 + b"!"
    assert store.read(1, host, 0) == image(1)
    new = image(1, NewRecord(1, b"n" * 100))
    store.write(1, 21, new[21:], host, 0)
    assert bytes(volume.contents[SLOT : 2 * SLOT]) == canonical(new, SLOT)


def test_a_first_write_brings_the_whole_formatted_track(store, volume, host):
    new = image(2, NewRecord(1, b"n" * 100))
    store.write(2, 21, new[21:], host, 0)
    assert bytes(volume.contents[2 * SLOT : 3 * SLOT]) == canonical(new, SLOT)


@pytest.mark.parametrize(
    ("offset", "data", "told"),
    [
        (0, image(4), "home address names cylinder 0 head 4"),
        (21, b"\0\0\0\2\1\0\xf0\0", "reaches past"),
        (5, b"\xff" * 8, "offset 5: the end marker stands where R0 must be"),
        (21, b"\0\0\0\2\1\0\x01\0", "no end marker"),
        (MODEL.image_bytes - 4, b"12345", "5 bytes do not fit in the 56832 of a track"),
        (-1, b"1", "do not fit"),
    ],
)
def test_what_would_be_no_track_is_refused_and_changes_nothing(
    store, volume, events, host, offset, data, told
):
    before = image(2, NewRecord(1, b"n" * 100))
    put(store, 2, before)
    store.write(2, offset, data, host, 9)
    assert host.answers == [(9, Outcome.BAD_TRACK, [])]
    assert store.read(2, host, 0) == before
    assert [event.operation for event in events] == ["write"]
    assert events[0].reason.startswith("track 2, offset ")
    assert told in events[0].reason


def test_a_corrupt_track_is_refused_with_track_and_offset(store, volume, events, host):
    volume.contents[SLOT : SLOT + 5] = b"\0\0\0\0\1"
    volume.contents[SLOT + 9000] = 1
    assert store.read(1, host, 5) is None
    assert host.answers == [(5, Outcome.BAD_TRACK, [])]
    assert events[0].device == "vol0"
    assert "track 1, offset 57341: no end marker" in events[0].reason


@pytest.mark.parametrize("track", [-1, MODEL.tracks, 1 << 40])
def test_tracks_that_do_not_exist_are_refused(store, host, track):
    assert store.read(track, host, 1) is None
    store.write(track, 0, image(0), host, 2)
    assert host.outcomes() == [(1, Outcome.OUT_OF_RANGE), (2, Outcome.OUT_OF_RANGE)]


def test_refusals_of_the_volume_reach_the_host(volume, store, host):
    volume.outcome = Outcome.DEVICE
    assert store.read(0, host, 1) is None
    store.write(0, 0, image(0), host, 2)
    volume.settle()
    volume.outcome = Outcome.DONE
    volume.primary = False
    store.write(0, 0, image(0), host, 3)
    volume.settle()
    assert host.outcomes() == [
        (1, Outcome.DEVICE),
        (2, Outcome.DEVICE),
        (3, Outcome.READ_ONLY),
    ]
    assert not store.writable()


def test_a_slot_of_another_size_is_our_own_mistake():
    with pytest.raises(MisuseError, match="slots"):
        TrackStore(MemoryVolume(size_bytes=SIZE + BLOCK_BYTES), MODEL, print)


def test_watchers_hear_of_changes_when_they_can_be_read(store, volume, host):
    heard = []
    store.watch(heard.append)
    put(store, 4, image(4))
    store.write(4, 0, image(5), host, 0)
    assert heard == [4]


@pytest.mark.parametrize("kind", [MemoryVolume, LateVolume])
@pytest.mark.parametrize("reads_wait", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_track_obeys_the_order_of_calls_however_the_volume_waits(kind, reads_wait, at_once, seed):
    dice = random.Random(f"store/{seed}")
    volume = kind(size_bytes=SIZE, reads_wait=reads_wait, at_once=at_once, chance=dice)
    store = TrackStore(volume, MODEL, lambda event: pytest.fail(str(event)))
    newest = {track: image(track) for track in range(3)}
    wanted: dict[int, bytes | None] = {}
    host = Host()
    for cookie in range(300):
        track = dice.randrange(3)
        if dice.random() < 0.5:
            wanted[cookie] = newest[track]
            found = store.read(track, host, cookie)
            if found is not None:
                host.completed(cookie, Outcome.DONE, [found])
        else:
            wanted[cookie] = None
            new = image(track, NewRecord(1, dice.randbytes(dice.randrange(3000))))
            store.write(track, 21, new[21:], host, cookie)
            newest[track] = new
        if dice.random() < 0.2:
            volume.settle(dice.randrange(4))
    while volume.settle():
        pass
    assert sorted(cookie for cookie, *_ in host.answers) == list(range(300))
    for cookie, outcome, data in host.answers:
        assert outcome is Outcome.DONE
        if wanted[cookie] is not None and not reads_wait:
            assert data == [wanted[cookie]], cookie
    for track, new in newest.items():
        assert bytes(volume.contents[track * SLOT : (track + 1) * SLOT]) == canonical(new, SLOT)
        assert cut(bytes(volume.contents[track * SLOT :])) == new


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_quick_walk_and_the_thorough_check_agree(data):
    contents = data.draw(
        st.lists(
            st.builds(
                NewRecord, st.integers(0, 255), st.binary(max_size=90), st.binary(max_size=9)
            ),
            max_size=20,
        )
    )
    made = image(7, *contents)
    slot = made + data.draw(st.binary(max_size=50))
    assert used_bytes(slot.ljust(SLOT, b"\0"), MODEL, 7) == len(made)


@pytest.mark.parametrize(
    ("offset", "length"),
    [(21 + 8, 4), (21 + 8, 80), (21 + 8 + 79, 1), (21 + 88 + 8 + 3, 20), (21 + 88 + 8, 33)],
)
def test_an_update_inside_a_record_changes_those_bytes_alone(store, volume, host, offset, length):
    old = image(4, NewRecord(1, b"d" * 80), NewRecord(2, b"e" * 30, b"key"))
    put(store, 4, old)
    volume.calls.clear()
    store.write(4, offset, b"u" * length, host, 7)
    volume.settle()
    assert ("write", 4 * SLOT + offset, length) in volume.calls
    wanted = old[:offset] + b"u" * length + old[offset + length :]
    assert bytes(volume.contents[4 * SLOT : 5 * SLOT]) == canonical(wanted, SLOT)


def test_a_corrupt_track_can_be_replaced_whole_and_in_no_other_way(store, volume, host):
    volume.contents[SLOT : SLOT + 5] = b"\0\0\0\0\1"
    volume.contents[SLOT + 50_000 : SLOT + 50_009] = b"left over"
    new = image(1, NewRecord(1, b"n" * 100))
    store.write(1, 5, new[5:], host, 3)
    assert host.answers == [(3, Outcome.BAD_TRACK, [])]
    store.write(1, 0, new, host, 4)
    volume.settle()
    assert host.answers[1:] == [(4, Outcome.DONE, [])]
    assert bytes(volume.contents[SLOT : 2 * SLOT]) == new.ljust(SLOT, b"\0")
    assert store.read(1, host, 5) == new


@pytest.mark.parametrize(("offset", "data"), [(21 + 8 + 79, b"\xff\xff"), (21 + 6, b"\x7f\xff")])
def test_an_update_that_reaches_a_count_field_is_looked_at(store, volume, host, offset, data):
    """It would move where the next record is looked for."""
    old = image(4, NewRecord(1, b"d" * 80), NewRecord(2, b"e" * 30))
    put(store, 4, old)
    store.write(4, offset, data, host, 7)
    volume.settle()
    new = old[:offset] + data + old[offset + len(data) :]
    try:
        cut(new.ljust(SLOT, b"\0"))
    except BadTrackError:
        assert host.answers[-1][1] is Outcome.BAD_TRACK
        new = old
    assert bytes(volume.contents[4 * SLOT : 5 * SLOT]) == canonical(cut(new), SLOT)


def test_a_track_that_gets_shorter_says_that_its_pages_are_zero(volume, host):
    store = TrackStore(volume, MODEL, lambda event: None)
    long = build(0, 2, [NewRecord(n, bytes([n]) * 4096) for n in range(1, 13)])
    store.write(2, 0, long, host, 1)
    assert volume.zeroed_tracks == 0
    store.write(2, 21, build(0, 2, [NewRecord(1, b"s" * 5000)])[21:], host, 2)
    volume.settle()
    # 13 pages were in use, and 2 are now.
    assert (volume.zeroed_tracks, volume.calls[-1][2]) == (11, 13 * 4096)
    store.write(2, 21, build(0, 2)[21:], host, 3)
    volume.settle()
    assert volume.zeroed_tracks == 13
    assert not any(volume.contents)
    assert host.outcomes() == [(1, Outcome.DONE), (2, Outcome.DONE), (3, Outcome.DONE)]
