"""The simulated disk: what it does wrong, and that it says which tracks nobody knows any more."""

from random import Random

import pytest

from emulator.errors import DeviceError
from emulator.node.requests import DiskFlush, DiskRead, DiskWrite
from rig.faults.plan import Fault, Plan
from rig.sim.config import SiteHardware
from rig.sim.disk import SimulatedDisk
from rig.sim.scheduler import Scheduler

SIZE = 64 * 1024
NEW = b"n" * 4096


class Bench:
    """A disk whose operations go wrong as planned."""

    def __init__(self, *faults: Fault) -> None:
        self.scheduler = Scheduler(Random(1))
        self.disk = SimulatedDisk("A.0", SIZE, SiteHardware(), self.scheduler, Plan(faults), seed=1)
        self.spoiled: set[int] = set()
        self.disk.spoiled = self.spoiled.update
        self.results: list[object] = []
        self.disk.done = lambda operation, result: self.results.append(result)

    def do(self, operation) -> object:
        self.disk.submit(operation)
        self.scheduler.run_to(self.scheduler.now_ns + 10**9, 10**6)
        return self.results[-1]

    def write(self, offset: int) -> None:
        assert self.do(DiskWrite(1, 0, [(offset, [NEW])], [], [])) is None

    def read(self, offset: int, length: int = 4096) -> object:
        return self.do(DiskRead(1, 0, offset, length))


def test_a_sector_that_cannot_be_read_stays_so_until_it_is_written():
    bench = Bench(Fault("disk.A.0.read", 1, "latent", (5000,)))
    assert isinstance(bench.read(0), bytes)
    assert isinstance(bench.read(4096, 8192), DeviceError)
    assert isinstance(bench.read(8192), DeviceError)
    assert isinstance(bench.read(4096), bytes)
    bench.write(8192)
    assert bench.read(8192) == NEW
    assert not bench.spoiled


@pytest.mark.parametrize("kind", ["lost", "misdirected"])
def test_a_write_that_is_not_where_it_should_be_is_confessed(kind):
    bench = Bench(Fault("disk.A.0.write", 0, kind, (24,)))
    bench.write(4096)
    assert bench.read(4096) != NEW
    assert bench.spoiled == ({1} if kind == "lost" else {1, 3})
    assert (bench.read(24 * 512) == NEW) is (kind == "misdirected")


def test_rot_changes_the_medium_and_nothing_is_said():
    bench = Bench(Fault("disk.A.0.read", 0, "rot", (100,)))
    before = bytes(bench.disk.durable[8192:12288])
    after = bench.read(8192)
    assert isinstance(after, bytes)
    assert [at for at in range(4096) if before[at] != after[at]] == [100]
    assert bench.spoiled == {2}


def test_a_disk_that_is_gone_does_nothing_until_it_is_back():
    bench = Bench()
    bench.disk.gone = True
    assert isinstance(bench.read(0), DeviceError)
    assert isinstance(bench.do(DiskFlush(1, 0)), DeviceError)
    bench.disk.heal()
    assert isinstance(bench.read(0), bytes)


@pytest.mark.parametrize("power", [True, False])
def test_what_a_lying_flush_has_left_behind_goes_with_the_power(power):
    bench = Bench(Fault("disk.A.0.flush", 0, "lie"))
    bench.write(4096)
    assert bench.do(DiskFlush(1, 0)) is None
    bench.disk.power_lost(0, power=power)
    assert (bytes(bench.disk.durable[4096:8192]) == NEW) is not power
    assert bench.spoiled == ({1} if power else set())


def test_in_the_end_it_is_honest():
    bench = Bench(Fault("disk.A.0.flush", 0, "lie"), Fault("disk.A.0.read", 0, "latent", (0,)))
    bench.write(4096)
    bench.do(DiskFlush(1, 0))
    assert isinstance(bench.read(0), DeviceError)
    bench.disk.heal()
    assert isinstance(bench.read(0), bytes)
    bench.disk.power_lost(0, power=True)
    assert bytes(bench.disk.durable[4096:8192]) == NEW
