"""Fixed-block devices: what is written is read; what is refused changes nothing."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.channel.ccw import SUPPRESS_LENGTH as SLI
from emulator.channel.ccw import Ccw
from emulator.channel.engine import ProgramResult
from emulator.channel.fba import FbaDevice
from emulator.channel.fba_models import FBA_ALIASES, FBA_MODELS, fba_model
from emulator.errors import BenchError
from tests.channel.volume import Blocks, read, send

BLOCKS = 100


def extent(at=0, first=0, last=BLOCKS - 1, mask=0):
    return send(0x63, struct.pack(">BxxxIII", mask, at, first, last))


def locate(operation, blocks, block, replications=0):
    return send(0x43, struct.pack(">BBHI", operation, replications, blocks, block))


@pytest.fixture
def disk():
    return Blocks(FbaDevice(fba_model("9336", BLOCKS)))


def test_what_is_written_is_read(disk):
    data = bytes(range(256)) * 4
    assert disk.chain(extent(), locate(1, 2, 7), send(0x41, data)).ended_well
    assert disk.chain(extent(), locate(6, 2, 7), read(0x42, 1024)).data == data
    assert disk.data[7 * 512 : 9 * 512] == data


def test_an_extent_shifts_the_numbers_of_its_blocks(disk):
    chain = extent(at=50, first=1000, last=1009), locate(5, 1, 1003), send(0x41, b"x" * 512)
    assert disk.chain(*chain).ended_well
    assert disk.data[53 * 512 : 54 * 512] == b"x" * 512


def test_a_short_write_is_filled_up(disk):
    disk.data[:] = b"o" * len(disk.data)
    result = disk.chain(extent(), locate(1, 2, 0), send(0x41, b"new", SLI))
    assert result.ended_well
    assert disk.data[:1024] == b"new".ljust(1024, b"\0")
    assert disk.data[1024:1025] == b"o"


def test_a_short_read_is_an_incorrect_length(disk):
    result = disk.chain(extent(), locate(6, 2, 0), read(0x42, 100))
    assert (result.channel_status, len(result.data)) == (0x40, 100)


def test_read_ipl_and_the_block_after_it(disk):
    disk.data[:1024] = b"0" * 512 + b"1" * 512
    assert disk.chain(read(0x02, 512), read(0x42, 512)).data == b"0" * 512 + b"1" * 512
    assert disk.chain(read(0x02, 512), read(0x02, 512)).data == b"0" * 512 + b"1" * 512


def test_what_the_device_says_of_itself(disk):
    assert disk.run(read(0xE4, 7)).data.hex() == "ff631001933600"
    data = disk.run(read(0x64, 32)).data
    assert (data[:4].hex(), data[4:6].hex(), int.from_bytes(data[14:18], "big")) == (
        "30082111",
        "0200",
        BLOCKS,
    )
    assert disk.run(read(0xA4, 24)).data == bytes(24)
    assert disk.run(read(0x04, 24)).data == bytes(24)
    assert disk.run(Ccw(0x03, 1)).ended_well


REFUSED = {
    "unknown command": [Ccw(0xFF)],
    "locate without extent": [locate(6, 1, 0)],
    "extent twice": [extent(), extent()],
    "short extent": [send(0x63, bytes(15))],
    "reserved mask": [extent(mask=0x20)],
    "extent reversed": [extent(first=3, last=2)],
    "extent beyond the volume": [extent(last=BLOCKS)],
    "shifted beyond the volume": [extent(at=50, last=50)],
    "short locate": [extent(), send(0x43, bytes(7))],
    "unknown operation": [extent(), locate(3, 1, 0)],
    "reserved operation bits": [extent(), locate(0x26, 1, 0)],
    "no blocks": [extent(), locate(6, 0, 0)],
    "beyond the extent": [extent(), locate(6, 2, BLOCKS - 1)],
    "before the extent": [extent(first=5, last=9), locate(6, 1, 4)],
    "write under mask 40": [extent(mask=0x40), locate(1, 1, 0)],
    "format under mask 00": [extent(), locate(4, 1, 0)],
    "replicated read without count": [extent(), locate(2, 1, 0)],
    "replicated read, odd": [extent(), locate(2, 2, 0, replications=3)],
    "read without locate": [extent(), read(0x42, 512)],
    "write without locate": [extent(), send(0x41, bytes(512))],
    "read after a write locate": [extent(), locate(1, 1, 0), read(0x42, 512)],
    "write after a read locate": [extent(), locate(6, 1, 0), send(0x41, bytes(512))],
    "read twice": [extent(), locate(6, 1, 0), read(0x42, 512), read(0x42, 512)],
    "write after read IPL": [read(0x02, 512), send(0x41, bytes(512))],
    "read IPL late": [extent(), read(0x02, 512)],
    "reserve after extent": [extent(), read(0xB4, 24)],
    "release after extent": [extent(), read(0x94, 24)],
    "unconditional reserve late": [Ccw(0x03, 1), read(0x14, 24)],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_chain_that_is_refused(disk, name):
    before = bytes(disk.data)
    result = disk.chain(*REFUSED[name])
    assert (result.unit_status, result.sense[0], len(result.sense)) == (0x0E, 0x80, 24)
    assert disk.data == before
    assert disk.run(read(0x04, 24)).data == result.sense


def test_read_ipl_of_a_volume_of_one_block():
    disk = Blocks(FbaDevice(fba_model("3370", 1)))
    assert disk.chain(read(0x02, 512), read(0x42, 512)).sense[1] == 0x04
    assert disk.chain(read(0x02, 512), read(0x02, 512)).sense[1] == 0x04


def test_a_disk_that_fails_and_one_that_may_not_be_written(disk):
    write = extent(), locate(1, 1, 0), send(0x41, bytes(512))
    disk.broken = True
    for chain in (write, (extent(), locate(6, 1, 0), read(0x42, 512)), (read(0x02, 512),)):
        assert disk.chain(*chain).sense[0] == 0x10
    disk.broken, disk.device.writable = False, False
    assert disk.chain(*write).sense[:2] == b"\x10\x02"


def test_reservation(disk):
    assert disk.run(read(0xB4, 24), path=1).ended_well
    assert disk.run(read(0x04, 24), path=2).unit_status == 0x10
    assert disk.run(read(0x94, 24), path=1).ended_well
    assert disk.run(read(0x04, 24), path=2).ended_well
    assert disk.run(read(0x14, 24), path=2).ended_well
    disk.device.set_ready(ready=False)
    assert disk.chain(extent(), path=2).sense[0] == 0x40


def test_kinds():
    assert all(target in FBA_MODELS for target in FBA_ALIASES.values())
    with pytest.raises(BenchError, match="'3371' is no fixed-block device; choose one of 3310"):
        fba_model("3371")
    for blocks in (0, 1 << 32):
        with pytest.raises(BenchError, match="cannot be addressed"):
            fba_model("3370", blocks)


_COMMANDS = st.one_of(
    st.builds(
        extent,
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, BLOCKS + 2),
        st.sampled_from((0, 0x40, 0x80, 0xC0, 0x20)),
    ),
    st.builds(locate, st.integers(0, 7), st.integers(0, 3), st.integers(0, 5), st.integers(0, 2)),
    st.builds(lambda data: send(0x41, data, SLI), st.binary(max_size=1100)),
    st.builds(lambda count: read(0x42, count, SLI), st.integers(1, 1600)),
    st.builds(Ccw, st.integers(0, 255), st.integers(0, 40), st.binary(max_size=40)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_COMMANDS, max_size=6))
def test_any_chain_ends_and_writes_whole_blocks_or_nothing(program):
    disk = Blocks(FbaDevice(fba_model("3370", BLOCKS)))
    assert isinstance(disk.chain(*program), ProgramResult)
