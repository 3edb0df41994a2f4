"""The store's pages are brought into memory, all of them, and no further than there is memory."""

import ctypes
import mmap
import os
import threading

import pytest

from emulator.node import warm
from emulator.nvs.areas import RING_START
from emulator.nvs.store import NvsStore

SIZE = RING_START + (9 << 20)


@pytest.fixture
def store(tmp_path):
    opened = NvsStore(f"file://{tmp_path}/a.nvs?size={SIZE}")
    yield opened
    opened.close()


def run(warming: warm.Warming) -> None:
    """Run it in a thread of its own, whose priority it lowers for good."""
    thread = threading.Thread(target=warming.run)
    thread.start()
    thread.join()


def pages_in_memory(path) -> int:
    """Return how many pages of a file the kernel has, as mincore(2) says."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        count = len(pages) // mmap.PAGESIZE
        found = (ctypes.c_ubyte * count)()
        place = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(pages)))
        assert not ctypes.CDLL(None).mincore(place, ctypes.c_size_t(len(pages)), found)
        return sum(flags & 1 for flags in found)


def test_every_page_of_the_ring_is_brought_in(store, tmp_path):
    before = pages_in_memory(tmp_path / "a.nvs")
    warming = warm.Warming(store.fileno(), RING_START, store.size_bytes)
    assert warming.under_way
    run(warming)
    assert not warming.under_way
    assert warming.warmed_bytes == SIZE - RING_START
    after = pages_in_memory(tmp_path / "a.nvs")
    assert after - before >= (SIZE - RING_START) // mmap.PAGESIZE - 1
    assert store.read(RING_START, SIZE - RING_START) == bytes(SIZE - RING_START)


def test_it_ends_soon_when_stopped(store):
    warming = warm.Warming(store.fileno(), RING_START, store.size_bytes)
    warming.stop()
    run(warming)
    assert warming.warmed_bytes == 0
    assert store.read(0, 16), "the store is still open"


@pytest.mark.sources
def test_it_takes_no_more_than_the_machine_can_spare(store, monkeypatch):
    monkeypatch.setattr(warm, "spare_bytes", lambda: 2 * warm.PIECE_BYTES)
    warming = warm.Warming(store.fileno(), RING_START, store.size_bytes)
    run(warming)
    assert warming.warmed_bytes == warm.PIECE_BYTES


@pytest.mark.sources
def test_a_kernel_that_cannot_is_left_alone(store, monkeypatch):
    monkeypatch.setattr(warm, "_POPULATE_READ", 9999)
    warming = warm.Warming(store.fileno(), RING_START, store.size_bytes)
    run(warming)
    assert warming.warmed_bytes == 0


def test_only_its_own_thread_gives_way(store):
    before = os.getpriority(os.PRIO_PROCESS, 0)
    run(warm.Warming(store.fileno(), RING_START, store.size_bytes))
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_the_machine_says_how_much_it_can_spare():
    assert warm.spare_bytes() > 0
