"""The demo's host against a server that comes and goes: nothing acknowledged is ever lost."""

import json
import threading

import pytest

from emulator.channel.blocks import Outcome
from emulator.errors import CheckFailed, DeviceError
from rig.demo import plan
from rig.demo.host import Host
from rig.host.workload import verify
from rig.host.write_journal import LoadPlan, read_history
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.serve import serving

AREA = LoadPlan(seed=9, size_bytes=1 << 19, block_bytes=4096, change_bytes=100, start_bytes=1 << 19)


class Contents:
    """What a volume holds, to be verified."""

    def __init__(self, volume):
        self._volume = volume
        self.size_bytes = volume.size_bytes

    def read(self, offset, length):
        return bytes(self._volume.contents[offset : offset + length])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(plan, "WRITES_PER_S", 2000)
    monkeypatch.setattr(plan, "HOST_TURN_NS", 20_000_000)


@pytest.fixture
def volume():
    return MemoryVolume("vol0", 1 << 20)


def new_host(tmp_path):
    return Host(f"nbd+unix:///vol0?socket={tmp_path}/s", tmp_path / "writes", AREA)


def said(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_streams_an_image_and_writes_behind_it(volume, tmp_path, capsys):
    image = tmp_path / "image"
    data = b"\x07" * 70_000 + bytes(200_000) + b"\x08" * 1234
    image.write_bytes(data)
    volume.contents[:] = b"\xee" * volume.size_bytes
    with serving({"vol0": volume}, tmp_path / "s"):
        new_host(tmp_path).run(image, 50)
    assert volume.contents[: len(data)] == data
    assert volume.contents[len(data) : 1 << 19] == b"\xee" * ((1 << 19) - len(data))
    assert any(call[0] == "zero" for call in volume.calls)
    verdict = verify(Contents(volume), tmp_path / "writes")
    assert (verdict.acknowledged, verdict.wrong) == (50, 0)
    words = said(capsys)
    assert [w["bytes"] for w in words if w["event"] == "image-streamed"] == [len(data)]
    assert words[-1]["event"] == "host-done"


def test_goes_on_with_a_journal_at_another_site(volume, tmp_path, capsys):
    with serving({"vol0": volume}, tmp_path / "s"):
        new_host(tmp_path).run(None, 20)
        new_host(tmp_path).run(None, 20)
    assert read_history(tmp_path / "writes").last_number == 40
    assert verify(Contents(volume), tmp_path / "writes").wrong == 0


def until(condition):
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never came to that")


def acknowledged(tmp_path):
    path = tmp_path / "writes"
    return read_history(path).acknowledged_count if path.exists() and path.stat().st_size else 0


class Running:
    """A host in a thread, with what it raised."""

    def __init__(self, tmp_path):
        self.host = new_host(tmp_path)
        self.error = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self.host.run(None, None)
        except Exception as error:  # noqa: BLE001
            self.error = error

    def join(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.error


def test_comes_back_and_reads_back_what_was_acknowledged(volume, tmp_path, capsys):
    with serving({"vol0": volume}, tmp_path / "s"):
        running = Running(tmp_path)
        until(lambda: acknowledged(tmp_path) > 50)
    (tmp_path / "s").unlink()
    before = acknowledged(tmp_path)
    with serving({"vol0": volume}, tmp_path / "s"):
        until(lambda: acknowledged(tmp_path) > before + 50)
        running.host.stop()
        assert running.join() is None
    (back,) = [words for words in said(capsys) if words["event"] == "host-back"]
    assert back["wrong"] == 0
    assert back["acknowledged"] >= before
    assert verify(Contents(volume), tmp_path / "writes").wrong == 0


def test_a_site_that_lost_something_is_told(volume, tmp_path, capsys):
    with serving({"vol0": volume}, tmp_path / "s"):
        running = Running(tmp_path)
        until(lambda: acknowledged(tmp_path) > 50)
    (tmp_path / "s").unlink()
    volume.contents[1 << 19 :] = bytes(1 << 19)
    with serving({"vol0": volume}, tmp_path / "s"):
        error = running.join()
    assert isinstance(error, CheckFailed)
    assert "lost what was acknowledged" in str(error)


def test_a_site_that_refuses_is_not_waited_for(volume, tmp_path, capsys):
    with serving({"vol0": volume}, tmp_path / "s"):
        running = Running(tmp_path)
        until(lambda: acknowledged(tmp_path) > 10)
        volume.outcome = Outcome.DEVICE
        assert isinstance(running.join(), DeviceError)
