"""The journal ring: where entries lie, what fits, and that a promise of room is kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.nvs.areas import ENTRY_ALIGN, RING_START
from emulator.nvs.journal import (
    HEAD_BYTES,
    RESERVE_BYTES,
    EntryHead,
    EntryKind,
    Journal,
    entry_bytes,
    pack_head,
    unpack_head,
)
from tests.nvs.ring import Ring, payloads


def test_an_entry_takes_its_header_and_whole_units():
    assert [entry_bytes(n) for n in (0, 1, 64, 65)] == [64, 128, 128, 192]


def test_lsns_count_bytes_appended():
    ring = Ring()
    assert [ring.append(b"x" * n) for n in (10, 64, 0, 65)] == [0, 128, 256, 320]
    assert ring.journal.tail_lsn == 320 + 192
    assert ring.journal.appended_bytes == 512
    assert ring.journal.entries == 4


def test_all_that_arrived_together_is_one_run():
    ring = Ring()
    write = ring.commit(b"a" * 10, b"b" * 100, b"c")
    assert [offset for offset, _ in write.runs] == [RING_START]
    assert sum(len(buffer) for buffer in write.runs[0][1]) == ring.journal.tail_lsn
    assert ring.journal.take() is None


def test_an_entry_that_would_cross_the_end_starts_the_next_lap():
    ring = Ring(1024)
    ring.commit(b"a" * 800)
    ring.trim(ring.journal.durable_lsn)
    write = ring.commit(b"b" * 200)
    assert [offset for offset, _ in write.runs] == [RING_START + 896, RING_START]
    # The pad's rest is not worth writing.
    assert sum(len(buffer) for buffer in write.runs[0][1]) == HEAD_BYTES
    assert payloads(ring.recover()) == [b"b" * 200]


def test_an_entry_that_ends_with_the_ring_needs_no_pad():
    ring = Ring(1024)
    ring.commit(b"a" * (1024 - 64 - 128))
    ring.trim(ring.journal.durable_lsn)
    write = ring.commit(b"b" * 64, b"c")
    assert [offset for offset, _ in write.runs] == [RING_START + 896, RING_START]
    assert ring.journal.entries == 3
    assert payloads(ring.recover()) == [b"b" * 64, b"c"]


def test_a_full_ring_takes_nothing_more():
    ring = Ring(1024)
    assert not ring.journal.fits(1024 - 64 - 63)
    assert ring.journal.fits(1024 - 64 - 64)
    ring.commit(b"a" * (1024 - 64 - 64))
    assert ring.journal.room_bytes() == 64
    assert not ring.journal.fits(0)


def test_appending_without_room_is_our_own_mistake():
    ring = Ring(1024)
    ring.commit(b"a" * 800)
    with pytest.raises(AssertionError, match="fits"):
        ring.append(b"b" * 200)


def test_trimming_beyond_what_there_is_is_our_own_mistake():
    ring = Ring()
    ring.commit(b"a")
    with pytest.raises(AssertionError):
        ring.journal.trimmed(ring.journal.tail_lsn + 64)


def test_the_chain_names_the_whole_history():
    same, other, longer = Ring(), Ring(), Ring()
    for ring, first in ((same, b"a"), (other, b"b"), (longer, b"a")):
        ring.commit(first)
    longer.commit(b"a")
    chains = [ring.commit(b"z").chain for ring in (same, other, longer)]
    assert len(set(chains)) == 3
    again = Ring()
    again.commit(b"a")
    assert again.commit(b"z").chain == chains[0]


@given(
    head=st.builds(
        EntryHead,
        st.just(b"DCJE"),
        st.integers(0, 255),
        st.integers(0, 0xFFFF),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.binary(min_size=16, max_size=16),
    ),
    bit=st.integers(0, HEAD_BYTES * 8 - 1),
)
def test_a_header_is_read_back_and_no_flipped_bit_passes(head, bit):
    packed = pack_head(head)
    assert len(packed) == HEAD_BYTES
    assert unpack_head(packed) == head
    spoilt = bytearray(packed)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert unpack_head(spoilt) is None


@given(
    ring_bytes=st.integers(4, 200).map(lambda n: n * ENTRY_ALIGN),
    sizes=st.lists(st.integers(0, 1500), max_size=60),
    keep=st.integers(0, 4),
)
def test_what_fits_can_be_appended_and_survives(ring_bytes, sizes, keep):
    """`fits` never promises too much, over any laps; the last entries are read back (W3)."""
    ring = Ring(ring_bytes)
    starts: list[int] = []
    kept: list[bytes] = []
    for number, size in enumerate(sizes):
        payload = bytes([number]) * size
        if not ring.journal.fits(size):
            if not starts:
                continue
            drop = max(1, len(starts) - keep)
            starts, kept = starts[drop:], kept[drop:]
            ring.trim(starts[0] if starts else ring.journal.durable_lsn)
            if not ring.journal.fits(size):
                continue
        starts.append(ring.append(payload))
        kept.append(payload)
        ring.commit()
        assert ring.journal.used_bytes() <= ring_bytes
    assert payloads(ring.recover()) == kept
    assert ring.journal.tail_lsn == ring.journal.durable_lsn


@st.composite
def laps(draw):
    """A ring, where its tail is, and host writes to be promised room in turns."""
    ring_bytes = draw(st.integers(2 * RESERVE_BYTES // 64, 6000)) * ENTRY_ALIGN
    return (
        ring_bytes,
        draw(st.integers(0, ring_bytes // 64)) * 64,
        draw(st.lists(st.lists(st.integers(0, 40_000), max_size=8), max_size=8)),
    )


@settings(max_examples=100)
@given(laps())
def test_a_promised_write_always_fits(case):
    """Room is promised when a host write is accepted and used later, whatever lies between."""
    ring_bytes, tail, turns = case
    journal = Journal(ring_bytes, tail, tail)
    overhead = 256  # what a group counts for a write's headers (CHANGE_BYTES_MAX)
    for turn in turns:
        promised = 0
        accepted = []
        for size in turn:
            if journal.can_reserve(size + overhead):
                promised += 2 * (size + overhead)
                journal.reserved_bytes += 2 * (size + overhead)
                accepted.append(size)
            # Others may append meanwhile, if `fits` says so.
            if journal.fits(500):
                journal.append(EntryKind.RECEIVED, 1, 1, 1, [bytes(500)])
        journal.reserved_bytes -= promised
        if accepted:
            # The worst cases: all in one entry, or one entry each.
            if len(accepted) % 2:
                journal.append(EntryKind.HOST, 1, 1, 1, [bytes(sum(accepted) + 60 * len(accepted))])
            else:
                for size in accepted:
                    journal.append(EntryKind.HOST, 1, 1, 1, [bytes(size + 60)])
        assert journal.used_bytes() <= ring_bytes


def test_a_lap_number_cannot_be_mistaken():
    """The same bytes at the same place one lap later are not the entry that is looked for."""
    ring = Ring(1024)
    for lap in range(3):
        ring.commit(bytes([lap]) * 400)
        ring.trim(ring.journal.durable_lsn)
        ring.commit(bytes([lap]) * 300)
        if lap < 2:
            ring.trim(ring.journal.durable_lsn)
    assert payloads(ring.recover()) == [b"\x02" * 300]
