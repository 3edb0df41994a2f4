"""What the tests of the command line share."""

import pytest

from tests.cli.command import Command


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what runs one command line and says how it ended."""
    return Command(capsys)
