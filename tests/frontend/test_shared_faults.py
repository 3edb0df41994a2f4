"""Broken connections, dead hosts, roles that change: what a Hercules host cannot be told."""

import struct

import pytest

from emulator.channel.blocks import Outcome
from emulator.channel.track_image import NewRecord, build
from emulator.clock import SECOND_NS
from emulator.events import HostLostDevice, HostUpdateLost
from emulator.frontend.shared_wire import Code, Opcode
from tests.frontend.shared_host import NUMBER, Unit

EMPTY = build(0, 3)


@pytest.fixture
def unit():
    return Unit()


def write_message(track: int, offset: int, data: bytes) -> bytes:
    return struct.pack(">HI", offset, track) + data


@pytest.mark.parametrize("release", [1, 3])
def test_who_comes_back_within_the_grace_goes_on_where_it_was(unit, release):
    host, other = unit.host(release=release).connect(), unit.host("10.0.0.2").connect()
    client_id = host.id
    host.start()
    other.send(Opcode.START)
    host.reconnect()
    assert host.id == client_id
    assert host.read(3).code == Code.OK, "without a START of its own"
    assert host.write(3, 21, EMPTY[21:]).code == Code.OK
    assert other.answers() == []
    assert host.end().code == Code.OK
    assert len(other.answers()) == 1
    other.end()
    assert host.start().length == 0
    assert unit.events == []


@pytest.mark.parametrize("release", [1, 3])
def test_the_first_start_after_coming_back_says_everything(unit, release):
    host = unit.host(release=release).connect()
    host.program()
    assert host.start().code == Code.OK
    host.end()
    host.reconnect()
    assert host.start()[:4] == (Code.PURGE, 0, NUMBER, 0)


@pytest.mark.parametrize("release", [1, 3])
def test_a_repeated_write_whose_data_came_is_answered_well(unit, release):
    host = unit.host(release=release).connect()
    host.start()
    host.send(Opcode.WRITE, 0, write_message(3, 21, EMPTY[21:]))
    host.reconnect()  # the answer never left
    assert host.ask(Opcode.WRITE, 0, write_message(3, 21, b"")).code == Code.OK
    assert host.end().code == Code.OK
    assert unit.events == []


def test_a_repeated_write_waits_for_the_first_one(unit):
    host = unit.host().connect()
    host.start()
    host.send(Opcode.WRITE, 0, write_message(3, 21, EMPTY[21:]))
    host.session.disconnected()
    host.session = unit.session(host.address)
    host.send(Opcode.WRITE, 0, write_message(3, 21, b""))
    assert host.answers() == []
    unit.volume.settle()
    assert [answer.code for answer in host.answers()] == [Code.OK]


@pytest.mark.parametrize("release", [1, 3])
def test_a_repeated_write_without_its_data_is_reported(unit, release):
    host = unit.host(release=release).connect()
    host.start()
    host.reconnect()  # before the WRITE had come
    assert host.ask(Opcode.WRITE, 0, write_message(3, 29, b"")).code >= Code.ERROR
    host.end()
    (event,) = unit.events
    assert isinstance(event, HostUpdateLost)
    assert (event.track, event.offset, event.host) == (3, 29, "10.0.0.1")
    assert host.start().code == Code.PURGE, "it must read anew"


def test_an_older_write_is_not_taken_for_the_one_that_is_repeated(unit):
    host = unit.host().connect()
    host.program(lambda host: host.write(3, 21, EMPTY[21:]))
    host.start()
    host.reconnect()
    assert host.ask(Opcode.WRITE, 0, write_message(3, 21, b"")).code >= Code.ERROR
    assert len(unit.events) == 1


@pytest.mark.parametrize("release", [1, 3])
def test_hosts_come_back_to_a_site_that_was_restarted(release):
    before = Unit()
    host = before.host(release=release).connect()
    host.start()
    after = Unit()
    host.unit = after
    host.reconnect()
    for step in (host.read(3), host.write(3, 21, EMPTY[21:]), host.end()):
        assert step.code == Code.OK
    assert host.start().code == Code.PURGE


def test_coming_back_in_mid_program_waits_for_its_turn():
    unit = Unit()
    owner = unit.host("10.0.0.2").connect()
    owner.start()
    host = unit.host(release=3, client_id=77)
    host.send(Opcode.WRITE, 0, write_message(3, 21, EMPTY[21:]))
    assert host.answers() == []
    owner.end()
    unit.volume.settle()
    assert [answer.code for answer in host.answers()] == [Code.OK]


def test_who_stays_away_loses_the_device_and_its_reservation(unit):
    host, other = unit.host().connect(), unit.host("10.0.0.2").connect()
    host.start()
    host.ask(Opcode.RESERVE)
    other.send(Opcode.START)
    host.session.disconnected()
    unit.later(5 * SECOND_NS - 1)
    assert other.answers() == []
    assert unit.device.next_deadline_ns() == unit.now_ns + 1
    unit.later(1)
    assert len(other.answers()) == 1
    (event,) = unit.events
    assert isinstance(event, HostLostDevice)
    assert "reservation" in event.reason


def test_an_id_that_is_connected_still_is_taken_over_by_its_own_host_only(unit):
    host = unit.host().connect()
    old = host.session
    host.session = unit.session(host.address)
    assert host.start().code == Code.PURGE
    assert old.closed
    old.disconnected()
    assert host.end().code == Code.OK
    stranger = unit.host("10.0.0.9", client_id=host.id)
    assert stranger.ask(Opcode.CONNECT, 1).code == Code.NO_DEVICE
    assert stranger.session.closed


def test_a_ninth_host_is_refused_unless_one_was_silent_for_long(unit):
    hosts = [unit.host(f"10.0.1.{number}").connect() for number in range(8)]
    ninth = unit.host("10.0.2.1")
    answer = ninth.ask(Opcode.CONNECT, 1)
    assert (answer.code, ninth.session.closed) == (Code.NOT_AVAILABLE, True)
    unit.later(121 * SECOND_NS)
    for host in hosts[1:]:
        host.program()
    unit.host("10.0.2.2").connect()
    assert hosts[0].session.closed
    assert not any(host.session.closed for host in hosts[1:])


def test_a_read_that_fails_is_an_error_and_is_asked_for_again(unit):
    host = unit.host().connect()
    host.program()
    unit.volume.outcome = Outcome.DEVICE
    start, read, _ = host.program(lambda host: host.read(3))
    assert start.code == Code.OK
    assert read.code >= Code.ERROR, "IOERR would be read as success"
    unit.volume.outcome = Outcome.DONE
    assert host.start().data == struct.pack(">I", 3)
    assert host.read(3).data == EMPTY


def test_a_write_is_never_failed_but_kept_until_the_device_takes_it(unit):
    host = unit.host().connect()
    host.start()
    unit.volume.outcome = Outcome.DEVICE
    image = build(0, 3, [NewRecord(1, b"x" * 80)])
    host.send(Opcode.WRITE, 0, write_message(3, 21, image[21:]))
    for _ in range(20):
        unit.volume.settle()
        unit.later(SECOND_NS)
        assert host.answers() == []
    unit.volume.outcome = Outcome.DONE
    for _ in range(2):  # the last refusal may be on its way still
        unit.volume.settle()
        unit.later(SECOND_NS)
    unit.volume.settle()
    assert [answer.code for answer in host.answers()] == [Code.OK]
    assert unit.image(3)[: len(image)] == image


def test_a_secondary_takes_no_hosts_and_says_so_by_hanging_up(unit):
    unit.volume.primary = False
    host = unit.host()
    host.send(Opcode.CONNECT, 1)
    assert host.answers() == []
    assert host.session.closed


def test_a_start_waits_for_a_switch_of_roles_and_says_everything_then(unit):
    host = unit.host().connect()
    host.program()
    unit.volume.primary = False
    unit.later(1)
    host.send(Opcode.START)
    unit.later(SECOND_NS)
    assert (host.answers(), host.session.closed) == ([], False)
    unit.volume.primary = True
    unit.later(1)
    assert [answer[:4] for answer in host.answers()] == [(Code.PURGE, 0, NUMBER, 0)]


def test_a_switch_that_a_host_slept_through_makes_it_read_anew(unit):
    host = unit.host().connect()
    host.program()
    for primary in (False, True):
        unit.volume.primary = primary
        unit.later(1)
    assert host.start()[:4] == (Code.PURGE, 0, NUMBER, 0)


def test_a_start_on_a_secondary_ends_with_the_grace(unit):
    host = unit.host().connect()
    unit.volume.primary = False
    unit.later(1)
    host.send(Opcode.START)
    unit.later(5 * SECOND_NS)
    assert host.answers() == []
    assert host.session.closed, "the host sees an equipment check, and tries again"


def test_a_write_that_became_impossible_is_reported(unit):
    host = unit.host().connect()
    host.start()
    unit.volume.primary = False
    host.send(Opcode.WRITE, 0, write_message(3, 21, EMPTY[21:]))
    unit.volume.settle()
    unit.later(SECOND_NS)
    unit.volume.settle()
    assert (unit.events, host.session.closed) == ([], False)
    unit.later(5 * SECOND_NS)
    (event,) = unit.events
    assert isinstance(event, HostUpdateLost)
    assert host.session.closed


def test_a_site_that_shuts_down_lets_channel_programs_end(unit):
    idle, busy, waiting = (unit.host().connect() for _ in range(3))
    busy.start()
    waiting.send(Opcode.START)
    for host in (idle, busy, waiting):
        host.session.closing()
    assert (idle.session.closed, waiting.session.closed) == (True, True)
    assert busy.session.requests_pending == 1
    assert busy.write(3, 21, EMPTY[21:]).code == Code.OK
    assert busy.end().code == Code.OK
    assert busy.session.closed
