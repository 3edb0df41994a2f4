"""Where a measurement's stores lie: in memory with a battery, if there is room."""

from pathlib import Path

import pytest

from rig.measure import stores
from rig.measure.stores import store_folder


@pytest.fixture
def memory(tmp_path, monkeypatch):
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(stores, "MEMORY", folder)
    return folder


def test_stores_with_a_battery_lie_in_memory_and_are_gone_afterwards(memory, tmp_path):
    with store_folder(tmp_path, 1 << 20, "battery") as found:
        assert found.parent == memory
        (found / "a.nvs").write_bytes(b"x")
    assert list(memory.iterdir()) == []


@pytest.mark.parametrize(("size_bytes", "sync"), [(1 << 60, "battery"), (1, "fsync")])
def test_without_room_or_with_a_medium_they_lie_in_the_run_folder(
    memory, tmp_path, size_bytes, sync
):
    with store_folder(tmp_path, size_bytes, sync) as found:
        assert found == tmp_path
    assert list(memory.iterdir()) == []


def test_a_machine_without_such_memory_has_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "MEMORY", Path("/nowhere"))
    with store_folder(tmp_path, 1, "battery") as found:
        assert found == tmp_path
