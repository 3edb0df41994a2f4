"""Bench files: what a good one becomes, and that a bad one is told by line, key, value and fix."""

from pathlib import Path

import pytest

from emulator.disk import create_disk
from emulator.errors import BenchError
from emulator.node.config import AckLevel, DeviceConfig, GroupConfig, LinkConfig, OnLinkLoss
from rig.bench.loader import FILE_BYTES_MAX, find_bench, load_bench
from tests.bench.bad_files import BAD
from tests.bench.example import GOOD


def write(folder: Path, text: str) -> Path:
    path = folder / "bench.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    """Return the lines of the error that a bench file gives."""
    path = write(folder, text)
    with pytest.raises(BenchError) as caught:
        load_bench(path)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(f"{path}:", "").splitlines()


def replaced(old: str, new: str, text: str = GOOD) -> str:
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


def test_a_good_file_becomes_what_each_site_needs(tmp_path: Path) -> None:
    bench = load_bench(write(tmp_path, GOOD))
    assert (bench.name, bench.sites, bench.groups) == ("two-sites", ["A", "B"], ["g0", "g1"])
    assert bench.group_sites("g1") == ("B", "A")
    assert bench.console("A") == tmp_path / "a.console"
    site = bench.site("A")
    assert (site.name, site.cache_bytes) == ("A", 64 * 2**20)
    assert site.nvs == f"file://{tmp_path}/a.nvs?size=16MiB&sync=battery"
    assert site.console == f"unix://{tmp_path}/a.console"
    assert site.devices["vol0"] == DeviceConfig(
        name="vol0",
        kind="fba-512",
        disk=f"raw://{tmp_path}/a0.img",
        serve=(f"nbd+unix:///vol0?socket={tmp_path}/a0.sock", "nbd://127.0.0.1:10810/vol0"),
        checksums=f"{tmp_path}/a0.img.sums",
        scrub_bytes_per_s=2**20,
    )
    interfaces = (
        ("A-B/A", "udp://127.0.0.1:7001?peer=127.0.0.1:7002"),
        ("A-B/B", "udp://127.0.0.1:7002?peer=127.0.0.1:7001"),
    )
    assert site.links == {
        "A-B": LinkConfig(
            "A-B", "B", interfaces[0][1], True, f"{tmp_path}/run.pcapng", 0, interfaces
        )
    }
    assert site.groups["g0"] == GroupConfig("g0", 0, "A-B", "B", True, ("vol0",))
    assert site.groups["g1"] == GroupConfig(
        "g1",
        1,
        "A-B",
        "B",
        False,
        ("log",),
        AckLevel.REMOTE_NVS,
        OnLinkLoss.HOLD,
        True,
        250_000_000,
    )


def test_the_other_site_sees_the_same_from_its_end(tmp_path: Path) -> None:
    site = load_bench(write(tmp_path, GOOD)).site("B")
    link = site.links["A-B"]
    assert (link.peer, link.line, link.capture_interface) == (
        "A",
        "udp://127.0.0.1:7002?peer=127.0.0.1:7001",
        1,
    )
    assert site.groups["g0"] == GroupConfig("g0", 0, "A-B", "A", False, ("vol0",))
    assert site.groups["g1"].volumes == ("log7",)
    assert site.groups["g1"].starts_as_primary


def test_links_share_a_capture_and_its_interfaces_only_when_it_is_the_same_file(
    tmp_path: Path,
) -> None:
    third = """
[site.C]
cache = "1MiB"
nvs = "file:c.nvs"
console = "unix:c.console"
[link.C-A]
a = "pty:///?link=ca.tty"
b = "serial:ca.tty"
lab_plaintext = true
capture = "CAPTURE"
"""
    shared = load_bench(write(tmp_path, GOOD + third.replace("CAPTURE", "run.pcapng"))).site("A")
    names = [name for name, _ in shared.links["C-A"].capture_interfaces]
    assert names == ["A-B/A", "A-B/B", "C-A/C", "C-A/A"]
    assert shared.links["C-A"].capture_interface == 3
    assert shared.links["C-A"].line == f"serial://{tmp_path}/ca.tty"
    apart = load_bench(write(tmp_path, GOOD + third.replace("CAPTURE", "other.pcapng"))).site("A")
    assert apart.links["C-A"].capture_interface == 1
    bare = load_bench(write(tmp_path, GOOD + third.replace('capture = "CAPTURE"\n', ""))).site("C")
    assert bare.links["C-A"] == LinkConfig("C-A", "A", f"pty:///?link={tmp_path}/ca.tty", True)


def test_images_that_are_not_made_yet_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert "dualcopy disk create" in load_bench(path).notes[0]
    create_disk(f"raw://{tmp_path}/a0.img", 4 * 2**20)
    assert load_bench(path).notes == ()


def test_the_volumes_of_a_pair_must_have_the_same_size(tmp_path: Path) -> None:
    create_disk(f"raw://{tmp_path}/a0.img", 2 * 2**20)
    (told,) = problems(tmp_path, GOOD)
    assert told.startswith("35: copy.g0.volumes.0: vol0 of site A has 2097152 bytes and vol0 of ")
    assert told.endswith("site B has 4194304; both must have the same size")


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_told_by_line_key_value_and_fix(tmp_path: Path, case: str) -> None:
    old, new, told = BAD[case]
    found = problems(tmp_path, replaced(old, new))
    assert any(told in line for line in found), found


def test_one_address_serves_many_devices_of_a_site(tmp_path: Path) -> None:
    text = replaced('"mem://1MiB"', '"mem://1MiB"\nserve = ["nbd://127.0.0.1:10810"]')
    site = load_bench(write(tmp_path, text)).site("A")
    assert site.devices["log"].serve == ("nbd://127.0.0.1:10810",)


def test_a_misspelled_key_is_told_once_not_also_as_missing(tmp_path: Path) -> None:
    assert len(problems(tmp_path, replaced("cache", "cachw"))) == 1


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = replaced('"fba-512"', '"fba"', replaced('["vol0"]', '["vol1"]'))
    found = problems(tmp_path, replaced("sync=battery", "sync=maybe", text))
    assert [int(line.partition(":")[0]) for line in found] == [5, 8, 35, 35]


def test_a_flood_of_problems_is_cut(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + "".join(f"[copy.x{n}]\n" for n in range(30)))
    assert len(found) == 21
    assert found[-1].endswith("and 70 more")


def test_two_links_between_the_same_sites_are_one_too_many(tmp_path: Path) -> None:
    other = '[link.B-A]\na = "pty:///?link=x"\nb = "serial:x"\nlab_plaintext = true\n'
    found = problems(tmp_path, GOOD + other)
    assert (
        found[0] == "32: copy.g0: more than one link joins them (A-B, B-A); this release uses one"
    )


def test_more_devices_than_the_store_has_maps_for(tmp_path: Path) -> None:
    devices = "".join(
        f'[site.A.device.d{n}]\nkind = "fba-512"\ndisk = "mem://1MiB"\n' for n in range(63)
    )
    assert "at most 64" in problems(tmp_path, GOOD + devices)[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"name = ", r"is not valid TOML: .* \(at "),
        (b"\xff\xfe", "is not UTF-8 at byte 0"),
        (b"#" * (FILE_BYTES_MAX + 1), "that is no bench file"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        (b"", "name: is missing; write for example name = "),
    ],
)
def test_what_is_no_bench_file_is_said_so(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "bench.toml"
    path.write_bytes(data)
    with pytest.raises(BenchError, match=told):
        load_bench(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such bench file; name one with --bench"):
        load_bench(tmp_path / "none.toml")
    with pytest.raises(BenchError, match="Is a directory"):
        load_bench(tmp_path)


def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    bench = load_bench(write(tmp_path, GOOD))
    for call in (bench.site, bench.console):
        with pytest.raises(BenchError, match="no site 'C'; there are: A, B"):
            call("C")
    with pytest.raises(BenchError, match="no group 'g2'"):
        bench.group_sites("g2")


def test_the_search_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_bench() == Path("bench.toml")
    monkeypatch.setenv("DUALCOPY_BENCH", "/b.toml")
    assert find_bench() == Path("/b.toml")
    assert find_bench(Path("c.toml")) == Path("c.toml")
