"""Find, read and check a bench file."""

import os
import tomllib
from pathlib import Path

from pydantic import ValidationError

from emulator.errors import BenchError
from rig.bench.bench import Bench
from rig.bench.checks import check_tables
from rig.bench.model import BenchFile
from rig.bench.places import key_lines
from rig.bench.problems import Problems
from rig.bench.uri_checks import UriChecker

FILE_BYTES_MAX = 2**20  # a bench of hundreds of sites; more is not a bench file


def find_bench(given: Path | None = None) -> Path:
    """Return the bench file to use: the one given, DUALCOPY_BENCH, or ./bench.toml."""
    named = os.environ.get("DUALCOPY_BENCH")
    return given or (Path(named) if named else Path("bench.toml"))


def load_bench(path: Path) -> Bench:
    """Read a bench file, or raise a `BenchError` that tells all its problems by line and key."""
    text = _read(path)
    try:
        parsed = tomllib.loads(text)
        problems = Problems(str(path), key_lines(text))
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{path}: is not valid TOML: {error}") from error
    except RecursionError as error:
        raise BenchError(f"{path}: tables are nested too deeply for a bench file") from error
    try:
        file = BenchFile.model_validate(parsed)
    except ValidationError as error:
        problems.add_invalid(error.errors())
        problems.raise_any()
        raise  # not reached: a failed validation has problems
    check_tables(file, problems)
    checker = UriChecker(file, path.absolute().parent, problems)
    checker.check()
    problems.raise_any()
    return Bench(path=path.absolute(), file=file, notes=tuple(checker.notes))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise BenchError(
            f"{path}: no such bench file; name one with --bench or DUALCOPY_BENCH"
        ) from error
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror or error}") from error
    if len(data) > FILE_BYTES_MAX:
        raise BenchError(f"{path}: has more than {FILE_BYTES_MAX} bytes; that is no bench file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: is not UTF-8 at byte {error.start}") from error
