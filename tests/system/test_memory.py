"""The cache's bound holds: a long stream of writes leaves both sites small.

The suite writes 256 MiB; `STREAM_MIB=2048 pytest tests/system/test_memory.py` writes 2 GiB.
"""

import os
import random

import pytest

from emulator.frontend.nbd_protocol import Command
from rig.host.nbd_client import connect_nbd

MIB = 1 << 20
STREAM_MIB = int(os.environ.get("STREAM_MIB", "256"))
PIECE = 256 * 1024
BEYOND_CACHE = 80 * MIB


@pytest.mark.timeout(120 + STREAM_MIB // 4)
def test_resident_set_during_a_stream_of_writes(two_sites):
    bench = two_sites(size_bytes=STREAM_MIB * MIB, cache="64MiB", nvs="64MiB")
    bench.start()
    empty = {name: site.memory_bytes() for name, site in bench.sites.items()}
    dice = random.Random(1)
    pieces = [dice.randbytes(PIECE) for _ in range(16)]
    with connect_nbd(bench.a.uri, depth=8) as volume:
        for number in range(STREAM_MIB * MIB // PIECE):
            data = number.to_bytes(8, "big") + pieces[number % len(pieces)][8:]
            volume.submit(Command.WRITE, number * PIECE, data)
        volume.drain()
        written = {name: site.memory_bytes() for name, site in bench.sites.items()}
        bench.wait("identical", 60 + STREAM_MIB // 8)
    found = {name: site.memory_bytes() for name, site in bench.sites.items()}
    for what, sizes in (("empty", empty), ("written", written), ("copied", found)):
        print(what, {name: f"{size / MIB:.0f} MiB" for name, size in sizes.items()})
    for name, size in found.items():
        assert size < 64 * MIB + BEYOND_CACHE, f"site {name}: {size / MIB:.0f} MiB"
    assert bench.a.status()["cache"]["evictions"]
    bench.finish()
