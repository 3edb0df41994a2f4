"""Read every track now and then, so that what has rotted is found while it can be mended.

In the background: while hosts are busy, at a tenth of its rate. A track without a checksum gets
the one of what is read, which is all that anyone can know of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import SECOND_NS
from emulator.errors import DeviceError
from emulator.events import ScrubPassed
from emulator.node.sums import ENTRY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.node.processor import Processor

CHUNK_TRACKS: Final = 32
BUSY_SHARE: Final = 10


class _Pass:
    """How far one device has been read."""

    def __init__(self, tracks: int, rate: int) -> None:
        self.tracks = tracks
        self.rate_bytes_per_s = rate
        self.at = 0
        self.passes = 0
        self.due_ns = 0
        self.reading = False
        self.damaged_before = 0
        self.learned_before = 0
        self.scrubbed_tracks = 0


class Scrub:
    """The background reader of every device."""

    def __init__(self, processor: Processor, sizes: Sequence[int], rates: Sequence[int]) -> None:
        self._processor = processor
        self._passes = [
            _Pass(-(-size // TRACK_BYTES), rate) for size, rate in zip(sizes, rates, strict=True)
        ]
        self.read_on = [
            (device, state) for device, state in enumerate(self._passes) if state.rate_bytes_per_s
        ]
        """Those that are read at all."""

    def run(self, now_ns: int, *, idle: bool) -> None:
        """Read on where it is due."""
        for device, state in self.read_on:
            if state.reading or now_ns < state.due_ns:
                continue
            if self._processor.sums.devices[device] is None:
                continue
            share = 1 if idle else BUSY_SHARE
            took_ns = CHUNK_TRACKS * TRACK_BYTES * SECOND_NS * share // state.rate_bytes_per_s
            state.due_ns = now_ns + took_ns
            self._read(device, state)

    def next_deadline_ns(self) -> int | None:
        """Return when the next read is due."""
        due = [state.due_ns for _, state in self.read_on if not state.reading and state.due_ns]
        return min(due, default=None)

    def _read(self, device: int, state: _Pass) -> None:
        state.reading = True
        end = min(state.at + CHUNK_TRACKS, state.tracks)
        base = device << TRACK_BITS

        def done(result: dict[int, bytes] | DeviceError) -> None:
            state.reading = False
            if isinstance(result, dict):
                self._learn(device, result)
            state.scrubbed_tracks += end - state.at
            state.at = end
            if end == state.tracks:
                self._passed(device, state)

        self._processor.reading.check(range(base | state.at, (base | end - 1) + 1), done)

    def _learn(self, device: int, images: dict[int, bytes]) -> None:
        sums = self._processor.sums.devices[device]
        assert sums is not None
        pieces = []
        for key, image in images.items():
            track = key & TRACK_MASK
            piece = sums.learn(track, image)
            if piece is not None:
                pieces.append((track * ENTRY.size, piece))
        if pieces:
            self._processor.destage.note_sums(device, pieces)

    def _passed(self, device: int, state: _Pass) -> None:
        sums = self._processor.sums.devices[device]
        assert sums is not None
        mending = self._processor.mending
        name = list(self._processor.volumes)[device]
        self._processor.emit(
            ScrubPassed(
                name,
                state.tracks,
                sums.learned_tracks - state.learned_before,
                mending.found_on(device) - state.damaged_before,
            )
        )
        state.at = 0
        state.passes += 1
        state.damaged_before = mending.found_on(device)
        state.learned_before = sums.learned_tracks

    def status(self, device: int) -> dict[str, int]:
        """Return how far a device has been read."""
        state = self._passes[device]
        return {
            "rate_bytes_per_s": state.rate_bytes_per_s,
            "passes": state.passes,
            "at_track": state.at,
            "tracks": state.tracks,
            "scrubbed_tracks": state.scrubbed_tracks,
        }
