"""House rules about the repository as a whole: what must be documented, tested, used, in step.

`test_tidy.py` applies them to this repository and to small made-up ones that break them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_TEXT_SUFFIXES = {".c", ".h", ".lua", ".md", ".py", ".sh", ".toml", ""}
_ROOMS_WITHOUT_SOURCES = {"docs"}


def schemes_of(opener: Path) -> list[str]:
    """Return the keys of the table SCHEMES in a module that opens things by URI."""
    for node in ast.parse(opener.read_text()).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if "SCHEMES" in names and isinstance(getattr(node, "value", None), ast.Dict):
            return [ast.literal_eval(key) for key in node.value.keys if key]
    return []


def schemes_documented(opener: Path, page: Path) -> Iterator[str]:
    """Each kind of line or disk has a section of its own in the reference."""
    schemes = schemes_of(opener)
    if not schemes:
        yield f"{opener}: no table SCHEMES"
    headings = [line for line in page.read_text().splitlines() if line.startswith("#")]
    for scheme in schemes:
        if not any(f"`{scheme}:" in heading for heading in headings):
            yield f"{page}: no section for `{scheme}:`"


def schemes_tested(opener: Path, folders: list[Path]) -> Iterator[str]:
    """Each kind of line or disk is opened by name in a test."""
    tests = "\n".join(
        path.read_text() for folder in folders for path in sorted(folder.rglob("*.py"))
    )
    for scheme in schemes_of(opener):
        if not re.search(rf"[\"'`]{re.escape(scheme)}:", tests):
            yield f"{opener}: no test opens {scheme}:"


def fixtures_used(root: Path) -> Iterator[str]:
    """Each fixture is named by a test or by the source, or read with its whole folder."""
    texts = [
        path.read_text(errors="replace")
        for folder in ("emulator", "rig", "tests", "firmware_stubs")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and path.suffix in _TEXT_SUFFIXES and "__pycache__" not in path.parts
    ]
    texts += [
        path.read_text() for name in ("Makefile", "README.md") if (path := root / name).exists()
    ]
    words = "\n".join(texts)
    for path in sorted((root / "fixtures").rglob("*")):
        if not path.is_file() or path.name.startswith("README"):
            continue
        whole_folder = rf"{re.escape(path.parent.name)}\W[^\n]*\*{re.escape(path.suffix)}"
        if path.name not in words and not re.search(whole_folder, words):
            yield f"{path.relative_to(root)}: nothing uses it"


def rooms_mapped(root: Path, page: Path) -> Iterator[str]:
    """Each folder of the two packages stands in the folder map."""
    text = page.read_text()
    for package in ("emulator", "rig"):
        for folder in sorted((root / package).iterdir()):
            has_sources = folder.name in _ROOMS_WITHOUT_SOURCES or any(folder.glob("*.py"))
            if folder.is_dir() and has_sources and f"{folder.name}/" not in text:
                yield f"{page.relative_to(root)}: the folder map lacks {package}/{folder.name}/"


def adrs_listed(folder: Path) -> Iterator[str]:
    """Each decision is numbered without gap, and says problem, choice and price."""
    for number, path in enumerate(sorted(folder.glob("[0-9]*.md")), 1):
        if not path.name.startswith(f"{number:04}-"):
            yield f"{path.name}: should be number {number:04}"
        text = path.read_text()
        for heading in ("## Problem", "## Choice", "## Price"):
            if heading not in text:
                yield f"{path.name}: no {heading}"
