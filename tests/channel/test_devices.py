"""What devices and control units say of themselves, and what differs from one to the other."""

import pytest

from emulator.channel import parameters as p
from emulator.channel.ccw import SUPPRESS_LENGTH as SLI
from emulator.channel.ccw import Ccw
from emulator.channel.control_units import CONTROL_UNITS, control_unit
from emulator.channel.geometry import MODELS, geometry
from emulator.channel.sense import FILE_PROTECTED, ckd_sense
from emulator.channel.track_image import NewRecord
from emulator.errors import BenchError
from tests.channel.volume import Volume, chained, read, send, tic

# Seen on real emulators: kind, control unit, Sense ID.
IDENTITIES = [
    ("3330", "3830", "FF 3830 02 3330 01"),
    ("3350", "3830", "FF 3830 02 3350 00"),
    ("3380", "3880", "FF 3880 05 3380 02"),
    ("3390", "3990", "FF 3990 C2 3390 02 00 40FA0100"),
    ("3390", "3990-6", "FF 3990 E9 3390 02 00 40FA0100 41270004 423E0060"),
]


@pytest.mark.parametrize(("kind", "unit", "expected"), IDENTITIES)
def test_sense_id(kind, unit, expected):
    volume = Volume(kind, unit=unit)
    assert volume.run(read(0xE4, 40, SLI)).data == bytes.fromhex(expected)


def test_device_characteristics_as_seen():
    data = Volume("3390", 20, unit="3990").run(read(0x64, 64)).data
    seen = bytearray.fromhex(
        "3990C233 9002D000 00002026 0014000F E000E5A2 05940222 13090674 00000000"
        "00000000 00000000 26261002 DFEE0001 06770800 00000000 00FF0000 00000000"
    )
    # The number of cylinders in 32 bits came with later emulators.
    seen[60:64] = (20).to_bytes(4, "big")
    assert data == bytes(seen)


def test_characteristics_of_a_volume_with_alternates():
    data = Volume("3390-1", 1114).run(read(0x64, 64)).data
    assert data[12:14] == (1113).to_bytes(2, "big")
    assert data[28:32] == (1113).to_bytes(2, "big") + (15).to_bytes(2, "big")


@pytest.mark.parametrize("kind", ["3330", "3340", "3350", "3375"])
def test_devices_without_characteristics(kind):
    assert Volume(kind).run(read(0x64, 64)).sense[7] == 0x01


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("unit", CONTROL_UNITS)
def test_every_device_behind_every_control_unit_reads_and_writes(kind, unit):
    volume = Volume(kind, 3, unit=unit)
    volume.put(1, 2, [NewRecord(1, b"old")])
    find = (send(0x07, p.seek(1, 2)), send(0x31, p.search_id(1, 2, 1)), tic(1))
    assert volume.chain(*find, send(0x05, b"new")).ended_well
    assert volume.chain(*find, read(0x06, 3)).data == b"new"
    refused = volume.chain(Ccw(0xFF))
    assert len(refused.sense) == control_unit(unit).sense_bytes


def test_configuration_data():
    data = Volume(address=0x0A43, serial="ab12").run(read(0xFA, 256)).data
    assert [data[at : at + 4].hex() for at in (0, 32, 64, 96)] == [
        "dc010100",
        "d4020000",
        "d0000000",
        "f0000001",
    ]
    assert data[18:30].decode("cp037") == "00000000AB12"
    assert data[30:32] == b"\x0a\x43"
    assert not any(data[128:224])
    assert (data[224], data[232:234].hex(), data[235]) == (0x80, "0a40", 0x43)


@pytest.mark.parametrize(("unit", "length"), [("3990-6", 44), ("3990", 40)])
def test_subsystem_status(unit, length):
    volume = Volume(unit=unit, address=0x0A43)
    data = volume.chain(read(0x64, 64), read(0x54, 44, SLI)).results[-1].data
    assert (len(data), data[1], data[38:40].hex()) == (length, 0x43, "0a40")


def test_a_control_unit_that_is_not_known():
    with pytest.raises(BenchError, match=r"'3991' is no control unit known here; choose .* 3990-6"):
        control_unit("3991")


def test_older_control_units_work_where_the_arm_stands():
    volume = Volume("3350", 5)
    volume.put(0, 0, [NewRecord(1, b"first")])
    assert volume.run(read(0x06, 5)).data == b"first"
    volume.put(2, 7, [NewRecord(1, b"there")])
    volume.run(send(0x07, p.seek(2, 7)))
    assert volume.run(read(0x06, 5)).data == b"there"


def test_recalibrate_on_a_device_that_has_it():
    volume = Volume("3350", 5)
    volume.put(0, 0, [NewRecord(1, b"first")])
    result = volume.chain(send(0x07, p.seek(2, 7)), Ccw(0x13, 1), read(0x06, 5))
    assert result.data == b"first"


def overflowing():
    """A record of 13 bytes over three tracks of a 3330."""
    volume = Volume("3330", 3)
    for head, data in ((4, b"begin"), (5, b"mid"), (6, b"the end"[2:])):
        volume.put(1, head, [NewRecord(1, b"over")])
        find = (
            send(0x07, p.seek(1, head)),
            send(0x31, p.search_id(1, head, 0)),
            tic(1),
        )
        count = p.search_id(1, head, 9) + b"\0" + len(data).to_bytes(2, "big")
        code = 0x1D if head == 6 else 0x01
        assert volume.chain(*find, send(code, count + data)).ended_well
    return volume


def test_a_record_that_goes_on_over_the_next_tracks():
    volume = overflowing()
    find = (send(0x07, p.seek(1, 4)), send(0x31, p.search_id(1, 4, 9)), tic(1))
    assert volume.chain(*find, read(0x06, 13)).data == b"beginmide end"
    assert volume.chain(find[0], read(0x1E, 21)).data == (
        bytes.fromhex("0001000409000005") + b"beginmide end"
    )
    assert volume.chain(*find, send(0x05, b"BEGINMIDE END")).ended_well
    assert [volume.records(1, head)[0].data for head in (4, 5, 6)] == [b"BEGIN", b"MID", b"E END"]


def test_the_mark_of_an_overflow_is_not_brought():
    volume = overflowing()
    assert volume.image(volume.geometry.track(1, 4))[21] == 0x80
    assert volume.chain(send(0x07, p.seek(1, 4)), read(0x12, 8)).data[0] == 0


@pytest.mark.parametrize(
    ("kind", "address", "cylinder", "head", "byte2", "bytes4to6"),
    [
        ("3330-1", 0x132, 300, 18, 0x00, "2a 2c 52"),
        ("3330-11", 0x131, 800, 18, 0x00, "31 20 72"),
        ("3340-70", 0x131, 600, 11, 0x82, "40 58 4b"),
        ("3350", 0x133, 554, 29, 0x00, "10 2a 5d"),
        ("3375", 0x135, 958, 11, 0x00, "05 be cb"),
        ("3380-K", 0x13E, 2654, 14, 0x00, "0e 5e ae"),
        ("3390-3", 0x13E, 3338, 14, 0x00, "00 0a de"),
        ("3390-9", 0x13E, 9000, 14, 0x00, "00 ff ff"),
    ],
)
def test_where_the_arm_stands_in_sense(kind, address, cylinder, head, byte2, bytes4to6):
    where = {"address": address, "cylinder": cylinder, "head": head, "length": 32}
    sense = ckd_sense(FILE_PROTECTED, geometry(kind), **where)
    assert (sense[1], sense[2], sense[4:7].hex(" ")) == (0x04, byte2, bytes4to6)
    assert sense[29:32] == cylinder.to_bytes(2, "big") + bytes((head,))
    assert len(ckd_sense(FILE_PROTECTED, geometry(kind), **(where | {"length": 24}))) == 24


def test_capacity_of_the_device_and_of_its_image():
    """A track holds 12 records of 4096; its image in a file would hold 13."""
    record = bytes(4096)
    for exact, held in ((True, 12), (False, 13)):
        volume = Volume(exact_capacity=exact)
        chain = [send(0x07, p.seek(1, 2)), send(0x31, p.search_id(1, 2, 0)), tic(1)]
        counts = (p.search_id(1, 2, number) + b"\0\x10\0" for number in range(1, 15))
        chain += [send(0x1D, count + record) for count in counts]
        result = volume.run(*chained(chain))
        assert (result.unit_status, result.sense[1]) == (0x0E, 0x40)
        assert len(volume.records(1, 2)) == held


def test_prefix_behind_a_2107():
    volume = Volume(unit="2107")
    volume.put(1, 2, [NewRecord(1, b"found")])
    located = p.locate_record_extended(p.locate_record(0x16, 1, (1, 2), record=1))
    parameters = b"\x01\x80".ljust(12, b"\0") + p.define_extent((0, 0), (19, 14)).ljust(32, b"\0")
    program = (send(0xE7, parameters + located), read(0x86, 5))
    assert volume.chain(*program).data == b"found"
    short = volume.chain(send(0xE7, parameters))
    assert short.sense[7] == 0x03
