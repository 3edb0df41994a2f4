"""A track or block that is damaged for good: data check, and how it is written anew."""

import pytest

from emulator.channel.asks import ReadBlocks, ReadTrack, WriteTrack
from emulator.channel.engine import execute
from emulator.channel.fba import FbaDevice
from emulator.channel.fba_models import fba_model
from emulator.channel.sense import describe
from emulator.channel.track_walk import is_whole
from emulator.errors import CorruptError
from rig.host.programs import read_blocks
from tests.channel import test_chains
from tests.channel.volume import Blocks, Volume, chained, drive


def run_on_damage(volume, program, damaged):
    """Run a program on a volume that raises CorruptError for what is damaged."""

    def answer(request):
        if damaged(request):
            raise CorruptError("mem:", "damaged on purpose")
        return volume.answer(request)

    return drive(execute(volume.device, 0, program), answer)


def test_a_damaged_track_is_a_data_check_with_its_address():
    volume = Volume()
    volume.put(1, 2, test_chains.ORIGINAL)
    program = chained(test_chains.GOOD["read data"][0])
    damaged = volume.geometry.track(1, 2)
    result = run_on_damage(
        volume, program, lambda ask: isinstance(ask, ReadTrack) and ask.track == damaged
    )
    assert result.unit_status == 0x0E
    assert (result.sense[0:3], result.sense[7]) == (b"\x08\x80\0", 0x43)
    assert result.sense[8:13] == bytes((0, 1, 0, 2, 0))
    assert result.sense[29:32] == bytes((0, 1, 2))
    assert describe(result.sense).startswith("data check")
    assert run_on_damage(volume, program, lambda ask: False).sense == b""


@pytest.mark.parametrize(
    "name", ["write home address, R0 and a record", "format write at the home address"]
)
def test_a_damaged_track_is_formatted_from_its_home_address_on(name):
    volume = Volume()
    volume.put(1, 2, test_chains.ORIGINAL)
    program = chained(test_chains.WRITES[name][0])
    damaged = volume.geometry.track(1, 2)
    volume.tracks[damaged] = bytes(len(volume.tracks[damaged]))
    result = run_on_damage(volume, program, lambda ask: isinstance(ask, ReadTrack))
    assert result.ended_well
    write = next(ask for ask in volume.asked if isinstance(ask, WriteTrack))
    assert (write.track, write.offset, write.ends) == (damaged, 0, True)
    assert is_whole(write.data, volume.geometry, damaged)
    assert [record.data for record in volume.records(1, 2)] == [b"one"]


@pytest.mark.parametrize("commands", [[], ["search"], ["home"]])
def test_what_needs_a_damaged_track_is_a_data_check_and_changes_nothing(commands):
    volume = Volume()
    seek = test_chains.WRITES["write home address, R0 and a record"][0][:2]
    then = {
        "search": [test_chains.SEEK_HOME],
        "home": [test_chains.send(0x19, bytes.fromhex("0000010002")), test_chains.read(0x1A, 5)],
    }
    program = chained([*seek, *(row for name in commands for row in then[name])])
    result = run_on_damage(volume, program, lambda ask: isinstance(ask, ReadTrack))
    assert result.unit_status == (0x0E if commands else 0x0C)
    assert result.sense[0:2] == (b"\x08\x80" if commands else b"")
    assert not [ask for ask in volume.asked if isinstance(ask, WriteTrack)]


def test_a_damaged_block_is_a_data_check():
    volume = Blocks(FbaDevice(fba_model("9336-20", 2048)))
    program = read_blocks(10, 4)
    result = run_on_damage(volume, program, lambda ask: isinstance(ask, ReadBlocks))
    assert (result.unit_status, result.sense[0:2]) == (0x0E, b"\x08\x80")
    assert run_on_damage(volume, program, lambda ask: False).ended_well
