"""A CKD volume at two sites: what travels for a change, and that it travels exactly (C5 to C8)."""

import random

import pytest

from emulator.channel import track_image
from emulator.channel.geometry import geometry
from emulator.channel.track_image import END_MARKER, NewRecord, build
from emulator.copy.states import PairState
from tests.node.history import History
from tests.node.test_ckd_stories import TrackHost
from tests.node.world import World

pytestmark = pytest.mark.sources

MODEL = geometry("3390-1", 1)
SLOT = MODEL.slot_bytes
SIZES = {"vol0": MODEL.tracks * SLOT, "vol1": 40960}
DICE = random.Random("ckd copy")
# What a change costs beside its bytes: the heads of record, change and delta.
OVERHEAD_BYTES = 120
PAGE_BYTES = 20  # for each page of 4 KiB that a change touches


class Copy:
    """Two sites in duplex, and a host at the first."""

    def __init__(self) -> None:
        self.world = World(
            7,
            ring_bytes=4 << 20,
            sizes=SIZES,
            kinds={"vol0": "3390-1"},
            base={"vol0": bytes(SIZES["vol0"]), "vol1": bytes(SIZES["vol1"])},
        )
        self.history = History(self.world)
        self.world.start()
        self.host = TrackHost(self.history, self.world.a)
        self.settle()

    def settle(self) -> None:
        group = self.world.a.group
        self.world.run(
            lambda: (
                group.state is PairState.DUPLEX
                and group.stream.applied_csn == group.csn
                and not self.host.open
            )
        )

    def write(self, track: int, offset: int, data: bytes) -> tuple[int, int]:
        """Write a part of a track; return how many csns and record bytes that took."""
        group = self.world.a.group
        before = group.csn, group.stream.record_bytes
        self.host.write_track(track, offset, data)
        self.settle()
        return group.csn - before[0], group.stream.record_bytes - before[1]

    def format(self, track: int, *contents: NewRecord) -> tuple[int, int]:
        return self.write(track, 21, build(*MODEL.address(track), contents)[21:])

    def at_b(self, track: int) -> bytes:
        """Return the track as the other site has it, cut behind its end marker."""
        slot = self.world.b.image(0)[track * SLOT : (track + 1) * SLOT]
        return slot[: track_image.check(slot, MODEL, track)] if any(slot) else b""


@pytest.fixture(scope="module")
def copy():
    return Copy()


def test_formatting_a_volume_of_empty_tracks_sends_no_more_than_the_records(copy):
    data = DICE.randbytes(4096)
    csns, sent = copy.format(1, *(NewRecord(n, data) for n in range(1, 13)))
    whole = 12 * (4096 + 8)
    assert csns == 1
    assert sent < whole + 4096 + 14 * OVERHEAD_BYTES  # its last page travels whole
    assert copy.at_b(1) == build(0, 1, [NewRecord(n, data) for n in range(1, 13)])


def test_an_update_sends_its_bytes_not_its_track(copy):
    records = [NewRecord(n, DICE.randbytes(4096)) for n in range(1, 13)]
    copy.format(2, *records)
    place = list(track_image.records(copy.at_b(2)))[5]
    new = DICE.randbytes(100)
    csns, sent = copy.write(2, place.data_offset + 1000, new)
    assert csns == 1
    assert sent < 100 + OVERHEAD_BYTES
    assert copy.at_b(2)[place.data_offset + 1000 :][:100] == new


def test_the_same_bytes_again_get_a_csn_and_send_next_to_nothing(copy):
    records = [NewRecord(n, DICE.randbytes(4096)) for n in range(1, 13)]
    first = copy.format(3, *records)
    again = copy.format(3, *records)
    assert (first[0], again[0]) == (1, 1)
    assert again[1] < OVERHEAD_BYTES + 13 * PAGE_BYTES < first[1]


def test_a_record_more_sends_that_record_and_the_new_end_marker(copy):
    copy.format(4, *(NewRecord(n, DICE.randbytes(3000)) for n in range(1, 6)))
    before = copy.at_b(4)
    tail = build(0, 4, [NewRecord(6, DICE.randbytes(200), b"keyfield")])[21:]
    csns, sent = copy.write(4, len(before) - 8, tail)
    assert csns == 1
    assert sent < len(tail) + OVERHEAD_BYTES
    assert copy.at_b(4) == before[:-8] + tail


def test_a_shorter_track_arrives_as_short_and_its_rest_as_zeros(copy):
    copy.format(5, *(NewRecord(n, DICE.randbytes(4096)) for n in range(1, 13)))
    csns, sent = copy.format(5, NewRecord(1, b"short", b"k"))
    assert csns == 1
    assert sent < 4096 + OVERHEAD_BYTES + 13 * PAGE_BYTES  # one page, and that the others are zero
    assert copy.at_b(5) == build(0, 5, [NewRecord(1, b"short", b"k")])


def test_an_erased_track_arrives_empty(copy):
    copy.format(6, *(NewRecord(n, DICE.randbytes(4096)) for n in range(1, 13)))
    used = copy.world.a.processor.journal.appended_bytes
    csns, sent = copy.write(6, 21, END_MARKER)
    assert csns == 1
    assert sent < OVERHEAD_BYTES
    assert copy.world.a.processor.journal.appended_bytes - used < 512  # one entry
    assert copy.at_b(6) == b""


def test_lengths_and_order_of_records_are_changes_though_the_data_are_the_same(copy):
    """A comparison of data fields alone would see no difference (C7)."""
    one = [NewRecord(1, b"a" * 50), NewRecord(2, b"a" * 50)]
    for contents in (
        one,
        one[::-1],
        [NewRecord(1, b"a" * 100), NewRecord(2)],
        [NewRecord(1, b"a" * 99, b"a")],
        [NewRecord(9, b"a" * 100)],
    ):
        assert copy.format(7, *contents)[0] == 1
        assert copy.at_b(7) == build(0, 7, contents)
        assert copy.world.a.image(0) == copy.world.b.image(0)


def test_writes_to_one_track_while_an_epoch_is_open_are_sent_once(copy):
    """A hot track: a hundred updates of one record, of which the line sees far fewer."""
    copy.format(8, NewRecord(1, DICE.randbytes(4096)))
    group = copy.world.a.group
    before = group.csn, group.stream.record_bytes
    for number in range(100):
        copy.host.write_track(8, 29, number.to_bytes(4, "big") * 250)
    copy.settle()
    assert group.csn - before[0] == 100
    assert group.stream.record_bytes - before[1] < 100 * 1000 / 10
    assert copy.at_b(8)[29:1029] == (99).to_bytes(4, "big") * 250


def test_blocks_and_tracks_of_one_group_share_one_order(copy):
    group = copy.world.a.group
    first = group.csn
    copy.host.write_track(9, 21, build(0, 9, [NewRecord(1, b"data")])[21:])
    copy.host.write(1, 512, b"log" * 100)
    copy.host.write_track(9, 29, b"DATA")
    copy.settle()
    assert group.csn == first + 3
    assert copy.history.differing(copy.world.b, copy.history.newest) == ""
