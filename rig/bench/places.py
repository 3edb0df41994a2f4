"""On which line of a TOML file each key stands, which `tomllib` does not tell.

Reads only text that `tomllib` has accepted, so it follows the shape and checks nothing. Dotted
keys, inline tables, arrays and arrays of tables give paths like those of the parsed file.
"""

import bisect
import re
import tomllib

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t]+|#[^\n]*)*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!"")|"(?="""))*"{3,5}'
    r"|'''(?:[^']|'(?!'')|'(?='''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> dict[Path, int]:
    r"""Return the line of every key, table and array item of a valid TOML text.

    >>> key_lines("[site.A]\nnvs = 'x'\n")
    {('site',): 1, ('site', 'A'): 1, ('site', 'A', 'nvs'): 2}
    """
    return _Reader(text.replace("\r\n", "\n")).read()


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Return the line of a path, or of the nearest table around it that has one."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Reader:
    """Walks over the text once, keeping the position."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [match.end() for match in re.finditer(r"\n", text)]
        self._lines: dict[Path, int] = {}
        self._items: dict[Path, int] = {}  # arrays of tables: the index of their last table

    def read(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_SPACE_AND_LINES)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE_AND_LINES)
        return self._lines

    def _header(self) -> Path:
        is_item = self._text.startswith("[[", self._at)
        self._at += 2 if is_item else 1
        parts = self._key()
        path: Path = ()
        for part in parts[:-1]:
            path = self._inside(self._note((*path, part)))
        path = self._note((*path, parts[-1]))
        self._skip(_SPACE)
        self._at += 2 if is_item else 1
        if not is_item:
            return path
        self._items[path] = self._items.get(path, -1) + 1
        return self._note(self._inside(path))

    def _inside(self, path: Path) -> Path:
        """Return the path of the last table when this is an array of tables."""
        return (*path, self._items[path]) if path in self._items else path

    def _pair(self, table: Path) -> None:
        path = table
        for part in self._key():
            path = self._note((*path, part))
        self._skip(_SPACE)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """Read a key such as `a."b c".d`."""
        parts = []
        while True:
            self._skip(_SPACE)
            bare = _BARE_KEY.match(self._text, self._at)
            found = bare or _STRING.match(self._text, self._at)
            assert found, "tomllib has accepted this text"
            self._at = found.end()
            parts.append(found[0] if bare else tomllib.loads(f"k = {found[0]}")["k"])
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        first = self._text[self._at]
        if first in "\"'":
            found = _STRING.match(self._text, self._at)
            assert found, "tomllib has accepted this text"
            self._at = found.end()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._next_item("]"):
            self._value(self._note((*path, index)))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._next_item("}"):
            self._pair(path)

    def _next_item(self, end: str) -> bool:
        """Step over what lies between items; False, and past it, at the closing bracket."""
        self._skip(_SPACE_AND_LINES)
        while self._text[self._at] == ",":
            self._at += 1
            self._skip(_SPACE_AND_LINES)
        if self._text[self._at] != end:
            return True
        self._at += 1
        return False

    def _note(self, path: Path) -> Path:
        self._lines.setdefault(path, bisect.bisect_right(self._starts, self._at) + 1)
        return path

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        assert found, "these patterns match the empty text too"
        self._at = found.end()
