"""What the tests of whole sites share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.sites import TwoSites


@pytest.fixture
def two_sites(tmp_path: Path) -> Iterator[Callable[..., TwoSites]]:
    """Return what makes a bench; everything that it started is ended after the test."""
    made: list[TwoSites] = []

    def make(**keys: object) -> TwoSites:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(TwoSites(folder, **keys))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for bench in made:
        bench.close()
