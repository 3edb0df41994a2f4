"""Bench files: what a good one becomes, and that a bad one is told by line, key, value and fix."""

from pathlib import Path

import pytest

from emulator.disk import create_disk
from emulator.errors import BenchError
from emulator.node.config import AckLevel, DeviceConfig, GroupConfig, LinkConfig, OnLinkLoss
from rig.bench.loader import FILE_BYTES_MAX, find_bench, load_bench
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
        "g1", 1, "A-B", "B", False, ("log",), AckLevel.REMOTE_NVS, OnLinkLoss.HOLD, True
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


BAD = {
    "misspelled key": (
        'cache = "64MiB"',
        'cahce = "64MiB"',
        '4: site.A.cahce: unknown key; did you mean "cache"? there are: cache, nvs, ',
    ),
    "unknown table": ("[copy.g0]", "[copys.g0]", '32: copys: unknown key; did you mean "copy"?'),
    "missing key": (
        'console = "unix:a.console"\n',
        "",
        '3: site.A.console: is missing; write for example console = "unix:///var/tmp/a.console"',
    ),
    "size": ('"64MiB"', '"64MB"', "4: site.A.cache = \"64MB\": '64MB' is not a size; write"),
    "small cache": ('"64MiB"', '"1KiB"', '4: site.A.cache = "1KiB": too small; give at least 1MiB'),
    "number": ('"64MiB"', "64", "4: site.A.cache = 64: write a size in quotes"),
    "text for a list": ('["vol0"]', '"vol0"', 'volumes = "vol0": write a list in square brackets'),
    "empty list": ('["vol0"]', "[]", "35: copy.g0.volumes = []: it must not be empty"),
    "text for a flag": ("plaintext = true", 'plaintext = "yes"', "write true or false"),
    "word": (
        '"remote-nvs"',
        '"remote-nvm"',
        '41: copy.g1.ack = "remote-nvm": did you mean "remote-nvs"?',
    ),
    "name of a site": ("[site.B]", '[site."B b"]', '15: site."B b": a name has up to 32 letters'),
    "name too long": ("[copy.g0]", f"[copy.{'g' * 33}]", "a name has up to 32"),
    "partial copy": (
        'target = "log" }',
        'target = "log", extents = "0-9" }',
        "40: copy.g1.volumes.0.extents: copying part of a volume is not in this release",
    ),
    "secret": (
        "lab_plaintext = true",
        'secret = "file:///k"',
        "29: link.A-B.secret: sealed links are not in this release; remove it, say lab_plaintext",
    ),
    "plaintext": ("lab_plaintext = true\n", "", "26: link.A-B: packets are not sealed in this rel"),
    "plaintext leaves": (
        "peer=127.0.0.1:7002",
        "peer=10.0.0.2:7002",
        '27: link.A-B.a = "udp://127.0.0.1:7001?peer=10.0.0.2:7002": packets are not sealed',
    ),
    "line's key": ("?peer=127.0.0.1:7002", "?pear=127.0.0.1:7002", "did you mean peer?"),
    "line's kind": ("udp://127.0.0.1:7001", "utp://127.0.0.1:7001", "27: link.A-B.a: utp:"),
    "line's address": ("udp://127.0.0.1:7001", "udp://127.0.0.1", "is not HOST:PORT"),
    "name of a link": ("[link.A-B]", "[link.A-C]", "26: link.A-C: a link is called after its two"),
    "no link": ("[link.A-B]", "[link.B-B]", "32: copy.g0: no link joins A and B; add [link.A-B]"),
    "site of a copy": (
        'source = "A"',
        'source = "AA"',
        '33: copy.g0.source = "AA": no such site; did',
    ),
    "copy to itself": ('target = "B"', 'target = "A"', '34: copy.g0.target = "A": must be another'),
    "volume": (
        '["vol0"]',
        '["vol1"]',
        '35: copy.g0.volumes.0 = "vol1": site A has no such device; did',
    ),
    "volume twice": (
        '"log7", target = "log"',
        '"vol0", target = "log"',
        "vol0 of site B is in [copy.g0] already",
    ),
    "CKD": (
        '"fba-512"',
        '"3390-3"',
        '8: site.A.device.vol0.kind = "3390-3": CKD devices arrive with',
    ),
    "kind": ('"fba-512"', '"fba-520"', '8: site.A.device.vol0.kind = "fba-520": no such kind'),
    "disk's kind": ("raw:a0.img", "row:a0.img", "9: site.A.device.vol0.disk: row:"),
    "disk's size": (
        "mem://1MiB",
        "mem://1000B",
        "13: site.A.device.log.disk: mem://1000B: 1000 bytes",
    ),
    "disk twice": ("file:a.nvs", "file:./a0.img", "used twice; site.A.nvs has it already"),
    "port twice": (
        "127.0.0.1:10810",
        '0.0.0.0:7009/x", "nbd://127.0.0.1:7009',
        "TCP port 127.0.0.1:7009 is used twice; site.A.device.vol0.serve.1",
    ),
    "line's port twice": (
        "udp://127.0.0.1:7002",
        "udp://127.0.0.1:7001",
        "28: link.A-B.b: UDP port 127.0.0.1:7001 is used twice; link.A-B.a has it",
    ),
    "socket twice": ("unix:b.console", "unix:a0.sock", "18: site.B.console: "),
    "capture over a disk": ('"run.pcapng"', '"a0.img"', "30: link.A-B.capture: "),
    "front end": (
        "nbd://127.0.0.1:10810/vol0",
        "shrd://127.0.0.1:3990/0A00",
        "devices are not served by shrd:",
    ),
    "export": ("10810/vol0", "10810", "the name under which hosts ask for it is missing"),
    "front end's socket": ("?socket=a0.sock", "", "write nbd+unix:///NAME?socket=PATH"),
    "console": (
        "unix:a.console",
        "tcp://127.0.0.1:1",
        "6: site.A.console: tcp://127.0.0.1:1: write for",
    ),
    "socket's path": ("unix:a.console", f"unix:///{'p' * 120}", "a socket's may have 107"),
    "nvs sync": ("sync=battery", "sync=batery", "did you mean battery?"),
    "nvs size": ("size=16MiB", "size=1MiB", "5: site.A.nvs: "),
    "nvs kind": ("file:///var/tmp/b.nvs", "mem://1MiB", "17: site.B.nvs: mem://1MiB: write for"),
    "no URI": ('"unix:a.console"', '"a.console"', "6: site.A.console: 'a.console' is not a URI"),
    "a table for text": (
        'kind = "fba-512"',
        "kind = {}",
        "8: site.A.device.vol0.kind = {}: write text",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_told_by_line_key_value_and_fix(tmp_path: Path, case: str) -> None:
    old, new, told = BAD[case]
    found = problems(tmp_path, replaced(old, new))
    assert any(told in line for line in found), found


def test_a_misspelled_key_is_told_once_not_also_as_missing(tmp_path: Path) -> None:
    assert len(problems(tmp_path, replaced("cache", "cahce"))) == 1


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
