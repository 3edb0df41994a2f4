"""What a Hercules host asks of a shared device, and what it is told: both versions, no faults."""

import bz2
import struct
import zlib

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.errors import BenchError
from emulator.frontend.shared_identity import own_identity
from emulator.frontend.shared_wire import Code, Opcode
from tests.frontend.shared_host import GEOMETRY, IDENTITY, NUMBER, Unit

RECORDS = [NewRecord(number, bytes([number]) * 4096) for number in range(1, 13)]


@pytest.fixture
def unit():
    return Unit()


@pytest.mark.parametrize("release", [1, 3])
def test_a_host_connects_as_real_ones_do(unit, release):
    host = unit.host(release=release)
    answer = host.ask(Opcode.CONNECT, release)
    assert answer[:4] == (Code.OK, 3, NUMBER, 2)
    assert struct.unpack(">H", answer.data) == (answer.client_id,) == (1,)
    host.id = 1
    assert host.ask(Opcode.COMPRESS, 0x30).data == bytes(2)
    assert host.ask(Opcode.QUERY, 0x48).data == (2).to_bytes(4, "big")
    assert host.ask(Opcode.QUERY, 0x41).data == IDENTITY.characteristics
    assert host.ask(Opcode.QUERY, 0x42).data == IDENTITY.identity
    assert host.ask(Opcode.QUERY, 0x44).data == b"DC0000000001"
    assert host.ask(Opcode.QUERY, 0x45).data == bytes.fromhex("9039E900")
    assert host.ask(Opcode.QUERY, 0x43).data == (2).to_bytes(4, "big")
    assert host.ask(Opcode.QUERY, 0x4D).data == bytes(4)


def test_each_host_has_an_id_of_its_own(unit):
    assert [unit.host().connect().id for _ in range(3)] == [1, 2, 3]


def test_a_channel_program_reads_what_is_there(unit):
    image = unit.fill(7, *RECORDS)
    host = unit.host().connect()
    start, read, end = host.program(lambda host: host.read(7))
    assert (start.code, start.data) == (Code.PURGE, b""), "a new connection knows nothing"
    assert (read.code, read.status, read.data) == (Code.OK, 0, image)
    assert end.code == Code.OK


def test_a_track_that_must_be_fetched_is_sent_when_it_is_there():
    unit = Unit(reads_wait=True)
    image = unit.fill(7, *RECORDS)
    host = unit.host().connect()
    host.start()
    host.send(Opcode.READ, 0, struct.pack(">I", 7))
    host.send(Opcode.END)
    assert host.answers() == []
    assert host.session.requests_pending == 1
    unit.volume.settle()
    read, end = host.answers()
    assert (read.data, end.code) == (image, Code.OK)


def test_a_format_write_and_an_update_change_the_track(unit):
    host = unit.host().connect()
    new = build(*GEOMETRY.address(3), RECORDS)
    host.program(lambda host: host.write(3, 21, new[21:]))
    assert host.program(lambda host: host.read(3))[1].data == new
    offset = 21 + 8
    host.program(lambda host: host.write(3, offset, b"\xcc" * 4096))
    changed = new[:offset] + b"\xcc" * 4096 + new[offset + 4096 :]
    assert host.program(lambda host: host.read(3))[1].data == changed


def test_a_write_is_answered_only_when_it_is_durable(unit):
    host = unit.host().connect()
    host.start()
    host.send(Opcode.WRITE, 0, struct.pack(">HI", 21, 3) + build(0, 3, RECORDS)[21:])
    assert host.answers() == []
    unit.volume.settle()
    assert [answer.code for answer in host.answers()] == [Code.OK]


def test_the_owner_keeps_others_waiting_until_it_ends(unit):
    first, second, third = (unit.host().connect() for _ in range(3))
    first.start()
    second.send(Opcode.START)
    third.send(Opcode.START)
    assert second.answers() == third.answers() == []
    first.end()
    assert [answer.code for answer in second.answers()] == [Code.PURGE]
    assert third.answers() == []
    second.end()
    assert len(third.answers()) == 1


def test_start_by_the_owner_succeeds_and_does_not_nest(unit):
    first, second = (unit.host().connect() for _ in range(2))
    first.start()
    assert first.start().code == Code.OK
    first.end()
    assert second.start().code == Code.PURGE


def test_busy_is_said_only_to_those_who_ask_for_it(unit):
    first, second = (unit.host().connect() for _ in range(2))
    first.start()
    assert second.ask(Opcode.START, 0x80).code == Code.BUSY
    first.end()
    assert second.ask(Opcode.START, 0x80).code == Code.PURGE


def test_changes_are_told_to_the_others_and_not_to_the_one_who_made_them(unit):
    first, second = (unit.host().connect() for _ in range(2))
    for host in (first, second):
        host.program()
    for track in (4, 5, 4):
        first.program(lambda host, track=track: host.write(track, 21, build(0, track)[21:]))
    told = second.start()
    assert (told.code, told.data) == (Code.PURGE, struct.pack(">II", 4, 5))
    second.end()
    assert second.start().code == Code.OK
    second.end()
    assert first.start().code == Code.OK


@pytest.mark.parametrize(("count", "length"), [(16, 64), (17, 0)])
def test_more_than_sixteen_changes_are_everything(unit, count, length):
    first, second = (unit.host().connect() for _ in range(2))
    second.program()
    for track in range(count):
        image = build(*GEOMETRY.address(track))
        first.program(lambda host, track=track, image=image: host.write(track, 21, image[21:]))
    told = second.start()
    assert (told.code, told.length) == (Code.PURGE, length)


def test_writes_by_another_front_end_are_told_to_every_host(unit):
    host = unit.host().connect()
    host.program()
    other = unit.host().connect()
    unit.store.write(9, 21, build(0, 9)[21:], other.session._requests, 99)
    unit.volume.settle()
    assert host.start().data == struct.pack(">I", 9)


def test_a_reservation_keeps_the_device_between_channel_programs(unit):
    first, second = (unit.host().connect() for _ in range(2))
    first.program(lambda host: host.ask(Opcode.RESERVE))
    second.send(Opcode.START)
    assert second.answers() == []
    first.program(lambda host: host.ask(Opcode.RELEASE))
    assert len(second.answers()) == 1


def test_sense_is_told_once(unit):
    host = unit.host().connect()
    host.start()
    refused = host.write(0, GEOMETRY.image_bytes - 4, bytes(5))
    assert (refused.code, refused.status) == (Code.IO_ERROR, 0x0E)
    assert host.ask(Opcode.SENSE).data == bytes((0, 0x40)).ljust(32, b"\0")
    assert host.ask(Opcode.SENSE).data == bytes(32)


def test_a_track_that_does_not_exist_is_refused(unit):
    host = unit.host().connect()
    host.start()
    for track in (GEOMETRY.tracks, 0xFFFFFFFE):
        answer = host.read(track)
        assert answer.code >= Code.ERROR
        assert answer.data.endswith(b"\0")
        assert host.write(track, 21, b"x").code == Code.IO_ERROR


def test_the_flush_track_reads_as_nothing(unit):
    host = unit.host().connect()
    host.start()
    assert host.read(0xFFFFFFFF)[:4] == (Code.OK, 0, NUMBER, 0)


def test_requests_that_came_together_are_answered_in_order(unit):
    image = unit.fill(7, *RECORDS)
    host = unit.host().connect()
    host.send(Opcode.START)
    message = b"".join(
        struct.pack(">BBHHH", opcode, 0, NUMBER, len(data), host.id) + data
        for opcode, data in (
            (Opcode.START, b""),
            (Opcode.READ, struct.pack(">I", 7)),
            (Opcode.WRITE, struct.pack(">HI", 29, 7) + b"\xaa" * 4096),
            (Opcode.READ, struct.pack(">I", 7)),
            (Opcode.END, b""),
        )
    )
    for at in range(0, len(message), 1000):
        host.session.receive(message[at : at + 1000])
        unit.volume.settle()
    answers = host.answers()
    assert [answer.code for answer in answers[1:]] == [0, 0, 0, 0, 0]
    assert answers[2].data == image
    assert answers[4].data == image[:29] + b"\xaa" * 4096 + image[29 + 4096 :]


@pytest.mark.parametrize("level", [1, 9])
def test_tracks_are_compressed_for_who_asks(unit, level):
    image = unit.fill(7, *RECORDS)
    host = unit.host().connect()
    assert host.ask(Opcode.COMPRESS, 0x30 | level).data == struct.pack(">H", level)
    host.start()
    answer = host.read(7)
    assert (answer.code, answer.status) == (Code.COMPRESSED, 0x10)
    assert zlib.decompress(answer.data) == image


def test_what_does_not_get_shorter_is_sent_plain(unit):
    image = unit.fill(1, NewRecord(1, b"short"))
    host = unit.host().connect()
    host.ask(Opcode.COMPRESS, 0x36)
    host.start()
    assert host.read(1)[0::5] == (Code.OK, image)


@pytest.mark.parametrize(("flag", "pack"), [(0x16, zlib.compress), (0x26, bz2.compress)])
def test_compressed_writes_are_taken(unit, flag, pack):
    host = unit.host().connect()
    new = build(*GEOMETRY.address(3), RECORDS)
    host.start()
    data = struct.pack(">HI", 21, 3) + pack(new[21:])
    assert host.ask(Opcode.WRITE | 0x10, flag, data).code == Code.OK
    assert host.read(3).data == new


def test_resume_and_suspend_are_start_and_end(unit):
    first, second = (unit.host().connect() for _ in range(2))
    assert first.ask(Opcode.RESUME).code == Code.PURGE
    second.send(Opcode.START)
    assert first.ask(Opcode.SUSPEND).code == Code.OK
    assert len(second.answers()) == 1


def test_good_bye_gives_everything_back(unit):
    first, second = (unit.host().connect() for _ in range(2))
    first.start()
    first.ask(Opcode.RESERVE)
    second.send(Opcode.START)
    assert first.ask(Opcode.DISCONNECT).code == Code.OK
    assert first.session.closed
    assert len(second.answers()) == 1


def test_our_own_control_unit_is_told_as_a_real_one_would():
    told = own_identity(geometry("3390-1", 20), "vol0", "3990")
    # Seen from a 20-cylinder 3390 on a 3990 of Hercules 3.13.
    assert told.characteristics[:24].hex() == "3990c2339002d000000020260014000fe000e5a205940222"
    assert told.identity.hex() == "ff3990c23390020040fa0100"
    assert (told.sense_bytes, told.release) == (32, 3)
    assert own_identity(geometry("3350"), "x").sense_bytes == 24
    with pytest.raises(BenchError, match="no control unit known here"):
        own_identity(geometry("3390-1", 20), "vol0", "4711")


def test_a_session_says_whether_a_turn_is_needed():
    unit = Unit()
    first, second = (unit.host().connect() for _ in range(2))
    first.start()
    assert first.session.settled
    first.send(Opcode.WRITE, 0, struct.pack(">HI", 21, 3) + build(0, 3, RECORDS)[21:])
    assert not first.session.settled, "it must become durable"
    unit.volume.settle()
    assert first.session.settled
    second.send(Opcode.START)
    first.send(Opcode.END)
    assert not first.session.settled, "the other host's answer has not left"
    unit.later(1)
    assert first.session.settled
    assert second.session.settled
