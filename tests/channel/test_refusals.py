"""Every condition that ends a chain with unit check: status, sense bytes 0, 1 and 7, no change.

The rows are those of the reference's table of conditions, each with the programs that cause it.
"""

import pytest

from emulator.channel import parameters as p
from emulator.channel.ccw import SUPPRESS_LENGTH as SLI
from emulator.channel.ccw import Ccw
from emulator.channel.sense import describe
from emulator.channel.track_image import NewRecord
from tests.channel.test_chains import (
    EXTENT,
    ORIGINAL,
    SEEK,
    SEEK_HOME,
    ckd,
    count_field,
    extent,
    find,
    locate,
    mask,
)
from tests.channel.volume import Volume, read, send, tic

COMMAND, SEQUENCE, SHORT, PARAMETER = (0x80, 0, 1), (0x80, 0, 2), (0x80, 0, 3), (0x80, 0, 4)
INCOMPLETE, NOT_FOUND, CYLINDER = (0x81, 0, 0), (0, 0x08, 0), (0, 0x20, 0)
PROTECTED, FORMAT, BROKEN = (0, 0x04, 0), (0, 0x40, 0), (0x10, 0, 0x10)
MASK_REFUSED, STATUS_REFUSED = (0x80, 0, 5), (0x80, 0, 0x0F)

SEARCHED = [SEEK, *find(1)]
UPDATE = send(0x85, b"n" * 80)


def wrong_extent(offset, value):
    data = bytearray(EXTENT.data)
    data[offset : offset + len(value)] = value
    return send(0x63, bytes(data))


def wrong_locate(offset, value, operation=0x06, **options):
    data = bytearray(locate(operation, **options).data)
    data[offset : offset + len(value)] = value
    return send(0x47, bytes(data))


def extended(operation, kind=0, parameters=b"", count=1, track=(1, 2), record=1):
    located = p.locate_record(operation, count, track, record=record)
    return send(0x4B, p.locate_record_extended(located, kind, parameters))


REFUSED = {
    # Commands that are not there.
    "unknown command": (COMMAND, [Ccw(0xFF, 1)]),
    "recalibrate on a 3390": (COMMAND, [Ccw(0x13, 1)]),
    "write special on a 3390": (COMMAND, [*SEARCHED, send(0x01, ckd(2, b"x"))]),
    "prefix on a 3990-6": (COMMAND, [send(0xE7, bytes(64))]),
    # Out of sequence.
    "read without seek": (SEQUENCE, [read(0x06, 80)]),
    "read count without seek": (SEQUENCE, [read(0x12, 8)]),
    "read home address without seek": (SEQUENCE, [read(0x1A, 5)]),
    "read multiple without seek": (SEQUENCE, [read(0x5E, 80)]),
    "search without seek": (SEQUENCE, [send(0x31, p.search_id(1, 2, 1))]),
    "search key without seek": (SEQUENCE, [send(0x29, b"KEY1")]),
    "search home address without seek": (SEQUENCE, [SEEK_HOME]),
    "seek head without seek": (SEQUENCE, [send(0x1B, p.seek(0, 1))]),
    "set sector without seek": (SEQUENCE, [send(0x23, b"\0")]),
    "file mask twice": (SEQUENCE, [mask(0), mask(0)]),
    "file mask after define extent": (SEQUENCE, [EXTENT, mask(0)]),
    "define extent after file mask": (SEQUENCE, [mask(0), EXTENT]),
    "define extent after read IPL": (SEQUENCE, [read(0x02, 24), read(0x06, 8, SLI), EXTENT]),
    "read IPL after define extent": (SEQUENCE, [EXTENT, read(0x02, 24)]),
    "locate without define extent": (SEQUENCE, [locate(0x06)]),
    "locate extended without define extent": (SEQUENCE, [extended(0x16)]),
    "write without search": (SEQUENCE, [SEEK, send(0x05, b"n" * 80)]),
    "write after a search that failed": (
        SEQUENCE,
        [SEEK, send(0x31, p.search_id(1, 2, 9)), send(0x05, b"n" * 80)],
    ),
    "write after a search high": (
        SEQUENCE,
        [SEEK, send(0x71, p.search_id(1, 2, 1)), tic(1), send(0x05, b"n" * 80)],
    ),
    "write after a partial search": (
        SEQUENCE,
        [SEEK, send(0x31, p.search_id(1, 2, 1)[:4], SLI), tic(1), send(0x05, b"n" * 8)],
    ),
    "write after search and seek": (SEQUENCE, [*SEARCHED, SEEK, send(0x05, b"n" * 80)]),
    "write after search and no-operation": (
        SEQUENCE,
        [*SEARCHED, Ccw(0x03, 1), send(0x05, b"n" * 80)],
    ),
    "write twice after one search": (
        SEQUENCE,
        [*SEARCHED, read(0x06, 80), send(0x05, b"n" * 80)],
    ),
    "write key after search key": (
        SEQUENCE,
        [SEEK, send(0x29, b"KEY1", SLI), tic(1), send(0x0D, b"n" * 84)],
    ),
    "write count without search": (SEQUENCE, [SEEK, send(0x1D, ckd(2, b"x"))]),
    "erase without search": (SEQUENCE, [SEEK, send(0x11, count_field(2))]),
    "write R0 without search": (SEQUENCE, [mask(0xC0), SEEK, send(0x15, ckd(0, bytes(8)))]),
    "write R0 after a search that failed": (
        SEQUENCE,
        [mask(0xC0), SEEK, send(0x39, p.seek(1, 3)[2:]), send(0x15, ckd(0, bytes(8)))],
    ),
    "write R0 under mask 00": (SEQUENCE, [SEEK, SEEK_HOME, tic(1), send(0x15, ckd(0, bytes(8)))]),
    "write home address under mask 00": (SEQUENCE, [SEEK, send(0x19, bytes(5))]),
    "write data under mask 40": (SEQUENCE, [mask(0x40), SEEK, *find(1, 2), send(0x05, b"n" * 80)]),
    "write data under the extent's mask 40": (
        SEQUENCE,
        [extent(mask=0x40), SEEK, *find(1, 2), send(0x05, b"n" * 80)],
    ),
    "write update under mask 40": (
        SEQUENCE,
        [extent(mask=0x40), locate(0x01, transfer_length=80), UPDATE],
    ),
    "write count under mask 80": (
        SEQUENCE,
        [mask(0x80), SEEK, *find(1, 2), send(0x1D, ckd(2, b"x"))],
    ),
    "erase under mask 80": (SEQUENCE, [mask(0x80), SEEK, *find(1, 2), send(0x11, count_field(2))]),
    "format write under mask 80": (
        SEQUENCE,
        [extent(mask=0x80), locate(0x03), send(0x1D, ckd(2, b"x"))],
    ),
    "write update outside a domain": (SEQUENCE, [*SEARCHED, UPDATE]),
    "write update key outside a domain": (SEQUENCE, [*SEARCHED, send(0x8D, b"n" * 84)]),
    "write next track outside a domain": (SEQUENCE, [*SEARCHED, send(0x9D, ckd(2, b"x"))]),
    "write next track first": (SEQUENCE, [EXTENT, locate(0x03), send(0x9D, ckd(2, b"x"))]),
    "write update in a read domain": (SEQUENCE, [EXTENT, locate(0x06), UPDATE]),
    "read in a write domain": (SEQUENCE, [EXTENT, locate(0x01), read(0x06, 80)]),
    "read count before the last place": (
        SEQUENCE,
        [EXTENT, locate(0x01, 3, auxiliary=1, transfer_length=80), read(0x12, 8)],
    ),
    "write data before the last place": (
        SEQUENCE,
        [EXTENT, locate(0x01, 2, transfer_length=80), send(0x05, b"n" * 80)],
    ),
    "seek in a domain": (SEQUENCE, [EXTENT, locate(0x06), SEEK]),
    "search in a domain": (SEQUENCE, [EXTENT, locate(0x06), send(0x31, p.search_id(1, 2, 1))]),
    "no-operation in a domain": (SEQUENCE, [EXTENT, locate(0x06), Ccw(0x03, 1)]),
    "sense in a domain": (SEQUENCE, [EXTENT, locate(0x06), read(0x04, 32)]),
    "locate in a domain": (SEQUENCE, [EXTENT, locate(0x06), locate(0x06)]),
    "define extent in a domain": (SEQUENCE, [EXTENT, locate(0x06), EXTENT]),
    "read R0 in a count-oriented read": (SEQUENCE, [EXTENT, locate(0x16), read(0x16, 16)]),
    "write R0 in a count-oriented format": (
        SEQUENCE,
        [extent(mask=0xC0), locate(0x03), send(0x15, ckd(0, bytes(8)))],
    ),
    "write count first at the index": (
        SEQUENCE,
        [extent(mask=0xC0), locate(0xC3), send(0x1D, ckd(1, b"x"))],
    ),
    "read track outside a domain": (SEQUENCE, [SEEK, read(0xDE, 900)]),
    "read track after an orient": (SEQUENCE, [EXTENT, locate(0x00, 0), read(0xDE, 900)]),
    "read track in a read domain": (SEQUENCE, [EXTENT, locate(0x06), read(0xDE, 900)]),
    "read multiple in a domain": (SEQUENCE, [EXTENT, locate(0x06), read(0x5E, 900)]),
    "reserve after another command": (SEQUENCE, [Ccw(0x03, 1), read(0xB4, 32)]),
    "unconditional reserve after another": (SEQUENCE, [SEEK, read(0x14, 32)]),
    "reset allegiance after another": (SEQUENCE, [SEEK, read(0x44, 32)]),
    "release after define extent": (SEQUENCE, [EXTENT, read(0x94, 32)]),
    "sense path group id after another": (SEQUENCE, [Ccw(0x03, 1), read(0x34, 12)]),
    "a command after sense path group id": (SEQUENCE, [read(0x34, 12), Ccw(0x03, 1)]),
    "a command after set subsystem mode": (SEQUENCE, [send(0x87, b"\x20\0"), Ccw(0x03, 1)]),
    "subsystem status after another": (SEQUENCE, [Ccw(0x03, 1), read(0x54, 44)]),
    "buffered log after another": (SEQUENCE, [Ccw(0x03, 1), read(0xA4, 32)]),
    "read subsystem data without order": (SEQUENCE, [read(0x3E, 16)]),
    "read message id without order": (SEQUENCE, [read(0x4E, 4)]),
    "another mask in define extent": (SEQUENCE, [EXTENT, extent(mask=0x40)]),
    "other attributes in define extent": (SEQUENCE, [EXTENT, extent(attributes=0xC4)]),
    "another block size in define extent": (SEQUENCE, [EXTENT, extent(block_size=80)]),
    "a wider extent": (
        SEQUENCE,
        [send(0x63, p.define_extent((1, 0), (2, 0))), send(0x63, p.define_extent((1, 0), (3, 0)))],
    ),
    # Too short.
    "seek of 5": (SHORT, [send(0x07, bytes(5))]),
    "seek cylinder of 5": (SHORT, [send(0x0B, bytes(5))]),
    "seek of 0": (SHORT, [send(0x07)]),
    "define extent of 15": (SHORT, [send(0x63, bytes(15))]),
    "locate of 15": (SHORT, [EXTENT, send(0x47, bytes(15))]),
    "locate extended of 19": (SHORT, [EXTENT, send(0x4B, bytes(19))]),
    "locate extended without its parameters": (
        SHORT,
        [EXTENT, send(0x4B, extended(0x3F, 0x0A, b"\x01").data[:-1])],
    ),
    "file mask of 0": (SHORT, [send(0x1F)]),
    "set sector of 0": (SHORT, [SEEK, send(0x23)]),
    "set path group id of 11": (SHORT, [send(0xAF, bytes(11))]),
    "set subsystem mode of 1": (SHORT, [send(0x87, b"\0")]),
    "diagnostic control of 3": (SHORT, [send(0xF3, bytes(3))]),
    "perform subsystem function of 0": (SHORT, [send(0x27)]),
    "prepare for read of 11": (SHORT, [send(0x27, b"\x18" + bytes(10))]),
    "our order of 15": (SHORT, [send(0x27, b"\xc1" + bytes(14))]),
    # Parameters that mean nothing.
    "seek to a bin": (PARAMETER, [send(0x07, b"\0\1\0\1\0\2")]),
    "seek beyond the cylinders": (PARAMETER, [send(0x07, p.seek(20, 0))]),
    "seek beyond the heads": (PARAMETER, [send(0x07, p.seek(1, 15))]),
    "file mask bit 20": (PARAMETER, [mask(0x20)]),
    "extent mask bit 20": (PARAMETER, [extent(mask=0x20)]),
    "not extended CKD": (PARAMETER, [extent(attributes=0x80)]),
    "block size too large": (PARAMETER, [extent(block_size=57335)]),
    "extent byte 4": (PARAMETER, [wrong_extent(4, b"\1")]),
    "extent byte 6": (PARAMETER, [wrong_extent(6, b"\1")]),
    "extent reversed": (PARAMETER, [send(0x63, p.define_extent((2, 0), (1, 14)))]),
    "extent beyond the volume": (PARAMETER, [send(0x63, p.define_extent((0, 0), (20, 0)))]),
    "extent beyond the heads": (PARAMETER, [send(0x63, p.define_extent((0, 0), (1, 15)))]),
    "locate, unknown operation": (PARAMETER, [EXTENT, locate(0x02)]),
    "locate, extended operation": (PARAMETER, [EXTENT, locate(0x3F)]),
    "locate, write data at the index": (PARAMETER, [EXTENT, locate(0xC1)]),
    "locate, orient at the index": (PARAMETER, [EXTENT, locate(0xC0, 0)]),
    "locate, count 0": (PARAMETER, [EXTENT, locate(0x06, 0)]),
    "locate, orient with a count": (PARAMETER, [EXTENT, locate(0x00, 1)]),
    "locate, byte 2": (PARAMETER, [EXTENT, wrong_locate(2, b"\1")]),
    "locate, reserved auxiliary": (PARAMETER, [EXTENT, locate(0x06, auxiliary=2)]),
    "locate, read count after read data": (PARAMETER, [EXTENT, locate(0x06, 2, auxiliary=1)]),
    "locate, only the read count": (PARAMETER, [EXTENT, locate(0x16, 1, auxiliary=1)]),
    "locate, sector": (PARAMETER, [EXTENT, locate(0x06, sector=224)]),
    "locate, length not announced": (PARAMETER, [EXTENT, wrong_locate(14, b"\0\x50")]),
    "locate, length announced as 0": (PARAMETER, [EXTENT, wrong_locate(1, b"\x80")]),
    "locate, length above the block size": (
        PARAMETER,
        [extent(block_size=80), locate(0x06, transfer_length=81)],
    ),
    "locate beyond the cylinders": (PARAMETER, [EXTENT, locate(0x06, track=(20, 0))]),
    "locate beyond the heads": (PARAMETER, [EXTENT, locate(0x06, track=(1, 15))]),
    "locate extended, plain with a kind": (PARAMETER, [EXTENT, extended(0x16, 0x0A, b"\1")]),
    "locate extended, unknown kind": (PARAMETER, [EXTENT, extended(0x3F, 0x0B)]),
    "locate extended, set size 2": (PARAMETER, [EXTENT, extended(0x3F, 0x0A, b"\2")]),
    "locate extended, no set": (PARAMETER, [EXTENT, extended(0x3F, 0x0E)]),
    "track set without its first": (PARAMETER, [EXTENT, extended(0x3F, 0x0E, b"\x40")]),
    "track set of another count": (PARAMETER, [EXTENT, extended(0x3F, 0x0E, b"\xc0")]),
    "set sector too large": (PARAMETER, [SEEK, send(0x23, b"\xe0")]),
    "no path group": (PARAMETER, [send(0xAF, bytes(12))]),
    "unknown order": (PARAMETER, [send(0x27, b"\xc5" + bytes(15))]),
    "unknown suborder": (PARAMETER, [send(0x27, b"\x18" + bytes(5) + b"\x77" + bytes(5))]),
    "unknown order of ours": (PARAMETER, [send(0x27, b"\xc1\0\x77" + bytes(13))]),
    "subsystem mode, two changes": (PARAMETER, [send(0x87, b"\x20\x20")]),
    "diagnostic control, unknown": (PARAMETER, [extent(mask=4), send(0xF3, b"\x11\0\0\0")]),
    "diagnostic control, mask": (MASK_REFUSED, [send(0xF3, b"\x12\0\0\0")]),
    "an order that nobody takes": (STATUS_REFUSED, [send(0x27, b"\xc1\0\2" + bytes(13))]),
    # The domain.
    "chain ends in a domain": (INCOMPLETE, [EXTENT, locate(0x06, 2), read(0x06, 80)]),
    "chain ends before the read count": (
        INCOMPLETE,
        [EXTENT, locate(0x01, 2, auxiliary=1, transfer_length=80), UPDATE],
    ),
    # What is not on the track.
    "record not on the track": (NOT_FOUND, [SEEK, *find(9), read(0x06, 80)]),
    "key not on the track": (NOT_FOUND, [SEEK, send(0x29, b"KEY2", SLI), tic(1), read(0x06, 80)]),
    "locate a record not there": (NOT_FOUND, [EXTENT, locate(0x06, record=9), read(0x06, 80)]),
    "locate another home address": (
        NOT_FOUND,
        [EXTENT, send(0x47, p.locate_record(0x46, 1, (1, 2), search=(1, 3)))],
    ),
    "read count twice round an empty track": (NOT_FOUND, [send(0x07, p.seek(3, 3)), read(0x12, 8)]),
    "multitrack read past the cylinder": (
        CYLINDER,
        [send(0x07, p.seek(1, 14)), read(0x92, 8)],
    ),
    "multitrack search past the cylinder": (
        CYLINDER,
        [send(0x07, p.seek(1, 13)), send(0xB1, p.search_id(1, 2, 1)), tic(1)],
    ),
    "next home address past the cylinder": (CYLINDER, [send(0x07, p.seek(1, 14)), read(0x9A, 5)]),
    # What the mask or the extent protects.
    "seek under mask 08": (PROTECTED, [mask(0x08), SEEK]),
    "seek cylinder under mask 10": (PROTECTED, [mask(0x10), send(0x0B, p.seek(1, 2))]),
    "seek cylinder under mask 18": (PROTECTED, [mask(0x18), send(0x0B, p.seek(1, 2))]),
    "seek head under mask 18": (
        PROTECTED,
        [extent(mask=0x18), locate(0, 0), send(0x1B, p.seek(0, 3))],
    ),
    "multitrack under mask 18": (PROTECTED, [extent(mask=0x18), locate(0, 0), read(0x9A, 5)]),
    "seek outside the extent": (PROTECTED, [send(0x63, p.define_extent((2, 0), (3, 0))), SEEK]),
    "locate outside the extent": (
        PROTECTED,
        [send(0x63, p.define_extent((2, 0), (3, 0))), locate(0x06)],
    ),
    "next track outside the extent": (
        PROTECTED,
        [send(0x63, p.define_extent((1, 0), (1, 2))), SEEK, read(0x9A, 5)],
    ),
    "track set outside the extent": (
        PROTECTED,
        [send(0x63, p.define_extent((1, 0), (1, 2))), extended(0x3F, 0x0E, b"\xc0", count=2)],
    ),
    # What does not fit.
    "record longer than a track": (
        FORMAT,
        [SEEK, *find(5), send(0x1D, count_field(6, 0, 60000), SLI)],
    ),
    "record beyond the track's capacity": (
        FORMAT,
        [SEEK, *find(5), send(0x1D, count_field(6, 0, 56000), SLI)],
    ),
    "erase of a record that does not fit": (FORMAT, [SEEK, *find(5), send(0x11, b"\xff" * 8)]),
    "update of another length": (FORMAT, [EXTENT, locate(0x01, transfer_length=81), UPDATE]),
    "update without a length": (FORMAT, [EXTENT, locate(0x01), UPDATE]),
    "last write of another length": (
        FORMAT,
        [EXTENT, locate(0x01, transfer_length=81), send(0x05, b"n" * 80)],
    ),
}


@pytest.fixture
def volume():
    made = Volume()
    made.put(0, 0, [NewRecord(1, b"i" * 24, b"IPL1"), NewRecord(2, b"j" * 144, b"IPL2")])
    made.put(1, 2, ORIGINAL)
    return made


def bits(sense):
    return sense[0], sense[1], sense[7]


@pytest.mark.parametrize("name", REFUSED)
def test_a_chain_that_is_refused(volume, name):
    expected, program = REFUSED[name]
    before = dict(volume.tracks)
    result = volume.chain(*program)
    assert result.unit_status == 0x0E
    assert bits(result.sense) == expected, describe(result.sense)
    # Nothing but what commands before the refused one wrote.
    if result.place == len(program) - 1 and expected is not INCOMPLETE:
        assert {track: volume.tracks[track] for track in before} == before
    # The sense is held until it is read, once.
    assert volume.run(read(0x04, 32)).data == result.sense
    assert bits(volume.run(read(0x04, 32)).data) == (0, 0, 0)


UNIT_DIFFERENCES = {
    "locate extended on a plain 3990": ("3990", COMMAND, [EXTENT, extended(0x16)]),
    "define extent on a 3880": ("3880", COMMAND, [EXTENT]),
    "locate on a 3880": ("3880", COMMAND, [locate(0x06)]),
    "subsystem function on a 3880-3": ("3880-3", COMMAND, [send(0x27, b"\x18" + bytes(11))]),
    "configuration data on a 3880-3": ("3880-3", COMMAND, [read(0xFA, 256)]),
    "subsystem mode on a plain 3990": ("3990", COMMAND, [send(0x87, b"\x20\0")]),
}


@pytest.mark.parametrize("name", UNIT_DIFFERENCES)
def test_what_an_older_control_unit_refuses(name):
    unit, expected, program = UNIT_DIFFERENCES[name]
    result = Volume(unit=unit).chain(*program)
    assert bits(result.sense) == expected


def test_an_image_that_cannot_be_read(volume):
    volume.broken = True
    result = volume.chain(SEEK, read(0x12, 8))
    assert (result.unit_status, result.place, *bits(result.sense)) == (0x0E, 0, *BROKEN)


def test_an_image_that_cannot_be_written(volume):
    original, volume.broken = volume.image(volume.geometry.track(1, 2)), False
    answer = volume.answer

    def failing(request):
        volume.broken = type(request).__name__ == "WriteTrack"
        return answer(request)

    volume.answer = failing
    result = volume.chain(*SEARCHED, send(0x05, b"n" * 80))
    assert (result.unit_status, *bits(result.sense)) == (0x0E, *BROKEN)
    assert volume.tracks[volume.geometry.track(1, 2)] == original


def test_a_volume_that_may_not_be_written(volume):
    volume.device.writable = False
    for program in (
        [*SEARCHED, send(0x05, b"n" * 80)],
        [EXTENT, locate(0x01, transfer_length=80), UPDATE],
        [*SEARCHED, send(0x1D, ckd(2, b"x"))],
        [*SEARCHED, send(0x11, count_field(2))],
    ):
        assert bits(volume.chain(*program).sense) == (0x10, 0x02, 0x10)
    assert volume.records(1, 2) == ORIGINAL
    assert volume.chain(*SEARCHED, read(0x06, 80)).ended_well


@pytest.mark.parametrize("cut", [0, 4, 20, 25, 60, 118])
def test_a_torn_track_is_an_equipment_check(volume, cut):
    track = volume.geometry.track(1, 2)
    volume.tracks[track] = volume.tracks[track][:cut]
    result = volume.chain(SEEK, read(0x12, 8), read(0x12, 8), read(0x12, 8))
    assert bits(result.sense) == BROKEN
