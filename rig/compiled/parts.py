"""Which modules are compiled: the product, the simulator, and a few more; less a few."""

from pathlib import Path
from typing import Final

FOLDERS: Final = ("emulator", "rig/sim")
MORE: Final = {
    "rig/replay/parts.py": "its site and its store are made from the product's",
}
"""Modules of other folders that are compiled, and why: no class outside is made from one inside."""

LEFT_OUT: Final = {
    "emulator/compiled.py": "runs before it is known which code may run",
    "emulator/errors.py": "exceptions that are an OSError too are no native classes",
    "emulator/wire/generate.py": "a program of its own: Python wants the source of those",
    "rig/sim/config.py": "frozen data that travels between processes as pickles",
    "rig/sim/hunt.py": "a program of its own",
    "rig/sim/violation.py": "an exception that others are made from",
    "rig/sim/image.py": "a bytearray cannot be the base of a native class",
}
"""Modules that stay as they are, and why."""


def sources(root: Path) -> list[str]:
    """Return every source that the compiler looks at, as paths below `root`."""
    below = {
        path.relative_to(root).as_posix()
        for folder in FOLDERS
        for path in (root / folder).rglob("*.py")
    }
    return sorted({*below, *MORE})


def compiled(root: Path) -> list[str]:
    """Return the sources that are compiled; what a package says of itself stays as it is."""
    return [
        name
        for name in sources(root)
        if name not in LEFT_OUT and not name.endswith(("__init__.py", "__main__.py"))
    ]
