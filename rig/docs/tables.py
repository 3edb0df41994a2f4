"""Tables of the manual that are read out of the source, so that they cannot drift from it.

Reads the text of the modules and does not import them: the manual can be built where the project's
requirements are not installed. Used by `conf.py` only.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

_BENCH_TABLES = {
    "BenchFile": "At the top",
    "SiteTable": "`[site.NAME]`",
    "DeviceTable": "`[site.NAME.device.NAME]`",
    "ControlUnitTable": "`[site.NAME.control_unit.NAME]`",
    "LinkTable": "`[link.NAME]`",
    "CopyTable": "`[copy.NAME]`",
    "VolumePair": "A row of `volumes`",
}


def write(root: Path, folder: Path) -> None:
    """Write every table into the folder, as Markdown that the pages include."""
    folder.mkdir(exist_ok=True)
    for name, lines in {
        "events": _events(root),
        "bench": _bench(root),
        "commands": _commands(root),
        "channel_commands": _channel_commands(root),
        "channel_messages": _channel_messages(root),
        **{path.stem: _keys(path) for path in _uri_modules(root)},
    }.items():
        (folder / f"{name}.md").write_text("\n".join([*lines, ""]))


def _events(root: Path) -> Iterator[str]:
    for path in sorted([*root.glob("emulator/**/events.py"), *root.glob("rig/**/events.py")]):
        tree = ast.parse(path.read_text())
        module = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        yield from (f"## `{module}`", "", _sentence(tree), "")
        yield from ("| event | fields | what happened |", "|---|---|---|")
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and (rows := _fields(node)):
                fields = ", ".join(f"`{_text(row.target)}`" for row in rows)
                yield f"| `{_event_name(node.name)}` | {fields} | {_sentence(node)} |"
        yield ""


def _bench(root: Path) -> Iterator[str]:
    tree = ast.parse((root / "rig" / "bench" / "model.py").read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, heading in _BENCH_TABLES.items():
        node = classes[name]
        yield from (f"## {heading}", "", _sentence(node), "")
        yield from ("| key | meaning | for example |", "|---|---|---|")
        for row in _fields(node):
            options = {word.arg: word.value for word in getattr(row.value, "keywords", ())}
            meaning = ast.literal_eval(options["description"]) if "description" in options else ""
            examples = ast.literal_eval(options["examples"]) if "examples" in options else []
            key = ast.literal_eval(options["alias"]) if "alias" in options else _text(row.target)
            shown = ", ".join(f"`{json.dumps(example)}`" for example in examples)
            yield f"| `{key}` | {meaning} | {shown} |"
        yield ""


def _commands(root: Path) -> Iterator[str]:
    yield from ("| command | what it does |", "|---|---|")
    for path in sorted((root / "rig" / "cli").glob("*.py")):
        tree = ast.parse(path.read_text())
        noun = _noun(tree)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                for verb in _verbs(node):
                    words = " ".join(word for word in ("dualcopy", noun, verb) if word)
                    yield f"| `{words}` | {_sentence(node)} |"


def _channel_commands(root: Path) -> Iterator[str]:
    """Every row `Command(code, name, ...)` of the engine, or of a function that makes one."""
    yield from ("| command | code | multitrack (`-mt`) |", "|---|---|---|")
    rows: dict[str, tuple[int, bool]] = {"transfer-in-channel": (0x08, False)}
    for path in [root / "emulator/channel/fba.py", *root.glob("emulator/channel/ckd/table*.py")]:
        tree = ast.parse(path.read_text())
        codes = _constants(tree)
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name("Command" | "_search"), args=[code, name, *_]):
                    number = codes.get(_text(code)) if isinstance(code, ast.Name) else None
                    if number is None and not isinstance(code, ast.Constant):
                        continue
                    number = ast.literal_eval(code) if number is None else number
                    word = str(ast.literal_eval(name)).lower().replace(" ", "-")
                    both = any(option.arg == "multitrack" for option in node.keywords)
                    searches = node.func.id == "_search"  # type: ignore[attr-defined]
                    rows.setdefault(word, (number, both or searches))
    for word, (number, both) in sorted(rows.items()):
        yield f"| `{word}` | {number:02X} | {f'{number | 0x80:02X}' if both else ''} |"


def _constants(tree: ast.Module) -> dict[str, int]:
    """Return the whole numbers that a module gives names to."""
    found: dict[str, int] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(int() as value)):
                found[name] = value
            case ast.Assign(targets=[ast.Tuple(names)], value=ast.Tuple(values)):
                for one, value in zip(names, values, strict=True):
                    if isinstance(value, ast.Constant) and isinstance(value.value, int):
                        found[_text(one)] = value.value
    return found


def _channel_messages(root: Path) -> Iterator[str]:
    path = root / "emulator" / "frontend" / "native_layout.py"
    shared: dict[str, ast.Call] = {}
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.AnnAssign(
                target=ast.Name(name), value=ast.Call(func=ast.Name("Field")) as row
            ):
                shared[name] = row
            case ast.AnnAssign(target=ast.Name(name), value=ast.Tuple(rows)) if name.endswith(
                "_FIELDS"
            ):
                yield from (f"### {name.removesuffix('_FIELDS')}", "")
                yield from ("| field | code | meaning |", "|---|---|---|")
                for row in rows:
                    field = shared[row.id] if isinstance(row, ast.Name) else row
                    words = [str(ast.literal_eval(word)) for word in field.args]  # type: ignore[attr-defined]
                    yield f"| {words[0]} | `{words[1]}` | {words[2]} |"
                yield ""
            case ast.ClassDef(name="MessageType"):
                values = ", ".join(
                    f"{ast.literal_eval(row.value)} `{_text(row.targets[0])}`"
                    for row in node.body
                    if isinstance(row, ast.Assign)
                )
                yield from (f"`type` is {values}.", "")


def _noun(tree: ast.Module) -> str:
    """Return the name that a module of the command line gives to its group of commands."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="Typer")):
                names = [
                    ast.literal_eval(word.value) for word in node.keywords if word.arg == "name"
                ]
                return "" if names in ([], ["dualcopy"]) else str(names[0])
    return ""


def _verbs(node: ast.FunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="command"), args=[ast.Constant(name), *_]):
                yield str(name)
            case ast.Call(func=ast.Attribute(attr="command")):
                yield node.name.strip("_").replace("_", "-")


def _uri_modules(root: Path) -> list[Path]:
    rooms = [root / "emulator" / "transport", root / "emulator" / "disk"]
    paths = [path for room in rooms for path in sorted(room.glob("*.py"))]
    return [path for path in paths if _key_table(path) is not None]


def _keys(path: Path) -> Iterator[str]:
    keys = _key_table(path)
    if not keys:
        yield "It takes no keys."
        return
    yield from ("| key | meaning |", "|---|---|")
    for name, meaning in keys.items():
        yield f"| `{name}` | {meaning} |"


def _key_table(path: Path) -> dict[str, str] | None:
    """Return the keys that a module gives to `parse_uri`, by name or in place."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.AnnAssign(target=ast.Name("KEYS"), value=ast.Dict() as table):
                return dict(ast.literal_eval(table))
            case ast.Call(func=ast.Name("parse_uri"), args=[_, ast.Dict() as table]):
                return dict(ast.literal_eval(table))
    return None


def _event_name(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def _fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [row for row in node.body if isinstance(row, ast.AnnAssign)]


def _text(target: ast.expr) -> str:
    return ast.unparse(target)


def _sentence(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")
