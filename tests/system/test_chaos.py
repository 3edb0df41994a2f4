"""Everything that can happen, one after the other, in an order that a seed gives.

Crashes, cuts, orderly restarts, suspensions and reversals, on a small and a large store. The host
follows the primary; after each step what it was acknowledged must be there, and at the end the
copies are identical. `STEPS=60 pytest tests/system/test_chaos.py` goes on for longer.
"""

import contextlib
import os
import random
import threading

import pytest

from emulator.errors import UnavailableError
from tests.system.cables import UdpCable
from tests.system.load import Load
from tests.system.sites import until

pytestmark = pytest.mark.slow

STEPS = int(os.environ.get("STEPS", "4"))
SEED = int(os.environ.get("SEED", "1"))
SMALL = {"cache": "1MiB", "nvs": "8MiB"}
LARGE = {"cache": "16MiB", "nvs": "64MiB"}


class World:
    """Two sites, the line between them, and a host at whichever is primary."""

    def __init__(self, bench, cable, load, dice):
        self.bench = bench
        self.cable = cable
        self.load = load
        self.dice = dice
        self.other = {"A": "B", "B": "A"}
        self.primary = "A"

    def crash(self, *names):
        for name in names:
            self.bench.sites[name].kill()
        threading.Event().wait(self.dice.random() / 4)
        self.bench.start(*names)

    def crash_primary(self):
        self.crash(self.primary)

    def crash_secondary(self):
        self.crash(self.other[self.primary])

    def crash_both(self):
        self.crash("A", "B")

    def stop_secondary(self):
        name = self.other[self.primary]
        self.bench.stop(name)
        self.load.await_acknowledged(50)
        self.bench.start(name)

    def cut(self):
        self.cable.cut()
        threading.Event().wait(self.dice.random() * 4)
        if self.dice.random() < 0.3:
            self.crash_primary()
        self.cable.heal()

    def suspend(self):
        with contextlib.suppress(UnavailableError):
            self.bench.sites[self.primary].order("suspend")
            self.load.await_acknowledged(50)
            self.bench.sites[self.primary].order("resume")

    def reverse(self):
        self.bench.wait("duplex", 60)
        new = self.other[self.primary]
        with contextlib.suppress(UnavailableError):
            self.bench.sites[self.primary].order("role", primary=new)
        self.load.site = self.bench.sites[self.the_primary()]

    def the_primary(self):
        def found():
            roles = {name: site.group()["role"] for name, site in self.bench.sites.items()}
            assert list(roles.values()).count("primary") <= 1, roles
            return [name for name, role in roles.items() if role == "primary"]

        (self.primary,) = until(found, "there is a primary", 60)
        return self.primary

    def step(self):
        ways = ("crash_primary", "crash_secondary", "crash_both", "stop_secondary", "cut")
        name = self.dice.choice([*ways, "suspend", "reverse", "reverse"])
        print(f"{name}, primary is {self.primary}", flush=True)
        getattr(self, name)()
        self.load.site = self.bench.sites[self.the_primary()]
        self.load.await_acknowledged(self.dice.randrange(1, 300))
        with self.load.paused():
            self.load.verify()


@pytest.mark.timeout(120 + 40 * STEPS)
@pytest.mark.parametrize("sync", ["battery", "fsync"])
@pytest.mark.parametrize("store", [SMALL, LARGE], ids=["small", "large"])
def test_any_order_of_troubles(two_sites, tmp_path, store, sync):
    dice = random.Random(f"{SEED}/{sync}/{store}")
    with UdpCable() as cable:
        bench = two_sites(line=cable.line, sync=sync, **store)
        bench.start()
        plan = {"block_bytes": dice.choice([4096, 6656, 512]), "change_bytes": 64}
        with Load(bench.a, tmp_path / "writes", **plan) as load:
            world = World(bench, cable, load, dice)
            for _ in range(STEPS):
                world.step()
        load.verify()
        bench.finish()
