"""How many channel programs the engine runs in a second of processor time, in this process.

Tracks lie in memory and every answer comes at once, so that nothing but the engine and putting
the new bytes on the track is measured. Beside it, the least that any engine must do for the same
update: find the record and make the new image. The ratio of the two outlives machines.
"""

import random
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from emulator.channel import parameters, track_image
from emulator.channel.asks import Ask, ReadTrack, WriteTrack
from emulator.channel.ccw import CHAIN_COMMAND, Ccw, Program
from emulator.channel.ckd.device import CkdDevice
from emulator.channel.control_units import control_unit
from emulator.channel.engine import execute
from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord
from emulator.errors import CheckFailed

CYLINDERS = 4
CONTROL_UNIT = "3990-6"
RECORD_BYTES = 4096
PROGRAMS = 512
_Place = tuple[int, int, int]


class TracksInMemory:
    """A formatted volume that answers what programs ask."""

    def __init__(self, kind: str) -> None:
        self.geometry = geometry(kind, CYLINDERS)
        # Every device behind a control unit that has Locate Record, so that they compare.
        self.device = CkdDevice(self.geometry, unit=control_unit(CONTROL_UNIT))
        self.records = self.geometry.records_per_track(0, RECORD_BYTES)
        self.tracks = [self._formatted(track) for track in range(self.geometry.tracks)]

    def _formatted(self, track: int) -> bytes:
        contents = [NewRecord(n, bytes((n,)) * RECORD_BYTES) for n in range(1, self.records + 1)]
        image = track_image.build(*self.geometry.address(track), contents)
        return track_image.canonical(image, self.geometry.slot_bytes)

    def answer(self, ask: Ask) -> bytes | None:
        """Do what a program asks, at once."""
        if isinstance(ask, ReadTrack):
            return self.tracks[ask.track]
        if isinstance(ask, WriteTrack):
            track, offset, data, ends = ask
            self.tracks[track] = track_image.overlay(self.tracks[track], offset, data, ends=ends)
        return None

    def run(self, programs: Sequence[Program]) -> None:
        """Run programs one after another; raise CheckFailed when one does not end well."""
        answer = self.answer
        for program in programs:
            steps = execute(self.device, 0, program)
            reply = None
            try:
                while True:
                    reply = answer(steps.send(reply))
            except StopIteration as end:
                if not end.value.ended_well:
                    raise CheckFailed(f"{self.geometry.kind}: {end.value}") from None


def _chain(*ccws: Ccw) -> Program:
    linked = [ccw._replace(flags=CHAIN_COMMAND) for ccw in ccws[:-1]]
    return [*linked, ccws[-1]]


def _sends(command: int, data: bytes) -> Ccw:
    return Ccw(command, len(data), data)


def _located(operation: int, place: _Place) -> tuple[Ccw, Ccw]:
    cylinder, head, record = place
    extent = parameters.define_extent((0, 0), (cylinder, head))
    located = parameters.locate_record(
        operation, 1, (cylinder, head), record=record, transfer_length=RECORD_BYTES
    )
    return _sends(0x63, extent), _sends(0x47, located)


def locate_update(place: _Place, data: bytes) -> Program:
    """Define Extent, Locate Record, Write Update Data."""
    return _chain(*_located(0x01, place), _sends(0x85, data))


def search_update(place: _Place, data: bytes) -> Program:
    """Seek, Set Sector, Search ID, Transfer in Channel, Write Data."""
    cylinder, head, record = place
    wanted = parameters.search_id(cylinder, head, record)
    return _chain(
        _sends(0x07, parameters.seek(cylinder, head)),
        _sends(0x23, b"\xff"),
        _sends(0x31, wanted),
        Ccw(0x08, target=2),
        _sends(0x05, data),
    )


def locate_read(place: _Place, data: bytes) -> Program:
    """Define Extent, Locate Record, Read Data."""
    return _chain(*_located(0x06, place), Ccw(0x06, len(data)))


PROGRAMS_BY_NAME: dict[str, Callable[[_Place, bytes], Program]] = {
    "update, located": locate_update,
    "update, searched": search_update,
    "read, located": locate_read,
}


def places(volume: TracksInMemory, seed: int) -> list[_Place]:
    """Return records to work on, spread over the volume."""
    chosen = random.Random(seed)
    heads = volume.geometry.heads
    return [
        (
            chosen.randrange(CYLINDERS),
            chosen.randrange(heads),
            chosen.randrange(1, volume.records + 1),
        )
        for _ in range(PROGRAMS)
    ]


def least(volume: TracksInMemory, work: Sequence[_Place]) -> None:
    """Do what no engine can leave out: read the track's records up to the one, make its image."""
    data = bytes(RECORD_BYTES)
    for cylinder, head, wanted in work:
        track = volume.geometry.track(cylinder, head)
        image = volume.tracks[track]
        for record in track_image.records(image):
            if record.number == wanted:
                volume.tracks[track] = track_image.overlay(
                    image, record.data_offset, data, ends=False
                )
                break


def measure(kind: str, rounds: int, seed: int) -> dict[str, Any]:
    """Return programs a CPU second for each form of program, and their cost beside the least."""
    volume = TracksInMemory(kind)
    work = places(volume, seed)
    data = bytes(range(256)) * (RECORD_BYTES // 256)
    calls: dict[str, Callable[[], None]] = {"least": lambda: least(volume, work)}
    for name, make in PROGRAMS_BY_NAME.items():
        programs = [make(place, data) for place in work]
        calls[name] = lambda programs=programs: volume.run(programs)  # type: ignore[misc]
    taken_ns: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(rounds):
        # In turns, so that whatever else the machine does disturbs all of them alike.
        marks = [time.process_time_ns()]
        for call in calls.values():
            call()
            marks.append(time.process_time_ns())
        for name, (before_ns, after_ns) in zip(calls, pairwise(marks), strict=True):
            taken_ns[name].append(after_ns - before_ns)
    costs_ns = {name: median(taken) / len(work) for name, taken in taken_ns.items()}
    return {
        "kind": kind,
        "record_bytes": RECORD_BYTES,
        "rounds": rounds,
        "programs": {
            name: {
                "per_cpu_s": round(1e9 / cost_ns),
                "cpu_us": round(cost_ns / 1000, 2),
                "of_least": round(cost_ns / costs_ns["least"], 2),
            }
            for name, cost_ns in costs_ns.items()
        },
    }
