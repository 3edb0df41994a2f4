"""Raw images: one user at a time, honest sizes, holes, and an operating system that misbehaves."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.disk import create_disk, disk_bytes, open_disk
from emulator.disk.raw import RawDisk
from emulator.errors import BenchError, CannotRunHere, DeviceError

MIB = 2**20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.img"
    create_disk(f"raw://{path}", MIB)
    return path


def test_a_new_image_takes_no_space_and_only_its_owner_reads_it(image: Path) -> None:
    status = image.stat()
    assert (status.st_size, status.st_blocks, status.st_mode & 0o777) == (MIB, 0, 0o600)


def test_an_existing_file_is_never_touched(image: Path) -> None:
    image.write_bytes(b"precious".ljust(512))
    with pytest.raises(BenchError, match="exists already; remove it first"):
        create_disk(f"raw://{image}", MIB)
    assert image.read_bytes().startswith(b"precious")


@pytest.mark.parametrize("size", [0, 511, 513, -512])
def test_a_size_that_is_no_whole_number_of_sectors_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(BenchError, match="multiple of 512"):
        create_disk(f"raw://{tmp_path}/a.img", size)
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_made_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "ftruncate", full)
    with pytest.raises(DeviceError, match="No space left"):
        create_disk(f"raw://{tmp_path}/a.img", MIB)
    assert not list(tmp_path.iterdir())


def test_an_image_of_a_wrong_size_is_refused(image: Path) -> None:
    image.write_bytes(bytes(1000))
    with pytest.raises(BenchError, match=r"a\.img: 1000 bytes is not .* multiple of 512"):
        open_disk(f"raw://{image}")
    with pytest.raises(BenchError, match="multiple of 512"):
        disk_bytes(f"raw://{image}")


def test_the_size_in_the_uri_must_be_the_size_of_the_image(image: Path) -> None:
    open_disk(f"raw://{image}?size=1MiB").close()
    with pytest.raises(BenchError, match="size=2MiB is 2097152 bytes, but the disk has 1048576"):
        open_disk(f"raw://{image}?size=2MiB")
    with pytest.raises(BenchError, match="size: 'big' is not a size"):
        open_disk(f"raw://{image}?size=big")
    with pytest.raises(BenchError, match="size=2MiB"):
        create_disk(f"raw://{image.parent}/b.img?size=2MiB", MIB)


def test_an_image_in_use_names_who_has_it(image: Path) -> None:
    program = (
        "import sys; from emulator.disk import open_disk; disk = open_disk(sys.argv[1]);"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, f"raw://{image}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        for writable in (True, False):
            with pytest.raises(DeviceError, match=f"image in use by process {other.pid} "):
                open_disk(f"raw://{image}", writable=writable)
        assert disk_bytes(f"raw://{image}") == MIB
        other.communicate(timeout=20)
    open_disk(f"raw://{image}").close()


def test_one_process_cannot_open_an_image_twice_but_readers_share(image: Path) -> None:
    uri = f"raw://{image}"
    disk = open_disk(uri)
    with pytest.raises(DeviceError, match="in use"):
        open_disk(uri)
    disk.close()
    readers = [open_disk(uri, writable=False) for _ in range(2)]
    with pytest.raises(DeviceError, match="in use"):
        open_disk(uri)
    for reader in readers:
        reader.close()


def test_what_is_missing_or_no_file_is_said_with_the_fix(image: Path) -> None:
    folder = image.parent
    with pytest.raises(DeviceError, match="no such file; make it: dualcopy disk create 'raw://"):
        open_disk(f"raw://{folder}/b.img")
    with pytest.raises(DeviceError, match="directory does not exist"):
        create_disk(f"raw://{folder}/none/b.img", MIB)
    with pytest.raises(BenchError, match="is not a file"):
        disk_bytes(f"raw://{folder}")
    with pytest.raises(BenchError, match="three slashes"):
        open_disk("raw://a.img")
    with pytest.raises(BenchError, match="did you mean size"):
        open_disk(f"raw://{image}?sizze=1MiB")


def test_a_file_this_user_may_not_open_cannot_run_here(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(CannotRunHere, match="chown or chmod") as caught:
        open_disk(f"raw://{image}")
    assert caught.value.exit_code == 77


def test_a_zeroed_range_gives_its_space_back(image: Path) -> None:
    disk = open_disk(f"raw://{image}")
    disk.write([(0, [b"x" * MIB])])
    disk.flush()
    before = image.stat().st_blocks
    disk.zero(0, MIB // 2)
    assert disk.allocation(0, MIB) == [(MIB // 2, False), (MIB // 2, True)]
    disk.close()
    assert image.stat().st_blocks <= before // 2
    assert image.stat().st_size == MIB


def test_without_hole_punching_zeros_are_written(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.disk.raw._fallocate", lambda: None)
    disk = open_disk(f"raw://{image}")
    disk.write([(0, [b"x" * MIB])])
    disk.zero(1000, MIB - 3000)
    assert disk.read(0, MIB) == b"x" * 1000 + bytes(MIB - 3000) + b"x" * 2000
    disk.close()


def test_short_reads_and_writes_are_carried_on(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_pread, real_pwrite = os.pread, os.pwrite

    def short_pwritev(descriptor: int, buffers: list[bytes], offset: int) -> int:
        return real_pwrite(descriptor, b"".join(buffers)[:700], offset)

    monkeypatch.setattr(os, "pwritev", short_pwritev)
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real_pwrite(fd, data[:333], at))
    monkeypatch.setattr(os, "pread", lambda fd, size, at: real_pread(fd, min(size, 777), at))
    disk = open_disk(f"raw://{image}")
    data = bytes(range(256)) * 40
    disk.write([(50, [data[:1000], data[1000:]])])
    assert disk.read(50, len(data)) == data
    disk.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_what_the_system_refuses_is_a_device_error_with_the_uri(
    image: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def broken(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    uri = f"raw://{image}"
    disk = open_disk(uri)
    for name in ("pread", "pwritev", "fdatasync", "lseek"):
        monkeypatch.setattr(os, name, broken)
    for operation in (
        lambda: disk.read(0, 512),
        lambda: disk.write([(0, [b"x"])]),
        disk.flush,
        lambda: disk.allocation(0, 512),
    ):
        with pytest.raises(DeviceError) as caught:
            operation()
        assert (caught.value.uri, caught.value.cause) == (uri, os.strerror(number))
    disk.close()


def test_an_image_cut_short_while_open_is_an_error_not_zeros(image: Path) -> None:
    disk = open_disk(f"raw://{image}")
    os.truncate(image, 4096)
    with pytest.raises(DeviceError, match="ends after 4096 of 1048576 bytes"):
        disk.read(0, MIB)
    disk.close()


def test_a_disk_that_takes_nothing_more_is_an_error_not_a_loop(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwritev", lambda *_arguments: 0)
    monkeypatch.setattr(os, "pwrite", lambda *_arguments: 0)
    disk = open_disk(f"raw://{image}")
    with pytest.raises(DeviceError, match="takes no more bytes at 512"):
        disk.write([(512, [b"x"])])
    disk.close()


def test_a_failed_open_leaves_no_descriptor_behind(image: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(BenchError):
            RawDisk(f"raw://{image}?size=2MiB")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
