"""Which code runs: the sources, or the machine code that `dualcopy compile` has made of them.

Both do the same, the machine code about twice as fast (ADR 0026). It is used only while it is of
these very sources: as soon as one of them has changed, the interpreter takes the sources again.
"""

import json
import os
import sys
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Final

SWITCH: Final = "DUALCOPY_INTERPRETED"
"""An environment variable: set to anything, the sources run."""
ROOT: Final = Path(__file__).resolve().parents[1]
STAMP: Final = ROOT / "emulator" / "compiled.json"
"""Says of which sources and for which Python the machine code is."""
PACKAGES: Final = ("emulator", "rig")
_FOLDERS: Final = tuple(f"{ROOT / package}{os.sep}" for package in PACKAGES)


def stamp_of(names: Iterable[str], root: Path = ROOT) -> dict[str, object]:
    """Return what tells the sources `names` (paths below `root`) from any later ones."""
    return {
        "python": EXTENSION_SUFFIXES[0],
        "files": {name: _state(root / name) for name in names},
    }


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_mtime_ns, found.st_size]


def why_not(stamp: Path = STAMP, root: Path = ROOT) -> str:
    """Return why the machine code may not run, or nothing if it may."""
    try:
        made = json.loads(stamp.read_text(encoding="utf-8"))
        changed = [name for name, was in made["files"].items() if _state(root / name) != was]
        python = made["python"]
    except FileNotFoundError as missing:
        gone = Path(missing.filename)
        return "not compiled" if gone == stamp else f"{gone.name} is gone since it was compiled"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{stamp} cannot be read"
    if python != EXTENSION_SUFFIXES[0]:
        return "compiled for another Python"
    return f"{changed[0]} has changed since it was compiled" if changed else ""


def code() -> str:
    """Return which code runs, in a few words for users."""
    return f"interpreted: {WHY_INTERPRETED}" if WHY_INTERPRETED else "compiled"


def _sources_only(path: str) -> FileFinder:
    if not f"{path}{os.sep}".startswith(_FOLDERS):
        raise ImportError(path)
    return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))


WHY_INTERPRETED: Final = f"{SWITCH} is set" if os.environ.get(SWITCH) else why_not()
"""Why the sources run; nothing if the machine code does."""
if WHY_INTERPRETED:
    # Python itself would take machine code first, whatever its age.
    sys.path_hooks.insert(0, _sources_only)
    for _package in PACKAGES:
        sys.path_importer_cache.pop(str(ROOT / _package), None)
