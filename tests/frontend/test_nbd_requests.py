"""Requests and replies: every command as it is meant to be used."""

import random

import pytest

from emulator.frontend.nbd_protocol import (
    Chunk,
    Command,
    CommandFlag,
)
from emulator.frontend.nbd_rules import STATUS_BYTES_MAX
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.nbd_host import (
    Host,
    Reply,
    replies,
    request,
)

READ, WRITE, FLUSH, TRIM = Command.READ, Command.WRITE, Command.FLUSH, Command.TRIM
CACHE, ZEROES, STATUS = Command.CACHE, Command.WRITE_ZEROES, Command.BLOCK_STATUS
FUA, NO_HOLE, DF = CommandFlag.FUA, CommandFlag.NO_HOLE, CommandFlag.DF
REQ_ONE, FAST_ZERO = CommandFlag.REQ_ONE, CommandFlag.FAST_ZERO
SIZE = 1 << 20


@pytest.fixture(params=[False, True], ids=["simple", "structured"])
def host(request):
    return Host(structured=request.param)


def pattern(length, seed=1):
    return random.Random(seed).randbytes(length)


def read_back(host, offset, length):
    """Read by whatever kind of reply was agreed on; holes come back as zeros."""
    contents = bytearray(b"?" * length)
    found = host.ask(READ, offset, length)
    assert [reply.error for reply in found] == [0] * len(found)
    assert [reply.flags for reply in found] == [0] * (len(found) - 1) + [1]
    for reply in found:
        if reply.kind is None:
            return reply.payload
        at = int.from_bytes(reply.payload[:8], "big") - offset
        data = reply.payload[8:]
        if reply.kind == Chunk.OFFSET_HOLE:
            data = bytes(int.from_bytes(data, "big"))
        contents[at : at + len(data)] = data
    return bytes(contents)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 4096), (1, 1), (4095, 2), (511, 9000), (0, SIZE), (SIZE - 1, 1)]
)
def test_what_is_written_is_read(host, offset, length):
    data = pattern(length)
    assert host.ask(WRITE, offset, data=data) == [Reply(7, None, 1, 0, b"")]
    assert read_back(host, offset, length) == data
    assert host.volume.contents[offset : offset + length] == data


def test_reads_that_wait(host):
    host.volume.contents[:] = pattern(SIZE)
    host.volume.reads_wait = True
    assert read_back(host, 100, 10000) == host.volume.contents[100:10100]


def test_volume_that_answers_before_its_call_returns():
    host = Host(MemoryVolume(reads_wait=True, at_once=True), context=True)
    data = pattern(9000)
    host.send(
        request(WRITE, 1, 0, data=data)
        + request(WRITE, 2, 9000, flags=FUA, data=data)
        + request(FLUSH, 3)
        + request(TRIM, 4, 100, 100)
        + request(ZEROES, 5, 200, 100, FUA | NO_HOLE)
        + request(CACHE, 6, 0, 4096)
        + request(STATUS, 7, 0, 4096)
    )
    found = replies(host.take())
    assert sorted((reply.handle, reply.flags, reply.error) for reply in found) == [
        (handle, 1, 0) for handle in range(1, 8)
    ]
    assert host.session.requests_pending == 0
    expected = bytearray(data + data)
    expected[100:300] = bytes(200)
    assert read_back(host, 0, 18000) == expected


def test_write_is_not_answered_before_the_volume_has(host):
    host.send(request(WRITE, 1, 0, data=b"x" * 4096))
    assert host.take() == b""
    assert host.session.requests_pending == 1
    host.volume.settle()
    assert [reply.handle for reply in replies(host.take())] == [1]
    assert host.session.requests_pending == 0


def test_structured_read_names_holes():
    host = Host(structured=True)
    host.volume.contents[8192:12288] = pattern(4096)
    found = host.ask(READ, 4000, 16384)
    kinds = [reply.kind for reply in found]
    assert kinds == [
        Chunk.OFFSET_DATA,  # 96 bytes up to the track: too short for a hole
        Chunk.OFFSET_HOLE,
        Chunk.OFFSET_DATA,
        Chunk.OFFSET_HOLE,
        Chunk.OFFSET_DATA,
    ]
    assert read_back(host, 4000, 16384) == host.volume.contents[4000:20384]


def test_structured_read_of_one_hole():
    found = Host(structured=True).ask(READ, 8192, 65536)
    assert found == [Reply(7, Chunk.OFFSET_HOLE, 1, 0, b"\0\0\0\0\0\0\x20\0\0\1\0\0")]


def test_df_reads_come_in_one_chunk():
    (reply,) = Host(structured=True).ask(READ, 4096, 1 << 18, DF)
    assert reply.kind == Chunk.OFFSET_DATA
    assert reply.payload == b"\0\0\0\0\0\0\x10\0" + bytes(1 << 18)


def test_flush_and_fua(host):
    host.ask(WRITE, 0, flags=FUA, data=b"x" * 4096)
    host.ask(TRIM, 0, 4096, FUA)
    host.ask(ZEROES, 0, 4096, FUA)
    names = [name for name, *_ in host.volume.calls]
    assert names == ["write", "flush", "zero", "flush", "zero", "flush"]
    assert host.error(FLUSH) == 0
    assert host.volume.calls[-1][0] == "flush"


def test_fua_write_is_answered_only_after_its_flush(host):
    host.send(request(WRITE, 1, flags=FUA, data=b"x"))
    assert host.volume.settle() == 1
    assert host.take() == b""
    assert host.volume.settle() == 1
    assert [reply.handle for reply in replies(host.take())] == [1]


def test_fua_means_nothing_on_a_read(host):
    assert all(reply.error == 0 for reply in host.ask(READ, 0, 512, FUA))
    assert [name for name, *_ in host.volume.calls] == ["read"]


def test_trim_and_zeroes(host):
    host.volume.contents[:] = b"x" * SIZE
    assert host.error(TRIM, 10, 5000) == 0
    assert host.error(ZEROES, 100000, 4096, FAST_ZERO) == 0
    assert host.volume.contents[9:5011] == b"x" + bytes(5000) + b"x"
    assert host.volume.contents[99999:104097] == b"x" + bytes(4096) + b"x"


def test_zeroes_without_a_hole_are_written(host):
    assert host.error(ZEROES, 4096, 8192, NO_HOLE) == 0
    assert host.volume.calls == [("write", 4096, 8192)]


def test_long_zeroing_holds_no_bytes():
    size_bytes = 8 << 30
    volume = MemoryVolume(size_bytes=0)
    volume.size_bytes = size_bytes
    volume.zero = lambda *call: volume.calls.append(call[:2])
    host = Host(volume)
    host.send(request(TRIM, 1, 0, 0xFFFFFFFF) + request(ZEROES, 2, 1 << 32, 0xFFFFFFFF))
    assert volume.calls == [(0, 0xFFFFFFFF), (1 << 32, 0xFFFFFFFF)]
    assert not host.session.wants_pause


def test_cache_reads_ahead_and_says_only_done(host):
    for host.volume.reads_wait in (False, True):
        assert host.ask(CACHE, 4096, 8192) == [Reply(7, None, 1, 0, b"")]
        assert host.volume.calls[-1] == ("read", 4096, 8192)


def test_block_status():
    host = Host(context=True)
    host.ask(WRITE, 8192, data=b"x" * 4096)
    (reply,) = host.ask(STATUS, 0, 65536)
    assert reply.kind == Chunk.BLOCK_STATUS
    fields = [int.from_bytes(reply.payload[at : at + 4], "big") for at in range(0, 28, 4)]
    assert fields == [1, 8192, 3, 4096, 0, 53248, 3]
    assert len(reply.payload) == 28
    (reply,) = host.ask(STATUS, 100, 65536, REQ_ONE)
    assert reply.payload == b"\0\0\0\1" + (8092).to_bytes(4, "big") + b"\0\0\0\3"


def test_block_status_asks_the_volume_for_a_bounded_range():
    volume = MemoryVolume(size_bytes=0)
    volume.size_bytes = 8 << 30
    volume.allocation = lambda offset, length: volume.calls.append(length) or [(length, True)]
    host = Host(volume, context=True)
    (reply,) = host.ask(STATUS, 0, 1 << 31)
    assert volume.calls == [STATUS_BYTES_MAX]
    assert reply.payload == b"\0\0\0\1" + STATUS_BYTES_MAX.to_bytes(4, "big") + bytes(4)


@pytest.mark.parametrize("command", [READ, WRITE, TRIM, CACHE, ZEROES])
def test_no_bytes_at_all_is_fine(host, command):
    (reply,) = host.ask(command, 100, 0)
    assert (reply.error, reply.flags) == (0, 1)
    structured_read = command == READ and host.session._agreed.structured
    assert reply.kind == (Chunk.NONE if structured_read else None)
    assert host.volume.calls == []


def test_two_sessions_on_one_export_see_each_other():
    volume = MemoryVolume()
    one, two = Host(volume), Host(volume, structured=True)
    one.ask(WRITE, 4096, data=b"from one" * 512)
    assert read_back(two, 4096, 4096) == b"from one" * 512
    two.send(request(WRITE, 1, 0, data=b"2" * 512))
    one.send(request(WRITE, 1, 512, data=b"1" * 512))
    volume.settle()
    assert [reply.handle for reply in replies(one.take())] == [1]
    assert [reply.handle for reply in replies(two.take())] == [1]
    assert read_back(one, 0, 1024) == b"2" * 512 + b"1" * 512
