"""Epochs: what both ends and both lives must form alike, and that coalescing is safe (C1-C8).

The chain hash is taken over the canonical body. The receiver computes it anew from what came
over the line, and the sender from the journal after a crash: a byte of difference would stop the
copy, so these equalities are the ones that count.
"""

import itertools
import random

import pytest

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, ZERO_TRACK
from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.entries import HOST_ENTRY, replay_into
from emulator.copy.group import GroupVolume
from emulator.copy.incoming import Incoming, StopApplyError
from emulator.record import epoch as epoch_module
from emulator.record.body import canonical_body
from emulator.record.changes import (
    RECORD_HEAD_BYTES,
    Delta,
    decode_changes,
    decode_head,
    encode_part,
    encode_run,
    encode_zeros,
    record_chain,
)
from emulator.record.epoch import Epoch
from emulator.wire.checksum import CHAIN_NONE

TRACKS = 9
VOLUMES = [GroupVolume(f"vol{number}", TRACKS * TRACK_BYTES, number, number) for number in (0, 1)]
INCOMING = Incoming("g", VOLUMES)
Images = dict[int, bytes]


class Site:
    """A primary's contents and open epoch, and the journal entries it would write."""

    def __init__(self, dice: random.Random, *, lineage: int = 5, csn_first: int = 10) -> None:
        self.dice = dice
        self.images: Images = {
            volume << TRACK_BITS | track: dice.choice([ZERO_TRACK, dice.randbytes(TRACK_BYTES)])
            for volume in (0, 1)
            for track in range(TRACKS)
        }
        self.begin(lineage, csn_first)

    def begin(self, lineage: int, csn_first: int) -> None:
        self.before = dict(self.images)
        self.epoch = Epoch(lineage, csn_first)
        self.csn = csn_first - 1
        self.entries: list[bytes] = []

    def write(self, kind: str) -> None:
        """Do what a group does with one host write."""
        dice = self.dice
        self.csn += 1
        parts: list = []
        volume, track = dice.randrange(2), dice.randrange(TRACKS)
        key = volume << TRACK_BITS | track
        old = self.images[key]
        known = old if dice.random() < 0.8 else None
        if kind == "part":
            start = dice.choice([0, 1, 2000, 4000])
            size = dice.choice([1, 96, TRACK_BYTES - start]) if start else dice.choice([5, 4095])
            data = dice.randbytes(size)
            image = old[:start] + data + old[start + size :]
            encode_part(parts, volume, track, start, data)
            self.epoch.part(key, image, known, start, start + size)
            self.images[key] = image
        elif kind == "zeros":
            count = dice.randrange(1, TRACKS - track + 1)
            encode_zeros(parts, volume, track, count)
            for number in range(count):
                self.epoch.whole(key + number, ZERO_TRACK, self.images[key + number])
                self.images[key + number] = ZERO_TRACK
        else:
            count = dice.randrange(1, min(4, TRACKS - track) + 1)
            data = b"".join(self._contents(kind, key + number) for number in range(count))
            encode_run(parts, volume, track, data)
            for number in range(count):
                image = data[number * TRACK_BYTES : (number + 1) * TRACK_BYTES]
                self.epoch.whole(key + number, image, known if not number else None)
                self.images[key + number] = image
        self.entries.append(HOST_ENTRY.pack(self.csn, 1) + b"".join(bytes(p) for p in parts))

    def _contents(self, kind: str, key: int) -> bytes:
        if kind == "new":
            return self.dice.randbytes(TRACK_BYTES)
        if kind == "data of zeros":
            return bytes(TRACK_BYTES)
        changed = bytearray(self.images[key])
        if kind == "changed":
            at = self.dice.randrange(TRACK_BYTES - 40)
            changed[at : at + 40] = self.dice.randbytes(40)
        return bytes(changed)

    def close(self) -> Epoch:
        self.epoch.csn_last = self.csn
        return self.epoch


KINDS = ["part", "part", "zeros", "new", "changed", "changed", "same", "data of zeros"]


def wire(record) -> bytes:
    return b"".join(bytes(part) for part in record.parts)


def receive(data: bytes, chain: bytes, images: Images) -> tuple[list, bytes, bytes]:
    """Do what a secondary does with a record: its pieces, the canonical body, the chain after."""
    head = decode_head(data)
    body = data[RECORD_HEAD_BYTES:]
    assert head.chain_before == chain
    changes = decode_changes(body, head.changes)
    pieces = INCOMING.pieces(changes, images)
    count = head.changes
    if any(isinstance(change, Delta) for change in changes):
        count, body = canonical_body(pieces)
    after = record_chain(
        chain, head.lineage, head.csn_first, head.csn_last, head.final, count, body
    )
    assert after == head.chain_after, "the two ends disagree on the chain (R5)"
    return pieces, body, after


def lay(images: Images, pieces: list) -> None:
    for key, start, data in pieces:
        image = bytearray(images[key])
        image[start : start + len(data)] = data
        images[key] = bytes(image)


def reloaded(site: Site) -> Epoch:
    epoch = Epoch(site.epoch.lineage, site.epoch.csn_first)
    for entry in site.entries:
        replay_into(epoch, entry)
    epoch.csn_last = site.epoch.csn_last
    return epoch


@pytest.fixture(params=["large records", "small records"])
def _cuts(request, monkeypatch):
    if request.param == "small records":
        monkeypatch.setattr(epoch_module, "RECORD_BYTES_MAX", 3 * TRACK_BYTES)
        monkeypatch.setattr(epoch_module, "RECORD_TRACKS_MAX", 4)


@pytest.mark.usefixtures("_cuts")
@pytest.mark.parametrize("seed", range(60))
def test_both_ends_and_both_lives_form_the_same_records(seed):
    dice = random.Random(f"epoch/{seed}")
    site = Site(dice)
    other = dict(site.images)
    chain = CHAIN_NONE
    for number in range(3):
        site.begin(5, 10 + 100 * number)
        for _ in range(dice.choice([1, 4, 25])):
            site.write(dice.choice(KINDS))
        epoch = site.close()
        whole = list(epoch.records(chain, deltas=False))
        again = list(reloaded(site).records(chain, deltas=False))
        assert [wire(r) for r in again] == [wire(r) for r in whole], "another life differs (C3)"
        deltas = list(epoch.records(chain, deltas=True))
        assert [r.chain_after for r in deltas] == [r.chain_after for r in whole]
        assert [r.final for r in whole] == [False] * (len(whole) - 1) + [True]
        at = chain
        staged: list = []
        for sent, plain in zip(deltas, whole, strict=True):
            pieces, body, at = receive(wire(sent), at, other)
            plain_pieces, plain_body, _ = receive(wire(plain), plain_chain(plain), other)
            assert (pieces, body) == (plain_pieces, plain_body)
            assert sent.size_bytes == len(wire(sent)) <= plain.size_bytes
            assert sent.host_bytes == len(body)
            staged += pieces
        lay(other, staged)
        assert other == site.images, "the copy is not what was written (O3)"
        chain = whole[-1].chain_after
        assert at == chain


def plain_chain(record) -> bytes:
    return decode_head(wire(record)).chain_before


@pytest.mark.parametrize("seed", range(20))
def test_deltas_over_another_past_are_refused_whole(seed):
    """One track of the copy is not what it should be: nothing of the record is used (C5)."""
    dice = random.Random(f"base/{seed}")
    site = Site(dice)
    for _ in range(12):
        site.write("changed")
    record = next(iter(site.close().records(CHAIN_NONE, deltas=True)))
    data = wire(record)
    changes = decode_changes(data[RECORD_HEAD_BYTES:], decode_head(data).changes)
    deltas = [change for change in changes if isinstance(change, Delta)]
    assert deltas
    wrong = dict(site.before)
    delta = dice.choice(deltas)
    key = delta.volume << TRACK_BITS | delta.track
    wrong[key] = dice.randbytes(TRACK_BYTES)
    with pytest.raises(StopApplyError, match=f"track {key & TRACK_MASK} of vol"):
        receive(data, CHAIN_NONE, wrong)


def test_an_epoch_closed_and_formed_again_is_frozen():
    """What is written later goes into the next epoch; this one keeps its bytes (C3)."""
    site = Site(random.Random("frozen"))
    for _ in range(10):
        site.write("new")
    closed = site.close()
    before = [wire(r) for r in closed.records(CHAIN_NONE, deltas=False)]
    site.begin(5, 20)
    for _ in range(10):
        site.write("new")
    assert [wire(r) for r in closed.records(CHAIN_NONE, deltas=False)] == before


def test_an_elided_write_still_moves_the_csn():
    """The same contents again are no bytes on the line, but they have their csns (C4, C8)."""
    site = Site(random.Random("elided"))
    key = 3
    for _ in range(4):
        site.csn += 1
        site.epoch.whole(key, bytes(site.images[key]), site.images[key])
    (record,) = site.close().records(CHAIN_NONE, deltas=True)
    assert (record.csn_first, record.csn_last) == (10, 13)
    assert record.size_bytes < RECORD_HEAD_BYTES + 40
    other = Epoch(5, 10)
    other.csn_last = 12
    other.whole(key, bytes(site.images[key]), site.images[key])
    (shorter,) = other.records(CHAIN_NONE, deltas=True)
    assert shorter.chain_after != record.chain_after, "the csns are part of the history"


def test_an_epoch_of_nothing_is_one_empty_record():
    epoch = Epoch(5, 10)
    epoch.csn_last = 12
    (record,) = epoch.records(CHAIN_NONE, deltas=True)
    assert record.final
    pieces, _body, after = receive(wire(record), CHAIN_NONE, {})
    assert pieces == []
    assert after == record.chain_after != CHAIN_NONE


def test_records_are_bounded_also_when_tracks_are_written_byte_by_byte():
    epoch = Epoch(5, 10)
    for key in range(600):
        image = bytearray(TRACK_BYTES)
        for start in range(0, TRACK_BYTES, 4):
            image[start] = 1
            epoch.extents.setdefault(key, []).append((start, start + 1))
        epoch.images[key] = bytes(image)
    sizes = [record.size_bytes for record in epoch.records(CHAIN_NONE, deltas=False)]
    assert max(sizes) <= epoch_module.RECORD_BYTES_MAX + 2 * 16 * TRACK_BYTES
    assert len(sizes) > 5


def test_a_part_that_completes_a_track_is_the_whole_track():
    parts, whole = Epoch(5, 10), Epoch(5, 10)
    image = random.Random("halves").randbytes(TRACK_BYTES)
    parts.part(0, image[:2000] + bytes(2096), None, 0, 2000)
    parts.part(0, image, None, 2000, TRACK_BYTES)
    whole.whole(0, image, None)
    for epoch in (parts, whole):
        epoch.csn_last = 11
    assert [wire(r) for r in parts.records(CHAIN_NONE, deltas=False)] == [
        wire(r) for r in whole.records(CHAIN_NONE, deltas=False)
    ]


# The check behind C1 to C3, over this very class instead of a model of it.


def all_images(history: list[tuple[int, int]], tracks: int) -> list[tuple[int, ...]]:
    state = [0] * tracks
    out = [tuple(state)]
    for track, value in history:
        state[track] = value
        out.append(tuple(state))
    return out


def legal(seen: list[tuple[int, ...]], images: list[tuple[int, ...]]) -> bool:
    """Every image that was seen is one after some write, and time never goes back."""
    at = 0
    for state in seen:
        while at < len(images) and images[at] != state:
            at += 1
        if at == len(images):
            return False
    return True


CONTENTS = [bytes([value]) * TRACK_BYTES for value in range(7)]


def seen_by_the_other_site(groups, tracks: int, *, atomic: bool) -> list[tuple[int, ...]]:
    state = [0] * tracks
    out = [tuple(state)]
    for group in groups:
        epoch = Epoch(1, 1)
        for track, value in group:
            epoch.whole(track, CONTENTS[value], None)
        for record in epoch.records(CHAIN_NONE, deltas=False):
            data = wire(record)
            for change in decode_changes(data[RECORD_HEAD_BYTES:], decode_head(data).changes):
                for number in range(change.tracks):
                    state[change.track + number] = change.data[number * TRACK_BYTES]
                    if not atomic:
                        out.append(tuple(state))
        if atomic:
            out.append(tuple(state))
    return out


def without_overwritten(groups):
    """Drop from each group what a later one writes again: what C3 forbids."""
    later: dict[int, None] = {}
    kept = []
    for group in reversed(groups):
        kept.append([write for write in group if write[0] not in later])
        later |= dict.fromkeys(track for track, _value in group)
    return kept[::-1]


def test_coalescing_is_safe_within_one_epoch_applied_as_one_and_only_then():
    """Every grouping of every short history: none bad by C1, many by C2 and by C3."""
    bad = {"as one": 0, "singly": 0, "across epochs": 0}
    checked = 0
    for tracks in (2, 3):
        for length in range(1, 6):
            for chosen in itertools.product(range(tracks), repeat=length):
                history = [(track, at + 1) for at, track in enumerate(chosen)]
                images = all_images(history, tracks)
                for cuts in range(2 ** (length - 1)):
                    ends = [0, *(at + 1 for at in range(length - 1) if cuts >> at & 1), length]
                    groups = [history[a:b] for a, b in itertools.pairwise(ends)]
                    checked += 1
                    for name, sent, atomic in (
                        ("as one", groups, True),
                        ("singly", groups, False),
                        ("across epochs", without_overwritten(groups), True),
                    ):
                        seen = seen_by_the_other_site(sent, tracks, atomic=atomic)
                        bad[name] += not legal(seen, images)
    assert checked == sum(t**n * 2 ** (n - 1) for t in (2, 3) for n in range(1, 6))
    assert bad["as one"] == 0
    assert bad["singly"] > 500, "the check could not fail"
    assert bad["across epochs"] > 500, "the check could not fail"
