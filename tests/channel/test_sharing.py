"""Paths and hosts that share a device: reservation, groups, busy, resets, and what goes unasked."""

import pytest

from emulator.channel import parameters as p
from emulator.channel.ccw import SUPPRESS_LENGTH as SLI
from emulator.channel.ccw import Ccw
from emulator.channel.engine import execute
from emulator.channel.orders import Answer, Order, order_parameters
from tests.channel.volume import Volume, read, send

NORMAL, BUSY, RETRY, CHECKED = 0x0C, 0x10, 0x4A, 0x0E
ATTENTION, DEVICE_END, STATE_CHANGE = 0x80, 0x04, 0x85
RESERVE, RELEASE, TAKE = read(0xB4, 32), read(0x94, 32), read(0x14, 32)
SEEK = send(0x07, p.seek(1, 2))
GROUP = b"host one CPU"[:11]


@pytest.fixture
def volume():
    return Volume()


def group(function=0x80, name=GROUP):
    return send(0xAF, bytes((function,)) + name)


def status(volume, *program, path=0):
    return volume.chain(*program, path=path).unit_status


def test_a_reserved_device_is_busy_for_others_until_it_is_released(volume):
    assert status(volume, RESERVE, path=1) == NORMAL
    assert status(volume, SEEK, path=2) == BUSY
    assert status(volume, SEEK, path=1) == NORMAL
    assert volume.device.take_status(2) is None
    assert status(volume, RELEASE, path=1) == NORMAL
    assert volume.device.take_status(2) == DEVICE_END
    assert volume.device.take_status(2) is None
    assert volume.device.take_status(1) is None
    assert status(volume, SEEK, path=2) == NORMAL


def test_unconditional_reserve_takes_the_device_away(volume):
    status(volume, RESERVE, path=1)
    assert status(volume, TAKE, path=2) == NORMAL
    assert status(volume, SEEK, path=1) == BUSY
    assert status(volume, SEEK, path=2) == NORMAL


def test_a_reservation_is_the_groups(volume):
    for path in (1, 2):
        assert status(volume, group(), path=path) == NORMAL
    status(volume, RESERVE, path=1)
    assert status(volume, SEEK, path=2) == NORMAL
    assert status(volume, SEEK, path=3) == BUSY
    assert status(volume, RELEASE, path=2) == NORMAL
    assert volume.device.reserved_by is None


def test_reset_allegiance_tells_whose_the_device_was(volume):
    status(volume, group(), path=1)
    status(volume, RESERVE, path=1)
    data = volume.chain(read(0x44, 32), path=2).data
    assert (data[0], data[5:16]) == (0x90, GROUP)
    assert status(volume, SEEK, path=2) == NORMAL


def test_sense_path_group_id_tells_the_state_of_the_path(volume):
    def state(path):
        data = volume.chain(read(0x34, 12), path=path).data
        return data[0], data[1:]

    assert state(1) == (0x00, bytes(11))
    status(volume, group(), path=1)
    assert state(1) == (0xC8, GROUP)
    status(volume, RESERVE, path=1)
    assert state(1) == (0xF8, GROUP)
    assert state(2) == (0x20, bytes(11))
    status(volume, group(0x40), path=1)
    assert state(1) == (0xB0, bytes(11))


def test_disbanding_a_group_frees_all_its_paths(volume):
    for path in (1, 2):
        status(volume, group(), path=path)
    status(volume, group(0x20), path=2)
    assert all(state.group == bytes(11) for state in volume.device.paths.values())


@pytest.mark.parametrize("function", [0x60, 0x01, 0x90])
def test_a_path_group_function_that_is_not_there(volume, function):
    assert volume.chain(group(function)).sense[7] == 0x04


def test_a_path_stays_in_its_group(volume):
    status(volume, group())
    assert volume.chain(group(name=b"another one")).sense[7] == 0x04
    assert status(volume, group()) == NORMAL


def test_two_programs_at_once(volume):
    steps = execute(volume.device, 1, [SEEK])
    next(steps)
    assert status(volume, SEEK, path=2) == BUSY
    assert volume.device.take_status(2) is None
    steps.close()
    assert volume.device.take_status(2) == DEVICE_END


def test_a_frozen_device_tells_hosts_to_come_again(volume):
    volume.device.set_long_busy(busy=True)
    result = volume.chain(SEEK, path=1)
    assert (result.unit_status, result.results) == (RETRY, ())
    assert volume.device.take_status(1) is None
    volume.device.set_long_busy(busy=False)
    assert volume.device.take_status(1) == DEVICE_END
    assert status(volume, SEEK, path=1) == NORMAL


def test_a_frozen_device_takes_orders_and_says_once_that_it_runs(volume):
    volume.device.orders = lambda asked: Answer(accepted=True)
    status(volume, SEEK, path=1)
    for busy in (True, True, False, False):
        volume.device.set_long_busy(busy=busy)
        assert status(volume, send(0x27, order_parameters(Order.RUN)), path=1) == NORMAL
        if busy:
            assert status(volume, SEEK, path=1) == RETRY
    assert volume.device.take_status(1) == DEVICE_END
    assert volume.device.take_status(1) is None


def test_a_device_that_is_not_ready(volume):
    volume.device.path(1)
    volume.device.set_ready(ready=False)
    result = volume.chain(SEEK, path=1)
    assert (result.unit_status, result.sense[0]) == (CHECKED, 0x40)
    assert status(volume, read(0xE4, 40, SLI), path=1) == NORMAL
    volume.device.set_ready(ready=True)
    assert volume.device.take_status(1) == DEVICE_END
    assert status(volume, SEEK, path=1) == NORMAL


def test_a_reset_path_is_told_so_once_and_loses_what_it_held(volume):
    status(volume, group(), path=1)
    status(volume, RESERVE, path=1)
    status(volume, SEEK, path=2)
    volume.device.reset_path(1)
    assert volume.device.take_status(2) == DEVICE_END
    assert status(volume, read(0xE4, 40, SLI), path=1) == NORMAL
    result = volume.chain(SEEK, path=1)
    assert (result.unit_status, result.sense[1], result.sense[7]) == (CHECKED, 0x10, 0x08)
    assert status(volume, SEEK, path=1) == NORMAL
    assert volume.chain(read(0x34, 12), path=1).data == bytes(12)


def test_what_goes_unasked_reaches_every_path(volume):
    for path in (1, 2):
        volume.device.path(path)
    volume.device.state_change()
    volume.device.attention("copy suspended")
    for path in (1, 2):
        assert [volume.device.take_status(path) for _ in range(3)] == [
            STATE_CHANGE,
            ATTENTION,
            None,
        ]


def test_a_message_is_read_once_on_each_path(volume):
    volume.device.path(1)
    volume.device.attention("copy suspended")
    ask = send(0x27, b"\x18" + bytes(5) + b"\x03\x00" + b"ID 7")
    data = volume.chain(ask, read(0x3E, 300, SLI), path=1).data
    assert data == b"\x00\x17\xc1\x00ID 7\x00copy suspended"
    data = volume.chain(ask, read(0x3E, 300, SLI), path=1).data
    assert data == b"\x00\x09\x00\x00ID 7\x00"


def test_sense_is_the_paths_own(volume):
    volume.chain(Ccw(0xFF), path=1)
    assert volume.run(read(0x04, 32), path=2).data[0] == 0
    assert volume.run(read(0x04, 32), path=1).data[0] == 0x80
