"""House rules that no linter knows, each a function from source to complaints.

`test_tidy.py` applies them to this repository and shows each of them one file that breaks it.
The idea is TigerBeetle's tidy.zig. The list of pure rooms is read from pyproject.toml, where
import-linter has it too; this file sees what import-linter cannot (set order, `hash`, `id`).
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rig.compiled.parts import FOLDERS, MORE

FILE_LINES_MAX = 400
FILE_LINES_USUAL = 300
FUNCTION_LINES_MAX = 60

# Spelled in halves, so that this file does not complain about itself.
_PROMISES = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
_UNWANTED = {
    "mas" + "ter": "say primary",
    "sla" + "ve": "say secondary",
    "/wo" + "rk/": "a path of one machine",
    "/ro" + "ot/": "a path of one machine",
}
_UNWANTED_WORD = re.compile("|".join(_UNWANTED), re.IGNORECASE)
_UNITLESS = re.compile(r"(?:^|_)(?:timeout|delay|interval|latency|duration|elapsed|age|lag)$")

# Beside what import-linter forbids: modules that are of no use to something given bytes and time.
_IMPURE_TOO = frozenset(
    {
        "concurrent",
        "contextvars",
        "ctypes",
        "datetime",
        "fcntl",
        "importlib",
        "io",
        "mmap",
        "multiprocessing",
        "pathlib",
        "platform",
        "queue",
        "secrets",
        "shutil",
        "signal",
        "sys",
        "tempfile",
        "uuid",
        "warnings",
        "weakref",
    }
)
_IMPURE_CALLS = {
    "hash": "differs from process to process",
    "id": "differs from run to run",
    "input": "a pure room asks nobody",
    "open": "a pure room touches no file",
    "print": "a pure room yields events",
}
_SETS = ("set", "frozenset")
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
_ORDER_MATTERS = ("enumerate", "iter", "list", "tuple", "zip", "map", "filter", "dict", "bytes")
_ORDER_SETTLED = ("all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum")


class Source(NamedTuple):
    """One Python file."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Purity(NamedTuple):
    """Which modules are pure, and what those may not import."""

    rooms: tuple[str, ...]
    shells: tuple[str, ...]
    forbidden: frozenset[str]
    common: tuple[str, ...]

    @classmethod
    def read(cls, pyproject: Path) -> "Purity":
        settings = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]
        contracts = {contract["id"]: contract for contract in settings["contracts"]}
        pure = contracts["pure"]
        common = [name for row in contracts["layers"]["layers"][-3:] for name in row.split(" : ")]
        return cls(
            tuple(pure["source_modules"]),
            tuple(line.split(" -> ")[0] for line in pure["ignore_imports"]),
            frozenset(pure["forbidden_modules"]) | _IMPURE_TOO,
            tuple(name.strip("()") for name in common),
        )

    def covers(self, module: str) -> bool:
        return _within(module, self.rooms) and not _within(module, self.shells)


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in packages)


def python_sources(root: Path, *folders: str) -> list[Source]:
    """Return every Python file below the folders, in order of their paths."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [Source(path.relative_to(root).as_posix(), path.read_text()) for path in paths]


def slices(source: Source) -> Iterator[str]:
    """No bound of a slice does anything: mypyc (ADR 0026) works out some of them twice."""
    if not source.path.startswith((*FOLDERS, *MORE)):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Slice):
            for part in ast.walk(node):
                if isinstance(part, ast.NamedExpr) or _is_call(part):
                    yield f"{source.path}:{part.lineno}: give the bound a name before the slice"


def constants(source: Source) -> Iterator[str]:
    """A constant of the emulator says so: machine code then need not look it up (ADR 0026)."""
    if not source.path.startswith("emulator/"):
        return
    for node in source.tree.body:
        if isinstance(node, ast.Assign):
            names = [found.id for found in node.targets if isinstance(found, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and "Final" not in ast.unparse(node.annotation):
            names = [node.target.id] if isinstance(node.target, ast.Name) and node.value else []
        else:
            continue
        for name in filter(_CONSTANT.fullmatch, names):
            yield f"{source.path}:{node.lineno}: {name} is Final"


def _is_call(node: ast.AST) -> bool:
    """Whether something else is called than what is free of effects and done at once."""
    if not isinstance(node, ast.Call):
        return False
    return not (isinstance(node.func, ast.Name) and node.func.id in ("int", "len", "max", "min"))


def file_length(source: Source, reasons: dict[str, str]) -> Iterator[str]:
    """A file is small; a larger one has a reason, and none is huge."""
    lines = source.text.count("\n")
    # Tests are tables and stories, read one by one: only the hard limit counts for them.
    usual = FILE_LINES_MAX if source.path.startswith("tests/") else FILE_LINES_USUAL
    if lines > FILE_LINES_MAX:
        yield f"{source.path}: {lines} lines, more than {FILE_LINES_MAX}: split it"
    elif lines > usual and source.path not in reasons:
        yield f"{source.path}: {lines} lines: split it, or give the reason in LONG_FILES"
    elif lines <= usual and source.path in reasons:
        yield f"{source.path}: {lines} lines, no longer long: take it out of LONG_FILES"


def function_length(source: Source) -> Iterator[str]:
    """A function fits on a screen."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{source.path}:{node.lineno}: {node.name} has {lines} lines, more than 60"


def promises(source: Source) -> Iterator[str]:
    """Work that is left is an issue, not a comment."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := _PROMISES.search(line):
            yield f"{source.path}:{number}: {found[0]}: do it or file an issue"


def unwanted_words(source: Source) -> Iterator[str]:
    """One word for one thing, and no path that exists on one machine only."""
    for number, line in enumerate(source.text.splitlines(), 1):
        for word in _UNWANTED_WORD.findall(line):
            yield f"{source.path}:{number}: {word}: {_UNWANTED[word.lower()]}"


def module_docstring(source: Source) -> Iterator[str]:
    """A file opens with what it is."""
    if not ast.get_docstring(source.tree):
        yield f"{source.path}:1: no docstring: say what this is, what it relies on and leaves out"


def units(source: Source) -> Iterator[str]:
    """A length of time carries its unit in its name; text is parsed at the edge."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            text = ast.unparse(argument.annotation) if argument.annotation else ""
            if _UNITLESS.search(argument.arg) and not re.match(r"(?:Annotated\[)?str\b", text):
                yield (
                    f"{source.path}:{argument.lineno}: {argument.arg} of {node.name}: "
                    f"end the name with its unit, such as {argument.arg}_ns"
                )


def purity(source: Source, rules: Purity) -> Iterator[str]:
    """A pure room is told everything, and decides the same every time."""
    if not rules.covers(source.module):
        return
    tree = source.tree
    for node in ast.walk(tree):
        for name in _imported(node):
            if problem := _import_problem(name, rules):
                yield f"{source.path}:{node.lineno}: imports {name}: {problem}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            why = _IMPURE_CALLS.get(node.func.id)
            if why:
                yield f"{source.path}:{node.lineno}: {node.func.id}(): {why}"
    for line in _set_order(tree):
        yield f"{source.path}:{line}: the order of a set decides here: use sorted(), or a dict"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return []


def _import_problem(name: str, rules: Purity) -> str | None:
    if name.startswith("."):
        return "write the full name"
    if name.split(".", maxsplit=1)[0] in rules.forbidden:
        return "not in a pure room"
    ours = name.startswith("emulator.") and name not in rules.common
    return "is no pure room" if ours and not rules.covers(name) else None


def _set_order(tree: ast.Module) -> Iterator[int]:
    """Yield the lines where something is done for each member of a set, in the set's order."""
    known = _set_names(tree)
    settled = {
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) in _ORDER_SETTLED
        for argument in node.args
    }
    for node in ast.walk(tree):
        match node:
            case ast.For():
                suspects = [node.iter]
            case ast.ListComp() | ast.DictComp() | ast.GeneratorExp() if node not in settled:
                suspects = [generator.iter for generator in node.generators]
            case ast.Call() if _called(node) in _ORDER_MATTERS:
                suspects = list(node.args)
            case ast.Call(func=ast.Attribute(attr="pop", value=holder)) if not node.args:
                suspects = [holder]
            case _:
                continue
        yield from (item.lineno for item in suspects if _is_set(item, known))


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _is_set(node: ast.AST, known: frozenset[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call():
            return _called(node) in _SETS
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr() | ast.Sub() | ast.BitXor()):
            return _is_set(node.left, known) or _is_set(node.right, known)
        case ast.Name():
            return node.id in known
        case ast.Attribute():
            return f".{node.attr}" in known
    return False


def _set_names(tree: ast.Module) -> frozenset[str]:
    """Return the names (`x`) and attributes (`.x`) that this module makes or declares as sets."""
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef():
                rows = [row for row in node.body if isinstance(row, ast.AnnAssign)]
                found += [f".{_text(row.target)}" for row in rows if _says_set(row.annotation)]
            case ast.AnnAssign() if _says_set(node.annotation):
                found.append(_text(node.target))
            case ast.arg(annotation=ast.expr() as annotation) if _says_set(annotation):
                found.append(node.arg)
            case ast.Assign() if _is_set(node.value, frozenset()):
                found += [_text(target) for target in node.targets]
    return frozenset(found)


def _text(target: ast.expr) -> str:
    return f".{target.attr}" if isinstance(target, ast.Attribute) else ast.unparse(target)


def _says_set(annotation: ast.expr) -> bool:
    return bool(re.match(r"(?:set|frozenset|AbstractSet)\b", ast.unparse(annotation)))
