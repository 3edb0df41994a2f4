"""The track cache against a plain model: newest contents, what may leave, what the journal holds.

The machine does in any order what hosts, the journal, readers and the disk do, and compares with
a model that knows for each track the newest contents and those on the disk (C10, W2).
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from emulator.cache.tracks import TRACK_BITS, TrackCache, track_key
from emulator.channel.blocks import TRACK_BYTES

TRACKS = 6
VOLUMES = 2
KEYS = [track_key(volume, track) for volume in range(VOLUMES) for track in range(TRACKS)]
keys = st.sampled_from(KEYS)


def image(version: int) -> bytes:
    return version.to_bytes(4, "big") * (TRACK_BYTES // 4)


class CacheMachine(RuleBasedStateMachine):
    reads = Bundle("reads")
    writes = Bundle("writes")

    def __init__(self) -> None:
        super().__init__()
        self.cache = TrackCache(0)
        self.cache.tracks_max = 4
        for _ in range(VOLUMES):
            self.cache.add_volume()
        self.version = 0
        self.newest = dict.fromkeys(KEYS, 0)
        self.disk = dict.fromkeys(KEYS, 0)
        self.unsafe: dict[int, list[tuple[int, int]]] = {key: [] for key in KEYS}
        """Writes of each track that the disk may lack: (version, lsn)."""
        self.fresh: dict[int, None] = {}
        self.taken: dict[int, None] | None = None
        self.lsn = 0

    # Hosts and the journal.

    @rule(key=keys, fresh=st.booleans(), step=st.integers(0, 3))
    def put(self, key, fresh, step):
        self.version += 1
        self.lsn += step
        if fresh:
            (old,) = self.cache.put_fresh([key], [image(self.version)], self.lsn)
        else:
            old = self.cache.put(key, image(self.version), self.lsn)
        assert old is None or old == image(self.newest[key])
        if old is None:
            assert self.disk[key] == self.newest[key]
        self.newest[key] = self.version
        self.unsafe[key].append((self.version, self.lsn))
        if fresh:
            self.fresh[key] = None

    @precondition(lambda self: self.taken is None)
    @rule()
    def journal_write_begins(self):
        self.cache.write_taken()
        self.taken, self.fresh = self.fresh, {}

    @precondition(lambda self: self.taken is not None)
    @rule()
    def journal_write_ends(self):
        self.cache.write_durable()
        self.taken = None

    # Readers.

    @rule(target=reads, some=st.lists(keys, min_size=1, max_size=3, unique=True))
    def read_begins(self, some):
        missing = [key for key in some if self.cache.get(key) is None]
        mark = self.cache.read_begun(missing)
        # The disk may be read now or at any time until the end.
        return {"mark": mark, "got": {key: self.disk[key] for key in missing}}

    @rule(read=reads)
    def the_disk_is_read(self, read):
        for key in read["got"]:
            read["got"][key] = self.disk[key]

    @rule(read=consumes(reads))
    def read_ends(self, read):
        for key, got in read["got"].items():
            found = self.cache.read_done(key, image(got), read["mark"])
            if found is None:
                assert self.disk[key] == self.newest[key], "nothing to read again for"
            else:
                assert found == image(self.newest[key]), "an old image was given (C10)"

    @rule(read=consumes(reads))
    def read_fails(self, read):
        self.cache.read_failed(read["got"])

    # The disk.

    @rule(target=writes, volume=st.integers(0, VOLUMES - 1), count=st.integers(1, 4))
    def destage_begins(self, volume, count):
        written = self.cache.destage_begun(volume, count)
        assert [key for key, _ in written] == sorted(key for key, _ in written)
        for key, data in written:
            assert key >> TRACK_BITS == volume
            assert key not in self.fresh, "not journalled"
            assert not self.taken or key not in self.taken, "not durable yet"
            assert data == image(self.newest[key])
        return {key: int.from_bytes(data[:4], "big") for key, data in written}

    @rule(write=writes)
    def a_part_lands(self, write):
        for key, version in list(write.items())[:1]:
            self.disk[key] = version

    @rule(write=consumes(writes))
    def destage_ends(self, write):
        lsns = []
        for key, version in write.items():
            self.disk[key] = version
            done = [entry for entry in self.unsafe[key] if entry[0] <= version]
            self.unsafe[key] = [entry for entry in self.unsafe[key] if entry[0] > version]
            lsns += [lsn for _version, lsn in done]
        oldest = self.cache.destage_done([(key, self._image(key, v)) for key, v in write.items()])
        if write:
            assert oldest is not None
            assert oldest <= min(lsns), "the flush would be waited for too late (W2)"

    @rule(write=consumes(writes))
    def destage_fails(self, write):
        volumes = {key >> TRACK_BITS for key in write}
        if volumes:
            self.cache.destage_failed(
                volumes.pop(), [(key, self._image(key, v)) for key, v in write.items()]
            )

    def _image(self, key: int, version: int) -> bytes:
        # The very object that was handed out, if it is still the newest.
        newest = self.cache.dirty[key]
        return newest if newest == image(version) else image(version)

    @rule(pinned=st.integers(0, 5))
    def pin(self, pinned):
        self.cache.pinned_tracks = pinned
        self.cache.evict()
        total = len(self.cache.clean) + len(self.cache.dirty) + pinned
        assert total <= self.cache.tracks_max or not self.cache.clean

    # What always holds.

    @invariant()
    def the_newest_is_found_or_on_the_disk(self):
        for key in KEYS:
            found = self.cache.peek(key)
            if found is None:
                assert self.disk[key] == self.newest[key], "a dirty track has left"
            else:
                assert found == image(self.newest[key])

    @invariant()
    def the_journal_is_kept_for_what_the_disk_lacks(self):
        for volume in range(VOLUMES):
            lsns = [
                lsn
                for key in KEYS
                if key >> TRACK_BITS == volume
                for _version, lsn in self.unsafe[key]
            ]
            oldest = self.cache.oldest_lsn(volume)
            if lsns:
                assert oldest is not None
                assert oldest <= min(lsns), "the journal would be trimmed too early (W2)"

    @invariant()
    def a_track_is_dirty_or_clean(self):
        assert not self.cache.dirty.keys() & self.cache.clean.keys()
        assert self.cache.full() == (
            len(self.cache.dirty) + self.cache.pinned_tracks >= self.cache.tracks_max
        )


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def filled(count: int) -> TrackCache:
    cache = TrackCache(0)
    cache.add_volume()
    for key in range(count):
        cache.read_begun([key])
        cache.read_done(key, image(key), 0)
    return cache


def test_a_clean_track_that_was_used_stays_and_the_oldest_of_the_others_leaves():
    cache = filled(64)
    cache.get(0)
    cache.read_begun([64])
    cache.read_done(64, image(64), 0)
    assert cache.peek(0) is not None
    assert cache.peek(1) is None
    assert cache.evictions == [1]
    assert len(cache.clean) == 64


def test_peeking_is_no_use():
    cache = filled(64)
    cache.peek(0)
    cache.read_begun([64])
    cache.read_done(64, image(64), 0)
    assert cache.peek(0) is None
    assert not cache.seen


def test_the_bound_follows_the_size_asked_for():
    assert TrackCache(64 << 20).tracks_max * TRACK_BYTES < 64 << 20
    assert TrackCache(64 << 20).tracks_max * TRACK_BYTES > 49 << 20
    assert TrackCache(0).tracks_max == 64


def test_two_readers_that_a_write_overtakes_do_not_wait_for_each_other():
    """Each reads again once; neither makes the other read for ever."""
    cache = filled(0)
    cache.tracks_max = 1
    first = cache.read_begun([5])
    cache.put(5, image(1), 0)
    written = cache.destage_begun(0, 1)
    cache.destage_done(written)
    cache.pinned_tracks = 5
    cache.evict()
    second = cache.read_begun([5])
    assert cache.peek(5) is None
    assert cache.read_done(5, image(0), first) is None
    again = cache.read_begun([5])
    assert cache.read_done(5, image(1), second) == image(1)
    cache.clean.clear()
    assert cache.read_done(5, image(1), again) == image(1)
    assert not cache._overtaken
    assert not cache._reading


def test_a_volume_does_not_hold_up_another():
    cache = filled(0)
    cache.add_volume()
    cache.put(track_key(0, 1), image(1), 100)
    cache.put(track_key(1, 1), image(1), 200)
    assert (cache.oldest_lsn(0), cache.oldest_lsn(1)) == (100, 200)
    cache.destage_done(cache.destage_begun(0, 10))
    assert (cache.oldest_lsn(0), cache.oldest_lsn(1)) == (None, 200)
    assert cache.dirty_tracks() == 1


def test_a_track_written_again_during_its_destage_stays_dirty():
    cache = filled(0)
    cache.put(1, image(1), 10)
    written = cache.destage_begun(0, 10)
    cache.put(1, image(2), 20)
    assert cache.destage_begun(0, 10) == [], "never two writes of one track at once"
    assert cache.destage_done(written) == 10
    assert cache.oldest_lsn(0) == 20
    assert cache.destage_begun(0, 10) == [(1, image(2))]


def test_the_same_zeros_written_again_during_their_destage_stay_dirty():
    """The very same object is put twice; that the first reached the disk says nothing."""
    cache = filled(0)
    zero = bytes(TRACK_BYTES)
    cache.put(1, zero, 10)
    written = cache.destage_begun(0, 10)
    cache.put(1, image(1), 20)
    cache.put(1, zero, 30)
    cache.destage_done(written)
    assert cache.oldest_lsn(0) == 20
    assert cache.dirty_tracks() == 1


def test_after_a_failure_the_oldest_goes_first_again():
    cache = filled(0)
    for key in range(4):
        cache.put(key, image(key), key)
    first = cache.destage_begun(0, 2)
    cache.destage_failed(0, first)
    assert cache.oldest_lsn(0) == 0
    assert [key for key, _ in cache.destage_begun(0, 3)] == [0, 1, 2]


def test_a_slot_goes_to_the_disk_whole_or_not_at_all():
    cache = filled(0)
    for key in (0, 2, 5, 8, 9):
        cache.put(key, image(key), key)
    assert [key for key, _ in cache.destage_begun(0, 1, 4)] == [0, 2], "a slot is not cut"
    cache.put(1, image(1), 20)  # the slot of 0 to 3 is being written
    cache.put_fresh([6], [image(6)], 21)  # not durable yet, in the slot of 4 to 7
    assert [key for key, _ in cache.destage_begun(0, 10, 4)] == [8, 9]
    cache.write_taken()
    assert cache.destage_begun(0, 10, 4) == []
    cache.write_durable()
    assert [key for key, _ in cache.destage_begun(0, 10, 4)] == [5, 6]
