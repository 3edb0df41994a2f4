"""A real block device for tests: an image behind /dev/loopN, where this machine allows it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

LOOP_BYTES = 4 * 2**20


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[str]:
    image = tmp_path / "loop.img"
    image.write_bytes(bytes(LOOP_BYTES))
    command = ["losetup", "--find", "--show", str(image)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        reason = "needs loop (run as root where /dev/loop-control exists)"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"{reason}; under CI nothing may be skipped", pytrace=False)
        pytest.skip(reason)
    device = made.stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], timeout=20, check=True)
