"""Nothing of the layout is left out of what the derived files are made from."""

import enum
import struct

import pytest

from emulator.wire import layout
from emulator.wire.headers import ENUMS, HEADERS, HEX, header_bytes, members, rows

ROWS = [row for header in HEADERS for row in rows(header)]


def test_every_table_of_the_layout_has_a_header():
    tables = {name: value for name, value in vars(layout).items() if name.endswith("_FIELDS")}
    assert len(tables) == len(HEADERS)
    named = {f"{header.name.upper()}_FIELDS": header.fields for header in HEADERS}
    assert named == tables


def test_every_enumeration_of_the_layout_names_the_values_of_a_field():
    found = {
        value
        for value in vars(layout).values()
        if isinstance(value, type)
        and issubclass(value, enum.Enum)
        and value.__module__ == layout.__name__
    }
    assert set(ENUMS.values()) == found


def test_filter_names_are_unique():
    names = [row.filter for row in ROWS]
    assert len(set(names)) == len(names)
    assert set(ENUMS) | HEX <= set(names)


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_rows_lie_where_struct_puts_them(header):
    end = 0
    for row in rows(header):
        assert row.at == end
        assert row.size_bytes == struct.calcsize(">" + row.code)
        end += row.size_bytes
    assert end == header_bytes(header)


def test_only_codes_that_every_derived_file_knows_are_used():
    assert {row.code[-1] for row in ROWS} <= set("BHIQs")


def test_named_values_fit_their_fields_and_marks_are_single_bits():
    codes = {row.filter: row.code for row in ROWS}
    for name, values in ENUMS.items():
        for _, number in members(values):
            struct.pack(">" + codes[name], number)
            if issubclass(values, enum.IntFlag):
                assert number.bit_count() == 1


def test_meanings_name_every_value_with_its_number():
    meanings = {row.filter: row.meaning for row in ROWS}
    for name in ("dualcopy.type", "dualcopy.flags", "dualcopy.change.form"):
        for _, number in members(ENUMS[name]):
            assert f"{number} " in meanings[name]
