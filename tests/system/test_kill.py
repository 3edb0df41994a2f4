"""Kill -9 of either site under load: every acknowledged write is there, the copies are identical.

The suite kills each site 3 times; `KILLS=20 pytest tests/system/test_kill.py` does it 20 times.
"""

import os
import random
import subprocess
import threading

import pytest

from tests.system.load import Load

KILLS = int(os.environ.get("KILLS", "3"))


class Background:
    """fio on the second half of the volume, started again whenever the site goes away."""

    def __init__(self, site, folder):
        self._site = site
        self._folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def _run(self):
        while not self._stop.is_set():
            fio = subprocess.Popen(
                [
                    # A job in a process of its own would outlive the kill below.
                    *("fio", "--thread", "--name=load", "--ioengine=nbd"),
                    f"--uri={self._site.uri}",
                    *("--rw=randwrite", "--bsrange=512-32k", "--bs_unaligned=1"),
                    *("--iodepth=4", "--offset=8m", "--size=8m", "--rate_iops=400"),
                    *("--time_based=1", "--runtime=600", "--fsync=32"),
                    f"--aux-path={self._folder}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while fio.poll() is None:
                if self._stop.wait(0.05):
                    fio.kill()
            fio.wait()
            self._stop.wait(0.05)


@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.needs("fio")
@pytest.mark.parametrize(
    ("sync", "block_bytes"), [("battery", 4096), ("fsync", 6656)], ids=["battery", "fsync"]
)
def test_kills_under_load(two_sites, tmp_path, sync, block_bytes):
    kill_again_and_again(two_sites(sync=sync), tmp_path, KILLS, block_bytes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.needs("fio")
@pytest.mark.parametrize("write", ["early", "through"])
def test_a_hundred_kills(two_sites, tmp_path, write):
    bench = two_sites(sync="battery", device=f'write = "{write}"\n')
    kill_again_and_again(bench, tmp_path, 50, 6656)


def kill_again_and_again(bench, tmp_path, kills, block_bytes):
    dice = random.Random(f"{bench.keys}/{kills}")
    victims = ["A", "B"] * kills
    dice.shuffle(victims)
    bench.start()
    load = Load(bench.a, tmp_path / "writes", block_bytes=block_bytes)
    with load, Background(bench.a, tmp_path):
        for victim in victims:
            load.await_acknowledged(dice.randrange(1, 400))
            threading.Event().wait(dice.random() / 20)
            bench.sites[victim].kill()
            if victim == "A":
                with load.paused():
                    _start_again(bench, "A", dice)
                    load.verify()
            else:
                load.await_acknowledged(dice.randrange(1, 200))
                _start_again(bench, "B", dice)
            if dice.random() < 0.5:
                bench.wait("duplex")
    assert load.verify().acknowledged > 2 * kills
    bench.finish()


def _start_again(bench, name, dice):
    """Start a site that was killed; one time in four it dies again while it starts."""
    if dice.random() < 0.25:
        bench.sites[name].launch()
        threading.Event().wait(dice.random() / 2)
        bench.sites[name].kill()
    bench.start(name)
