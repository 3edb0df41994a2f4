"""Disks in memory: what they cost, and what their URI may say."""

import tracemalloc

import pytest

from emulator.disk import create_disk, disk_bytes, open_disk
from emulator.disk.memory import CHUNK_BYTES
from emulator.errors import BenchError


def test_a_large_disk_costs_only_what_was_written() -> None:
    tracemalloc.start()
    disk = open_disk("mem://1TiB")
    disk.write([(2**39, [b"x"])])
    disk.zero(0, 2**39)
    assert disk.read(2**39, 2) == b"x\0"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * CHUNK_BYTES


def test_the_allocation_is_exact_to_a_chunk_and_zeroing_gives_chunks_back() -> None:
    disk = open_disk("mem://1MiB")
    disk.write([(2 * CHUNK_BYTES, [b"x" * CHUNK_BYTES * 2])])
    assert disk.allocation(0, 2**20) == [
        (2 * CHUNK_BYTES, False),
        (2 * CHUNK_BYTES, True),
        (2**20 - 4 * CHUNK_BYTES, False),
    ]
    disk.zero(CHUNK_BYTES, 2 * CHUNK_BYTES)
    assert disk.allocation(2 * CHUNK_BYTES, 2 * CHUNK_BYTES) == [
        (CHUNK_BYTES, False),
        (CHUNK_BYTES, True),
    ]


def test_two_disks_of_one_uri_are_two_disks() -> None:
    one, two = open_disk("mem://4KiB"), open_disk("mem://4KiB")
    one.write([(0, [b"x"])])
    assert two.read(0, 1) == b"\0"


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("mem://", "two slashes"),
        ("mem:64MiB", "two slashes"),
        ("mem:///64MiB", "two slashes"),
        ("mem://64MB", "'64MB' is not a size"),
        ("mem://100B", "multiple of 512"),
        ("mem://0", "multiple of 512"),
        ("mem://1MiB?size=1MiB", "takes none"),
    ],
)
def test_a_uri_that_says_no_size_is_refused(uri: str, problem: str) -> None:
    for call in (open_disk, disk_bytes):
        with pytest.raises(BenchError, match=problem) as caught:
            call(uri)
        assert uri in str(caught.value)


def test_a_disk_in_memory_is_not_made_beforehand() -> None:
    with pytest.raises(BenchError, match="not made beforehand"):
        create_disk("mem://1MiB", 2**20)
