"""Random channel programs: the engine and the oracle say the same, step by step and byte by byte.

Programs are made of short idioms with values that are mostly right, so that most chains go far
before they fail. `make slow` runs ten thousand; the quick run takes a few hundred.
"""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.channel import parameters as p
from emulator.channel import track_image
from emulator.channel.ccw import Ccw
from emulator.channel.track_image import NewRecord
from tests.channel.oracle_words import Rec
from tests.channel.oracle_writes import WritingOracle
from tests.channel.volume import Volume, read, send

CYLINDERS, HEADS = 2, 15
# Codes that are no command, nor Transfer in Channel; the oracle does not know all that are.
UNKNOWN = tuple(
    code
    for code, command in enumerate(Volume("3390-1", CYLINDERS).device.commands)
    if command is None and code & 0x0F != 0x08
)
CC, SLI = 0x40, 0x20

TRACKS = ((0, 0), (0, 1), (0, 2), (1, 13), (1, 14))
WRONG = ((0, 14), (0, 15), (2, 0))
addresses = st.sampled_from(TRACKS * 6 + WRONG)
numbers = st.sampled_from((1,) * 9 + (2,) * 9 + (3, 3, 3, 4, 0, 9))
keys = st.sampled_from((b"", b"", b"K", b"KEY1"))
lengths = st.sampled_from((8, 8, 8, 20, 20, 0, 1, 4096, 30000))
bodies = st.builds(lambda length, fill: bytes((fill,)) * length, lengths, st.integers(1, 255))
short_bodies = bodies.map(lambda body: body[:60])
old_records = st.lists(st.tuples(short_bodies, keys), min_size=1, max_size=4).map(
    lambda parts: [NewRecord(n, data, key) for n, (data, key) in enumerate(parts, 1)]
)
tracks = st.fixed_dictionaries(dict.fromkeys(TRACKS, old_records))
masks = st.sampled_from((0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0x80, 0x40, 0x08, 0x10, 0x18, 0x20))
rarely = st.integers(0, 24).map(lambda value: value == 11)


def count_of(address, number, key, data):
    return p.search_id(*address, number) + bytes((len(key),)) + len(data).to_bytes(2, "big")


new_records = st.builds(
    lambda address, number, key, data: count_of(address, number, key, data) + key + data,
    addresses,
    numbers,
    keys,
    bodies,
)
counts_only = new_records.map(lambda record: record[:8])
new_r0 = st.just(count_of((0, 0), 0, b"", bytes(8)) + bytes(8))


def sends(codes, data):
    return st.builds(send, st.sampled_from(codes), data)


record_searches = st.one_of(
    sends(
        (0x31, 0xB1, 0x51, 0x71, 0xF1),
        st.builds(lambda at, n: p.search_id(*at, n), addresses, numbers),
    ),
    sends((0x29, 0xA9, 0x49, 0x69), st.sampled_from((b"K", b"KEY1"))),
)
home_searches = sends((0x39, 0x39, 0xB9), addresses.map(lambda at: p.seek(*at)[2:]))
seeks = sends((7, 7, 7, 0x0B, 0x1B), addresses.map(lambda at: p.seek(*at)))
READS = (0x06, 0x86, 0x0E, 0x8E, 0x12, 0x92, 0x1E, 0x9E, 0x16, 0x96, 0x1A, 0x9A, 0x5E)
some_reads = st.builds(read, st.sampled_from(READS), st.sampled_from((5, 8, 16, 20, 100, 60000)))
updates = sends((0x05, 0x0D), short_bodies)
domain_updates = sends((0x85, 0x85, 0x8D), short_bodies)
formats = sends((0x1D, 0x1D, 0x1D, 0x9D), new_records)
erases = sends((0x11,), counts_only)
r0_writes = sends((0x15,), new_r0)
track_reads = st.builds(read, st.just(0xDE), st.sampled_from((60000, 60000, 20)))
writes = st.one_of(
    updates, domain_updates, formats, erases, r0_writes, sends((0x19,), st.just(bytes(5)))
)
controls = st.one_of(
    sends((0x1F,), masks.map(lambda mask: bytes((mask,)))),
    sends((0x23,), st.integers(0, 255).map(lambda sector: bytes((sector,)))),
    st.just(Ccw(0x03, 1)),
    st.builds(Ccw, st.sampled_from(UNKNOWN), st.just(0)),
)

# Operation bytes of Locate Record, and what mostly follows them.
OPERATIONS = (
    ((0x01, 0x81), domain_updates),
    ((0x01, 0x81), domain_updates),
    ((0x01,), updates),
    ((0x03,), formats),
    ((0x43, 0xC3), st.one_of(r0_writes, formats)),
    ((0x06, 0x86, 0x16, 0x96), some_reads),
    ((0x46, 0x56, 0xD6), some_reads),
    ((0x0B,), st.one_of(sends((0x1D,), new_records), updates, erases)),
    ((0x0C, 0x4C), track_reads),
)


@st.composite
def extents(draw):
    wrong = draw(rarely)
    low, high = draw(st.sampled_from((((0, 0), (0, 14)), ((0, 1), (1, 15)), ((1, 0), (0, 0)))))
    return send(
        0x63,
        p.define_extent(
            low if wrong else (0, 0),
            high if wrong else (1, 14),
            mask=draw(masks) if draw(rarely) else draw(st.sampled_from((0, 0xC0))),
            attributes=draw(st.sampled_from((0xC0, 0xE0, 0xE0, 0xE0))),
        ),
    )


@st.composite
def domains(draw):
    """Define Extent, Locate Record, and as many commands as it announces, or nearly so."""
    bytes_, works = draw(st.sampled_from(OPERATIONS))
    work = draw(st.lists(works, min_size=1, max_size=3))
    operation = draw(st.sampled_from(bytes_))
    if draw(rarely):
        operation = draw(st.sampled_from((0x00, 0x40, 0x80, 0x02, 0xC1)))
    if draw(rarely):
        work.append(draw(st.one_of(some_reads, writes, seeks, controls)))
    count = len(work) + draw(rarely) if operation & 0x3F else 0
    suffixed = operation & 0x3F in (0x01, 0x16) and draw(st.integers(0, 3)) == 3
    if suffixed:
        work.append(read(0x12, 8))
        count += 1
    to = draw(addresses)
    parameters = p.locate_record(
        operation,
        count,
        to,
        record=draw(numbers),
        search=draw(addresses) if draw(rarely) else None,
        transfer_length=draw(st.sampled_from((0, 8, 8, 20, 24))),
        auxiliary=2 if draw(rarely) else int(suffixed),
        sector=224 if draw(rarely) else 255,
    )
    return [draw(extents()), send(0x47, parameters), *work]


@st.composite
def idioms(draw):
    """A few CCWs that belong together; a Transfer in Channel goes back to the search before it."""
    kind = draw(st.integers(0, 9))
    if kind < 4:
        to, number = draw(addresses), draw(numbers)
        search = draw(record_searches) if draw(rarely) else send(0x31, p.search_id(*to, number))
        if kind == 3:
            search = draw(record_searches)
        work = draw(
            st.lists(st.one_of(some_reads, updates, formats, erases), min_size=1, max_size=2)
        )
        # A search for a home address would go round for ever, on a real channel too.
        return [send(0x07, p.seek(*to)), search, "again", *work]
    if kind < 8:
        return draw(domains())
    if kind == 8:
        to, work = draw(addresses), draw(st.lists(writes, min_size=1, max_size=2))
        search = send(0x39, p.seek(*to)[2:])
        mask = send(0x1F, b"\xc0")
        return [mask, send(0x07, p.seek(*to)), search, Ccw(0x03, 1), draw(r0_writes), *work]
    one = st.one_of(controls, seeks, record_searches, home_searches, some_reads, writes, extents())
    return draw(st.lists(one, min_size=1, max_size=2))


@st.composite
def programs(draw):
    parts = [
        ccw
        for part in draw(st.lists(idioms(), min_size=1, max_size=1 + draw(rarely)))
        for ccw in part
    ]
    suppress = 0 if draw(rarely) else SLI
    program = []
    for place, part in enumerate(parts):
        if part == "again":
            program.append(Ccw(0x08, target=place - 1))
            continue
        flags = suppress | (CC if place < len(parts) - 1 else 0)
        flags |= draw(st.sampled_from((0,) * 9 + (0x10, 0x08)))
        program.append(part._replace(flags=flags))
    return program


def same(contents, chains):
    volume = Volume("3390-1", CYLINDERS)
    model = {}
    for track in range(CYLINDERS * HEADS):
        address = divmod(track, HEADS)
        records = contents.get(address, [])
        volume.put(*address, records)
        model[address] = [Rec(p.search_id(*address, 0), b"", bytes(8))] + [
            Rec(p.search_id(*address, r.number), r.key, r.data) for r in records
        ]
    oracle = WritingOracle(volume.geometry, model)
    for program in chains:
        found, expected = volume.run(*program), oracle.run(copy.deepcopy(program))
        assert [tuple(step) for step in found.results] == expected.steps
        bits = (found.sense[0], found.sense[1], found.sense[7]) if found.sense else ()
        assert (found.unit_status, found.channel_status, bits) == (
            expected.unit,
            expected.channel,
            expected.bits,
        )
    for address, records in model.items():
        image = b"".join((b"\0", *(part.to_bytes(2, "big") for part in address)))
        image += b"".join(r.count + r.key + r.data for r in records) + b"\xff" * 8
        assert track_image.cut(volume.image(volume.geometry.track(*address))) == image


chains = st.lists(programs(), min_size=1, max_size=3)


@settings(max_examples=120, deadline=None)
@given(tracks, chains)
def test_the_engine_and_the_oracle_agree(contents, chains):
    same(contents, chains)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=10_000, deadline=None)
@given(tracks, chains)
def test_the_engine_and_the_oracle_agree_on_ten_thousand(contents, chains):
    same(contents, chains)
