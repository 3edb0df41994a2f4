"""What tests against others' NBD programs share: served volumes, and a way to run a program."""

import random
import subprocess

import pytest

from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.serve import serving

SIZE = 8 << 20


@pytest.fixture(params=[False, True], ids=["reads-at-once", "reads-wait"])
def volume(request):
    """Answers in an order of its own, so that clients see replies overtake each other."""
    return MemoryVolume("vol0", SIZE, reads_wait=request.param, chance=random.Random(7))


@pytest.fixture
def uri(volume, tmp_path):
    others = [MemoryVolume("vol1", 123_456), MemoryVolume("vol2", 40 << 20)]
    volumes = {each.name: each for each in (volume, *others)}
    with serving(volumes, tmp_path / "s") as server:
        yield f"nbd+unix:///vol0?socket={tmp_path}/s"
    # Nothing that they send is taken for a broken protocol.
    assert not any(session.counters()["broken"] for session in server.sessions)


@pytest.fixture
def run():
    """Run a program, demand its exit status, and return what it said."""

    def run_program(*command, status=0):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run_program
