"""The folder of one run: what lies in it, by name, and a fresh one for each run."""

import itertools
from pathlib import Path

from emulator.errors import BenchError, UnavailableError

FOLDERS_MAX = 10_000  # runs in one place; whoever has more gives --out


class RunFolder:
    """Where a run leaves everything that it made."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @classmethod
    def make(cls, given: Path | None, stem: str = "demo") -> "RunFolder":
        """Make the folder that was asked for, or the first free ./STEM-N."""
        if given is not None:
            return cls._made(given)
        for number in itertools.count(1):
            path = Path(f"{stem}-{number}")
            if number > FOLDERS_MAX:
                raise BenchError(f"{path.absolute().parent}: is full of runs; give --out DIR")
            if not path.exists():
                return cls._made(path)
        raise AssertionError("counted to infinity")

    @classmethod
    def _made(cls, path: Path) -> "RunFolder":
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise BenchError(f"--out {path}: is not empty; name a folder that is, or a new one")
        except FileExistsError as error:
            raise BenchError(f"--out {path}: is a file; name a folder") from error
        except OSError as error:
            raise UnavailableError(f"--out {path}: {error.strerror}") from error
        return cls(path)

    def image(self, site: str) -> Path:
        """Return the disk image of a site."""
        return self.path / f"{site.lower()}.img"

    def log(self, name: str) -> Path:
        """Return the log of a process: what it wrote to standard error."""
        return self.path / f"{name.lower()}.log"

    def console(self, site: str) -> Path:
        """Return the operator socket of a site."""
        return self.path / f"{site.lower()}.console"

    def socket(self, site: str) -> Path:
        """Return the NBD socket of a site."""
        return self.path / f"{site.lower()}.sock"

    @property
    def bench(self) -> Path:
        """The bench file."""
        return self.path / "bench.toml"

    @property
    def file_system(self) -> Path:
        """The file system as the host has it."""
        return self.path / "file-system.img"

    @property
    def writes(self) -> Path:
        """The host's journal of writes."""
        return self.path / "host.writes"

    @property
    def capture(self) -> Path:
        """What the line carried."""
        return self.path / "capture.pcapng"

    @property
    def events(self) -> Path:
        """What happened at the sites and here, in order of time."""
        return self.path / "events.jsonl"
