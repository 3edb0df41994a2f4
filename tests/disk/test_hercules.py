"""A volume of a control unit as a disk: slots, programs, broken connections, refusals."""

import struct

import pytest

from emulator.channel.blocks import Outcome
from emulator.channel.track_image import NewRecord, build
from emulator.disk import create_disk, disk_bytes, open_disk
from emulator.errors import BenchError, DeviceError, MisuseError, UnavailableError
from emulator.frontend.shared_wire import HEADER, Code, Opcode
from tests.disk.control_unit import control_unit
from tests.frontend.shared_host import GEOMETRY, IDENTITY, NUMBER

SLOT = GEOMETRY.slot_bytes
IMAGE = build(0, 3, [NewRecord(number, bytes([number]) * 4096) for number in range(1, 13)])


@pytest.fixture
def unit():
    with control_unit() as unit:
        yield unit


@pytest.fixture
def disk(unit):
    disk = open_disk(unit.uri)
    yield disk
    disk.close()


def test_a_volume_is_as_large_as_its_slots(unit, disk):
    assert disk.size_bytes == GEOMETRY.tracks * SLOT == disk_bytes(unit.uri)
    assert (disk.geometry.kind, disk.geometry.cylinders) == ("3390-1", 2)


def test_hosts_in_front_are_told_what_the_control_unit_tells():
    characteristics = bytearray(64)
    characteristics[3:5], characteristics[14:16] = b"\x33\x90", b"\0\x0f"
    identity = IDENTITY
    with control_unit() as unit:
        disk = open_disk(unit.uri)
        told = disk.identity
        disk.close()
    assert (told.characteristics, told.identity) == (identity.characteristics, identity.identity)
    assert (told.serial, told.release) == (identity.serial, 3)
    assert (told.control_unit_type, told.control_unit_model) == (0x3990, 0xE9)
    assert (told.tracks, told.image_bytes) == (GEOMETRY.tracks, GEOMETRY.image_bytes)


def test_tracks_are_slots_with_zeros_behind_the_end_marker(unit, disk):
    image = unit.fill(3, *(NewRecord(number, b"r" * 80) for number in (1, 2)))
    assert disk.read(3 * SLOT, SLOT) == image.ljust(SLOT, b"\0")
    assert disk.read(2 * SLOT + 100, 2 * SLOT) == (
        build(0, 2).ljust(SLOT, b"\0")[100:]
        + image.ljust(SLOT, b"\0")
        + build(0, 4)[:29]
        + bytes(71)
    )
    assert disk.read(5, 0) == b""


def test_runs_of_one_track_are_one_channel_program(unit, disk):
    slot = IMAGE.ljust(SLOT, b"\0")
    disk.write([(3 * SLOT + at, [slot[at : at + 4096]]) for at in range(0, SLOT, 4096)])
    assert disk.read(3 * SLOT, SLOT) == slot
    assert unit.image(3) == slot


def test_a_later_run_wins_over_an_earlier_one(unit, disk):
    slot = IMAGE.ljust(SLOT, b"\0")
    disk.write([(3 * SLOT, [slot[:8192], slot[8192:]]), (3 * SLOT + 40, [b"new"])])
    assert unit.image(3) == slot[:40] + b"new" + slot[43:]


def test_a_slot_of_zeros_is_an_empty_track(unit, disk):
    disk.write([(3 * SLOT, [IMAGE.ljust(SLOT, b"\0")])])
    disk.zero(3 * SLOT, SLOT)
    assert disk.read(3 * SLOT, SLOT) == build(0, 3).ljust(SLOT, b"\0")


def test_half_a_track_of_zeros_waits_for_the_other_half(unit, disk):
    slot = IMAGE.ljust(SLOT, b"\0")
    disk.write([(3 * SLOT, [slot])])
    disk.zero(3 * SLOT + 8192, SLOT - 8192)
    assert unit.image(3) == slot, "without its end it would be no track"
    assert disk.read(3 * SLOT, SLOT) == slot[:8192] + bytes(SLOT - 8192)
    short = build(0, 3, [NewRecord(1, b"short")])
    disk.write([(3 * SLOT, [short.ljust(8192, b"\0")])])
    assert unit.image(3) == short.ljust(SLOT, b"\0")
    assert disk.read(3 * SLOT, SLOT) == short.ljust(SLOT, b"\0")


def test_bytes_behind_the_track_are_refused(disk):
    with pytest.raises(DeviceError, match="behind the 56832"):
        disk.write([(SLOT - 1, [b"x"])])


def test_all_is_data(disk):
    assert disk.allocation(100, 5000) == [(5000, True)]
    assert disk.allocation(100, 0) == []


def test_reading_only(unit):
    disk = open_disk(unit.uri, writable=False)
    for change in (lambda: disk.write([(0, [b"x"])]), lambda: disk.zero(0, 1)):
        with pytest.raises(MisuseError):
            change()
    disk.close()


@pytest.mark.parametrize("requests", range(5))
def test_a_broken_connection_is_made_anew(unit, disk, requests):
    slot = IMAGE.ljust(SLOT, b"\0")
    unit.requests_left = requests
    disk.write([(3 * SLOT, [slot])])
    assert disk.read(3 * SLOT, SLOT) == slot
    assert unit.image(3) == slot


def test_a_connection_lost_while_idle_is_not_noticed(unit, disk):
    unit.hang_up()
    assert disk.read(0, 5) == bytes(5)


def test_a_control_unit_that_stays_away_is_an_error(unit, disk):
    unit.close()
    with pytest.raises(DeviceError, match=r"127\.0\.0\.1"):
        disk.read(0, SLOT)
    with pytest.raises(UnavailableError):
        open_disk(unit.uri)


@pytest.mark.parametrize("deed", ["read", "write"])
def test_what_the_control_unit_refuses_is_an_error_with_its_words(unit, disk, deed):
    if deed == "read":
        unit.volume.outcome = Outcome.DEVICE
        with pytest.raises(DeviceError, match="READ was refused with 80: track 3: the device"):
            disk.read(3 * SLOT, SLOT)
    else:
        with pytest.raises(DeviceError, match="WRITE ended with unit status 0E"):
            disk.write([(3 * SLOT, [b"\xff" * 100])])
    unit.volume.outcome = Outcome.DONE
    assert disk.read(0, 5) == bytes(5), "the next program finds its own answers"


def test_changes_by_another_host_are_reported(unit, disk):
    disk.read(0, 5)
    other = unit.host("10.0.0.9").connect()
    with unit.lock:
        for opcode, data in (
            (Opcode.START, b""),
            (Opcode.WRITE, struct.pack(">HI", 21, 7) + build(0, 7)[21:]),
            (Opcode.END, b""),
        ):
            other.send(opcode, 0, data)
    disk.read(0, 5)
    with pytest.raises(DeviceError, match=r"another host has changed tracks \[7\]"):
        disk.write([(3 * SLOT, [IMAGE.ljust(SLOT, b"\0")])])
    disk.write([(3 * SLOT, [IMAGE.ljust(SLOT, b"\0")])])


def test_a_reservation_of_a_dead_host_is_released(unit, disk):
    unit.device.reserved = True
    disk.read(0, 5)
    assert not unit.device.reserved


def test_closing_says_good_bye_and_may_be_done_twice(unit):
    disk = open_disk(unit.uri)
    assert unit.device.counts()["hosts"] == 1
    disk.close()
    disk.close()
    assert unit.device.counts()["hosts"] == 0
    with pytest.raises(DeviceError, match="closed"):
        disk.read(0, 1)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("hercules:///0A00", "write hercules://HOST:PORT/DEVICE"),
        ("hercules://h:1/", "four hexadecimal digits"),
        ("hercules://h:1/XYZ", "four hexadecimal digits"),
        ("hercules://h:99999/0A00", "port 99999"),
        ("hercules://h/0A00?patience=soon", "not a length of time"),
        ("hercules://h/0A00?patient=1s", "did you mean patience"),
    ],
)
def test_a_uri_that_makes_no_sense_is_refused(uri, text):
    with pytest.raises(BenchError, match=text):
        open_disk(uri)


def test_volumes_are_made_elsewhere():
    with pytest.raises(BenchError, match="dasdinit"):
        create_disk("hercules://127.0.0.1/0A00", SLOT)


def test_a_device_number_that_is_not_there(unit):
    with pytest.raises(DeviceError, match="CONNECT was refused with F7: device not found"):
        open_disk(unit.uri.replace("/0A00", "/0A01"))


def test_nothing_but_headers_is_needed_to_keep_alive(unit, disk):
    # The keeper's request is one that a real server counts and nobody has to be the owner for.
    host = unit.host().connect()
    host.session.receive(HEADER.pack(Opcode.QUERY, 0x48, NUMBER, 0, host.id))
    assert host.answers()[0].code == Code.OK
