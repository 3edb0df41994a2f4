"""A full file system: refused tracks are kept, said, and written when there is room (K11)."""

import random
import subprocess

import pytest

from rig.host.nbd_client import connect_nbd
from tests.system.sites import run, until

KIB = 1 << 10
MIB = 1 << 20
UNAVAILABLE = 69


@pytest.fixture
def small(tmp_path):
    """Return a file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.needs("root", "mount")
def test_a_full_disk_keeps_nothing_back_and_loses_nothing(two_sites, small):
    bench = two_sites(device='scrub = "0B"\n')
    bench.a.image.unlink()
    with (small / "a.img").open("xb") as image:
        image.truncate(16 * MIB)
    bench.a.image.symlink_to(small / "a.img")
    bench.start()
    bench.wait("duplex", 60)
    dice = random.Random(1)
    data = dice.randbytes(3 * MIB)
    with connect_nbd(bench.a.uri) as volume:
        for at in range(0, len(data), 64 * KIB):
            volume.write(MIB + at, data[at : at + 64 * KIB])
        until(lambda: bench.a.status()["devices"]["vol0"]["state"] == "refuses", "it is said")
        (failed, *_) = bench.a.events("disk-failed")
        assert failed["reason"] == "No space left on device"
        assert volume.read(MIB, len(data)) == data, "served from memory"
        bench.wait("identical")
        # What fits is on the disk though other tracks are refused.
        until(lambda: bench.a.status()["devices"]["vol0"]["refused_tracks"], "found one by one")
        until(lambda: bench.a.status()["destage"]["written_tracks"] > 64, "what fits is written")
        # A crash in the middle of it: the journal has what the disk lacks.
        bench.a.kill()
    bench.start("A")
    run("mount", "-o", "remount,size=32m", small)
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(MIB, len(data)) == data
        until(
            lambda: bench.a.status()["devices"]["vol0"]["state"] == "online",
            "there is room, and everything is written",
            90,
        )
    bench.finish()


@pytest.mark.needs("root", "mount")
def test_a_store_that_does_not_fit_is_refused(two_sites, small):
    bench = two_sites()
    bench.a.nvs.symlink_to(small / "a.nvs")
    code, said = bench.a.refused()
    assert code == UNAVAILABLE
    assert "No space left on device" in said
    assert "Traceback" not in said
