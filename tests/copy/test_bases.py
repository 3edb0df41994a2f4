"""Contents that a secondary builds on: had, waited for, or lost for good."""

from types import SimpleNamespace

import pytest

from emulator.cache.tracks import ZERO_TRACK
from emulator.copy.bases import UNREADABLE_NS_MAX, read_bases
from emulator.copy.services import READ_RETRY_NS, ReadTracks, Saved, Until
from emulator.errors import CorruptError, DeviceError, UnreadableError

pytestmark = pytest.mark.sources

IMAGE = b"i" * 4096
LOST = CorruptError("mem:", "does not fit its checksum")
AWAY = UnreadableError("mem:", "nobody has it")


class Site:
    """Stands in for a processor: what a secondary's copy asks of it."""

    def __init__(self):
        self.now_ns = 0
        self.images = {1: IMAGE}
        self.refused = []
        self.saved = False
        self.group = SimpleNamespace(consistent=True, copy_number=7, link="ab")
        self.cache = SimpleNamespace(peek=self.images.get, put=self.put)
        self.journal = SimpleNamespace(tail_lsn=64)

    def put(self, key, image, lsn):
        assert self.saved, "zeros must not reach the disk while the copy is said to be whole"
        assert lsn == self.journal.tail_lsn
        self.images[key] = image

    def link_refuse(self, link, reason):
        self.refused.append((link, reason))

    def read(self, keys, error):
        """Run a reading; what is not in memory ends with this error."""
        step = read_bases(self, self.group, keys)
        ask = next(step)
        try:
            while True:
                match ask:
                    case ReadTracks(wanted) if all(key in self.images for key in wanted):
                        ask = step.send({key: self.images[key] for key in wanted})
                    case ReadTracks():
                        ask = step.throw(error)
                    case Saved():
                        assert not self.group.consistent
                        assert not self.group.copy_number
                        self.saved = True
                        ask = step.send(None)
                    case Until(condition):
                        assert not condition()
                        self.now_ns += READ_RETRY_NS
                        assert condition()
                        ask = step.send(None)
        except StopIteration as stop:
            return stop.value


def test_what_is_there_is_given():
    site = Site()
    assert site.read([1], None) == {1: IMAGE}
    assert site.group.consistent
    assert not site.refused


def test_a_copy_whose_tracks_are_lost_is_given_up_before_they_count_as_zeros():
    site = Site()
    assert site.read([1, 2], LOST) == {1: IMAGE, 2: ZERO_TRACK}
    assert site.now_ns == 0, "wrong contents do not get better"
    [(link, reason)] = site.refused
    assert link == "ab"
    assert "does not fit its checksum" in reason
    assert "copied anew" in reason


@pytest.mark.parametrize("error", [AWAY, DeviceError("mem:", "input/output error")])
def test_a_disk_that_refuses_is_waited_for_and_not_for_ever(error):
    site = Site()
    assert site.read([2], error) == {2: ZERO_TRACK}
    assert site.now_ns == UNREADABLE_NS_MAX
    assert not site.group.consistent
