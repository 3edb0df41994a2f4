"""Stores and disks that fail: at the step that the schedule names, over all lives of a process."""

import signal
import subprocess
import sys

import pytest

from emulator.disk.opener import open_disk
from emulator.errors import DeviceError
from rig.faults.plan import Fault
from rig.replay.parts import QUIET_NAME, Books, FailingDisk, happened
from rig.sim.config import calm
from rig.sim.schedule import Schedule, to_text

STEPS = """
import sys
from pathlib import Path
from rig.replay.parts import Books, FailingStore
from rig.sim.schedule import read_file
folder = Path(sys.argv[1])
schedule = read_file(folder / "schedule.toml")
books = Books(folder, "A", schedule)
store = FailingStore(f"file://{folder}/a.nvs?size=8MiB&sync=battery", books, schedule.config, 0)
for number in range(int(sys.argv[2])):
    store.write([(1 << 20, [b"before", b" and after"])])
    store.sync()
    print(number, flush=True)
"""


def lives(folder, count, row):
    path = folder / "schedule.toml"
    path.write_text(to_text(Schedule(calm(1), [Fault("nvs.A", *row)])))
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(folder), str(count)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(
    ("phase", "pattern", "there"),
    [(0, 1, b""), (1, 1, b"before and after"), (1, 0, b""), (2, 0, b"before and after")],
)
def test_a_store_dies_at_its_step(tmp_path, phase, pattern, there):
    code, steps = lives(tmp_path, 5, (0, "crash", (phase, pattern, 7)))
    assert (code, steps) == (-signal.SIGKILL, [])
    found = (tmp_path / "a.nvs").read_bytes()[1 << 20 :][:16]
    assert found == there.ljust(16, b"\0")
    (row,) = happened(tmp_path / "a.faults")
    assert (row["place"], row["number"], row["down_ns"]) == ("nvs.A", 0, 7)


def test_steps_are_counted_over_all_lives(tmp_path):
    row = (3, "crash", (0, 0, 0))
    assert lives(tmp_path, 2, row) == (0, ["0", "1"])
    assert lives(tmp_path, 5, row) == (-signal.SIGKILL, ["0"])
    # A fault happens once.
    assert lives(tmp_path, 2, row) == (0, ["0", "1"])


def test_disks_refuse_until_everything_is_to_heal(tmp_path):
    rows = [Fault("disk.A.0.read", 1, "error"), Fault("disk.A.0.flush", 0, "error")]
    rows += [Fault("disk.A.0.write", n, "error") for n in (0, 1)]
    rows.append(Fault("disk.A.0.read", 2, "slow", (2,)))
    (tmp_path / "a0.img").write_bytes(bytes(4096))
    books = Books(tmp_path, "A", Schedule(calm(1), rows))
    disk = FailingDisk(open_disk(f"raw://{tmp_path}/a0.img"), "A.0", books, calm(1), 0)
    assert disk.read(0, 512) == bytes(512)
    with pytest.raises(DeviceError, match="as the schedule says"):
        disk.read(0, 512)
    assert disk.read(0, 512) == bytes(512)
    with pytest.raises(DeviceError):
        disk.write([(0, [b"x" * 512])])
    with pytest.raises(DeviceError):
        disk.flush()
    (tmp_path / QUIET_NAME).touch()
    disk.write([(0, [b"x" * 512])])
    disk.flush()
    assert disk.read(0, 512) == b"x" * 512
    assert disk.allocation(0, 4096)
    disk.zero(0, 512)
    disk.close()
    kinds = [row["kind"] for row in happened(tmp_path / "a.faults")]
    assert kinds == ["error", "slow", "error", "error"]
