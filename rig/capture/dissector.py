"""The Wireshark dissector that comes with this package, and where Wireshark looks for it.

The script is generated from `emulator.wire.layout`; here it is only found and copied.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

from emulator.errors import UnavailableError

SCRIPT: Final = Path(__file__).with_name("dualcopy.lua")

_PROGRAMS: Final = ("tshark", "wireshark")
_ANSWER_TIMEOUT_S: Final = 30.0
_FOLDER_LABEL: Final = "Personal Lua Plugins:"


def plugin_folder() -> Path:
    """Return the folder from which this user's Wireshark loads Lua scripts."""
    for program in _PROGRAMS:
        found = _ask(program)
        if found:
            return found
    return Path.home() / ".local" / "lib" / "wireshark" / "plugins"


def script_text() -> str:
    """Return the dissector."""
    try:
        return SCRIPT.read_text()
    except OSError as error:
        msg = f"{SCRIPT}: {error.strerror or error}; install this package again"
        raise UnavailableError(msg) from error


def install(folder: Path) -> Path:
    """Copy the script into `folder`, whole or not at all, and return where it lies."""
    target = folder / SCRIPT.name
    part = folder / f".{SCRIPT.name}.part"
    text = script_text()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        part.replace(target)
    except OSError as error:
        msg = f"{target}: cannot install the dissector: {error.strerror or error}"
        raise UnavailableError(msg) from error
    return target


def _ask(program: str) -> Path | None:
    """Return the folder that the program itself names, for it knows its own rules best."""
    try:
        done = subprocess.run(
            [program, "-G", "folders"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_TIMEOUT_S,
            check=True,
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    for line in done.stdout.splitlines():
        label, _, folder = line.partition("\t")
        if label.strip() == _FOLDER_LABEL and folder.strip():
            return Path(folder.strip())
    return None
