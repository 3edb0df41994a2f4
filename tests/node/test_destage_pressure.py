"""When busy hosts' tracks go to the disks: when the journal waits for them, or a host for room."""

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.states import PairState
from emulator.node.processor import DESTAGE_FILL
from tests.node.world import World


class Answers:
    """A host that only counts."""

    def __init__(self) -> None:
        self.done = 0

    def completed(self, cookie, outcome, data) -> None:
        self.done += 1


def busy_world() -> World:
    """Return a world whose primary has nothing waiting, and whose line is cut."""
    world = World(3).start()
    world.run(lambda: world.a.group.state is PairState.DUPLEX)
    world.run(world.a.processor.settled)
    world.cut()
    return world


def write_on(world: World, host: Answers, writes: int) -> None:
    """Write the same four tracks again and again without a pause."""
    processor = world.a.processor
    for number in range(writes):
        processor.rhythm.host_spoke(world.now_ns)
        data = number.to_bytes(4, "big") * (TRACK_BYTES // 4)
        processor.volumes["vol0"].write(number % 4 * TRACK_BYTES, data, host, number)
        world.wake_soon(world.a, world.now_ns)
        world.rest(0.5)


def test_what_is_rewritten_goes_to_the_disk_once_each_time_the_journal_lies_behind():
    world, host = busy_world(), Answers()
    journal, destage = world.a.processor.journal, world.a.processor.destage
    before, begin_lsn = destage.written_tracks, journal.tail_lsn
    write_on(world, host, 100)
    assert host.done >= 99
    assert journal.used_bytes() > journal.ring_bytes * DESTAGE_FILL, "the other site needs it all"
    times = (journal.tail_lsn - begin_lsn) / (journal.ring_bytes * DESTAGE_FILL)
    assert 4 <= destage.written_tracks - before <= 4 * times + 4


def test_a_host_that_waits_for_room_has_the_disks_written_and_flushed_at_once():
    world, host = busy_world(), Answers()
    processor = world.a.processor
    write_on(world, host, 4)
    assert processor.cache.dirty_tracks() == 4
    flushes = processor.destage.flushes
    for _ in range(100):
        # Another host keeps the site busy, so that no quiet moment does it.
        processor.rhythm.host_spoke(world.now_ns)
        assert not processor.journal.can_reserve(processor.journal.ring_bytes)
        world.wake_soon(world.a, world.now_ns)
        world.rest(1)
        if processor.destage.flushes > flushes:
            break
    assert not processor.cache.dirty_tracks()
    assert not processor.rhythm.idle(world.now_ns)
    assert processor.destage.flushes > flushes
