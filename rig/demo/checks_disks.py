"""Are the two images the same, and do they hold what the host was told they hold?

Reads files of a run that has ended; each check says what it compared. Nothing here believes a site.
"""

import hashlib
from contextlib import closing
from pathlib import Path

from emulator.disk import open_disk
from emulator.units import size_text
from rig.demo import plan
from rig.demo.image import check_file_system
from rig.host.workload import verify
from rig.report.report import Check, Outcome

PIECE_BYTES = 2**20
_DIGITS = 16  # of a digest, for people


def images_identical(first: Path, second: Path) -> Check:
    """Compare two whole images."""
    name = "both disk images are identical"
    sizes = [path.stat().st_size for path in (first, second)]
    digests = [digest(path) for path in (first, second)]
    if sizes[0] == sizes[1] and digests[0] == digests[1]:
        text = f"sha256 {digests[0][:_DIGITS]}... of {size_text(sizes[0])}, twice"
        return Check(name, Outcome.HELD, text)
    text = (
        f"{first.name} has {sizes[0]} bytes, sha256 {digests[0][:_DIGITS]}...; {second.name} "
        f"{sizes[1]} bytes, {digests[1][:_DIGITS]}...; {_first_difference(first, second)}"
    )
    return Check(name, Outcome.FAILED, text)


def file_system_arrived(source: Path, image: Path, site: str) -> Check:
    """Compare the file system area of an image with what the host streamed in."""
    length = source.stat().st_size
    wanted, found = digest(source), digest(image, length)
    same = wanted == found
    text = f"sha256 {found[:_DIGITS]}... of its first {size_text(length)}, "
    text += "as streamed" if same else f"but streamed was {wanted[:_DIGITS]}..."
    return Check(
        f"site {site} holds the host's file system", Outcome.HELD if same else Outcome.FAILED, text
    )


def file_system_clean(image: Path, kind: str, site: str) -> Check:
    """Have the platform's tool go through the file system of an image."""
    name = f"the {kind} file system at site {site} is clean"
    answer = check_file_system(image, kind)
    if answer is None:
        tool = "e2fsck" if kind == "ext4" else "fsck.fat"
        return Check(name, Outcome.NOT_RUN, f"no {tool} here")
    lines = [line.strip() for line in answer.text.splitlines() if line.strip()]
    # Its summary, "33/4096 files" or "29 files", not its version.
    about = next((line for line in reversed(lines) if "files" in line), lines[-1] if lines else "")
    text = f"{answer.command}: exit code {answer.exit_code}; {about.removeprefix(f'{image}: ')}"
    return Check(name, Outcome.FAILED if answer.exit_code else Outcome.HELD, text)


def acknowledged_present(image: Path, journal: Path, site: str) -> Check:
    """Hold an image against the host's journal of acknowledged writes."""
    with closing(open_disk(f"raw://{image}", writable=False)) as disk:
        found = verify(disk, journal)
    text = (
        f"{found.acknowledged} writes acknowledged, {found.unsettled} not; "
        f"{found.blocks} blocks read, {found.wrong} wrong"
    )
    if found.places:
        text += f": {found.places[0]}"
    held = found.acknowledged > 0 and not found.wrong
    return Check(
        f"site {site} holds every acknowledged write",
        Outcome.HELD if held else Outcome.FAILED,
        text,
    )


def digest(path: Path, length: int | None = None) -> str:
    """Return the SHA-256 of a file, or of its beginning."""
    left = path.stat().st_size if length is None else length
    found = hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(PIECE_BYTES, left))):
            found.update(piece)
            left -= len(piece)
    return found.hexdigest()


def _first_difference(first: Path, second: Path) -> str:
    offset = 0
    with first.open("rb") as one, second.open("rb") as other:
        while True:
            left, right = one.read(PIECE_BYTES), other.read(PIECE_BYTES)
            if left != right:
                at = next(
                    (
                        at
                        for at, pair in enumerate(zip(left, right, strict=False))
                        if len(set(pair)) > 1
                    ),
                    min(len(left), len(right)),
                )
                track = (offset + at) // plan.BLOCK_BYTES
                return f"they differ first at byte {offset + at} (block {track})"
            if not left:
                return "they differ only in size"
            offset += len(left)
