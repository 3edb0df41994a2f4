"""A track or block that is damaged for good: data check, where it is, and nothing else."""

from emulator.channel.asks import ReadBlocks, ReadTrack
from emulator.channel.engine import execute
from emulator.channel.fba import FbaDevice
from emulator.channel.fba_models import fba_model
from emulator.channel.sense import describe
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


def test_a_damaged_block_is_a_data_check():
    volume = Blocks(FbaDevice(fba_model("9336-20", 2048)))
    program = read_blocks(10, 4)
    result = run_on_damage(volume, program, lambda ask: isinstance(ask, ReadBlocks))
    assert (result.unit_status, result.sense[0:2]) == (0x0E, b"\x08\x80")
    assert run_on_damage(volume, program, lambda ask: False).ended_well
