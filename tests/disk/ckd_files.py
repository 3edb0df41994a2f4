"""CKD image files made by hand, as other programs would leave them."""

import struct
from pathlib import Path

HEADER = struct.Struct("<8sIIBBH")
HEADER_BYTES = 512
LEVEL1 = 1024


def patch(path: Path, offset: int, data: bytes) -> None:
    """Change bytes of a file in place."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def split(whole: Path, name: Path, cylinders: list[int]) -> list[Path]:
    """Cut a volume in one file into several, named and numbered as Hercules does."""
    data = whole.read_bytes()
    identifier, heads, track_bytes, kind, _, _ = HEADER.unpack_from(data)
    at, first, paths = HEADER_BYTES, 0, []
    for number, count in enumerate(cylinders, 1):
        end = first + count
        last = 0 if number == len(cylinders) else end - 1
        head = HEADER.pack(identifier, heads, track_bytes, kind, number, last)
        size = count * heads * track_bytes
        path = name.with_name(f"{name.stem}_{number}{name.suffix}")
        path.write_bytes(head.ljust(HEADER_BYTES, b"\0") + data[at : at + size])
        paths.append(path)
        at += size
        first = end
    assert at == len(data)
    whole.unlink()
    return paths


def entry(image: Path, track: int) -> int:
    """Return where in a compressed image the table entry of a track lies."""
    (table,) = struct.unpack_from("<I", image.read_bytes(), LEVEL1 + 4 * (track // 256))
    return table + 8 * (track % 256)


def place(image: Path, track: int) -> tuple[int, int, int]:
    """Return position, length and size of a track's image."""
    return struct.unpack_from("<IHH", image.read_bytes(), entry(image, track))
