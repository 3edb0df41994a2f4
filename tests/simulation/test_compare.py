"""What a site would serve is compared with what it should, however often nothing has changed."""

import pytest

from emulator.cache.tracks import TrackCache, track_key
from emulator.channel.blocks import TRACK_BYTES
from rig.sim.compare import Comparison
from rig.sim.history import Change, Entry, apply
from rig.sim.image import Image
from rig.sim.nvs import Remains

pytestmark = pytest.mark.sources

TRACKS = 5
# The last track reaches beyond the end of the volume.
SIZE = TRACKS * TRACK_BYTES - 512


def track(letter: bytes) -> bytes:
    return letter * TRACK_BYTES


class Bench:
    """A site with one volume that serves what it should."""

    def __init__(self) -> None:
        self.cache = TrackCache(1 << 20)
        self.cache.add_volume()
        contents = b"".join(bytes([65 + number]) * TRACK_BYTES for number in range(TRACKS))[:SIZE]
        self.disk = Image(contents)
        self.expected = [Image(contents)]
        self._comparison = Comparison()

    def differs(self, unknown: frozenset[tuple[int, int]] = frozenset()) -> int | None:
        found = self._comparison.first_difference(self, [self.disk], self.expected, unknown)
        return None if found is None else found[1]

    def write(self, number: int, letter: bytes) -> None:
        """Let the site serve other contents of a track."""
        self.cache.put(track_key(0, number), track(letter), 0)

    def expect(self, number: int, letter: bytes) -> None:
        """Let other contents of a track be right."""
        offset = number * TRACK_BYTES
        apply(self.expected, Entry(1, 1, [Change(0, offset, track(letter)[: SIZE - offset])]))


@pytest.fixture
def bench() -> Bench:
    found = Bench()
    assert found.differs() is None
    return found


@pytest.mark.parametrize("number", range(TRACKS))
def test_what_a_cache_serves_is_seen_when_it_changes(bench, number):
    bench.write(number, b"x")
    assert bench.differs() == number
    bench.expect(number, b"x")
    assert bench.differs() is None
    bench.write(number, b"y")
    assert bench.differs() == number


@pytest.mark.parametrize("number", range(TRACKS))
def test_a_track_that_should_have_changed_is_seen(bench, number):
    bench.write(number, bytes([65 + number]))
    assert bench.differs() is None
    bench.expect(number, b"x")
    assert bench.differs() == number
    assert bench.differs(frozenset({(0, number)})) is None
    # Nothing was taken for right meanwhile.
    assert bench.differs() == number


@pytest.mark.parametrize("number", range(TRACKS))
def test_a_disk_that_changes_by_itself_is_seen(bench, number):
    bench.disk.put(number * TRACK_BYTES + 7, b"!")
    assert bench.differs() == number
    bench.write(number, bytes([65 + number]))
    assert bench.differs() is None


def test_another_disk_or_another_expectation_is_looked_at_anew(bench):
    bench.disk = Image(bytes(SIZE))
    assert bench.differs() == 0
    bench.expected = [Image(bytes(SIZE))]
    assert bench.differs() is None


def test_a_track_that_leaves_the_cache_is_read_from_the_disk(bench):
    bench.write(2, b"x")
    bench.expect(2, b"x")
    assert bench.differs() is None
    del bench.cache.dirty[track_key(0, 2)]
    assert bench.differs() == 2


def test_pieces_lie_over_a_store_that_stays_as_it_is():
    image = bytearray(b"0123456789")
    remains = Remains(image, [(2, b"ab"), (7, b"xyz")])
    remains.write([(3, b"C")])
    assert remains.read(0, 10) == b"01aC456xyz"
    assert [remains.read(at, 3) for at in (0, 2, 4, 7)] == [b"01a", b"aC4", b"456", b"xyz"]
    assert image == b"0123456789"
