"""Who has a file or a block device already, as /proc and /sys tell on Linux.

Only for messages and refusals: the lock or the exclusive open decides. On a system without /proc
the answers are empty, never wrong.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
SYS: Final = Path("/sys")


def lock_holder(status: os.stat_result, proc: Path = PROC) -> str:
    """Return ` by process 42 (dualcopy)` for the file's lock, or nothing if it is not known.

    /proc/locks reads `1: FLOCK ADVISORY WRITE 42 fe:00:2146545 0 EOF`.
    """
    major, minor = os.major(status.st_dev), os.minor(status.st_dev)
    place = f"{major:02x}:{minor:02x}:{status.st_ino}"
    for words in _rows(proc / "locks"):
        # Process 0 stands for one of another process namespace, which is of no use to anybody.
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == place and words[4] > "0":
            names = _rows(proc / words[4] / "comm")
            name = " ".join(next(names, []))
            return f" by process {words[4]}" + (f" ({name})" if name else "")
    return ""


def device_users(device: int, proc: Path = PROC, system: Path = SYS) -> list[str]:
    """Return what this machine uses a block device for, its whole disk and partitions included."""
    numbers, names = _family(device, system)
    users: list[str] = []
    for words in _rows(proc / "self/mountinfo"):
        # ID, parent, major:minor, root, mount point, options...; btrfs shows no device number
        # there, so the source behind the lone dash is compared too.
        source = words[words.index("-") + 2] if "-" in words[:-2] else ""
        if len(words) > 4 and (words[2] in numbers or _number(source) in numbers):
            users.append(f"mounted at {words[4]}")
    users += [f"swap on {row[0]}" for row in _rows(proc / "swaps") if _number(row[0]) in numbers]
    for name in names:
        holders = system / "class/block" / name / "holders"
        found = sorted(path.name for path in holders.iterdir()) if holders.is_dir() else []
        users += [f"part of {holder}" for holder in found]
    return list(dict.fromkeys(users))


def _family(device: int, system: Path) -> tuple[set[str], list[str]]:
    """Return numbers and names of a device, its partitions, and the disk it is a partition of."""
    number = f"{os.major(device)}:{os.minor(device)}"
    home = Path(os.path.realpath(system / "dev/block" / number))
    related = [home]
    if home.is_dir():
        related += sorted(path.parent for path in home.glob("*/partition"))
        if (home / "partition").exists():
            related.append(home.parent)
    numbers = {" ".join(next(_rows(path / "dev"), [])) for path in related} - {""}
    return numbers | {number}, [path.name for path in related]


def _number(path: str) -> str:
    """Return the device number of a device file as major:minor, or nothing if it is none."""
    try:
        device = Path(path).stat().st_rdev if path.startswith("/dev/") else 0
    except OSError:
        return ""
    return f"{os.major(device)}:{os.minor(device)}" if device else ""


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the words of each line of a file of /proc or /sys; nothing if there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    yield from (words for line in text.splitlines() if (words := line.split()))
