"""The file under the nonvolatile store: held alone, written whole, and errors said plainly."""

import errno
import os

import pytest

from emulator.errors import BenchError, DeviceError, UnavailableError
from emulator.nvs.areas import MAP_START, RING_START
from emulator.nvs.store import NvsStore

SIZE = 8 << 20


@pytest.fixture
def uri(tmp_path):
    return f"file://{tmp_path}/a.nvs?size=8MiB"


@pytest.fixture
def store(uri):
    opened = NvsStore(uri)
    yield opened
    opened.close()


def test_a_new_store_has_its_size_and_nothing_in_it(store, tmp_path):
    assert (tmp_path / "a.nvs").stat().st_size == SIZE == store.size_bytes
    assert (tmp_path / "a.nvs").stat().st_mode & 0o077 == 0
    assert store.load() is None
    assert not any(store.map_bytes())
    assert store.ring_bytes == SIZE - RING_START
    assert not store.battery


def test_a_store_without_a_size_is_64_mib(tmp_path):
    store = NvsStore(f"file://{tmp_path}/b.nvs?sync=battery")
    assert store.size_bytes == 64 << 20
    assert store.battery
    store.close()


def test_a_superblock_is_read_back_and_the_newest_wins(uri):
    for number in range(5):
        store = NvsStore(uri)
        if number:
            assert store.load() == (2 * number, {"number": number - 1})
        else:
            assert store.load() is None
        store.save({"number": "old"})
        store.save({"number": number})
        store.close()


def test_two_spoilt_superblocks_are_not_a_new_store(uri, tmp_path):
    store = NvsStore(uri)
    store.save({"a": 1})
    store.close()
    with (tmp_path / "a.nvs").open("r+b") as file:
        file.seek(64 * 1024 + 26)
        file.write(b"~")
    store = NvsStore(uri)
    with pytest.raises(DeviceError, match="neither superblock"):
        store.load()
    store.close()


def test_runs_of_buffers_are_written_at_their_places(store):
    store.write([(RING_START, [b"ab", b"", bytearray(b"cd")]), (MAP_START, [memoryview(b"xy")])])
    assert store.read(RING_START, 5) == b"abcd\x00"
    assert store.map_bytes()[:3] == b"xy\x00"


def test_more_buffers_than_one_call_takes(store):
    store.write([(RING_START, [b"%04d" % number for number in range(3000)])])
    expected = b"".join(b"%04d" % number for number in range(3000))
    assert store.read(RING_START, len(expected)) == expected


def test_short_writes_are_finished(store, monkeypatch):
    """The kernel may take a part of what it is given."""
    calls = []

    def short_pwritev(file, buffers, offset):
        calls.append(offset)
        data = b"".join(bytes(buffer) for buffer in buffers)
        return os.pwrite(file, data[:7], offset)

    whole_pwrite = os.pwrite

    def short_pwrite(file, data, offset):
        calls.append(offset)
        return whole_pwrite(file, data[:5], offset)

    monkeypatch.setattr(os, "pwritev", short_pwritev)
    monkeypatch.setattr(os, "pwrite", short_pwrite)
    data = [bytes([number % 251]) * 9 for number in range(1200)]
    store.write([(RING_START, data)])
    monkeypatch.undo()
    assert store.read(RING_START, 9 * 1200) == b"".join(data)
    assert len(calls) > 1000


@pytest.mark.parametrize("call", ["pwritev", "pread", "fdatasync"])
def test_a_failing_medium_is_named(store, monkeypatch, call):
    def fail(*_args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, fail)
    actions = {
        "pwritev": lambda: store.write([(RING_START, [b"x"])]),
        "pread": store.load,
        "fdatasync": store.sync,
    }
    with pytest.raises(DeviceError, match=r"a\.nvs.*Input/output error"):
        actions[call]()
    with pytest.raises(DeviceError):
        actions[call]()


def test_a_disk_that_fills_up_while_the_rest_is_written(store, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwritev", lambda *_args: 1)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DeviceError, match="No space"):
        store.write([(RING_START, [b"abc"])])


def test_a_battery_needs_no_fdatasync(tmp_path, monkeypatch):
    store = NvsStore(f"file://{tmp_path}/b.nvs?size=8MiB&sync=battery")
    monkeypatch.setattr(os, "fdatasync", lambda _file: pytest.fail("not needed"))
    store.save({"a": 1})
    store.close()


def test_fsync_mode_waits_for_the_medium(store, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    store.save({"a": 1})
    assert len(synced) == 1


def test_a_read_beyond_the_end_is_an_error(store):
    with pytest.raises(DeviceError, match="ends at"):
        store.read(SIZE - 4, 8)


def test_a_store_is_held_by_one_process(store, uri):
    with pytest.raises(UnavailableError, match="in use"):
        NvsStore(uri)


def test_a_store_can_be_opened_again_after_it_was_closed(uri):
    NvsStore(uri).close()
    NvsStore(uri).close()


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?size=4MiB", "at least 8MiB"),
        ("?size=0", "at least 8MiB"),
        ("?size=many", "many"),
        ("?size=8MiB&sync=never", "sync=never"),
        ("?sise=8MiB", "sise"),
    ],
)
def test_bad_uris_say_what_is_wrong(tmp_path, query, error):
    with pytest.raises(BenchError, match=error):
        NvsStore(f"file://{tmp_path}/bad.nvs{query}")


def test_a_refused_size_leaves_no_file_that_blocks_the_next_try(tmp_path):
    with pytest.raises(BenchError):
        NvsStore(f"file://{tmp_path}/bad.nvs?size=1MiB")
    NvsStore(f"file://{tmp_path}/bad.nvs?size=8MiB").close()


def test_another_size_than_the_file_has_is_refused(uri):
    NvsStore(uri).close()
    with pytest.raises(BenchError, match=r"exists with 8MiB, size= asks for 16MiB"):
        NvsStore(uri.replace("8MiB", "16MiB"))


def test_a_file_too_small_to_be_a_store_is_refused(tmp_path):
    (tmp_path / "small").write_bytes(bytes(1000))
    with pytest.raises(BenchError, match="too small"):
        NvsStore(f"file://{tmp_path}/small")


def test_places_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(UnavailableError, match="No such file"):
        NvsStore(f"file://{tmp_path}/missing/a.nvs?size=8MiB")
    with pytest.raises(UnavailableError, match="directory"):
        NvsStore(f"file://{tmp_path}?size=8MiB")


def test_a_full_file_system_is_said_and_nothing_is_held(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    uri = f"file://{tmp_path}/a.nvs?size=8MiB"
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(UnavailableError, match="No space"):
            NvsStore(uri)
    NvsStore(uri).close()
