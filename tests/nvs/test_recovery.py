"""Recovery: everything that was durable, nothing else, and no silent loss (W3)."""

import random

import pytest

from emulator.errors import CorruptError
from emulator.nvs.areas import RING_START
from emulator.nvs.journal import HEAD_BYTES, EntryKind, Journal
from tests.nvs.ring import Ring, payloads

FIRST, SECOND, THIRD = [b"one" * 9, b"two"], [b"three" * 30], [b"", b"five" * 5]


def three_writes(ring_bytes: int = 4096, lap: int = 0) -> tuple[Ring, list[int]]:
    """Return a ring with three group commits, and where each ends."""
    ring = Ring(ring_bytes)
    if lap:
        ring.commit(bytes(lap))
        ring.trim(ring.journal.durable_lsn)
    ring.durable.clear()
    ends = [ring.commit(*batch).end_lsn for batch in (FIRST, SECOND, THIRD)]
    return ring, ends


def outcome(ring: Ring, stored: bytearray) -> list[bytes] | str:
    try:
        return payloads(list(ring.recovery(stored).entries()))
    except CorruptError as error:
        return "corrupt" if "nothing was cut off" in str(error) else str(error)


def prefix_of(found: list[bytes], whole: list[bytes]) -> bool:
    return found == whole[: len(found)]


@pytest.mark.parametrize("lap", [0, 3500])
def test_the_store_cut_at_every_byte(lap):
    """A write that ended early leaves a prefix of the entries, and whole writes stay."""
    ring, _ends = three_writes(lap=lap)
    everything = FIRST + SECOND + THIRD
    ring.append(b"six" * 20)
    ring.append(b"seven")
    write = ring.journal.take()
    flat = [
        (offset + at, byte)
        for offset, buffers in write.runs
        for at, byte in enumerate(b"".join(bytes(b) for b in buffers))
    ]
    for cut in range(len(flat) + 1):
        stored = bytearray(ring.stored)
        for offset, byte in flat[:cut]:
            stored[offset] = byte
        found = outcome(ring, stored)
        assert found[:5] == everything, cut
        assert prefix_of(found, [*everything, b"six" * 20, b"seven"]), cut


@pytest.mark.parametrize("lap", [0, 3500])
def test_a_flipped_bit_in_every_byte_of_the_last_write_cuts_only_that(lap):
    ring, ends = three_writes(lap=lap)
    everything = FIRST + SECOND + THIRD
    for lsn in range(ends[1], ends[2]):
        stored = bytearray(ring.stored)
        stored[RING_START + lsn % ring.ring_bytes] ^= 1 << lsn % 8
        found = outcome(ring, stored)
        # Padding is no entry's contents: it may be anything.
        assert found == everything or (found[:3] == everything[:3] and len(found) < 5), lsn


@pytest.mark.parametrize("lap", [0, 3500])
def test_a_flipped_bit_in_every_byte_of_an_earlier_write_is_corruption(lap):
    """What a later entry proves to have been durable is never cut off (W3)."""
    ring, ends = three_writes(lap=lap)
    everything = FIRST + SECOND + THIRD
    corrupt = 0
    for lsn in range(ring.saved_trim[0], ends[1]):
        stored = bytearray(ring.stored)
        stored[RING_START + lsn % ring.ring_bytes] ^= 1 << lsn % 8
        found = outcome(ring, stored)
        assert found in ("corrupt", everything), lsn
        corrupt += found == "corrupt"
    assert corrupt > 200


def test_random_damage_never_invents_and_never_forgets_silently():
    """Any damage gives a prefix of what was written, or an error: never other contents."""
    dice = random.Random("damage")
    for lap in (0, 3500):
        ring, ends = three_writes(lap=lap)
        everything = FIRST + SECOND + THIRD
        for _ in range(400):
            stored = bytearray(ring.stored)
            start = dice.randrange(ring.saved_trim[0], ends[2])
            for lsn in range(start, min(ends[2], start + dice.randrange(1, 200))):
                stored[RING_START + lsn % ring.ring_bytes] = dice.randrange(256)
            found = outcome(ring, stored)
            if found != "corrupt":
                assert prefix_of(found, everything)
                assert len(found) >= (3 if start >= ends[1] else 0)


def test_torn_is_reported():
    ring, _ends = three_writes()
    recovery = ring.recovery()
    assert len(list(recovery.entries())) == 5
    assert not recovery.torn
    ring.append(b"six" * 100)
    write = ring.journal.take()
    offset, buffers = write.runs[0]
    head = bytes(buffers[0])
    ring.stored[offset : offset + len(head)] = head
    recovery = ring.recovery()
    assert len(list(recovery.entries())) == 5
    assert recovery.torn


def test_the_journal_goes_on_after_a_torn_tail():
    ring, _ends = three_writes()
    ring.append(b"lost")
    ring.journal.take()
    assert payloads(ring.recover()) == FIRST + SECOND + THIRD
    ring.commit(b"next")
    assert payloads(ring.recover()) == [*FIRST, *SECOND, *THIRD, b"next"]


def test_what_was_cut_off_does_not_come_back_behind_what_replaced_it():
    """The second of two torn entries is whole and lies just behind the new: its chain fails."""
    ring, _ends = three_writes()
    ring.append(b"a" * 40)
    ring.append(b"b" * 40)
    write = ring.journal.take()
    ring.apply(write)
    ring.stored[write.runs[0][0] + 70] ^= 1  # the first of the two is torn, the second whole
    assert payloads(ring.recover()) == FIRST + SECOND + THIRD
    ring.commit(b"n" * 40)
    found = ring.recover()
    assert payloads(found) == [*FIRST, *SECOND, *THIRD, b"n" * 40]


def test_what_was_cut_off_does_not_come_back_when_the_journal_is_empty():
    """The same, after the new entry was trimmed: there is no predecessor left to chain to."""
    ring, _ends = three_writes()
    ring.append(b"a" * 40)
    ring.append(b"b" * 40)
    write = ring.journal.take()
    ring.apply(write)
    ring.stored[write.runs[0][0] + 70] ^= 1
    ring.recover()
    ring.commit(b"n" * 40)
    ring.trim(ring.journal.durable_lsn)
    assert payloads(ring.recover()) == []


def test_a_torn_write_over_both_ends_of_the_ring():
    """The part on the next lap may be there and the part before the end not."""
    ring = Ring(2048)
    ring.commit(b"x" * 1600)
    ring.trim(ring.journal.durable_lsn)
    ring.commit(b"k" * 10)
    ring.append(b"a" * 100)
    ring.append(b"b" * 300)
    ring.append(b"c" * 50)
    write = ring.journal.take()
    assert len(write.runs) == 2
    for parts in range(4):
        stored = bytearray(ring.stored)
        for number, (offset, buffers) in enumerate(write.runs):
            if parts >> number & 1:
                data = b"".join(bytes(b) for b in buffers)
                stored[offset : offset + len(data)] = data
        found = outcome(ring, stored)
        wanted = {0: 1, 1: 2, 2: 1, 3: 4}[parts]
        assert found == [b"k" * 10, b"a" * 100, b"b" * 300, b"c" * 50][:wanted], parts


def test_random_lives_keep_exactly_the_durable_prefix():
    """Appends, commits, trims and crashes that tear by 64 bytes, over many laps."""
    dice = random.Random("lives")
    for _life in range(60):
        ring = Ring(64 * dice.randrange(12, 60))
        kept: list[tuple[int, bytes]] = []
        for step in range(60):
            size = dice.choice([0, 1, 30, 64, 200, 500])
            if not ring.journal.fits(size):
                drop = dice.randrange(len(kept)) + 1 if kept else 0
                kept = kept[drop:]
                ring.trim(kept[0][0] if kept else ring.journal.durable_lsn)
                continue
            payload = bytes([step]) * size
            lsn = ring.append(payload)
            if dice.random() < 0.4:
                continue
            fresh = list(ring.pending)
            write = ring.journal.take()
            if dice.random() < 0.25:
                tear(ring, write, dice)
                found = payloads(ring.recover())
                old = [data for _lsn, data in kept]
                assert found[: len(old)] == old
                assert prefix_of(found[len(old) :], fresh)
                kept = [(entry.head.lsn, entry.payload) for entry in ring.recovery().entries()]
                assert ring.journal.tail_lsn == ring.journal.durable_lsn
                continue
            ring.apply(write)
            ring.journal.durable(write)
            ring.pending = []
            kept = [(entry.head.lsn, entry.payload) for entry in ring.recovery().entries()]
            assert payload in [data for _lsn, data in kept] or lsn < ring.saved_trim[0]
            assert [data for _lsn, data in kept][-len(fresh) :] == fresh


def tear(ring: Ring, write, dice: random.Random) -> None:
    for offset, buffers in write.runs:
        data = b"".join(bytes(b) for b in buffers)
        for start in range(0, len(data), 64):
            if dice.random() < 0.5:
                ring.stored[offset + start : offset + start + 64] = data[start : start + 64]


def test_recovery_of_rubbish_ends():
    dice = random.Random("rubbish")
    for _ in range(50):
        ring = Ring(2048)
        ring.stored[RING_START:] = dice.randbytes(2048)
        for at in range(0, 2048, 64):
            if dice.random() < 0.5:
                ring.stored[RING_START + at : RING_START + at + 4] = b"DCJE"
        assert outcome(ring, ring.stored) == []


def test_a_lying_length_is_not_followed():
    """A header that is whole but claims more than the ring holds is no entry."""
    ring = Ring(1024)
    liar = Journal(1 << 20)
    liar.append(EntryKind.HOST, 1, 1, 1, [bytes(2000)])
    write = liar.take()
    ring.stored[RING_START : RING_START + 64] = bytes(write.runs[0][1][0])
    assert outcome(ring, ring.stored) == []


def test_the_error_says_where_and_what_to_do():
    ring, _ends = three_writes()
    ring.stored[RING_START + 70] ^= 1
    with pytest.raises(CorruptError, match=r"nvs: journal entry at lsn 0 .*copy the volume back"):
        list(ring.recovery().entries())


def damaged_ring(place: int) -> tuple[Ring, list[bytes]]:
    """Return a ring of five entries, each durable before the next, one of them damaged."""
    ring = Ring()
    payloads = [bytes([65 + number]) * 100 for number in range(5)]
    places = []
    for payload in payloads:
        places.append(ring.journal.tail_lsn)
        ring.commit(payload)
    ring.stored[RING_START + places[2] + place] ^= 1
    return ring, payloads


@pytest.mark.parametrize(("place", "group"), [(HEAD_BYTES + 5, 7), (20, None)])
def test_a_damaged_entry_is_left_out_where_another_site_has_it(place, group):
    """In its payload and in its header: the others come, and what was left out is told (W3)."""
    ring, payloads = damaged_ring(place)
    recovery = ring.recovery()
    asked = []
    behind = []

    def judge(damage) -> str:
        asked.append(damage)
        behind.extend(entry.payload for entry in recovery.rest(damage))
        return ""

    recovery.judge = judge
    found = [entry.payload for entry in recovery.entries()]
    assert found == payloads[:2] + payloads[3:]
    assert behind == payloads[3:]
    (damage,) = asked
    assert (damage.head and (damage.head.group, damage.head.csn)) == (group and (group, 1))
    assert damage.lsn < damage.following_lsn
    assert recovery.tail_lsn == ring.journal.tail_lsn


def test_a_damaged_entry_that_nobody_else_has_is_refused():
    ring, _payloads = damaged_ring(HEAD_BYTES + 5)
    with pytest.raises(CorruptError, match="is damaged"):
        list(ring.recovery().entries())
