"""Whatever comes on a shared device's connection: the protocol's own error, or silence."""

import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.channel.track_image import check
from emulator.frontend.shared_wire import HEADER, Code, Opcode
from tests.frontend.shared_host import GEOMETRY, NUMBER, Unit

OPCODES = [*map(int, Opcode), 0x43, 0x00, 0xDF, 0xED, 0xFF, *(code | 0x10 for code in Opcode)]


def message(opcode: int, flag: int, number: int, client_id: int, data: bytes) -> bytes:
    return HEADER.pack(opcode, flag, number, len(data), client_id) + data


messages = st.builds(
    message,
    st.sampled_from(OPCODES),
    st.integers(0, 255) | st.sampled_from([0x16, 0x26, 0x36, 0x41, 0x80]),
    st.sampled_from([NUMBER, NUMBER, NUMBER, 0x0A01]),
    st.sampled_from([0, 1, 2, 0xFFFF]),
    st.binary(max_size=60)
    | st.builds(
        lambda offset, track, data: struct.pack(">HI", offset, track) + data,
        st.integers(0, 0xFFFF),
        st.integers(0, GEOMETRY.tracks + 2),
        st.binary(max_size=40),
    )
    | st.integers(0, GEOMETRY.tracks + 1).map(lambda track: struct.pack(">I", track)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), messages), max_size=25), st.randoms())
def test_any_messages_from_three_hosts(script: list[tuple[int, bytes]], chance: random.Random):
    unit = Unit()
    hosts = [unit.host(f"10.0.0.{number}") for number in range(3)]
    for number, data in script:
        host = hosts[number]
        if host.session.closed:
            host.session.disconnected()
            host.session = unit.session(host.address)
        cut = chance.randint(0, len(data))
        host.session.receive(data[:cut])
        host.session.receive(data[cut:])
        if chance.random() < 0.5:
            unit.volume.settle()
            unit.later(chance.randint(0, 10**9))
        for answer in host.answers():
            assert answer.code in set(Code)
            assert answer.code < Code.ERROR or answer.data.endswith(b"\0")
    unit.volume.settle()
    for track in range(GEOMETRY.tracks):
        if any(unit.image(track)):
            check(unit.image(track), GEOMETRY, track)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all(data: bytes):
    unit = Unit()
    session = unit.session()
    for at in range(0, len(data), 7):
        if not session.wants_pause:
            session.receive(data[at : at + 7])
    session.outgoing()
    session.disconnected()


@pytest.mark.parametrize(
    ("opcode", "flag", "data", "code"),
    [
        (0x43, 0, b"", Code.INVALID),  # what real hosts send for the space that is used
        (0xFF, 0, b"", Code.INVALID),
        (Opcode.QUERY, 0x4F, b"", Code.INVALID),
        (Opcode.READ, 0, b"abc", Code.INVALID),
        (Opcode.WRITE, 0, b"abc", Code.INVALID),
        (Opcode.WRITE | 0x10, 0x16, b"abc", Code.INVALID),
        (Opcode.WRITE | 0x10, 0x16, bytes(6) + b"no zlib", Code.INVALID),
        (Opcode.WRITE | 0x10, 0x26, bytes(6) + b"no bzip2", Code.INVALID),
        (Opcode.WRITE | 0x10, 0x06, bytes(20), Code.INVALID),
        (Opcode.CONNECT, 0x11, b"", Code.BAD_VERSION),
        (Opcode.READ, 0, bytes(4), Code.NOT_ACTIVE),
        (Opcode.WRITE, 0, bytes(7), Code.NOT_ACTIVE),
        (Opcode.END, 0, b"", Code.NOT_ACTIVE),
        (Opcode.SENSE, 0, b"", Code.NOT_ACTIVE),
        (Opcode.RESERVE, 0, b"", Code.NOT_ACTIVE),
        (Opcode.RELEASE, 0, b"", Code.NOT_ACTIVE),
    ],
)
def test_what_is_refused_is_counted_and_the_connection_stays(opcode, flag, data, code):
    host = Unit().host().connect()
    answer = host.ask(opcode, flag, data)
    assert answer.code == code
    assert answer.data.endswith(b"\0")
    assert host.session.counters()["refused_requests"] == 1
    assert not host.session.closed
    assert host.start().code == Code.PURGE


@pytest.mark.parametrize(
    ("opcode", "number", "code"),
    [(Opcode.START, NUMBER, Code.NOT_CONNECTED), (Opcode.CONNECT, 0x0A01, Code.NO_DEVICE)],
)
def test_a_bad_first_message_ends_the_connection(opcode, number, code):
    host = Unit().host()
    assert host.ask(opcode, 1, b"", number).code == code
    assert host.session.closed


def test_a_wrong_version_may_be_followed_by_the_right_one():
    host = Unit().host()
    assert host.ask(Opcode.CONNECT, 0x11).code == Code.BAD_VERSION
    assert not host.session.closed
    assert host.ask(Opcode.CONNECT, 0x01).code == Code.OK


def test_data_that_grows_beyond_a_message_is_refused():
    host = Unit().host().connect()
    host.start()
    bomb = zlib.compress(bytes(10 << 20), 9)
    answer = host.ask(Opcode.WRITE | 0x10, 0x16, bytes(6) + bomb)
    assert answer.code == Code.INVALID


def test_a_host_that_sends_on_without_waiting_is_paused():
    unit = Unit(reads_wait=True)
    host = unit.host().connect()
    host.start()
    host.send(Opcode.READ, 0, struct.pack(">I", 1))
    sent = 0
    while not host.session.wants_pause:
        host.send(Opcode.QUERY, 0x48, bytes(60_000))
        sent += 1
    assert sent == 3
    unit.volume.settle()
    assert not host.session.wants_pause
    assert len(host.answers()) == 1 + sent


def test_a_change_that_leaves_no_track_is_refused_and_changes_nothing():
    unit = Unit()
    host = unit.host().connect()
    before = unit.fill(3)
    host.start()
    assert host.write(3, 5, b"\xff" * 8).code == Code.IO_ERROR
    assert unit.image(3).rstrip(b"\0") == before.rstrip(b"\0")
