"""Channel programs through a served device give what they give straight on the engine."""

import pytest

from emulator.channel.blocks import Outcome
from emulator.channel.ccw import Ccw
from emulator.channel.ckd.device import CkdDevice
from emulator.channel.fba import FbaDevice
from emulator.channel.fba_models import fba_model
from emulator.channel.orders import Answer, Order, order_parameters
from emulator.channel.status import ATTENTION, DEVICE_END, RETRY
from emulator.channel.track_image import NewRecord
from emulator.channel.track_store import TrackStore
from emulator.frontend.native_device import NativeDevice, ending
from emulator.frontend.native_layout import Ending
from emulator.frontend.native_messages import DeviceRow, Start
from rig.host.programs import read_blocks, write_blocks
from tests.channel import test_chains, test_fba, test_refusals
from tests.channel.volume import Blocks, Volume, chained, send
from tests.frontend.memory_volume import MemoryVolume

HOST = 7
CHAINS = {
    **{f"good {name}": row[0] for name, row in test_chains.GOOD.items()},
    **{f"write {name}": row[0] for name, row in test_chains.WRITES.items()},
    **{f"refused {name}": row[1] for name, row in test_refusals.REFUSED.items()},
}


class FakeCopy:
    """A copy that is frozen while a list has something in it."""

    def __init__(self, frozen):
        self._frozen = frozen
        self.told = []

    def frozen(self):
        return bool(self._frozen)

    def news(self):
        return self.told.pop() if self.told else ""


class Served:
    """A device behind the native channel, and what its programs ended with."""

    def __init__(self, engine, store, copy=None):
        self.ended = []
        self.observed = []
        self.device = NativeDevice(
            DeviceRow(0xA00, "kind", "vol0"),
            engine,
            store,
            lambda host, start, result: self.observed.append(result),
            copy,
        )

    def start(self, program, number=1):
        start = Start(0, 0xA00, number, 1, tuple(program))
        return self.device.perform(start, HOST, self.ended.append)


def volume_of_the_chains():
    """A 3390-1 of 20 cylinders with the records that the chains expect: direct, stored, served."""
    direct = Volume()
    direct.put(0, 0, [NewRecord(1, b"i" * 24, b"IPL1"), NewRecord(2, b"j" * 144, b"IPL2")])
    direct.put(1, 2, test_chains.ORIGINAL)
    direct.put(1, 3, [NewRecord(1, b"seventh")])
    geometry = direct.geometry
    volume = MemoryVolume(size_bytes=geometry.tracks * geometry.slot_bytes)
    for track, image in direct.tracks.items():
        at = track * geometry.slot_bytes
        volume.contents[at : at + len(image)] = image
    store = TrackStore(volume, geometry, lambda event: None)
    return direct, volume, Served(CkdDevice(geometry), store)


@pytest.fixture
def tracks():
    return volume_of_the_chains()


@pytest.mark.parametrize("waits", [False, True], ids=["cached", "not cached"])
@pytest.mark.parametrize("kind", ["good", "write", "refused"])
def test_chains_end_as_on_the_engine(kind, waits):
    for name in (name for name in CHAINS if name.startswith(kind)):
        direct, volume, served = volume_of_the_chains()
        volume.reads_wait = waits
        program = chained(CHAINS[name])
        expected = direct.run(*program, path=HOST)
        served.start(program)
        while not served.ended:
            assert volume.settle(), name
        assert served.ended == [ending(Start(0, 0xA00, 1, 1, tuple(program)), expected)], name
        assert served.observed == [expected], name
        for track, image in direct.tracks.items():
            at = track * direct.geometry.slot_bytes
            stored = bytes(volume.contents[at : at + len(image)])
            # A track that was never written is a slot of zeros, and an empty track to hosts.
            assert stored == image or not (
                stored.strip(b"\0") or direct.records(*divmod(track, 15))
            )


def test_a_write_is_not_ended_before_it_is_safe(tracks):
    _, volume, served = tracks
    served.start(chained(next(iter(test_chains.WRITES.values()))[0]))
    assert volume.waiting
    assert not served.ended
    volume.settle()
    assert served.ended[0].unit_status == 0x0C


def test_the_next_program_begins_while_one_gets_safe(tracks):
    _, volume, served = tracks
    write = chained(next(iter(test_chains.WRITES.values()))[0])
    served.start(write)
    served.start(chained([Ccw(0xE4, 7, flags=0x20)]), number=2)
    assert [ended.number for ended in served.ended] == [2]
    volume.settle()
    assert [ended.number for ended in served.ended] == [2, 1]


def test_a_write_that_cannot_be_kept_is_an_equipment_check(tracks):
    _, volume, served = tracks
    served.start(chained(next(iter(test_chains.WRITES.values()))[0]))
    volume.waiting = [
        (who, cookie, Outcome.DEVICE, answer) for who, cookie, _, answer in volume.waiting
    ]
    volume.settle()
    assert served.ended[0].unit_status == 0x0E
    assert served.ended[0].sense[:1] == b"\x10"


def test_a_program_that_waits_is_halted(tracks):
    _, volume, served = tracks
    volume.reads_wait = True
    program = chained(next(iter(test_chains.WRITES.values()))[0])
    halt = served.start(program)
    queued = served.start(program, number=2)
    queued()
    halt()
    assert [(e.number, e.ending) for e in served.ended] == [(2, Ending.HALTED), (1, Ending.HALTED)]
    volume.settle()
    assert len(served.ended) == 2
    served.start(program, number=3)
    while len(served.ended) < 3:
        assert volume.settle()
    assert served.ended[2].unit_status == 0x0C


def test_hosts_that_are_paced_begin_nothing(tracks):
    _, _, served = tracks
    served.device.held = True
    served.start([Ccw(0xE4, 7)])
    assert not served.ended
    served.device.held = False
    served.device.go_on()
    assert served.ended[0].unit_status == 0x0C


def test_a_switch_of_roles_is_told_and_hosts_are_refused(tracks):
    _, volume, served = tracks
    sense_id = [Ccw(0xE4, 7, flags=0x20)]
    served.start(sense_id)
    volume.primary = False
    served.device.look()
    assert served.device.take_status(HOST) == 0x85
    served.start(chained(next(iter(test_chains.WRITES.values()))[0]), number=2)
    assert (served.ended[-1].unit_status, served.ended[-1].sense[:2]) == (0x0E, b"\x40\x00")
    volume.primary = True
    served.device.look()
    assert [served.device.take_status(HOST) for _ in range(3)] == [0x04, 0x85, None]
    served.start(chained(next(iter(test_chains.WRITES.values()))[0]), number=3)
    volume.settle()
    assert served.ended[-1].unit_status == 0x0C


def test_another_host_finds_a_reserved_device_busy_and_hears_when_it_is_free(tracks):
    _, _, served = tracks
    reserve, release = ([Ccw(code, 32)] for code in (0xB4, 0x94))
    served.start(reserve)
    start = Start(0, 0xA00, 1, 1, tuple(reserve))
    served.device.perform(start, HOST + 1, served.ended.append)
    assert [ended.unit_status for ended in served.ended] == [0x0C, 0x10]
    assert served.device.take_status(HOST + 1) is None
    served.start(release, number=2)
    assert served.device.take_status(HOST + 1) == 0x04
    served.device.perform(start, HOST + 1, served.ended.append)
    assert served.ended[-1].unit_status == 0x0C
    served.device.forget(HOST + 1)
    served.start(reserve, number=3)
    assert served.ended[-1].unit_status == 0x0C


@pytest.fixture
def blocks():
    model = fba_model("9336", test_fba.BLOCKS)
    volume = MemoryVolume(size_bytes=test_fba.BLOCKS * 512)
    return Blocks(FbaDevice(model)), volume, Served(FbaDevice(model), volume)


@pytest.mark.parametrize("name", test_fba.REFUSED)
def test_a_chain_on_blocks_that_is_refused(blocks, name):
    direct, _, served = blocks
    program = chained(test_fba.REFUSED[name])
    expected = direct.run(*program, path=HOST)
    served.start(program)
    assert served.ended == [ending(Start(0, 0xA00, 1, 1, tuple(program)), expected)]


def test_a_read_waits_for_the_write_before_it(blocks):
    _, volume, served = blocks
    served.start(write_blocks(8, b"w" * 1024))
    served.start(read_blocks(9, 2), number=2)
    served.start(read_blocks(100, 1), number=3)
    assert not served.ended
    volume.settle()
    assert [ended.number for ended in served.ended] == [1, 2, 3]
    assert bytes(served.ended[1].transfers[0].data) == b"w" * 512 + bytes(512)


@pytest.mark.sources
def test_a_program_that_brings_too_much_is_told_so(blocks, monkeypatch):
    _, _, served = blocks
    monkeypatch.setattr("emulator.frontend.native_device.PROGRAM_BYTES_MAX", 1000)
    served.start(read_blocks(0, 4))
    assert served.ended[0].ending is Ending.MALFORMED
    assert "2048 bytes" in served.ended[0].text


def test_a_program_that_freezes_the_group_turns_the_next_one_away():
    """The second waits in the queue already when the first one gives its order."""
    direct, volume, _served = volume_of_the_chains()
    frozen = []
    store = TrackStore(volume, direct.geometry, lambda event: None)
    served = Served(CkdDevice(direct.geometry), store, FakeCopy(frozen))
    device = served.device
    device.device.orders = lambda asked: frozen.append(asked) or Answer(accepted=True)
    device.held = True
    served.start([send(0x27, order_parameters(Order.FREEZE))], number=1)
    served.start(chained(test_chains.GOOD["read data"][0]), number=2)
    device.held = False
    device.go_on()
    assert [ended.unit_status for ended in served.ended] == [0x0C, RETRY]
    frozen.clear()
    device.go_on()
    assert device.take_status(HOST) == DEVICE_END


def test_news_of_the_copy_are_told_by_attention():
    direct, volume, _served = volume_of_the_chains()
    copy = FakeCopy([])
    store = TrackStore(volume, direct.geometry, lambda event: None)
    served = Served(CkdDevice(direct.geometry), store, copy)
    served.start(chained(test_chains.GOOD["read data"][0]))
    copy.told.append("copy g0 is suspended: the line was cut")
    served.device.look()
    served.device.look()
    assert served.device.take_status(HOST) == ATTENTION
    assert served.device.take_status(HOST) is None
    assert served.device.device.paths[HOST].messages == ["copy g0 is suspended: the line was cut"]
