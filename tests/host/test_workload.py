"""The host's workload: what it writes is known, and what it finds wrong is really wrong."""

import random
import threading
from contextlib import closing
from pathlib import Path

import pytest

from emulator.channel.blocks import Outcome
from emulator.errors import DeviceError, UnavailableError
from rig.host.nbd_client import connect_nbd
from rig.host.workload import LoadResult, Stop, Verdict, contents, load, verify
from rig.host.write_journal import LoadPlan, WriteJournal, read_history
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.serve import serving

SIZE_BYTES = 256 * 1024
PLAN = LoadPlan(seed=5, size_bytes=SIZE_BYTES, block_bytes=4096)


class Image:
    """Plain bytes to verify."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.size_bytes = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])


@pytest.fixture
def volume() -> MemoryVolume:
    return MemoryVolume("vol0", SIZE_BYTES, chance=random.Random(3))


def run_load(
    volume: MemoryVolume, folder: Path, plan: LoadPlan = PLAN, count: int = 300, depth: int = 8
) -> LoadResult:
    """Load a served volume; its journal is `folder/j`."""
    path = folder / "s"
    path.unlink(missing_ok=True)
    with (
        serving({"vol0": volume}, path),
        connect_nbd(f"nbd+unix:///vol0?socket={path}", depth=depth) as client,
        closing(WriteJournal(folder / "j", plan, append=True)) as journal,
    ):
        return load(client, plan, journal, Stop(count, None))


def test_everything_acknowledged_is_found_again(volume: MemoryVolume, tmp_path: Path) -> None:
    assert run_load(volume, tmp_path).writes == 300
    verdict = verify(Image(volume.contents), tmp_path / "j")
    assert verdict == Verdict(blocks=verdict.blocks, acknowledged=300)
    assert 0 < verdict.blocks <= 64
    assert volume.calls[-1][0] == "flush"


def test_a_second_load_goes_on_with_new_contents(volume: MemoryVolume, tmp_path: Path) -> None:
    run_load(volume, tmp_path, count=100)
    before = bytes(volume.contents)
    run_load(volume, tmp_path, count=100)
    assert bytes(volume.contents) != before
    assert verify(Image(volume.contents), tmp_path / "j").acknowledged == 200
    stale = verify(Image(before), tmp_path / "j")
    assert stale.wrong > 0
    assert "the last acknowledged there" in stale.places[0]


@pytest.mark.parametrize("damage", ["flip", "zero", "older", "elsewhere"])
def test_any_damage_is_found(volume: MemoryVolume, tmp_path: Path, damage: str) -> None:
    run_load(volume, tmp_path)
    image = Image(volume.contents)
    offset, number = sorted(read_history(tmp_path / "j").acknowledged.items())[3]
    block = slice(offset, offset + 4096)
    if damage == "flip":
        image.data[offset + 4095] ^= 1
    elif damage == "zero":
        image.data[block] = bytes(4096)
    elif damage == "older":
        image.data[block] = contents(PLAN, number - 1, offset)
    else:
        image.data[block] = image.data[:4096] if offset else image.data[4096:8192]
    verdict = verify(image, tmp_path / "j")
    assert verdict.wrong == 1
    assert verdict.places[0].startswith(f"block at {offset}: byte ")


def test_an_unacknowledged_write_may_be_in_or_out_or_in_part(tmp_path: Path) -> None:
    journal = WriteJournal(tmp_path / "j", PLAN, append=False)
    journal.begin(1, 0)
    journal.acknowledge(1)
    journal.begin(2, 0)
    journal.close()
    old, new = contents(PLAN, 1, 0), contents(PLAN, 2, 0)
    expected = {old: (0, 0), new: (0, 0), new[:512] + old[512:]: (1, 0), bytes(4096): (0, 1)}
    for data, (half_written, wrong) in expected.items():
        verdict = verify(Image(data), tmp_path / "j")
        assert (verdict.half_written, verdict.wrong) == (half_written, wrong)
        assert (verdict.acknowledged, verdict.unsettled) == (1, 1)


def test_a_block_of_which_nothing_was_acknowledged_is_not_judged(tmp_path: Path) -> None:
    journal = WriteJournal(tmp_path / "j", PLAN, append=False)
    journal.begin(1, 4096)
    journal.close()
    assert verify(Image(bytes(SIZE_BYTES)), tmp_path / "j").wrong == 0


def test_changes_are_no_larger_than_asked(tmp_path: Path, volume: MemoryVolume) -> None:
    plan = LoadPlan(1, SIZE_BYTES, 4096, change_bytes=100, sequential=True)
    first, second = contents(plan, 1, 8192), contents(plan, 65, 8192)
    changed = [at for at in range(4096) if first[at] != second[at]]
    assert changed
    assert max(changed) - min(changed) < 100
    assert contents(plan, 1, 4096) != first
    run_load(volume, tmp_path, plan, count=128)
    assert [call[1] for call in volume.calls[:64]] == list(range(0, SIZE_BYTES, 4096))
    assert verify(Image(volume.contents), tmp_path / "j").acknowledged == 128


def test_a_server_that_goes_away_leaves_a_true_journal(
    volume: MemoryVolume, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    journal = WriteJournal(tmp_path / "j", PLAN, append=False)
    with serving({"vol0": volume}, path) as server:
        client = connect_nbd(f"nbd+unix:///vol0?socket={path}", depth=8)
        failed: list[BaseException] = []

        def write_on() -> None:
            try:
                load(client, PLAN, journal, Stop(None, 60 * 10**9))
            except UnavailableError as error:
                failed.append(error)

        writer = threading.Thread(target=write_on)
        writer.start()
        while len(volume.calls) < 200:
            threading.Event().wait(0.005)
        server.stop()
        writer.join(timeout=30)
        assert failed
        server.stop = lambda: None
    client.close()
    journal.close()
    verdict = verify(Image(volume.contents), tmp_path / "j")
    assert verdict.wrong == 0
    assert verdict.acknowledged >= 100


def test_a_write_that_fails_is_not_acknowledged(volume: MemoryVolume, tmp_path: Path) -> None:
    volume.outcome = Outcome.DEVICE
    with pytest.raises(DeviceError):
        run_load(volume, tmp_path)
    history = read_history(tmp_path / "j")
    assert history.acknowledged_count == 0
    assert history.last_number > 0


def test_a_rate_and_a_time_limit_are_kept(volume: MemoryVolume, tmp_path: Path) -> None:
    with (
        serving({"vol0": volume}, tmp_path / "s"),
        connect_nbd(f"nbd+unix:///vol0?socket={tmp_path}/s") as client,
        closing(WriteJournal(tmp_path / "j", PLAN, append=False)) as journal,
    ):
        done = load(client, PLAN, journal, Stop(None, 2 * 10**8), rate=100.0)
    assert 1 <= done.writes <= 21
    assert done.bytes == done.writes * 4096
