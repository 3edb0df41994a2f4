"""Random stories of two sites with a CKD volume beside one of blocks, judged by the same oracle.

Hosts format, update and erase tracks through the track store. Besides what holds for all volumes,
every past state that a site shows consists of whole tracks: one write is one csn (O3, C7).
"""

from typing import ClassVar

import pytest

from emulator.channel import track_image
from emulator.channel.blocks import Outcome
from emulator.channel.geometry import geometry
from emulator.channel.track_image import END_MARKER, NewRecord, build
from tests.node.history import History, Host
from tests.node.test_stories import SIZE, Story, _small_records  # noqa: F401  an autouse fixture
from tests.node.world import Site

pytestmark = pytest.mark.sources

MODEL = geometry("3340-35", 1)
SLOT = MODEL.slot_bytes
BLOCKS = SIZE[1]


class TrackHistory(History):
    """The oracle of all volumes, which also wants whole tracks in every state it is asked for."""

    def prefix(self, csn: int) -> list[bytearray]:
        images = super().prefix(csn)
        for track in range(MODEL.tracks):
            slot = bytes(images[0][track * SLOT : (track + 1) * SLOT])
            if any(slot):
                used = track_image.check(slot, MODEL, track)
                assert not any(slot[used:]), self.say(f"track {track} at csn {csn}: not canonical")
        return images


class TrackHost(Host):
    """A host that reads and writes tracks of the first volume."""

    def store(self):
        return self.site.processor.track_stores["vol0"]

    def read_track(self, track: int) -> None:
        cookie, _ = self._new("read", 0, track * SLOT, SLOT)
        self.seen(0, track * SLOT, SLOT)
        image = self.store().read(track, self, cookie)
        if image is not None:
            super().completed(cookie, Outcome.DONE, self._slot(track, [image]))
        self._wake()

    def write_track(self, track: int, offset: int, data: bytes) -> None:
        cookie, _ = self._new("write", 0, track * SLOT + offset, len(data))
        self.site.processor.rhythm.host_spoke(self.site.world.now_ns)
        self.store().write(track, offset, data, self, cookie)
        self._wake()

    def completed(self, cookie, outcome, data) -> None:
        operation = self.open[cookie]
        if operation.kind == "read" and not operation.volume and data:
            data = self._slot(operation.offset // SLOT, data)
        super().completed(cookie, outcome, data)

    @staticmethod
    def _slot(track: int, data: list[bytes]) -> list[bytes]:
        """Return a track as it lies in its slot."""
        empty = data == [build(*MODEL.address(track))]
        return [bytes(SLOT)] if empty else [data[0].ljust(SLOT, b"\0")]


class TrackStory(Story):
    """One seed's life of two sites with a CKD volume."""

    history_kind = TrackHistory
    world_keys: ClassVar[dict] = {
        "sizes": {"vol0": MODEL.tracks * SLOT, "vol1": BLOCKS},
        "kinds": {"vol0": "3340-35"},
        "base": {"vol0": bytes(MODEL.tracks * SLOT)},
    }

    def new_host(self, site: Site) -> Host:
        return TrackHost(self.history, site)

    def write(self) -> None:
        dice = self.dice
        if dice.random() < 0.3:
            length = dice.randrange(1, 6000)
            self.host.write(1, dice.randrange(BLOCKS - length), dice.randbytes(length))
            return
        track = dice.randrange(MODEL.tracks)
        newest = bytes(self.history.newest[0][track * SLOT : (track + 1) * SLOT])
        image = newest if any(newest) else build(*MODEL.address(track))
        records = list(track_image.records(image))
        kind = dice.random()
        record = dice.choice(records)
        if kind < 0.5 and len(records) > 1:
            record = dice.choice(records[1:])
            length = min(record.data_length, dice.choice([1, 80, 9000]))
            if length:
                self.host.write_track(track, record.data_offset, dice.randbytes(length))
        elif kind < 0.6:
            self.host.write_track(track, record.end, END_MARKER)  # erase what follows
        else:
            self.host.write_track(track, record.end, self.format(track, record.end))

    def format(self, track: int, start: int) -> bytes:
        """Return records and an end marker that follow a record of the track."""
        dice = self.dice
        room = MODEL.r1_bytes_max - start
        new = []
        for number in range(1, dice.randrange(1, 9)):
            key = dice.randbytes(dice.choice([0, 0, 4]))
            data = dice.randbytes(dice.choice([0, 8, 80, 900, 4096]))
            room -= 8 + len(key) + len(data)
            if room > 0:
                new.append(NewRecord(number, data, key))
        return build(*MODEL.address(track), new)[21:]

    def read(self) -> None:
        if self.dice.random() < 0.3:
            self.host.read(1, self.dice.randrange(BLOCKS - 5000), 5000)
        else:
            self.host.read_track(self.dice.randrange(MODEL.tracks))

    def burst(self) -> None:
        """Write more than the journal holds, mostly while the line is down."""
        down = self.dice.random() < 0.7
        self.say(f"burst, line {'down' if down else 'up'}")
        if down:
            self.world.cut(silent=self.dice.random() < 0.3)
        for _ in range(self.dice.randrange(40, 120)):
            if self.primary is self.host.site and len(self.host.open) < 40:
                track = self.dice.randrange(MODEL.tracks)
                if not self.primary.processor.pacing:
                    self.host.write_track(track, 21, self.format(track, 21))
            self.world.rest(self.dice.random() * 4)
        if down:
            self.world.heal()


@pytest.mark.parametrize("seed", range(20))
def test_a_story_with_a_ckd_volume_ends_well(seed):
    TrackStory(seed).run()
