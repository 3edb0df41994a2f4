"""The channel itself: chaining, lengths, flags, Transfer in Channel, and how programs end."""

import pytest

from emulator.channel import parameters
from emulator.channel.ccw import (
    CHAIN_COMMAND,
    CHAIN_DATA,
    PROGRAM_CONTROLLED,
    SKIP,
    SUPPRESS_LENGTH,
    Ccw,
)
from emulator.channel.engine import BROUGHT_BYTES_MAX, CCWS_MAX
from emulator.channel.track_image import NewRecord
from tests.channel.volume import Volume, read, send, tic

SEEK = send(0x07, parameters.seek(1, 2))
FOUND = (send(0x31, parameters.search_id(1, 2, 1)), tic(1))
NORMAL, INCORRECT_LENGTH, PROGRAM_CHECK = 0x0C, 0x40, 0x20


@pytest.fixture
def volume():
    made = Volume()
    made.put(1, 2, [NewRecord(1, bytes(range(100)), b"KEY1"), NewRecord(2, b"second")])
    return made


def ended(result):
    return result.unit_status, result.channel_status, result.residual


def test_a_search_and_transfer_in_channel_find_the_record(volume):
    result = volume.chain(SEEK, send(0x31, parameters.search_id(1, 2, 2)), tic(1), read(0x06, 6))
    assert (result.data, *ended(result)) == (b"second", NORMAL, 0, 0)
    assert [r.place for r in result.results] == [0, 1, 1, 1, 3]
    assert result.ended_well


@pytest.mark.parametrize(
    ("byte_count", "flags", "channel_status", "residual", "length"),
    [
        (100, 0, 0, 0, 100),
        (99, 0, INCORRECT_LENGTH, 0, 99),
        (101, 0, INCORRECT_LENGTH, 1, 100),
        (99, SUPPRESS_LENGTH, 0, 0, 99),
        (120, SUPPRESS_LENGTH, 0, 20, 100),
        (100, SKIP, 0, 0, 0),
        (100, PROGRAM_CONTROLLED, 0x80, 0, 100),
    ],
)
def test_lengths_and_flags_of_a_read(volume, byte_count, flags, channel_status, residual, length):
    result = volume.chain(SEEK, *FOUND, read(0x06, byte_count, flags))
    assert ended(result) == (NORMAL, channel_status, residual)
    assert result.data == bytes(range(length))


def test_an_incorrect_length_ends_the_chain(volume):
    result = volume.chain(SEEK, read(0x12, 9), read(0x12, 8))
    assert (result.place, *ended(result)) == (1, NORMAL, INCORRECT_LENGTH, 1)


def test_read_data_is_chained_over_several_ccws(volume):
    parts = read(0x06, 10, CHAIN_DATA), read(0, 20, CHAIN_DATA | SKIP), read(0, 80, SUPPRESS_LENGTH)
    result = volume.chain(SEEK, *FOUND, parts[0], *parts[1:])
    # `chain` adds command chaining; with data chaining too, data chaining counts.
    assert [r.data for r in result.results[-3:]] == [
        bytes(range(10)),
        b"",
        bytes(range(30, 100)),
    ]
    assert ended(result) == (NORMAL, 0, 10)


def test_data_that_ends_before_its_last_ccw_is_an_incorrect_length(volume):
    parts = read(0x06, 150, CHAIN_DATA | SUPPRESS_LENGTH), read(0, 20, SUPPRESS_LENGTH)
    result = volume.chain(SEEK, *FOUND, *parts)
    assert (result.place, *ended(result)) == (3, NORMAL, INCORRECT_LENGTH, 50)


def test_written_data_is_gathered_from_several_ccws(volume):
    parts = (
        send(0x05, b"a" * 40, CHAIN_DATA),
        send(0, b"b" * 30, CHAIN_DATA),
        send(0, b"c" * 30),
    )
    assert ended(volume.chain(SEEK, *FOUND, *parts)) == (NORMAL, 0, 0)
    assert volume.records(1, 2)[0].data == b"a" * 40 + b"b" * 30 + b"c" * 30


@pytest.mark.parametrize(
    "program",
    [
        [],
        [tic(0)],
        [Ccw(0x03, flags=CHAIN_COMMAND)],
        [Ccw(0x03, flags=CHAIN_COMMAND), tic(2), tic(0)],
        [Ccw(0x03, flags=CHAIN_COMMAND), tic(7)],
        [Ccw(0x03, flags=CHAIN_COMMAND), tic(-1)],
        [Ccw(0x07, 6, b"short")],
        [Ccw(0x03, 1, flags=0x02)],
        [Ccw(0x03, flags=CHAIN_COMMAND), tic(2), Ccw(0x03, flags=0x01)],
        [read(0x04, 0, CHAIN_DATA), read(0x04, 32)],
        [read(0x04, 8, CHAIN_DATA), read(0x04, 0)],
        [read(0x04, 8, CHAIN_DATA)],
        [read(0x04, 8, CHAIN_DATA), tic(0)],
    ],
)
def test_a_wrong_program_is_a_program_check(volume, program):
    result = volume.run(*program)
    assert (result.unit_status, result.channel_status) == (0, PROGRAM_CHECK)


def test_a_program_that_never_ends_is_ended(volume):
    result = volume.run(Ccw(0x03, flags=CHAIN_COMMAND), tic(0))
    assert (result.unit_status, result.channel_status) == (0, 0x04)
    assert len(result.results) == CCWS_MAX


def test_no_operation_moves_nothing_whatever_its_count(volume):
    assert ended(volume.run(Ccw(0x03, 5))) == (NORMAL, 0, 0)


def test_a_halted_program_leaves_the_device_free_and_the_record_old(volume):
    from emulator.channel.engine import execute

    steps = execute(volume.device, 0, [SEEK._replace(flags=CHAIN_COMMAND), read(0x12, 8)])
    next(steps)
    assert volume.device.active == 0
    steps.close()
    assert volume.device.active is None


def test_a_loop_around_a_read_ends_before_it_fills_the_memory():
    volume = Volume()
    volume.put(1, 2, [NewRecord(1, bytes(50_000))])
    going_round = read(0x06, 50_000, CHAIN_COMMAND | SUPPRESS_LENGTH)
    result = volume.run(send(0x07, parameters.seek(1, 2), CHAIN_COMMAND), going_round, tic(1))
    assert (result.unit_status, result.channel_status) == (0, 0x04)
    assert len(result.data) <= BROUGHT_BYTES_MAX + 50_000
