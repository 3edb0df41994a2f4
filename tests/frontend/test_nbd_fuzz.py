"""Any bytes in any pieces: a session never raises, never grows, and pieces change nothing."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.frontend.nbd import NbdSession
from emulator.frontend.nbd_options import OPTION_BYTES_MAX
from emulator.frontend.nbd_protocol import CLIENT_FLAGS, OPTION, PAYLOAD_BYTES_MAX, Command, Option
from emulator.frontend.nbd_rules import REQUESTS_MAX
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.nbd_host import Host, context_data, name_data, option, replies, request

SIZE = 64 * 1024

options = st.sampled_from(
    [
        option(Option.LIST),
        option(Option.STRUCTURED_REPLY),
        option(Option.SET_META_CONTEXT, context_data("vol0", "base:allocation")),
        option(Option.LIST_META_CONTEXT, context_data("", "base:")),
        option(Option.INFO, name_data("vol0", (1, 2, 3))),
        option(Option.GO, name_data("vol0")),
        option(Option.EXPORT_NAME, b"vol0"),
        option(Option.STARTTLS),
    ]
)
requests = st.builds(
    request,
    command=st.sampled_from([0, 0, 1, 3, 4, 5, 6, 7, 8]),
    handle=st.integers(0, 2**64 - 1),
    offset=st.integers(0, SIZE + 4096),
    length=st.integers(0, 9000),
    flags=st.sampled_from([0, 0, 0, 1, 2, 4, 8, 16, 32]),
).flatmap(
    # Only a write (command 1) carries data, as many bytes as it says.
    lambda head: (
        st.binary(min_size=1, max_size=1).map(lambda byte: head + byte * int.from_bytes(head[-4:]))
        if head[6:8] == b"\0\1"
        else st.just(head)
    )
)
streams = st.tuples(st.lists(options, max_size=6), st.lists(requests, max_size=40)).map(
    lambda parts: CLIENT_FLAGS.pack(3) + b"".join(parts[0]) + b"".join(parts[1])
)
open_streams = st.lists(requests, max_size=60).map(b"".join)


def feed(session, volume, stream, sizes, chance):
    """Hand over `stream` in pieces of `sizes`, as a shell would; return what was said."""
    said = []
    at = 0
    while at < len(stream) and not session.closed:
        if session.wants_pause:
            said += session.outgoing()
            settled = volume.settle(chance.randrange(1, 9))
            assert settled or not session.wants_pause or session.closed
            continue
        size = sizes[at % len(sizes)]
        session.receive(memoryview(bytearray(stream[at : at + size])))
        at += size
        check_bounds(session)
    while (settled := volume.settle()) or (buffers := session.outgoing()):
        said += [] if settled else buffers
    return b"".join(said)


def check_bounds(session):
    assert len(session._rest) <= OPTION_BYTES_MAX + OPTION.size
    requests_open = session._requests
    if requests_open:
        begun = requests_open._begun
        assert begun is None or sum(map(len, begun.pieces)) <= PAYLOAD_BYTES_MAX
        assert requests_open.pending <= REQUESTS_MAX


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600), st.lists(st.integers(1, 90), min_size=1, max_size=5), st.booleans())
def test_noise_is_survived(noise, sizes, is_open):
    volume = MemoryVolume(size_bytes=SIZE)
    session = Host(volume).session if is_open else NbdSession({"vol0": volume})
    feed(session, volume, noise, sizes, random.Random(1))


@settings(max_examples=150, deadline=None)
@given(streams, st.integers(0, 2**32), st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_damaged_conversation_is_survived(stream, seed, sizes):
    chance = random.Random(seed)
    damaged = bytearray(stream)
    for _ in range(chance.randrange(1, 4)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    volume = MemoryVolume(size_bytes=SIZE)
    feed(NbdSession({"vol0": volume}), volume, bytes(damaged), sizes, chance)


@settings(max_examples=150, deadline=None)
@given(open_streams, st.lists(st.integers(1, 7000), min_size=1, max_size=6), st.booleans())
def test_pieces_change_nothing(stream, sizes, structured):
    said = []
    volumes = []
    for cut in ([len(stream) or 1], sizes, [1 if len(stream) < 3000 else 100]):
        volume = MemoryVolume(size_bytes=SIZE)
        host = Host(volume, structured=structured, context=structured)
        at = 0
        while at < len(stream):
            size = cut[at % len(cut)]
            host.send(stream[at : at + size])
            at += size
        while volume.settle():
            pass
        said.append(host.take())
        volumes.append(volume)
        assert host.session._requests._bytes == 0
    assert said[0] == said[1] == said[2]
    assert volumes[0].calls == volumes[1].calls == volumes[2].calls
    assert volumes[0].contents == volumes[1].contents == volumes[2].contents


def operation(command, offset, length, byte):
    length = min(length, SIZE - offset)
    return command, offset, length, bytes([byte]) * length if command == Command.WRITE else b""


operations = st.lists(
    st.builds(
        operation,
        st.sampled_from([Command.READ, Command.WRITE, Command.WRITE_ZEROES]),
        st.integers(0, SIZE - 1),
        st.integers(1, 9000),
        st.integers(1, 255),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(operations, st.integers(0, 2**32), st.booleans(), st.booleans())
def test_reads_return_what_a_plain_array_would_hold(operations, seed, reads_wait, at_once):
    chance = random.Random(seed)
    volume = MemoryVolume(size_bytes=SIZE, reads_wait=reads_wait, at_once=at_once, chance=chance)
    host = Host(volume)
    model = bytearray(SIZE)
    for command, offset, length, data in operations:
        (reply,) = host.ask(command, offset, length, data=data)
        assert reply.error == 0
        if command == Command.READ:
            assert reply.payload == model[offset : offset + length]
        else:
            model[offset : offset + length] = data or bytes(length)
    assert volume.contents == model


@settings(max_examples=150, deadline=None)
@given(operations, st.integers(0, 2**32))
def test_every_request_is_answered_once_whatever_the_order(operations, seed):
    chance = random.Random(seed)
    volume = MemoryVolume(size_bytes=SIZE, reads_wait=True, chance=chance)
    host = Host(volume)
    reads = {}
    said = b""
    for handle, (command, offset, length, data) in enumerate(operations):
        host.send(request(command, handle, offset, length, data=data))
        if command == Command.READ:
            reads[handle] = length
        volume.settle(chance.randrange(3))
        said += host.take()
    volume.settle()
    said += host.take()
    assert sorted(r.handle for r in replies(said, reads)) == list(range(len(operations)))
