"""The layout's struct formats and the golden vectors agree on every header."""

import struct

import pytest

from emulator.wire.headers import HEADERS, header_bytes
from emulator.wire.layout import ChangeForm, RecordKind, struct_format
from tests.wire.vectors import PACKETS, RECORDS, headers_in, name_of

FORMATS = {header.name: struct.Struct(struct_format(header.fields)) for header in HEADERS}
NAMES = {header.name: [field.name for field in header.fields] for header in HEADERS}


@pytest.mark.parametrize("vector", [*PACKETS, *RECORDS], ids=name_of)
def test_every_header_packs_and_unpacks_as_the_vector_says(vector):
    for name, values, at in headers_in(vector):
        plain = [
            bytes.fromhex(value) if isinstance(value, str) else value for value in values.values()
        ]
        assert list(values) == NAMES[name]
        assert list(FORMATS[name].unpack_from(vector["raw"], at)) == plain
        assert FORMATS[name].pack(*plain) == vector["raw"][at : at + FORMATS[name].size]


def test_the_vectors_leave_no_header_kind_or_form_out():
    seen = [found for vector in [*PACKETS, *RECORDS] for found in headers_in(vector)]
    assert {name for name, _, _ in seen} | {"packet_trailer"} == set(NAMES)
    assert {values["form"] for name, values, _ in seen if name == "change"} == {*ChangeForm}
    kinds = {vector["packet"]["kind"] for vector in PACKETS}
    assert kinds == {int(kind) for kind in RecordKind}


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_sizes_of_headers_are_known(header):
    # Written out, so that a change of size is seen as such: other ends have it in their code.
    assert (
        header_bytes(header)
        == {
            "packet": 42,
            "packet_trailer": 4,
            "hello": 27,
            "ack": 21,
            "ack_range": 16,
            "record": 61,
            "change": 10,
            "change_delta": 9,
            "change_piece": 4,
            "change_zero": 4,
            "change_run": 8,
        }[header.name]
    )
