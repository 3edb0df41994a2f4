"""A byte flips in a primary's journal: fetched from the other site, left out, or a stop (W3)."""

import pytest

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.states import PairState, Role
from emulator.errors import CorruptError
from emulator.events import JournalDamaged, JournalRepaired
from emulator.nvs.areas import RING_START, SLOT_BYTES, decode_superblock
from emulator.nvs.journal import HEAD_BYTES, EntryKind
from emulator.nvs.recovery import Recovery
from tests.node.history import History, Host
from tests.node.world import World

pytestmark = pytest.mark.sources

IN_HEADER, IN_PAYLOAD = 20, HEAD_BYTES + 40


class Story:
    """Two sites whose primary dies and comes back with a damaged journal."""

    def __init__(self, seed: object) -> None:
        self.world = World(seed)
        self.history = History(self.world)
        self.world.start()
        self.a, self.b = self.world.a, self.world.b
        self.host = Host(self.history, self.a)
        self.world.run(lambda: self.a.group.state is PairState.DUPLEX)

    def write(self, count: int = 6) -> None:
        """Write tracks and parts of tracks, each its own journal entry."""
        for number in range(count):
            data = self.world.dice.randbytes(TRACK_BYTES if number % 2 else 1500)
            self.host.write(number % 2, (number % 15) * TRACK_BYTES, data)
            self.world.run(lambda: not self.host.open)
            if self.world.line_up:
                self.world.run(self.level)

    def level(self) -> bool:
        return self.a.group.stream.applied_csn == self.a.group.csn

    def flip(self, place: int, kind: EntryKind = EntryKind.HOST, which: int = 2) -> int:
        """Kill the primary and flip a bit in one of its journal's entries; return its lsn."""
        self.a.crash(power=False)
        stored = bytes(self.a.nvs.now)
        body = decode_superblock(stored[: 2 * SLOT_BYTES]).body

        def read(offset: int, length: int) -> bytes:
            return stored[offset : offset + length]

        walk = Recovery(read, self.world.ring_bytes, body["trim_lsn"], "nvs")
        lsns = [entry.head.lsn for entry in walk.entries() if entry.head.kind == kind]
        lsn = lsns[which]
        for image in (self.a.nvs.now, self.a.nvs.safe):
            image[RING_START + lsn % self.world.ring_bytes + place] ^= 4
        return lsn

    def start(self) -> None:
        self.a.events.clear()
        self.world.boot(self.a)
        self.world.run(lambda: self.a.serving)

    def found(self, kind: type) -> list:
        return [event for event in self.a.events if isinstance(event, kind)]

    def check(self) -> None:
        """Nothing is lost, and both sites hold the same once they have caught up."""
        self.history.check_primary(self.a)
        self.host = Host(self.history, self.a)
        self.write()
        self.world.run(lambda: self.a.group.state is PairState.DUPLEX and self.level())
        for site in (self.a, self.b):
            assert not self.history.differing(site, self.history.newest)


def only_in_the_journal(story: Story) -> None:
    """Write what the disks of the primary refuse, so that the journal alone has it there."""
    story.a.write_protected = True
    story.write()
    story.a.write_protected = False


@pytest.mark.parametrize("place", [IN_HEADER, IN_PAYLOAD])
@pytest.mark.parametrize("kind", [EntryKind.HOST, EntryKind.EPOCH_CLOSED])
def test_what_the_other_site_has_confirmed_is_fetched_from_there(place, kind):
    story = Story(f"fetched/{place}/{kind}")
    only_in_the_journal(story)
    lsn = story.flip(place if kind == EntryKind.HOST else min(place, HEAD_BYTES + 3), kind)
    story.start()
    assert story.a.processor.hollow
    (damaged,) = story.found(JournalDamaged)
    assert (damaged.lsn, "is fetched from the other site" in damaged.action) == (lsn, True)
    assert bool(damaged.csn) == (place == IN_PAYLOAD)
    story.world.run(lambda: not story.a.processor.hollow)
    (repaired,) = story.found(JournalRepaired)
    assert bool(repaired.tracks) == (kind == EntryKind.HOST)
    story.check()


def test_a_crash_while_it_is_fetched_begins_it_again():
    story = Story("crash while fetching")
    only_in_the_journal(story)
    lsn = story.flip(IN_PAYLOAD)
    for fuse in (1, 2, 3, 5, 8, 13):
        story.start()
        assert story.a.processor.hollow
        assert [event.lsn for event in story.found(JournalDamaged)] == [lsn]
        story.a.fuse = fuse
        story.world.run(lambda: not (story.a.alive and story.a.processor.hollow))
        if story.a.alive:
            break
    else:
        story.start()
    assert fuse > 2, "it was killed on the way"
    story.world.run(lambda: not story.a.processor.hollow)
    story.check()


def test_a_site_that_is_not_there_is_waited_for_and_then_named():
    story = Story("nobody")
    only_in_the_journal(story)
    story.flip(IN_PAYLOAD)
    story.b.crash(power=False)
    story.start()
    began_ns = story.world.now_ns
    with pytest.raises(CorruptError, match=r"site B, which has what is missing of g") as stopped:
        story.world.run(lambda: not story.a.processor.hollow)
    assert 29e9 < story.world.now_ns - began_ns < 35e9
    assert "Start B first" in str(stopped.value)
    # The other site comes back: nothing was lost by trying without it.
    story.a.crash(power=False)
    story.world.boot(story.b)
    story.start()
    story.world.run(lambda: not story.a.processor.hollow)
    story.check()


@pytest.mark.parametrize("place", [IN_HEADER, IN_PAYLOAD])
def test_what_the_other_site_may_lack_stops_the_start(place):
    story = Story(f"alone/{place}")
    story.world.cut()
    only_in_the_journal(story)
    story.flip(place, which=-2)
    with pytest.raises(CorruptError, match=r"is damaged, but entry .* up to csn \d+, and .* up to"):
        story.start()


@pytest.mark.parametrize("place", [IN_HEADER, IN_PAYLOAD])
def test_what_the_disks_have_is_left_out_and_the_other_site_gets_everything_anew(place):
    story = Story(f"on the disks/{place}")
    story.world.cut()
    story.write()
    story.world.rest(3000)
    story.host.write(0, 0, b"the journal keeps this, and all before for the other site")
    story.world.run(lambda: not story.host.open)
    story.flip(place, which=-3)
    story.world.heal()
    story.start()
    (damaged,) = story.found(JournalDamaged)
    assert "everything is copied anew" in damaged.action
    assert not story.a.processor.hollow
    story.check()
    assert story.a.pair.primary.copied_tracks


def test_a_primary_that_lacks_something_steps_down_to_be_copied_anew():
    """The other site takes over where it stopped, before anything could be fetched."""
    story = Story("step down")
    only_in_the_journal(story)
    story.flip(IN_PAYLOAD)
    story.b.pair.force("site A has a damaged journal", lambda _problem: None)
    story.world.run(lambda: story.b.group.role is Role.PRIMARY)
    story.start()
    assert story.a.processor.hollow
    story.world.run(lambda: story.b.group.state is PairState.DUPLEX)
    assert story.a.group.role is Role.SECONDARY
    story.world.run(lambda: not story.a.processor.hollow)
    assert not story.found(JournalRepaired)
    assert story.b.pair.primary.copied_tracks == sum(
        volume.tracks for volume in story.b.group.volumes
    )
    assert not story.history.differing(story.a, story.history.newest)
