"""A real file system with files in it, made by the platform's tool, and checked by one.

mke2fs makes an ext4 image out of a folder, with the same files for one seed. Where it is missing,
the FAT image that comes with the source serves. e2fsck and fsck.fat judge, where they exist.
"""

import gzip
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from emulator.errors import CannotRunHere
from rig.demo import plan

FIXTURE = Path(__file__).parents[2] / "fixtures" / "disks" / "fat16.img.gz"
TOOL_TIMEOUT_S = 60.0
_ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # not on an ordinary user's PATH
_WORDS = ("copy", "dual", "host", "line", "record", "remote", "site", "track", "volume", "write")
_FILE_BYTES_MAX = 512 * 1024


class FileSystem(NamedTuple):
    """What was made."""

    kind: str
    maker: str


class ToolAnswer(NamedTuple):
    """What a checking tool said."""

    command: str
    exit_code: int
    text: str


def make_file_system(image: Path, seed: int) -> FileSystem:
    """Make an image of a file system with files."""
    tool = find_tool("mke2fs")
    if tool is not None and _make_ext4(tool, image, seed):
        return FileSystem("ext4", "mke2fs -d")
    try:
        with gzip.open(FIXTURE) as source, image.open("wb") as target:
            shutil.copyfileobj(source, target)
    except FileNotFoundError as error:
        raise CannotRunHere(
            "no mke2fs here, and no image beside the source: sudo apt-get install e2fsprogs"
        ) from error
    return FileSystem("FAT16", f"fixtures/disks/{FIXTURE.name}")


def check_file_system(image: Path, kind: str) -> ToolAnswer | None:
    """Have the platform's tool check an image without changing it; None if it is missing."""
    name = "e2fsck" if kind == "ext4" else "fsck.fat"
    tool = find_tool(name)
    if tool is None:
        return None
    options = ["-f", "-n"] if kind == "ext4" else ["-n"]
    done = _run([tool, *options, str(image)])
    return ToolAnswer(f"{name} {' '.join(options)}", done.returncode, done.stdout + done.stderr)


def find_tool(name: str) -> str | None:
    """Return where a program of the administrator's lies."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_ADMIN_FOLDERS}")


def _make_ext4(tool: str, image: Path, seed: int) -> bool:
    """Return whether it could be done; mke2fs before 1.43 cannot fill an image."""
    with tempfile.TemporaryDirectory(dir=image.parent, prefix="files-") as folder:
        _write_files(Path(folder), random.Random(seed))
        command = [tool, "-q", "-F", "-t", "ext4", "-L", "dualcopy", "-d", folder]
        command += [str(image), f"{plan.FILE_SYSTEM_BYTES // 1024}k"]
        return _run(command).returncode == 0


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=TOOL_TIMEOUT_S,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )


def _write_files(folder: Path, dice: random.Random) -> None:
    """Fill a folder with texts, and with what does not compress."""
    left_bytes = plan.FILES_BYTES
    number = 0
    while left_bytes > 0:
        number += 1
        size_bytes = min(dice.randrange(_FILE_BYTES_MAX) + 1, left_bytes)
        left_bytes -= size_bytes
        place = folder / f"year-{number % 5 + 1}"
        place.mkdir(exist_ok=True)
        if number % 2:
            path, data = place / f"{number:03}.bin", dice.randbytes(size_bytes)
        else:
            line = " ".join(dice.choices(_WORDS, k=64)).encode() + b"\n"
            path, data = place / f"{number:03}.txt", (line * (size_bytes // len(line) + 1))
        path.write_bytes(data[:size_bytes])
