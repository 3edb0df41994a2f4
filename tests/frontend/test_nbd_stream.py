"""Order, pieces, floods and endings of the stream of requests."""

import random

import pytest

from emulator.channel.blocks import Outcome
from emulator.errors import MisuseError
from emulator.frontend.nbd_protocol import (
    PAYLOAD_BYTES_MAX,
    REQUEST,
    REQUEST_MAGIC,
    Command,
    CommandFlag,
    Errno,
)
from emulator.frontend.nbd_rules import BYTES_MAX, REQUESTS_MAX
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.nbd_host import (
    Host,
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
    assert host.session._requests._bytes == 0
    assert not host.session._requests._begun.pieces


def test_write_that_has_begun_counts_in_full(host):
    host.send(request(WRITE, 7, 0, data=bytes(4096))[:100])
    assert host.session._requests._bytes == 4096


def test_flood_of_large_reads_is_held_back():
    volume = MemoryVolume(size_bytes=4096)
    volume.size_bytes = 1 << 30
    volume._pieces = lambda offset, length: [b"x" * length]
    host = Host(volume)
    host.send(request(READ, 1, 0, 16 << 20) * 20)
    asked = 0
    while buffers := host.session.outgoing():
        said = sum(map(len, buffers))
        assert said <= BYTES_MAX + (16 << 20) + 4096
        asked += said
    assert asked == 20 * ((16 << 20) + 16)


def test_head_magic_matters_for_each_command(host):
    wrong = REQUEST.pack(REQUEST_MAGIC ^ 1, 0, WRITE, bytes(8), 0, 4) + b"data"
    host.send(wrong)
    assert host.session.closed
    assert host.volume.calls == []
