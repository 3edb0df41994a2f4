"""The committed files are the ones that the layout gives."""

import pytest

from emulator.wire.generate import DERIVED, ROOT, generate
from emulator.wire.headers import ENUMS, HEADERS, members, rows
from emulator.wire.tables import wire_page


@pytest.mark.parametrize("name", DERIVED)
def test_committed_file_is_up_to_date(name):
    committed = (ROOT / name).read_text(encoding="utf-8")
    assert committed == DERIVED[name](), f"{name} is out of date; run `make generate`"


def test_generate_writes_every_file(tmp_path):
    generate(tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert written == set(DERIVED)
    for name in DERIVED:
        assert (tmp_path / name).read_text(encoding="utf-8") == DERIVED[name]()


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_file_says_where_it_comes_from(name):
    opening = DERIVED[name]()[:200].lower()
    assert "made from emulator/wire/layout.py" in opening
    assert "do not edit" in opening


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_file_has_no_blanks_at_line_ends_and_one_newline_at_its_end(name):
    text = DERIVED[name]()
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_the_page_shows_every_field_and_named_value():
    page = wire_page()
    for header in HEADERS:
        for row in rows(header):
            assert f"| {row.at} | {row.size_bytes} | {row.name} | `{row.filter}` |" in page
    for values in ENUMS.values():
        for name, number in members(values):
            assert f"{number} {name}" in page
