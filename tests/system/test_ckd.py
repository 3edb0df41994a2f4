"""Two sites with a CKD volume, an uncompressed image at one and a compressed one at the other.

The volume is made by Hercules' dasdload and judged by its utilities afterwards; hosts reach it by
the shared-device protocol. A volume of blocks is in the same group.
"""

import random
import socket
from pathlib import Path

import pytest

from emulator.channel import track_image
from emulator.channel.geometry import geometry
from emulator.channel.track_image import END_MARKER, NewRecord, build
from emulator.disk import create_disk, open_disk
from emulator.disk.hercules_client import ControlUnit, Where, read, write
from emulator.disk.opener import inspect_disk
from emulator.disk.slots import SlotDisk
from tests.peers.hercules_volumes import NAMES, checked, data_sets, load_volume, unloaded
from tests.system.sites import TwoSites, free_ports

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
        contents = (self.folder / "input.bin").read_bytes()
        assert unloaded(self.ckd_paths["A"]) == contents == unloaded(self.ckd_paths["B"])

    def tracks(self, site: str) -> list[bytes]:
        disk = open_disk(self.disk(site), writable=False)
        assert isinstance(disk, SlotDisk)
        found = [disk.track(track) for track in range(MODEL.tracks)]
        disk.close()
        return found


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
