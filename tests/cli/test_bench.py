"""`dualcopy bench`: good files are shown, bad ones told, and editors get a schema."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.bench.example import GOOD
from tests.cli.command import Command, run_process


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "bench.toml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_good(command: Command, bench: Path) -> None:
    done = command("bench", "check", bench)
    assert done.code == 0
    assert done.out == f"{bench}: good; sites A, B; links A-B; groups g0, g1\n"
    assert done.err.startswith(f"note: raw://{bench.parent}/a0.img: no such file; make it: ")
    found = json.loads(command("bench", "check", bench, "--json").out)
    assert (found["sites"], found["links"], found["groups"]) == (["A", "B"], ["A-B"], ["g0", "g1"])
    assert len(found["notes"]) == 1


def test_a_bad_file_is_told_with_all_its_problems(command: Command, bench: Path) -> None:
    bench.write_text(GOOD.replace("cache", "cachw").replace("lab_plaintext", "plaintext"))
    done = command("bench", "check", bench)
    assert done.code == 2
    lines = done.err.splitlines()
    told = f'dualcopy: {bench}:4: site.A.cachw: unknown key; did you mean "cache"? there are: cache'
    assert lines[0].startswith(told)
    assert [line.split(":")[1] for line in lines[1:]] == ["16", "29"]


def test_the_file_is_found_where_it_was_said_to_be(bench: Path, tmp_path: Path) -> None:
    assert run_process("bench", "check", folder=tmp_path).returncode == 0
    by_name = run_process("bench", "check", folder=Path("/"), DUALCOPY_BENCH=str(bench))
    assert by_name.stdout.startswith(str(bench).encode())
    assert run_process("bench", "check", folder=Path("/")).returncode == 2


def test_a_bench_is_drawn(command: Command, bench: Path) -> None:
    lines = command("bench", "show", bench).out.splitlines()
    assert lines[0] == f"two-sites  ({bench})"
    assert "site A: cache 64MiB" in lines
    assert "link A-B: NOT SEALED (lab_plaintext)" in lines
    assert "    control unit cu0: ring of vol0, log; 2 paths" in lines
    assert "copy g1: B ==> A" in lines
    assert "    log7 ==> log" in lines


def test_show_gives_programs_what_a_site_gets(command: Command, bench: Path) -> None:
    site = json.loads(command("bench", "show", bench, "--json").out)["site"]["A"]
    assert site["groups"]["g1"]["ack"] == "remote-nvs"
    assert site["devices"]["vol0"]["disk"] == f"raw://{bench.parent}/a0.img"
    assert site["links"]["A-B"]["capture_interfaces"][1][0] == "A-B/B"


def test_the_schema_knows_every_key_of_a_good_file(command: Command) -> None:
    schema = json.loads(command("bench", "schema").out)
    assert schema["$schema"].endswith("2020-12/schema")
    tables = schema["$defs"]
    parsed = tomllib.loads(GOOD)
    for kind, name in (("site", "SiteTable"), ("link", "LinkTable"), ("copy", "CopyTable")):
        assert kind in schema["properties"]
        assert tables[name]["additionalProperties"] is False
        for table in parsed[kind].values():
            assert table.keys() <= tables[name]["properties"].keys()
    assert tables["SiteTable"]["properties"]["cache"]["type"] == "string"
    assert {"type": "string", "description": "Both names."} in tables["VolumePair"]["anyOf"]
