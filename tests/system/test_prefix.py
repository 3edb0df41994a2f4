"""What a promoted copy holds is a true past state: all writes up to one, none after it (O3, O6).

The host writes the numbers 1, 2, 3, ... one after the other, each to the next of many blocks on
two volumes, and waits for each answer. Whatever the crash: if number k is there, so are all
before it.
"""

import random
import threading

import pytest

from emulator.errors import UnavailableError
from rig.host.nbd_client import connect_nbd
from tests.system.cables import UdpCable
from tests.system.sites import until

BLOCKS = 51  # odd, so that every block of both volumes has its turn


class Counting:
    """A host that writes numbers in order until the site goes away."""

    def __init__(self, site):
        self.acknowledged = 0
        self.begun = 0
        self._site = site
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self):
        uris = [self._site.uri_of(name) for name in ("vol0", "vol1")]
        try:
            with connect_nbd(uris[0]) as zero, connect_nbd(uris[1]) as one:
                while not self._stop.is_set():
                    self.begun = number = self.begun + 1
                    volume = (zero, one)[number % 2]
                    # Every third write changes a part of a block; all leave the number in it.
                    part = 100 if number % 3 else 4096
                    volume.write(number % BLOCKS * 4096, number.to_bytes(8, "big") * (part // 8))
                    self.acknowledged = number
        except UnavailableError:
            return


def held(site):
    """Return the number in each block of both volumes."""
    found = []
    for name in ("vol0", "vol1"):
        with connect_nbd(site.uri_of(name)) as volume:
            numbers = [volume.read(block * 4096, 8) for block in range(BLOCKS)]
        found += [(name, block, int.from_bytes(each, "big")) for block, each in enumerate(numbers)]
    return found


def assert_prefix(site, counting, ack):
    """All numbers up to the newest one there are there."""
    numbers = held(site)
    newest = max(number for _, _, number in numbers)
    assert newest <= counting.begun
    for name, block, number in numbers:
        mine = [n for n in range(1, newest + 1) if n % BLOCKS == block and f"vol{n % 2}" == name]
        assert number == max(mine, default=0), f"{name} block {block}: {number}, newest {newest}"
    if ack != "nvs":
        assert newest >= counting.acknowledged
    return newest


@pytest.mark.parametrize("ack", ["nvs", "remote-nvs"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_promoted_copy_is_a_prefix(two_sites, ack, seed):
    dice = random.Random(f"{ack}/{seed}")
    with UdpCable() as cable:
        bench = two_sites(
            line=cable.line,
            volumes=2,
            ack=ack,
            on_link_loss="hold",
            size_bytes=4 << 20,
            gather="20ms",  # so that the copy is caught at many positions
        )
        bench.start()
        bench.wait("duplex")
        with Counting(bench.a) as counting:
            wanted = dice.randrange(100, 1000)
            until(lambda: counting.acknowledged > wanted, "some writes")
            until(lambda: bench.b.group()["csn"], "the copy has some of them")
            if dice.random() < 0.5:
                cable.cut()
                if ack == "nvs":
                    until(lambda: counting.acknowledged > wanted + 50, "more writes")
            if dice.random() < 0.5:
                # A crash of the copy itself, in the middle of what it was applying.
                bench.b.kill()
                bench.start("B")
            bench.a.kill()
        bench.b.order("role", primary="B", force="site A is lost")
        assert assert_prefix(bench.b, counting, ack) > 0
        bench.b.kill()


def test_the_copy_can_be_read_where_the_bench_says_so(two_sites):
    bench = two_sites(volumes=2, secondary_reads="true", size_bytes=4 << 20)
    bench.start()
    bench.wait("duplex")
    with Counting(bench.a) as counting:
        until(lambda: counting.acknowledged > 300, "some writes")
        newest = 0
        for _ in range(5):
            seen = [number for name, _, number in held(bench.b) if name == "vol0"]
            assert max(seen) >= newest
            newest = max(seen)
    bench.wait("identical")
    assert assert_prefix(bench.b, counting, "remote-nvs") == counting.acknowledged
    bench.finish()
