"""Whatever a host sends, the engine answers with status, and no track ever holds half a record.

`Volume.answer` checks every track that is written: home address, R0, records, end marker, length,
and that nothing is left behind the marker.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.channel import parameters as p
from emulator.channel.asks import ReadTrack
from emulator.channel.ccw import Ccw
from emulator.channel.ckd.table import ROWS
from emulator.channel.engine import ProgramResult
from emulator.channel.track_image import NewRecord
from tests.channel.volume import Volume, chained, send, tic

CODES = sorted({row.code for row in ROWS} | {row.code | 0x80 for row in ROWS if row.multitrack})
FIND = [send(0x07, p.seek(0, 0)), send(0x31, p.search_id(0, 0, 1)), tic(1)]
OPEN = [
    send(0x63, p.define_extent((0, 0), (1, 11), mask=0xC0, attributes=0xE0)),
    send(0x47, p.locate_record(0x03, 2, (0, 0), record=1)),
]
codes = st.one_of(st.sampled_from(CODES), st.integers(0, 255))
data = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda parts: b"".join(part.to_bytes(2, "big") for part in parts),
        st.lists(st.sampled_from((0, 1, 2, 8, 0xC0, 0x0100, 0x0101, 0xFFFF)), max_size=12),
    ),
)
ccws = st.builds(
    lambda code, sent, extra, flags, target: Ccw(
        code, max(0, len(sent) + extra), sent, flags, target
    ),
    codes,
    data,
    st.sampled_from((0, 0, 0, 0, -1, 1, 60000, -70000)),
    st.one_of(st.sampled_from((0x40, 0x60, 0x60, 0x60, 0xA0, 0xE0)), st.integers(0, 255)),
    st.integers(-1, 6),
)
starts = st.sampled_from(([], FIND, OPEN))
devices = st.sampled_from(
    (("3390-1", None), ("3390-1", "2107"), ("3380-K", "3990-3"), ("3350", None), ("3330-1", "3880"))
)


def volume_of(device, **options):
    kind, unit = device
    volume = Volume(kind, 2, unit, **options)
    volume.put(0, 0, [NewRecord(1, b"one"), NewRecord(2, b"two", b"KEY2")])
    return volume


def without_endless_loops(program):
    """A transfer to an earlier place can go round until the engine's limit; that has its test."""
    return [
        ccw._replace(target=max(ccw.target, place + 1)) if ccw.command & 15 == 8 else ccw
        for place, ccw in enumerate(program)
    ]


@settings(max_examples=300, deadline=None)
@given(devices, starts, st.lists(ccws, max_size=6))
def test_any_program_ends_in_status(device, start, program):
    volume = volume_of(device)
    begin = [ccw._replace(flags=ccw.flags | 0x40) for ccw in chained(start)]
    result = volume.run(*begin, *without_endless_loops(program))
    assert isinstance(result, ProgramResult)
    assert bool(result.sense) == (result.unit_status & 0x0E == 0x0E)


@settings(max_examples=150, deadline=None)
@given(devices, starts, st.lists(ccws, max_size=4), st.integers(0, 80), st.binary(max_size=30))
def test_any_track_is_read_or_refused(device, start, program, at, torn):
    volume = volume_of(device)
    image = volume.image(0)
    torn = (image[:at] + torn + image[at + len(torn) :])[: at + 60]
    volume.answer = lambda request: torn if isinstance(request, ReadTrack) else None
    begin = [ccw._replace(flags=ccw.flags | 0x40) for ccw in chained(start)]
    result = volume.run(*begin, *without_endless_loops(program))
    assert isinstance(result, ProgramResult)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code:02X}")
@pytest.mark.parametrize("byte_count", [0, 1, 4, 11, 16, 300])
def test_every_command_takes_every_count(row, byte_count):
    for kind, unit in (("3390-1", None), ("3390-1", "2107"), ("3350", None)):
        volume = volume_of((kind, unit))
        for start in ([], FIND, OPEN):
            begin = [ccw._replace(flags=0x40) for ccw in start]
            result = volume.run(*begin, Ccw(row.code, byte_count, bytes(byte_count), 0x20))
            assert isinstance(result, ProgramResult)
