"""Disks by name: the table, plug-ins, and what is said when neither knows the scheme."""

import importlib.metadata

import pytest

from emulator.disk import memory, open_disk
from emulator.errors import BenchError


class OtherDisk(memory.MemoryDisk):
    """What a plug-in would bring."""

    def __init__(self, uri: str, *, writable: bool = True) -> None:
        super().__init__(f"mem://{uri.removeprefix('other:')}", writable=writable)


def _plug_in(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = importlib.metadata.EntryPoint("other", value, "dualcopy.disks")

    def entry_points(*, group: str) -> list[importlib.metadata.EntryPoint]:
        return [point] if group == "dualcopy.disks" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


@pytest.mark.sources
def test_a_plugged_in_kind_opens_by_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "OtherDisk", OtherDisk, raising=False)
    _plug_in(monkeypatch, "emulator.disk.memory:OtherDisk")
    assert open_disk("other:1KiB").size_bytes == 1024


def test_a_plug_in_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug_in(monkeypatch, "no.such.module:Disk")
    with pytest.raises(BenchError, match="the plug-in other does not load: No module named 'no'"):
        open_disk("other:1KiB")


def test_an_unknown_scheme_lists_what_there_is() -> None:
    with pytest.raises(BenchError, match=r"did you mean raw\? there are: .*block.*mem.*raw"):
        open_disk("row:///a.img")
    with pytest.raises(BenchError, match="is not a URI"):
        open_disk("/var/tmp/a.img")
