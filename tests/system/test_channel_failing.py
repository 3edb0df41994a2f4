"""Disks that fail under hosts of channel programs: sense says what is wrong, and where."""

from pathlib import Path

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord
from rig.host.channel import connect_channel
from rig.host.console import ask
from rig.host.programs import Volume as Shape
from rig.host.programs import format_track, read_record
from tests.system.channel_site import CYLINDERS, KIND, ChannelSite

MODEL = geometry(KIND, CYLINDERS)
SHAPE = Shape((CYLINDERS - 1, 14), extended=True)
UNIT = """\
[site.A.control_unit.cu0]
shape = "ring"
devices = ["0A00"]
paths = 2
patience = "200ms"
"""
FIRST, SECOND = (2, 3), (15, 7)


@pytest.fixture
def site(tmp_path: Path):
    """A site that was stopped in good order, with a record on each of two tracks of its disk."""
    made = ChannelSite(tmp_path)
    text = made.bench.read_text().replace("size=32MiB", "size=8MiB")
    made.bench.write_text(f"{text}{UNIT}")
    made.start()
    with connect_channel([made.uri("udp")]) as channel:
        for track in (FIRST, SECOND):
            program = format_track(SHAPE, track, [NewRecord(1, b"good" * 1000)])
            assert channel.device().run(program).ended_well
        # So much more that the journal has nothing left to mend the two tracks with.
        for number in range(180):
            program = format_track(
                SHAPE, divmod(60 + number % 100, 15), [NewRecord(1, bytes(50000))]
            )
            assert channel.device().run(program).ended_well
    assert made.stop() == 0
    yield made
    made.close()


def slot(track: tuple[int, int]) -> int:
    return MODEL.track(*track) * MODEL.slot_bytes


def found(site: ChannelSite, track: tuple[int, int]):
    with connect_channel([site.uri("udp")]) as channel:
        return channel.device().run(read_record(SHAPE, track, 1, 4000))


def test_a_damaged_track_is_a_data_check(site: ChannelSite):
    with (site.folder / "a00.img").open("r+b") as image:
        image.seek(slot(SECOND) + 100)
        image.write(b"\xee")
    site.start()
    bad = found(site, SECOND)
    assert (bad.unit_status, bad.sense[0:2], bad.sense[7]) == (0x0E, b"\x08\x80", 0x43)
    assert bad.sense[8:12] == bytes((0, SECOND[0], 0, SECOND[1]))
    assert found(site, FIRST).data == b"good" * 1000
    # On: nothing was made worse by looking.
    assert found(site, SECOND).sense == bad.sense
    with connect_channel([site.uri("udp")]) as channel:
        new = [NewRecord(1, b"new." * 1000)]
        for whole, status in ((False, 0x0E), (True, 0x0C)):
            program = format_track(SHAPE, SECOND, new, whole=whole)
            assert channel.device().run(program).unit_status == status
    assert found(site, SECOND).data == b"new." * 1000
    assert site.stop() == 0


def test_a_track_that_cannot_be_read_is_an_equipment_check(site: ChannelSite):
    site.start()
    console = site.folder / "a.console"
    for cable in ("0", "1"):
        ask(console, "unit", unit="cu0", action="cut", part=cable)
    bad = found(site, SECOND)
    assert (bad.unit_status, bad.sense[0:2], bad.sense[7]) == (0x0E, b"\x10\0", 0x10)
    ask(console, "unit", unit="cu0", action="mend", part="0")
    for track in (FIRST, SECOND):
        assert found(site, track).data == b"good" * 1000
    assert site.stop() == 0
