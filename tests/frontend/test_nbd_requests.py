"""Requests and replies: every command, every error, in any order and in any pieces."""

import random

import pytest

from emulator.channel.blocks import Outcome
from emulator.errors import MisuseError
from emulator.frontend.nbd import NbdSession
from emulator.frontend.nbd_protocol import (
    CLIENT_FLAGS,
    PAYLOAD_BYTES_MAX,
    REQUEST,
    REQUEST_MAGIC,
    Chunk,
    Command,
    CommandFlag,
    Errno,
    Option,
)
from emulator.frontend.nbd_requests import BYTES_MAX, REQUESTS_MAX, STATUS_BYTES_MAX
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.nbd_host import (
    Host,
    Reply,
    context_data,
    name_data,
    option,
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


def test_write_is_not_answered_before_the_volume_has(host):
    host.send(request(WRITE, 1, 0, data=b"x" * 4096))
    assert host.take() == b""
    assert host.session.requests_pending == 1
    host.volume.settle()
    assert [reply.handle for reply in replies(host.take())] == [1]
    assert host.session.requests_pending == 0


def test_replies_come_in_the_order_of_completion(host):
    host.volume.reads_wait = True
    host.volume._chance = random.Random(5)
    host.volume.contents[:] = pattern(SIZE)
    host.send(b"".join(request(READ, handle, handle * 512, 512) for handle in range(32)))
    host.volume.settle()
    found = replies(host.take(), dict.fromkeys(range(32), 512))
    order = [reply.handle for reply in found]
    assert sorted(order) == list(range(32))
    assert order != sorted(order)
    for reply in found:
        start = reply.handle * 512
        assert reply.payload[-512:] == host.volume.contents[start : start + 512]


def test_two_requests_with_one_handle_are_both_answered(host):
    host.send(request(WRITE, 9, data=b"a") + request(WRITE, 9, offset=1, data=b"b"))
    host.volume.settle()
    assert [reply.handle for reply in replies(host.take())] == [9, 9]


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


def test_df_without_structured_replies_is_invalid():
    assert Host().error(READ, 0, 512, DF) == Errno.EINVAL


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


def test_fast_zeroes_without_a_hole_would_not_be_fast(host):
    assert host.error(ZEROES, 0, 4096, NO_HOLE | FAST_ZERO) == Errno.ENOTSUP
    assert host.volume.calls == []


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


def test_contexts_are_forgotten_when_they_are_asked_for_anew():
    session = NbdSession({"vol0": MemoryVolume()})
    session.receive(
        CLIENT_FLAGS.pack(3)
        + option(Option.STRUCTURED_REPLY)
        + option(Option.SET_META_CONTEXT, context_data("vol0", "base:allocation"))
        + option(Option.SET_META_CONTEXT, context_data("vol9", "base:allocation"))
        + option(Option.GO, name_data("vol0"))
    )
    session.outgoing()
    session.receive(request(STATUS, 1, 0, 512))
    (reply,) = replies(b"".join(session.outgoing()))
    assert reply.error == Errno.EINVAL


def test_block_status_needs_the_context_of_this_export():
    assert Host(structured=True).error(STATUS, 0, 512) == Errno.EINVAL
    assert Host(context=True).error(STATUS, 0, 0) == Errno.EINVAL


@pytest.mark.parametrize("command", [READ, WRITE, TRIM, CACHE, ZEROES])
def test_no_bytes_at_all_is_fine(host, command):
    (reply,) = host.ask(command, 100, 0)
    assert (reply.error, reply.flags) == (0, 1)
    structured_read = command == READ and host.session._agreed.structured
    assert reply.kind == (Chunk.NONE if structured_read else None)
    assert host.volume.calls == []


@pytest.mark.parametrize(
    ("command", "errno"),
    [
        (READ, Errno.EINVAL),
        (WRITE, Errno.ENOSPC),
        (TRIM, Errno.EINVAL),
        (ZEROES, Errno.ENOSPC),
        (CACHE, Errno.EINVAL),
    ],
)
@pytest.mark.parametrize("offset", [SIZE - 511, SIZE, SIZE + 1, (1 << 64) - 512, (1 << 64) - 1])
def test_out_of_range(host, command, errno, offset):
    data = bytes(512) if command == WRITE else b""
    assert host.error(command, offset, 512, data=data) == errno
    assert host.volume.calls == []
    assert host.error(FLUSH) == 0


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (READ, NO_HOLE),
        (READ, REQ_ONE),
        (WRITE, DF),
        (WRITE, 0x8000),
        (FLUSH, NO_HOLE),
        (TRIM, FAST_ZERO),
        (CACHE, DF),
        (ZEROES, REQ_ONE),
        (ZEROES, 1 << 5),
    ],
)
def test_flags_that_mean_nothing_are_invalid(host, command, flags):
    data = bytes(512) if command == WRITE else b""
    assert host.error(command, 0, 0 if data else 512, flags, data) == Errno.EINVAL
    assert host.volume.calls == []


@pytest.mark.parametrize("command", [8, 9, 77, 0xFFFF])
def test_unknown_commands_are_invalid(host, command):
    assert host.error(command, 0, 512) == Errno.EINVAL
    assert host.error(FLUSH) == 0


def test_flush_of_a_range_is_invalid(host):
    assert host.error(FLUSH, 0, 512) == Errno.EINVAL


def test_errors_of_structured_clients_have_a_text():
    (reply,) = Host(structured=True).ask(WRITE, SIZE, data=b"x")
    assert reply.kind == Chunk.ERROR
    assert reply.payload[6:] == b"1 bytes at 1048576 end outside the volume of 1048576 bytes"
    assert int.from_bytes(reply.payload[4:6], "big") == len(reply.payload) - 6


@pytest.mark.parametrize(
    ("outcome", "errno"),
    [
        (Outcome.READ_ONLY, Errno.EPERM),
        (Outcome.NOT_HERE, Errno.EPERM),
        (Outcome.DEVICE, Errno.EIO),
        (Outcome.CLOSING, Errno.ESHUTDOWN),
        (Outcome.OUT_OF_RANGE, Errno.ENOSPC),
    ],
)
def test_what_the_volume_says_becomes_an_error(host, outcome, errno):
    host.volume.outcome = outcome
    assert host.error(WRITE, 0, data=b"x" * 512) == errno
    assert host.error(ZEROES, 0, 512) == errno
    read_errno = Errno.EINVAL if outcome is Outcome.OUT_OF_RANGE else errno
    (reply,) = host.ask(READ, 0, 512)
    assert (reply.error, reply.flags) == (read_errno, 1)
    assert host.session.counters()["failed_requests"] == 3


def test_volume_that_becomes_a_secondary(host):
    host.volume.primary = False
    assert host.error(WRITE, 0, data=b"x" * 512) == Errno.EPERM


@pytest.mark.parametrize("command", [WRITE, TRIM, ZEROES])
def test_connection_opened_read_only_stays_so(command):
    volume = MemoryVolume()
    volume.primary = False
    host = Host(volume, structured=True)
    volume.primary = True
    data = bytes(512) if command == WRITE else b""
    assert host.error(command, 0, 0 if data else 512, data=data) == Errno.EPERM
    assert volume.calls == []
    assert host.ask(READ, 0, 512)[0].error == 0


def test_read_that_comes_back_short_is_an_error_not_a_lost_stream(host):
    host.volume._pieces = lambda offset, length: [bytes(length - 1)]
    (reply,) = host.ask(READ, 0, 512)
    assert reply.error == Errno.EIO


def test_too_long_reads_and_writes():
    volume = MemoryVolume(size_bytes=PAYLOAD_BYTES_MAX + 4096)
    length = PAYLOAD_BYTES_MAX + 1
    for structured in (False, True):
        host = Host(volume, structured=structured)
        assert host.error(READ, 0, length) == (Errno.EOVERFLOW if structured else Errno.EINVAL)
        assert host.error(ZEROES, 0, length, NO_HOLE) == Errno.EOVERFLOW
        host.send(request(WRITE, 7, 0, length))
        for _ in range(length // 4096):
            host.send(bytes(4096))
        assert host.take() == b""
        host.send(b"x" + request(FLUSH, 8))
        volume.settle()
        assert {r.handle: r.error for r in replies(host.take())} == {7: Errno.EINVAL, 8: 0}
    assert {name for name, *_ in volume.calls} == {"flush"}


def test_largest_write_in_pieces():
    volume = MemoryVolume(size_bytes=PAYLOAD_BYTES_MAX)
    host = Host(volume)
    data = pattern(PAYLOAD_BYTES_MAX)
    stream = request(WRITE, 1, 0, data=data) + request(FLUSH, 2)
    for at in range(0, len(stream), 100_000):
        host.send(stream[at : at + 100_000])
    volume.settle()
    assert {reply.handle: reply.error for reply in replies(host.take())} == {1: 0, 2: 0}
    assert volume.contents == data


def test_half_a_write_is_no_write(host):
    host.send(request(WRITE, 1, 0, data=b"x" * 4096)[:-1])
    host.session.disconnected()
    assert host.volume.calls == []
    assert host.session.closed


def test_bad_request_magic_ends_the_session_and_is_counted(host):
    host.send(request(FLUSH, 1) + b"\0" * REQUEST.size + request(FLUSH, 2))
    assert host.session.closed
    assert host.session.counters()["broken"] == 1
    assert "0x25609513" in host.session.ended_because
    host.volume.settle()
    assert [reply.handle for reply in replies(host.take())] == [1]


def test_disconnect_waits_for_what_is_under_way(host):
    host.send(
        request(WRITE, 1, data=b"x") + request(Command.DISC, 2) + request(WRITE, 3, data=b"y")
    )
    assert not host.session.closed
    assert host.session.wants_pause
    host.volume.settle()
    assert [reply.handle for reply in replies(host.take())] == [1]
    assert host.session.closed
    assert host.volume.calls == [("write", 0, 1)]


def test_outcomes_for_a_client_that_is_gone_are_dropped(host):
    host.send(request(WRITE, 1, data=b"x") + request(FLUSH, 2))
    host.session.disconnected()
    host.volume.settle()
    assert host.take() == b""


def test_shutdown_finishes_what_is_under_way_and_refuses_the_rest(host):
    host.send(request(WRITE, 1, data=b"x") + request(WRITE, 2, offset=9, data=b"yz")[:-1])
    host.session.closing()
    host.send(b"z" + request(WRITE, 3, data=b"w") + request(READ, 4, 0, 512) + request(FLUSH, 5))
    host.volume.settle()
    errors = {reply.handle: reply.error for reply in replies(host.take())}
    down = Errno.ESHUTDOWN
    assert errors == {1: 0, 2: down, 3: down, 4: down, 5: down}
    assert host.volume.calls == [("write", 0, 1)]


def test_flood_of_requests_is_held_back(host):
    host.send(request(FLUSH, 1) * 1000)
    assert host.session.wants_pause
    assert len(host.volume.waiting) == REQUESTS_MAX
    with pytest.raises(MisuseError):
        host.send(request(FLUSH, 1))
    answered = 0
    while host.volume.settle():
        answered += len(replies(host.take()))
    assert answered == 1000
    assert not host.session.wants_pause


def test_unanswered_requests_count_even_after_replies_have_left(host):
    host.send(request(FLUSH, 1) * REQUESTS_MAX)
    assert host.take() == b""
    assert host.session.wants_pause
    host.volume.settle(1)
    assert host.session.wants_pause
    assert len(host.take()) == 16
    assert not host.session.wants_pause


def test_nothing_is_held_for_what_is_refused_or_done(host):
    host.ask(WRITE, SIZE, data=bytes(4096))
    host.ask(WRITE, 0, data=bytes(4096))
    host.ask(WRITE, 0, flags=FUA, data=bytes(4096))
    host.ask(ZEROES, 0, 8192, NO_HOLE)
    for host.volume.reads_wait in (False, True):
        host.ask(READ, 0, 4096)
        host.ask(CACHE, 0, 4096)
    host.volume.outcome = Outcome.DEVICE
    host.ask(WRITE, 0, data=bytes(4096))
    host.ask(READ, 0, 4096)
    host.send(request(WRITE, 7, SIZE, data=bytes(4096))[:-1])
    assert (host.session._requests._bytes, len(host.session._requests._payload)) == (0, 0)


def test_flood_of_large_reads_is_held_back():
    volume = MemoryVolume(size_bytes=4096)
    volume.size_bytes = 1 << 30
    volume._pieces = lambda offset, length: [b"x" * length]
    host = Host(volume)
    host.send(request(READ, 1, 0, 16 << 20) * 100)
    asked = 0
    while buffers := host.session.outgoing():
        said = sum(map(len, buffers))
        assert said <= BYTES_MAX + (16 << 20) + 4096
        asked += said
    assert asked == 100 * ((16 << 20) + 16)


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


def test_head_magic_matters_for_each_command(host):
    wrong = REQUEST.pack(REQUEST_MAGIC ^ 1, 0, WRITE, bytes(8), 0, 4) + b"data"
    host.send(wrong)
    assert host.session.closed
    assert host.volume.calls == []
