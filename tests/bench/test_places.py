"""Lines of TOML keys, held against what tomllib says there is."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.bench.places import Path, key_lines, line_of

EVERY_SHAPE = '''# a bench
name = "two # not a comment"   # a comment
"quoted key".'literal [key]' = 'x = 1'

[site.A]
cache = "64MiB" # [site.Z]
text = """
[not.a.table]
key = 1 \\
"" two quotes and an escaped \\""" stay inside"""""
raw = \'\'\'
also = 'not a key'\'\'\'
[site.A.device]
vol0 = { kind = "fba-512", disk.uri = "raw:///a]b}", serve = [
    "nbd://127.0.0.1:1/a", # first, second
    'nbd://127.0.0.1:2/b' ,
  ] }
[ site . "B c" ]
when = 1979-05-27 07:32:00
numbers = [ [1, 2], [ ], [3.5e7,
  {a.b = 1, c = [ {d = 2} ]}]]
[[list]]
x = 1
[[list]]
[list.inner]
y = 2
[[list.deep]]
z = true
[[list.deep]]
'''


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    found = {path} if path else set()
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in children:
            found |= paths_of(child, (*path, key))
    return found


def check_against_tomllib(text: str) -> dict[Path, int]:
    lines = key_lines(text)
    assert set(lines) == paths_of(tomllib.loads(text))
    rows = text.replace("\r\n", "\n").split("\n")
    for path, line in lines.items():
        if isinstance(path[-1], str) and path[-1].isalnum() and path[-1].isascii():
            assert path[-1] in rows[line - 1]
    return lines


def test_every_shape_of_key_has_its_line() -> None:
    lines = check_against_tomllib(EVERY_SHAPE)
    for path, line in {
        ("name",): 2,
        ("quoted key", "literal [key]"): 3,
        ("site",): 5,
        ("site", "A", "cache"): 6,
        ("site", "A", "raw"): 11,
        ("site", "A", "device", "vol0", "disk", "uri"): 14,
        ("site", "A", "device", "vol0", "serve", 0): 15,
        ("site", "A", "device", "vol0", "serve", 1): 16,
        ("site", "B c"): 18,
        ("site", "B c", "numbers", 2, 1, "c", 0, "d"): 21,
        ("list", 0): 22,
        ("list", 1): 24,
        ("list", 1, "inner", "y"): 26,
        ("list", 1, "deep", 1): 29,
    }.items():
        assert lines[path] == line, path


def test_windows_line_ends_count_as_one_line() -> None:
    assert check_against_tomllib(EVERY_SHAPE.replace("\n", "\r\n")) == key_lines(EVERY_SHAPE)


@pytest.mark.parametrize("text", ["", "# only\n", "a = ''''''\nb = \"\"\"\"\"\"\nc=1", "\n\n[a]"])
def test_small_files(text: str) -> None:
    check_against_tomllib(text)


def test_a_missing_key_is_told_at_the_table_around_it() -> None:
    lines = key_lines("name = 'x'\n\n[site.A]\n")
    assert line_of(lines, ("site", "A", "cache")) == 3
    assert line_of(lines, ("link", "A-B")) == 1


KEYS = st.one_of(st.sampled_from("abc"), st.text(st.characters(codec="utf-8"), max_size=4))
VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text("]}#,='\"\n\\ x", max_size=6)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def quoted_or_bare(text: str, *, bare: bool) -> str:
    if bare and text.isascii() and text.isalnum():
        return text
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


@st.composite
def toml_texts(draw: st.DrawFn) -> str:  # noqa: C901  a branch for each shape of TOML
    """Draw a table and write it down in one of the many ways TOML has."""
    gaps = st.sampled_from(["", " ", "\t"])
    breaks = st.sampled_from(["", " ", "\n", " # ] } x = 1\n "])

    def key(text: str) -> str:
        return quoted_or_bare(text, bare=draw(st.booleans()))

    def value(data: Any) -> str:
        if isinstance(data, dict):
            pairs = (draw(gaps) + pair + draw(gaps) for pair in map(inline, data.items()))
            return "{" + ",".join(pairs) + "}"
        if isinstance(data, list):
            return "[" + ",".join(draw(breaks) + value(x) + draw(breaks) for x in data) + "]"
        if isinstance(data, str) and "'" not in data and draw(st.booleans()):
            return f"'''{data}'''" if "\n" in data else f"'{data}'"
        if isinstance(data, str) and draw(st.booleans()):
            return '"""' + data.replace("\\", "\\\\").replace('"', '\\"') + '"""'
        return json.dumps(data)

    def inline(item: tuple[str, Any]) -> str:
        name, data = item
        if isinstance(data, dict) and len(data) == 1 and draw(st.booleans()):
            return f"{key(name)}{draw(gaps)}.{draw(gaps)}{inline(next(iter(data.items())))}"
        return f"{key(name)}{draw(gaps)}={draw(gaps)}{value(data)}"

    def table(data: dict[str, Any], header: str) -> str:
        later, text = [], ""
        for name, child in data.items():
            if isinstance(child, dict) and draw(st.booleans()):
                later.append((f"{header}.{key(name)}" if header else key(name), child))
            else:
                text += f"{inline((name, child))}{draw(gaps)}# note\n"
        for name, child in later:
            text += f"{draw(breaks)}\n[{draw(gaps)}{name}{draw(gaps)}]\n{table(child, name)}"
        return text

    return table(draw(st.dictionaries(KEYS, VALUES, max_size=4)), "")


@settings(max_examples=150, deadline=None)
@given(toml_texts())
def test_any_file_has_a_line_for_each_path_and_no_other(text: str) -> None:
    check_against_tomllib(text)
