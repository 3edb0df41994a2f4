"""What is wrong with a bench file, told by line, key, value and fix.

Collects every problem instead of stopping at the first, so that a file is mended in one go.
"""

import difflib
import json
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from emulator.errors import BenchError
from rig.bench.model import (
    BenchFile,
    ControlUnitTable,
    CopyTable,
    DeviceTable,
    LinkTable,
    SiteTable,
    VolumePair,
)
from rig.bench.places import Path, line_of

PROBLEMS_MAX = 20  # more than a screenful is not read
VALUE_CHARACTERS_MAX = 60

_TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    (): BenchFile,
    ("site", "*"): SiteTable,
    ("site", "*", "device", "*"): DeviceTable,
    ("site", "*", "control_unit", "*"): ControlUnitTable,
    ("link", "*"): LinkTable,
    ("copy", "*"): CopyTable,
    ("copy", "*", "volumes", "*"): VolumePair,
}

_LATER = {
    "secret": "sealed links are not in this release; remove it, say lab_plaintext = true, and "
    "keep the line on this machine (127.0.0.1, pty, serial)",
    "extents": "copying part of a volume is not in this release; name whole volumes",
}

_SHAPES = {
    "string_type": "write text in quotes",
    "bool_type": "write true or false",
    "list_type": "write a list in square brackets",
    "dict_type": "this is a table; open it with its name in square brackets",
    "model_type": "this is a table of its own; give its keys",
    "too_short": "it must not be empty",
    "string_too_short": "it must not be empty",
}


class Problems:
    """The problems of one file, in the order they were found."""

    def __init__(self, file: str, lines: dict[Path, int]) -> None:
        self._file = file
        self._lines = lines
        self._found: dict[tuple[int, str], None] = {}

    def add(self, path: Path, problem: str, value: object = None) -> None:
        """Note what is wrong at a key, with its value when that helps."""
        key = ".".join(_written(part) for part in path) or "the file"
        shown = "" if value is None else f" = {_shortened(value)}"
        line = line_of(self._lines, path)
        self._found[line, f"{self._file}:{line}: {key}{shown}: {problem}"] = None

    def add_invalid(self, details: list[ErrorDetails]) -> None:
        """Note what the models found."""
        unknown = {
            _unknown_in(detail)[1] for detail in details if detail["type"] == "extra_forbidden"
        }
        for detail in details:
            path = detail["loc"]
            if detail["type"] == "extra_forbidden":
                self.add(path, _unknown_in(detail)[0])
            elif detail["type"] == "missing":
                if path not in unknown:  # else it is there, misspelled
                    self.add(path, _missing(path))
            elif path[-1:] == ("[key]",):
                self.add(path[:-1], "a name has up to 32 letters, digits, - and _, and begins "
                         "with a letter or digit")  # fmt: skip
            else:
                self.add(path, _wrong(detail), detail["input"])

    def raise_any(self) -> None:
        """Raise what was found, by line; return if it was nothing."""
        if not self._found:
            return
        texts = [text for _, text in sorted(self._found)]
        if len(texts) > PROBLEMS_MAX:
            more = len(texts) - PROBLEMS_MAX
            texts = [*texts[:PROBLEMS_MAX], f"{self._file}: and {more} more"]
        raise BenchError("\n".join(texts))


def choose(word: str, words: list[str]) -> str:
    """Return what may be written instead of `word`, the likeliest first.

    >>> choose("vol1", ["vol0", "log"])
    'did you mean "vol0"? there are: vol0, log'
    """
    near = difflib.get_close_matches(word, words, n=1)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    return f"{guess}there are: {', '.join(words)}" if words else "there are none"


def _unknown_in(detail: ErrorDetails) -> tuple[str, Path]:
    """Return what to say about an unknown key, and the path of the key it stands for."""
    *table, key = detail["loc"]
    if key in _LATER:
        return _LATER[str(key)], ()
    known = list(_keys(tuple(table)))
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"unknown key; {choose(str(key), known)}", (*table, *near)


def _missing(path: Path) -> str:
    field = _keys(path[:-1])[str(path[-1])]
    if field.examples:
        return f"is missing; write for example {path[-1]} = {json.dumps(field.examples[0])}"
    return f"is missing; begin one with for example [{path[-1]}.A]"


def _wrong(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "enum":
        field = _keys(detail["loc"][:-1])[str(detail["loc"][-1])]
        return choose(str(detail["input"]), [member.value for member in field.annotation])
    return _SHAPES.get(detail["type"], detail["msg"])


def _keys(path: Path) -> dict[str, Any]:
    """Return the fields of the table at a path, by the key they have in the file."""
    for pattern, model in _TABLES.items():
        if len(pattern) == len(path) and all(
            want in ("*", part) for want, part in zip(pattern, path, strict=True)
        ):
            return {field.alias or name: field for name, field in model.model_fields.items()}
    raise AssertionError(f"no table of a bench file lies at {path}")


def _written(part: str | int) -> str:
    text = str(part)
    return text if text.replace("-", "").replace("_", "").isalnum() else json.dumps(text)


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > VALUE_CHARACTERS_MAX:
        text = text[: VALUE_CHARACTERS_MAX - 1] + "…"
    return text
