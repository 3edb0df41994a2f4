"""A byte flips in the journal of a site that is down: found at the start (W3)."""

import random

import pytest

from emulator.nvs.areas import RING_START, SLOT_BYTES, decode_superblock, ring_bytes
from emulator.nvs.journal import HEAD_BYTES, EntryKind
from emulator.nvs.recovery import Recovery
from rig.host.nbd_client import connect_nbd
from tests.system.sites import until

KIB = 1 << 10
UNAVAILABLE = 69


IN_HEADER, IN_PAYLOAD = 9, HEAD_BYTES + 9


def flip_an_entry(site, kind: EntryKind, place: int = IN_PAYLOAD, *, at_end: bool = False) -> None:
    """Flip a bit of an entry that others follow."""
    stored = bytearray(site.nvs.read_bytes())
    superblock = decode_superblock(bytes(stored[: 2 * SLOT_BYTES]))
    size, trim_lsn = ring_bytes(len(stored)), superblock.body["trim_lsn"]

    def read(offset: int, length: int) -> bytes:
        return bytes(stored[offset : offset + length])

    entries = list(Recovery(read, size, trim_lsn, "nvs").entries())
    lsns = [entry.head.lsn for entry in entries[:-2] if entry.head.kind == kind]
    lsn = lsns[-2] if at_end else lsns[len(lsns) // 2]
    stored[RING_START + lsn % size + place] ^= 4
    site.nvs.write_bytes(stored)


def written(bench) -> bytes:
    """Have both sites hold the same in journals that are not trimmed; return what."""
    bench.start()
    bench.wait("duplex")
    data = random.Random(4).randbytes(64 * KIB)
    with connect_nbd(bench.a.uri) as volume:
        for at in range(0, len(data), 4 * KIB):
            volume.write(at, data[at : at + 4 * KIB])
            until(lambda: not bench.a.group()["lag"]["records"], "the other site has it")
    return data


def test_a_secondary_has_its_copy_made_anew(two_sites):
    bench = two_sites()
    data = written(bench)
    bench.b.kill()
    flip_an_entry(bench.b, EntryKind.RECEIVED)
    bench.start("B")
    (damaged,) = bench.b.events("journal-damaged")
    assert "copies everything" in damaged["action"]
    bench.wait("identical", 60)
    bench.finish()
    assert bench.b.image.read_bytes()[: len(data)] == data


def lose_the_disk(site, data: bytes) -> None:
    """Have nothing on the disk that the journal was still needed for."""
    with site.image.open("r+b") as image:
        image.write(bytes(len(data)))


@pytest.mark.parametrize("place", [IN_PAYLOAD, IN_HEADER])
def test_a_primary_fetches_what_it_lost_before_it_serves_hosts(two_sites, place):
    bench = two_sites()
    data = written(bench)
    bench.a.kill()
    flip_an_entry(bench.a, EntryKind.HOST, place)
    lose_the_disk(bench.a, data)
    bench.start("A")
    (damaged,) = bench.a.events("journal-damaged")
    assert "fetched from the other site before hosts are served" in damaged["action"]
    (repaired,) = bench.a.events("journal-repaired")
    assert (repaired["lsn"], repaired["tracks"]) == (damaged["lsn"], 1)
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(0, len(data)) == data
        volume.write(0, b"and on")
    bench.finish()
    assert bench.a.image.read_bytes()[: len(data)] == b"and on" + data[6:]


def test_a_primary_waits_for_the_site_that_has_what_it_lost(two_sites):
    bench = two_sites()
    data = written(bench)
    bench.a.kill()
    bench.b.kill()
    flip_an_entry(bench.a, EntryKind.HOST)
    lose_the_disk(bench.a, data)
    bench.a.launch()
    until(lambda: bench.a.events("journal-damaged"), "the damage is found")
    bench.start("B")
    bench.a.await_ready()
    with connect_nbd(bench.a.uri) as volume:
        assert volume.read(0, len(data)) == data
    bench.finish()


def test_a_primary_that_alone_has_what_it_lost_stops_and_says_why(two_sites):
    """What hosts were told is complete is not dropped (W3)."""
    bench = two_sites()
    data = written(bench)
    bench.b.kill()
    with connect_nbd(bench.a.uri) as volume:
        for at in range(0, len(data), 4 * KIB):
            volume.write(at, bytes(4 * KIB))
    bench.a.kill()
    flip_an_entry(bench.a, EntryKind.HOST, at_end=True)
    code, said = bench.a.refused()
    assert code == UNAVAILABLE
    assert "is damaged" in said
    assert "the other site is known to have those up to" in said
    assert "copy the volume back from the other site" in said
    assert "Traceback" not in said
    bench.start("B")
    bench.b.order("role", primary="B", force="site A has a damaged journal")
    with connect_nbd(bench.b.uri) as volume:
        assert volume.read(0, len(data)) == data
