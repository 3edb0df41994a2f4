"""Channel programs and how they must end, as seen on real control units' emulators.

The volume: a 3390-1 of 20 cylinders. Track (1, 2) holds R1 (key of 4, data of 80), R2 (data of
100), R3 (end of file), R5 (data of 80). Each row says what the host must see.
"""

import pytest

from emulator.channel import parameters as p
from emulator.channel.ccw import SUPPRESS_LENGTH as SLI
from emulator.channel.ccw import Ccw
from emulator.channel.track_image import END_MARKER, NewRecord, build
from tests.channel.volume import Volume, read, send, tic

R1, R2, R5 = bytes(range(80)), bytes(range(100)), b"5" * 80
KEY = b"KEY1"
ORIGINAL = [NewRecord(1, R1, KEY), NewRecord(2, R2), NewRecord(3), NewRecord(5, R5)]
SEEK = send(0x07, p.seek(1, 2))
EXTENT = send(0x63, p.define_extent((0, 0), (19, 14)))
SEEK_HOME = send(0x39, p.seek(1, 2)[2:])
NO_SENSE = None


def mask(value):
    return send(0x1F, bytes((value,)))


def extent(**options):
    return send(0x63, p.define_extent((0, 0), (19, 14), **options))


def find(record, skip_to=1):
    """Search for a record, beginning at place 1 of the program."""
    return send(0x31, p.search_id(1, 2, record)), tic(skip_to)


def locate(operation, count=1, record=1, track=(1, 2), **options):
    return send(0x47, p.locate_record(operation, count, track, record=record, **options))


def changed(raw, offset, value):
    return raw[:offset] + value + raw[offset + len(value) :]


def count_field(number, key=0, data=0, track=(1, 2)):
    return (
        track[0].to_bytes(2, "big")
        + track[1].to_bytes(2, "big")
        + bytes((number, key))
        + data.to_bytes(2, "big")
    )


def ckd(number, data, key=b"", **options):
    return count_field(number, len(key), len(data), **options) + key + data


# Chains that end well: program, what the last CCW brings.
GOOD = {
    "no-operation": ([Ccw(0x03, 1)], b""),
    "read data": ([SEEK, *find(1), read(0x06, 80)], R1),
    "read key and data": ([SEEK, *find(1), read(0x0E, 84)], KEY + R1),
    "read count": ([SEEK, read(0x12, 8)], count_field(1, 4, 80)),
    "read count skips R0 and wraps": (
        [SEEK, *[read(0x12, 8)] * 5],
        count_field(1, 4, 80),
    ),
    "read count key and data": ([SEEK, read(0x1E, 92)], ckd(1, R1, KEY)),
    "read R0": ([SEEK, read(0x16, 16)], count_field(0, 0, 8) + bytes(8)),
    "read R0 of the next track": (
        [SEEK, read(0x96, 16)],
        count_field(0, 0, 8, track=(1, 3)) + bytes(8),
    ),
    "read home address": ([SEEK, read(0x1A, 5)], bytes.fromhex("0000010002")),
    "read home address of the next track": ([SEEK, read(0x9A, 5)], bytes.fromhex("0000010003")),
    "read IPL": ([read(0x02, 24)], b"i" * 24),
    "read IPL, then the next record": ([read(0x02, 24), read(0x06, 144)], b"j" * 144),
    "read multiple": (
        [SEEK, read(0x5E, 500, SLI)],
        ckd(1, R1, KEY) + ckd(2, R2) + ckd(3, b"") + ckd(5, R5),
    ),
    "read multiple from a record on": (
        [SEEK, *find(2), read(0x5E, 500, SLI)],
        ckd(3, b"") + ckd(5, R5),
    ),
    "read sector": ([SEEK, *find(1), Ccw(0x03, 1), read(0x22, 1)], b"\x00"),
    "seek cylinder": ([send(0x0B, p.seek(1, 2)), read(0x12, 8)], count_field(1, 4, 80)),
    "seek head": (
        [send(0x07, p.seek(1, 0)), send(0x1B, p.seek(0, 2)), read(0x12, 8)],
        count_field(1, 4, 80),
    ),
    "set sector": ([SEEK, send(0x23, b"\x10"), read(0x12, 8)], count_field(1, 4, 80)),
    "search home address": ([SEEK, SEEK_HOME, tic(1), read(0x16, 16)], ckd(0, bytes(8))),
    "search key": (
        [SEEK, send(0x29, KEY, SLI), tic(1), read(0x06, 80)],
        R1,
    ),
    "search key over several tracks": (
        [send(0x07, p.seek(1, 0)), send(0xA9, KEY, SLI), tic(1), read(0x06, 80)],
        R1,
    ),
    "search key high": ([SEEK, send(0x49, b"KEY0", SLI), tic(1), read(0x06, 80)], R1),
    "search id high": (
        [SEEK, send(0x51, p.search_id(1, 2, 1)), tic(1), read(0x12, 8)],
        ckd(3, b""),
    ),
    "search id equal or high": (
        [SEEK, send(0x71, p.search_id(1, 2, 4)), tic(1), read(0x06, 80)],
        R5,
    ),
    "search id, shorter than an id": (
        [SEEK, send(0x31, p.search_id(1, 2, 0)[:4], SLI), tic(1), read(0x06, 8)],
        bytes(8),
    ),
    "multitrack search id": (
        [send(0x07, p.seek(1, 1)), send(0xB1, p.search_id(1, 2, 2)), tic(1), read(0x06, 100)],
        R2,
    ),
    "multitrack read count goes on": (
        [SEEK, *[read(0x92, 8)] * 5],
        count_field(1, 0, 7, track=(1, 3)),
    ),
    "locate record, read data": ([EXTENT, locate(0x06, record=2), read(0x06, 100)], R2),
    "locate record, two reads": (
        [EXTENT, locate(0x06, 2), read(0x06, 80), read(0x06, 100)],
        R2,
    ),
    "locate behind the data": ([EXTENT, locate(0x86, record=1), read(0x06, 100)], R2),
    "locate at the home address": ([EXTENT, locate(0x46), read(0x1A, 5)], b"\0\0\1\0\2"),
    "locate at the index": ([EXTENT, locate(0xD6), read(0x16, 16)], ckd(0, bytes(8))),
    "locate, then chain on behind the domain": (
        [EXTENT, locate(0x06), read(0x06, 80), SEEK, read(0x12, 8)],
        count_field(1, 4, 80),
    ),
    "orient, then search": ([EXTENT, locate(0x00, 0, record=2), read(0x06, 100)], R2),
    "read tracks": (
        [EXTENT, locate(0x0C, 2, record=0), read(0xDE, 900, SLI), read(0xDE, 900, SLI)],
        build(1, 3, [NewRecord(1, b"seventh")])[5:],
    ),
    "read tracks across cylinders": (
        [EXTENT, locate(0x4C, 2, 0, (1, 14)), read(0xDE, 900, SLI), read(0xDE, 900, SLI)],
        build(2, 0)[5:],
    ),
    "read count behind written records": (
        [
            EXTENT,
            locate(0x01, 2, record=2, transfer_length=100, auxiliary=1),
            send(0x85, b"n" * 100),
            read(0x12, 8),
        ],
        ckd(3, b""),
    ),
    "define extent again, narrower": (
        [EXTENT, send(0x63, p.define_extent((1, 0), (1, 14))), locate(0x06), read(0x06, 80)],
        R1,
    ),
    "locate extended": (
        [
            EXTENT,
            send(0x4B, p.locate_record_extended(p.locate_record(0x16, 1, (1, 2), record=1))),
            read(0x86, 80),
        ],
        R1,
    ),
    "locate extended, a set of tracks": (
        [
            EXTENT,
            send(
                0x4B,
                p.locate_record_extended(p.locate_record(0x3F, 2, (1, 1)), 0x0E, b"\xa0"),
            ),
            read(0xDE, 900, SLI),
            read(0xDE, 900, SLI),
        ],
        build(1, 3, [NewRecord(1, b"seventh")])[5:],
    ),
    "locate extended, read any": (
        [
            EXTENT,
            send(0x4B, p.locate_record_extended(p.locate_record(0x3F, 1, (1, 2)), 0x0A, b"\x01")),
            *[read(0x92, 8)] * 5,
        ],
        count_field(2, 0, 100),
    ),
    "sense with nothing pending": ([read(0x04, 32)], bytes(27) + b"\x80" + bytes(4)),
    "sense, 24 bytes asked": ([read(0x04, 24, SLI)], bytes(24)),
    "sense id": (
        [read(0xE4, 20)],
        bytes.fromhex("ff3990e9339002 00 40fa0100 41270004 423e0060"),
    ),
    "reserve": ([read(0xB4, 32)], bytes(27) + b"\x80" + bytes(4)),
    "release": ([read(0x94, 32)], bytes(27) + b"\x80" + bytes(4)),
    "unconditional reserve": ([read(0x14, 32)], bytes(27) + b"\x80" + bytes(4)),
    "suspend multipath reconnection, reserve": (
        [Ccw(0x5B, 1), read(0xB4, 32)],
        bytes(27) + b"\x80" + bytes(4),
    ),
    "reset allegiance": ([read(0x44, 32)], b"\x80\x20" + bytes(30)),
    "read and reset buffered log": ([read(0xA4, 32)], bytes(32)),
    "set subsystem mode": ([send(0x87, b"\x20\x00")], b""),
    "set subsystem mode with a message": ([send(0x87, b"\x41\x00"), read(0x4E, 4)], b"\xff" * 4),
    "diagnostic control": ([extent(mask=0x04), send(0xF3, b"\x12\0\0\0")], b""),
}


@pytest.fixture
def volume():
    made = Volume()
    made.put(0, 0, [NewRecord(1, b"i" * 24, b"IPL1"), NewRecord(2, b"j" * 144, b"IPL2")])
    made.put(1, 2, ORIGINAL)
    made.put(1, 3, [NewRecord(1, b"seventh")])
    return made


@pytest.mark.parametrize("name", GOOD)
def test_a_chain_that_ends_well(volume, name):
    program, brought = GOOD[name]
    result = volume.chain(*program)
    assert (result.unit_status, result.channel_status, result.sense) == (0x0C, 0, b"")
    assert result.results[-1].data == brought


# Chains that write: program, what track (1, 2) holds then.
WRITES = {
    "write data": ([SEEK, *find(2), send(0x05, b"n" * 100)], {2: (b"n" * 100, b"")}),
    "write data after search key": (
        [SEEK, send(0x29, KEY, SLI), tic(1), send(0x05, b"n" * 80)],
        {1: (b"n" * 80, KEY)},
    ),
    "write data, read in between": (
        [SEEK, *find(1), read(0x0E, 84), SEEK, *find(2, 5), send(0x05, b"n" * 100)],
        {2: (b"n" * 100, b"")},
    ),
    "write key and data": (
        [SEEK, *find(1), send(0x0D, b"NKEY" + b"n" * 80)],
        {1: (b"n" * 80, b"NKEY")},
    ),
    "write update": (
        [EXTENT, locate(0x01, transfer_length=80), send(0x85, b"n" * 80)],
        {1: (b"n" * 80, KEY)},
    ),
    "write update of the following record": (
        [EXTENT, locate(0x81, record=1, transfer_length=100), send(0x85, b"n" * 100)],
        {2: (b"n" * 100, b"")},
    ),
    "write update, the last with write data": (
        [extent(attributes=0xE0), locate(0x01, 2), send(0x85, b"n" * 80), send(0x85, b"o" * 100)],
        {1: (b"n" * 80, KEY), 2: (b"o" * 100, b"")},
    ),
    "write update key and data": (
        [EXTENT, locate(0x01, transfer_length=84), send(0x8D, b"NKEY" + b"n" * 80)],
        {1: (b"n" * 80, b"NKEY")},
    ),
    "write update shorter than the record": (
        [EXTENT, locate(0x01, transfer_length=80), send(0x85, b"n" * 40, SLI)],
        {1: (b"n" * 40 + bytes(40), KEY)},
    ),
    "write count key and data cuts the track": (
        [SEEK, *find(2), send(0x1D, ckd(9, b"nine", b"K9"))],
        {3: None, 5: None, 9: (b"nine", b"K9")},
    ),
    "write count key and data twice": (
        [SEEK, *find(5), send(0x1D, ckd(6, b"six")), send(0x1D, ckd(7, b"seven"))],
        {6: (b"six", b""), 7: (b"seven", b"")},
    ),
    "a record shorter than its count says is filled up": (
        [SEEK, *find(5), send(0x1D, count_field(6, 1, 9) + b"K6", SLI)],
        {6: (b"6" + bytes(8), b"K")},
    ),
    "format write": (
        [EXTENT, locate(0x03, 2, record=5), send(0x1D, ckd(6, b"six")), send(0x1D, ckd(7, b"7"))],
        {6: (b"six", b""), 7: (b"7", b"")},
    ),
    "write R0 empties the track": (
        [mask_all := mask(0xC0), SEEK, SEEK_HOME, tic(2), send(0x15, ckd(0, bytes(8)))],
        {1: None, 2: None, 3: None, 5: None},
    ),
    "write home address, R0 and a record": (
        [
            mask_all,
            SEEK,
            send(0x19, bytes.fromhex("0000010002")),
            send(0x15, ckd(0, bytes(8))),
            send(0x1D, ckd(1, b"one")),
        ],
        {1: (b"one", b""), 2: None, 3: None, 5: None},
    ),
    "format write at the home address": (
        [
            extent(mask=0xC0),
            locate(0x43, 2, record=0),
            send(0x15, ckd(0, bytes(8))),
            send(0x1D, ckd(1, b"one")),
        ],
        {1: (b"one", b""), 2: None, 3: None, 5: None},
    ),
    "erase": ([SEEK, *find(2), send(0x11, count_field(3))], {3: None, 5: None}),
    "write track": (
        [EXTENT, locate(0x0B, 2, record=0), send(0x1D, ckd(1, b"1")), send(0x11, count_field(2))],
        {1: (b"1", b""), 2: None, 3: None, 5: None},
    ),
    "write R0 of write track erases what follows": (
        [EXTENT, locate(0x0B, 1, record=0), send(0x05, b"newR0 !!")],
        {1: None, 2: None, 3: None, 5: None},
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_chain_that_writes(volume, name):
    program, changes = WRITES[name]
    result = volume.chain(*program)
    assert (result.unit_status, result.channel_status) == (0x0C, 0)
    expected = {number: (data, key) for number, data, key in ORIGINAL} | changes
    found = {number: (data, key) for number, data, key in volume.records(1, 2)}
    assert found == {number: held for number, held in expected.items() if held is not None}


def test_write_next_track_goes_on_behind_its_r0(volume):
    volume.put(1, 4, [NewRecord(8, b"gone")])
    result = volume.chain(
        EXTENT,
        locate(0x03, 3, record=5),
        send(0x1D, ckd(6, b"six")),
        send(0x9D, ckd(1, b"third", track=(1, 3))),
        send(0x9D, ckd(1, b"fourth", track=(1, 4))),
    )
    assert result.ended_well
    assert volume.records(1, 2)[-1] == NewRecord(6, b"six")
    assert volume.records(1, 3) == [NewRecord(1, b"third")]
    assert volume.records(1, 4) == [NewRecord(1, b"fourth")]


def test_an_end_of_file_record_is_a_unit_exception(volume):
    result = volume.chain(SEEK, *find(3), read(0x06, 80, SLI), read(0x12, 8))
    assert (result.unit_status, result.residual, result.place) == (0x0D, 80, 3)


def test_an_end_of_file_record_is_not_written(volume):
    result = volume.chain(SEEK, *find(3), send(0x05, b"x", SLI))
    assert result.unit_status == 0x0D
    assert volume.records(1, 2) == ORIGINAL


def test_a_record_without_key_leaves_a_residual_count(volume):
    result = volume.chain(send(0x07, p.seek(1, 3)), send(0x29, b"KEY1"))
    assert (result.unit_status, result.channel_status, result.residual) == (0x0C, 0x40, 4)


def test_the_end_marker_ends_read_track():
    volume = Volume()
    program = [EXTENT, locate(0x0C, 1, record=0), read(0xDE, 100, SLI)]
    result = volume.chain(*program)
    assert result.data.endswith(END_MARKER)
    assert (len(result.data), result.residual) == (24, 76)
