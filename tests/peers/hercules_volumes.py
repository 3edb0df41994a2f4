"""Volumes made and judged by the utilities of Hercules: dasdload, dasdls, dasdcat, cckdcdsk."""

import subprocess
from pathlib import Path

CYLINDERS = 12
CONTROL = """\
VOL001 3390 {cylinders}
sysvtoc VTOC TRK 2
acc.seq.data SEQ input.bin TRK 8 0 0 PS FB 80 4000
acc.small.data SEQ small.bin TRK 1 0 0 PS FB 80 800
"""
NAMES = ["ACC.SEQ.DATA", "ACC.SMALL.DATA"]


def utility(folder: Path, *words: str, status: int = 0) -> str:
    """Run a program of Hercules there, demand its exit status, and return all that it said."""
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=60, check=False, errors="replace"
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, f"{words}: {done.returncode}\n{said}"
    return said


def load_volume(folder: Path, name: str = "load.ckd", cylinders: int = CYLINDERS) -> Path:
    """Make a volume with a table of contents and two data sets."""
    (folder / "input.bin").write_bytes(b"".join(b"%-80d" % n for n in range(2500)))
    (folder / "small.bin").write_bytes(b"%-80d" % 7)
    (folder / "volume.ctl").write_text(CONTROL.format(cylinders=cylinders))
    utility(folder, "dasdload", "volume.ctl", name, "1")
    return folder / name


def data_sets(image: Path) -> list[str]:
    """Return the names that dasdls finds on a volume."""
    said = utility(image.parent, "dasdls", image.name)
    assert f"{image.name}: VOLSER=VOL001" in said
    return [line.strip() for line in said.splitlines() if line.startswith("ACC.")]


def unloaded(image: Path, name: str = NAMES[0]) -> bytes:
    """Return a sequential data set as dasdseq unloads it."""
    utility(image.parent, "dasdseq", image.name, name.lower())
    return (image.parent / name.lower()).read_bytes()


def checked(image: Path) -> None:
    """Have a compressed image examined as closely as cckdcdsk can: it must find nothing."""
    said = utility(image.parent, "cckdcdsk", "-3", "-ro", image.name)
    assert said == ""
