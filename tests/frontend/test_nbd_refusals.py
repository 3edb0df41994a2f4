"""Every error a request can meet: refused by the rules, or by the volume."""

import pytest

from emulator.channel.blocks import Outcome
from emulator.frontend.nbd import NbdSession
from emulator.frontend.nbd_protocol import (
    CLIENT_FLAGS,
    PAYLOAD_BYTES_MAX,
    Chunk,
    Command,
    CommandFlag,
    Errno,
    Option,
)
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.nbd_host import (
    Host,
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


@pytest.fixture(
    params=[(False, False), (True, False), (True, True)],
    ids=["simple", "structured", "answered-before-the-call-returns"],
)
def host(request):
    structured, at_once = request.param
    return Host(MemoryVolume(at_once=at_once), structured=structured)


def test_df_without_structured_replies_is_invalid():
    assert Host().error(READ, 0, 512, DF) == Errno.EINVAL


def test_fast_zeroes_without_a_hole_would_not_be_fast(host):
    assert host.error(ZEROES, 0, 4096, NO_HOLE | FAST_ZERO) == Errno.ENOTSUP
    assert host.volume.calls == []


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
