"""Kinds of devices: which disk may hold which, and what a site makes of a CKD device."""

import os

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.disk import create_disk, open_disk
from emulator.errors import BenchError
from emulator.node.config import DeviceConfig, SiteConfig
from emulator.node.devices import check_disk, device_geometry
from emulator.node.processor import Processor
from emulator.node.status import status_of

MODEL = geometry("3390-1", 2)
SIZE = MODEL.tracks * MODEL.slot_bytes


def test_the_geometry_follows_from_kind_and_size():
    assert device_geometry("v", "3390-1", SIZE) == MODEL
    assert device_geometry("v", "3390-3", SIZE).cylinders == 2


@pytest.mark.parametrize(
    ("kind", "size", "told"),
    [
        ("fba-512", SIZE, "has no tracks"),
        ("3390-1", SIZE + 4096, "not whole cylinders"),
        ("3390-1", 0, "not whole cylinders"),
        ("3380-D", SIZE, "not whole cylinders"),
        ("3390-1", SIZE * 600, "at most 1113; choose a larger model"),
    ],
)
def test_sizes_that_are_no_volume_are_refused(kind, size, told):
    with pytest.raises(BenchError, match=rf"device v: .*{told}"):
        device_geometry("v", kind, size)


def test_an_image_holds_only_devices_of_its_type(tmp_path):
    uri = f"cckd://{tmp_path}/a.cckd"
    create_disk(f"{uri}?kind=3390-1&cylinders=2", None)
    disk = open_disk(uri)
    check_disk("v", "3390-1", disk)
    check_disk("v", "3390-3", disk)
    with pytest.raises(BenchError, match='holds a 3390, not a 3380-D; write kind = "3390-1"'):
        check_disk("v", "3380-D", disk)
    with pytest.raises(BenchError, match='count-key-data volume; write kind = "3390-1"'):
        check_disk("v", "fba-512", disk)
    disk.close()


def test_a_site_shows_the_geometry_of_its_ckd_devices():
    devices = {
        "ckd": DeviceConfig("ckd", "3390-1", "mem://"),
        "fba": DeviceConfig("fba", "fba-512", "mem://"),
    }
    config = SiteConfig("A", 1 << 20, "file:///nvs", "unix:///console", devices)
    processor = Processor(config, {"ckd": SIZE, "fba": 4096}, 4 << 20, b"", os.urandom)
    assert list(processor.track_stores) == ["ckd"]
    shown = status_of(processor)["devices"]
    assert shown["ckd"]["kind"] == "3390-1"
    assert shown["ckd"]["geometry"] == {
        "cylinders": 2,
        "heads": 15,
        "tracks": 30,
        "slot_bytes": 57344,
    }
    assert shown["fba"]["geometry"] is None


class Host:
    def __init__(self) -> None:
        self.answers = []

    def completed(self, cookie, outcome, data) -> None:
        self.answers.append((cookie, outcome, data))


def test_one_track_is_one_csn_also_across_a_piece_boundary():
    """A slot that crosses 256 KiB of the volume is not cut there (ADR 0012)."""
    config = SiteConfig(
        "A",
        1 << 20,
        "file:///nvs",
        "unix:///console",
        {"ckd": DeviceConfig("ckd", "3390-1", "mem://")},
    )
    processor = Processor(config, {"ckd": SIZE}, 4 << 20, bytes(1 << 20), os.urandom)
    processor.ready = True
    store, host = processor.track_stores["ckd"], Host()
    group = store.volume.group
    for track in (4, 9, 13):
        assert store.read(track, host, track) is None
        (request,) = [r for r in _requests(processor) if type(r).__name__ == "DiskRead"]
        processor.completed(request, bytes(request.length), 0)
        before = group.csn
        image = build(*MODEL.address(track), [NewRecord(1, b"d" * 50_000)])
        store.write(track, 0, image, host, 100 + track)
        assert group.csn == before + 1
        assert store.read(track, host, 0) == image


def _requests(processor):
    processor.turn(0)
    processor.background(0)
    return processor.take_requests()
