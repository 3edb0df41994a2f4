"""Write the files that are derived from the layout: `python -m emulator.wire.generate`.

The one module of this room that touches files; the texts come from `lua.py`, `c_header.py` and
`tables.py`. A test holds the committed files to these texts.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from emulator.wire.c_header import c_header
from emulator.wire.lua import lua_dissector
from emulator.wire.tables import wire_page

ROOT: Final = Path(__file__).parents[2]

DERIVED: Final[Mapping[str, Callable[[], str]]] = {
    "rig/capture/dualcopy.lua": lua_dissector,
    "firmware_stubs/dualcopy_wire.h": c_header,
    "rig/docs/reference/wire.md": wire_page,
}
"""Each derived file, from the root of the repository, and what makes its text."""


def generate(root: Path = ROOT) -> None:
    """Write every derived file below `root`."""
    for name, text in DERIVED.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    generate()
