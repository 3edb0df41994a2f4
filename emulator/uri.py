"""Names of lines and disks: one string such as `udp://127.0.0.1:7001?peer=127.0.0.1:7002`.

Taken apart by hand, because `urllib.parse.urlsplit` mangles what we need: `.port` raises on
`usb://1209:f00d`, `.hostname` lower-cases `A-B`, a `#` in a file name cuts it short, and tabs and
newlines vanish in silence. Every error names the whole URI, the place and the fix. Leaves the
meaning of authority, path and values to the line or disk that is named.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar
from urllib.parse import unquote

from emulator.errors import BenchError

Value = TypeVar("Value")

_SHAPE: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?]*))?"
    r"(?P<path>[^?]*)(?:\?(?P<query>.*))?"
)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_FLAGS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Uri:
    """The parts of a URI, with `%41` escapes in path and values already resolved."""

    scheme: str
    authority: str
    path: str
    query: dict[str, str]
    text: str

    def refuse(self, problem: str, cause: Exception | None = None) -> NoReturn:
        """Raise the error that says what is wrong with this URI."""
        msg = f"{self.text}: {problem}"
        raise BenchError(msg) from cause

    def refuse_value(self, key: str, fix: str) -> NoReturn:
        """Raise the error that says the value of `key` cannot be used."""
        self.refuse(f"{key}={self.query.get(key, '')} cannot be used; {fix}")

    def read(self, key: str, reader: Callable[[str], Value], default: Value) -> Value:
        """Return the value of `key` as `reader` (such as `size_bytes`) reads it."""
        if key not in self.query:
            return default
        try:
            return reader(self.query[key])
        except ValueError as error:
            self.refuse(f"{key}: {error}", error)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return whether `key` is switched on: 1, true or yes against 0, false or no."""
        if key not in self.query:
            return default
        value = _FLAGS.get(self.query[key].lower())
        if value is None:
            self.refuse_value(key, "write 1 or 0")
        return value

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """Return the whole number under `key`, written in decimal or as 0x88B5."""
        if key not in self.query:
            return default
        text = self.query[key]
        if not re.fullmatch(r"0[xX][0-9A-Fa-f]{1,16}|[0-9]{1,19}", text):
            self.refuse_value(key, f"write a whole number from {least} to {most}")
        value = int(text, 16) if text[:2].lower() == "0x" else int(text)
        if not least <= value <= most:
            self.refuse_value(key, f"it must lie from {least} to {most}")
        return value

    def choice(self, key: str, default: Value, choices: Mapping[str, Value]) -> Value:
        """Return what the word under `key` stands for in `choices`."""
        if key not in self.query:
            return default
        if self.query[key] not in choices:
            near = suggestion(self.query[key], choices)
            self.refuse_value(key, f"{near}choose one of {', '.join(choices)}")
        return choices[self.query[key]]


def parse_uri(text: str, known: Mapping[str, str]) -> Uri:
    """Take a URI apart; `known` gives each query key that has a meaning here, and that meaning.

    >>> parse_uri("raw:///a%20b.img?block=512", {"block": "bytes in a block"}).path
    '/a b.img'
    >>> parse_uri("sim://A-B", {}).authority
    'A-B'
    """
    if _CONTROL.search(text):
        msg = f"{text!r}: a URI cannot hold control characters; write them as %0A and the like"
        raise BenchError(msg)
    found = _SHAPE.fullmatch(text)
    if not found:
        msg = f"{text!r} is not a URI; write for example udp://127.0.0.1:7001"
        raise BenchError(msg)
    query: dict[str, str] = {}
    uri = Uri(
        scheme=found["scheme"].lower(),
        authority=found["authority"] or "",
        path=_unescape(text, found["path"]),
        query=query,
        text=text,
    )
    for item in (found["query"] or "").split("&") if found["query"] else ():
        key, equals, value = item.partition("=")
        if key not in known:
            uri.refuse(_unknown_key(key, uri.scheme, known))
        if key in query:
            uri.refuse(f"{key} is given twice; keep one")
        if not equals or not value:
            uri.refuse(f"{key} has no value; write {key}=...")
        query[key] = _unescape(text, value)
    return uri


def scheme_of(text: str) -> str:
    """Return the scheme of a URI, which says what kind of thing it names.

    >>> scheme_of("UDP://127.0.0.1:7001")
    'udp'
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if not found:
        msg = f"{text!r} is not a URI; write for example udp://127.0.0.1:7001"
        raise BenchError(msg)
    return found[1].lower()


def suggestion(word: str, words: Mapping[str, object]) -> str:
    """Return `did you mean ...? ` when one of `words` is like `word`, else nothing.

    >>> suggestion("baudrat", {"baudrate": 1, "parity": 2})
    'did you mean baudrate? '
    """
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"did you mean {near[0]}? " if near else ""


def _unknown_key(key: str, scheme: str, known: Mapping[str, str]) -> str:
    if not known:
        return f"unknown key {key!r}; {scheme}: takes none"
    meanings = ", ".join(f"{name} ({meaning})" for name, meaning in known.items())
    return f"unknown key {key!r}; {suggestion(key, known)}{scheme}: takes {meanings}"


def _unescape(text: str, part: str) -> str:
    if _BAD_ESCAPE.search(part):
        msg = f"{text}: a % must be written as %25"
        raise BenchError(msg)
    return unquote(part, errors="surrogateescape")
