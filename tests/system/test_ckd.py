"""Two sites with a CKD volume, an uncompressed image at one and a compressed one at the other.

The volume is made by Hercules' dasdload and judged by its utilities afterwards; hosts reach it by
the shared-device protocol. A volume of blocks is in the same group.
"""

import contextlib
import random
import socket
from pathlib import Path

import pytest

from emulator.channel import track_image
from emulator.channel.geometry import geometry
from emulator.channel.track_image import END_MARKER, NewRecord, build
from emulator.disk import create_disk, open_disk
from emulator.disk.ckd_header import HEADER_BYTES
from emulator.disk.hercules_client import ControlUnit, Where, read, write
from emulator.disk.opener import inspect_disk
from emulator.disk.slots import SlotDisk
from emulator.errors import CorruptError
from tests.peers.hercules_volumes import NAMES, checked, data_sets, load_volume, unloaded
from tests.system.sites import TwoSites, free_ports, until

pytestmark = [pytest.mark.peers, pytest.mark.needs("dasdload", "dasdls", "cckdcdsk")]

CYLINDERS = 4
MODEL = geometry("3390-1", CYLINDERS)
FIRST_FREE_TRACK = 15  # the data sets lie on the first cylinder
NUMBER = 0x0A00


class CkdSites(TwoSites):
    """A bench whose group has a CKD volume besides the one of blocks."""

    def __init__(self, folder: Path, **keys: str) -> None:
        self.ckd_ports = dict(zip("AB", free_ports(2, socket.SOCK_STREAM), strict=True))
        self.ckd_paths = {"A": folder / "a.ckd", "B": folder / "b.cckd"}
        super().__init__(folder, size_bytes=1 << 20, **keys)
        load_volume(folder, "a.ckd", CYLINDERS)
        create_disk(f"cckd://{self.ckd_paths['B']}?kind=3390-1&cylinders={CYLINDERS}", None)

    def disk(self, site: str) -> str:
        return f"{self.ckd_paths[site].suffix[1:]}://{self.ckd_paths[site]}"

    def _text(self) -> str:
        text = super()._text().replace('volumes = ["vol0"]', 'volumes = ["vol0", "ckd"]')
        for site in "AB":
            device = (
                f'[site.{site}.device.ckd]\nkind = "3390-1"\ndisk = "{self.disk(site)}"\n'
                f'serve = ["shrd://127.0.0.1:{self.ckd_ports[site]}/0A00"]\n'
            )
            text = text.replace(f"[site.{site}.device.vol0]", f"{device}[site.{site}.device.vol0]")
        return text

    def host(self, site: str = "A") -> ControlUnit:
        """Return a host of the volume, as a Hercules of ours would be one."""
        return ControlUnit(Where(f"host of {site}", "127.0.0.1", self.ckd_ports[site], NUMBER, 20))

    def same_volumes(self) -> None:
        """Both sites have stopped: the volumes are equal by tracks, and well to everybody."""
        volumes: list[list[bytes]] = []
        for site in "AB":
            disk = open_disk(self.disk(site), writable=False)
            assert isinstance(disk, SlotDisk)
            volumes.append([disk.track(track) for track in range(MODEL.tracks)])
            disk.close()
            assert list(inspect_disk(self.disk(site)) or ()) == []
            assert data_sets(self.ckd_paths[site]) == NAMES
        assert volumes[0] == volumes[1]
        checked(self.ckd_paths["B"])
        for site in self.sites.values():
            assert not site.events("track-damaged"), "every track reads as it was written"
        contents = (self.folder / "input.bin").read_bytes()
        assert unloaded(self.ckd_paths["A"]) == contents == unloaded(self.ckd_paths["B"])

    def tracks(self, site: str) -> list[bytes]:
        with contextlib.closing(open_disk(self.disk(site), writable=False)) as disk:
            assert isinstance(disk, SlotDisk)
            return [disk.track(track) for track in range(MODEL.tracks)]


@pytest.fixture
def sites(tmp_path):
    made = CkdSites(tmp_path)
    yield made
    made.close()


class Load:
    """What a host writes to free tracks: formats, updates, erases; and what must be there then."""

    def __init__(self, host: ControlUnit, seed: int) -> None:
        self.dice = random.Random(f"ckd/{seed}")
        self.host = host
        self.wanted: dict[int, bytes] = {}

    def some(self, count: int) -> None:
        for _ in range(count):
            track = self.dice.randrange(FIRST_FREE_TRACK, MODEL.tracks)
            image = self.wanted.get(track, build(*MODEL.address(track)))
            records = list(track_image.records(image))
            if self.dice.random() < 0.5 and len(records) > 1:
                record = self.dice.choice(records[1:])
                offset, data = record.data_offset, self.dice.randbytes(record.data_length)
                new = image[:offset] + data + image[record.end :]
            elif self.dice.random() < 0.2:
                offset, data = records[0].end, END_MARKER
                new = image[:offset] + data
            else:
                contents = [
                    NewRecord(n, self.dice.randbytes(self.dice.randrange(1, 4096)), b"key"[: n % 4])
                    for n in range(1, self.dice.randrange(2, 12))
                ]
                offset, data = records[0].end, build(*MODEL.address(track), contents)[21:]
                new = image[:offset] + data
            if data:
                self.host.run([write(track, offset, data)])
                self.wanted[track] = new

    def judge(self, tracks: list[bytes]) -> None:
        for track, image in self.wanted.items():
            assert tracks[track] == image, f"track {track}"


def test_a_loaded_volume_is_copied_and_both_images_satisfy_hercules(sites):
    sites.start()
    found = sites.wait("identical", 60)
    shown = found["A"]["devices"]["ckd"]
    assert (shown["kind"], shown["geometry"]["cylinders"]) == ("3390-1", CYLINDERS)
    sites.stop()
    sites.same_volumes()


def test_what_hosts_write_by_tracks_is_the_same_at_both_sites_after_kills(sites):
    sites.start()
    sites.wait("duplex", 60)
    load = Load(sites.host(), 1)
    load.some(60)
    sites.b.kill()
    load.some(60)
    sites.start("B")
    load.some(30)
    sites.a.kill()
    sites.start("A")
    load.some(60)
    load.host.close()
    sites.wait("identical", 60)
    sites.stop()
    sites.same_volumes()
    load.judge(sites.tracks("A"))
    assert len({len(image) for image in load.wanted.values()}) > 10


def test_the_copy_takes_over_and_hosts_find_their_tracks_there(sites):
    sites.start()
    sites.wait("duplex", 60)
    load = Load(sites.host(), 2)
    load.some(40)
    load.host.close()
    sites.wait("identical", 60)
    assert sites.a.order("role", primary="B")
    sites.wait("duplex", 60)
    other = Load(sites.host("B"), 3)
    other.wanted = dict(load.wanted)
    for track, image in load.wanted.items():
        (found,) = other.host.run([read(track)])
        assert track_image.cut(found) == image
    other.some(40)
    other.host.close()
    sites.wait("identical", 60)
    sites.stop("B", "A")
    sites.same_volumes()
    other.judge(sites.tracks("A"))
    other.judge(sites.tracks("B"))


def on_disk(sites) -> None:
    """Wait until the disks have everything, and a start has nothing to replay."""
    for site in sites.sites.values():
        until(lambda site=site: not site.status()["cache"]["dirty_tracks"], "all is on the disk")
        until(lambda site=site: not site.status()["nvs"]["used_bytes"], "the journal is empty")


def flip(path: Path, offset: int) -> None:
    image = bytearray(path.read_bytes())
    image[offset] ^= 4
    path.write_bytes(image)


def scrubbed(site) -> int:
    """Return how often the whole volume was looked at, in all lives of a site."""
    return sum(event["device"] == "ckd" for event in site.events("scrub-passed"))


TEXT_TRACK = MODEL.tracks - 1


def loaded(sites, seed: int) -> tuple[Load, int]:
    """Return a load whose volume lies on both disks, and a track of it with much data.

    The last track has text, which a compressed image keeps compressed.
    """
    sites.start()
    sites.wait("duplex", 60)
    load = Load(sites.host(), seed)
    load.some(60)
    lines = [NewRecord(n, b"%d bottles of beer on the wall, " % n * 60) for n in range(1, 20)]
    text = build(*MODEL.address(TEXT_TRACK), lines)
    load.host.run([write(TEXT_TRACK, 21, text[21:])])
    load.wanted[TEXT_TRACK] = text
    load.host.close()
    sites.wait("identical", 60)
    on_disk(sites)
    return load, max(load.wanted, key=lambda track: len(load.wanted[track]))


def test_a_rotten_track_of_an_image_is_mended_before_a_host_sees_it(sites):
    load, track = loaded(sites, 4)
    sites.a.kill()
    flip(sites.ckd_paths["A"], HEADER_BYTES + track * MODEL.image_bytes + 5000)
    assert sites.tracks("A")[track] != load.wanted[track]
    sites.start("A")
    sites.wait("duplex", 60)
    host = sites.host()
    (found,) = host.run([read(track)])
    host.close()
    assert track_image.cut(found) == load.wanted[track]
    (repaired,) = sites.a.events("track-repaired")
    assert (repaired["device"], repaired["source"]) == ("ckd", "the other site")
    assert repaired["track"] == (track * MODEL.slot_bytes + 5000) // 4096
    on_disk(sites)
    sites.a.kill()
    assert sites.tracks("A")[track] == load.wanted[track]


def test_a_track_that_cannot_be_unpacked_is_found_by_the_scrub_and_written_anew(sites):
    load, _track = loaded(sites, 5)
    track = TEXT_TRACK
    sites.b.kill()
    disk = open_disk(sites.disk("B"), writable=False)
    place = disk._places[track]
    disk.close()
    flip(sites.ckd_paths["B"], place.position + place.length // 2)
    with pytest.raises(CorruptError):
        sites.tracks("B")
    sites.start("B")
    parts = MODEL.slot_bytes // 4096
    until(lambda: len(sites.b.events("track-repaired")) == parts, "all its parts are mended")
    on_disk(sites)
    sites.stop("A", "B")
    assert sites.tracks("B")[track] == load.wanted[track]
    assert sites.tracks("B") == sites.tracks("A")
    assert list(inspect_disk(sites.disk("B")) or ()) == []


def test_an_image_of_yesterday_is_brought_up_to_date(sites):
    load, _track = loaded(sites, 6)
    sites.stop("A", "B")
    yesterday = sites.ckd_paths["A"].read_bytes()
    sites.start()
    sites.wait("duplex", 60)
    load.host = sites.host()
    load.some(40)
    load.host.close()
    sites.wait("identical", 60)
    on_disk(sites)
    sites.stop("A", "B")
    sites.ckd_paths["A"].write_bytes(yesterday)
    before = scrubbed(sites.a)
    sites.start()
    sites.wait("duplex", 60)
    # The pass that is under way at the start may have begun behind what is old.
    until(lambda: scrubbed(sites.a) > before + 1, "the scrub comes round", 90)
    until(lambda: not sites.a.status()["devices"]["ckd"]["damaged_tracks"], "all is mended")
    assert sites.a.events("track-repaired")
    on_disk(sites)
    sites.stop("A", "B")
    load.judge(sites.tracks("A"))
    assert sites.tracks("A") == sites.tracks("B")
