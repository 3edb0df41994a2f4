"""`dualcopy bench nvs`, `destage` and `cache`, short: what they print, and what they leave."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.command import Command, Done, run_process

SHORT = ("--rounds", "1", "--seconds", "1", "--size", "16MiB")


def left(folder: Path, done: Done, charts: set[str]) -> dict:
    """Check what every measurement leaves, and that its verdict is its exit code."""
    files = {"run.json", "measurements.json", "report.html"} | charts
    assert {path.name for path in folder.iterdir()} == files, done.err
    run = json.loads((folder / "run.json").read_text())
    assert done.code == (0 if run["verdict"] == "pass" else 1), done.err
    assert run["checks"]
    page = (folder / "report.html").read_text()
    for chart in charts:
        svg = (folder / chart).read_text()
        assert [node for node in ET.fromstring(svg).iter() if node.tag.endswith("rect")]
        assert svg.strip() in page
    found: dict = json.loads((folder / "measurements.json").read_text())
    return found


def bench(folder: Path, *words: str) -> Done:
    done = run_process("bench", *words, "--out", folder / "o", folder=folder, limit_s=110)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.needs("fio", "qemu-nbd")
def test_store(tmp_path: Path) -> None:
    done = bench(tmp_path, "nvs", *SHORT, "--undestaged", "4MiB")
    found = left(tmp_path / "o", done, {"writes.svg", "restarts.svg"})
    assert {name: len(runs) for name, runs in found["raw"].items()} == {
        "dualcopy-battery": 1,
        "dualcopy-fsync": 1,
        "qemu-nbd-sync": 1,
    }
    assert all(value > 0 for value in found["iops"].values())
    assert [round(run["undestaged_mib"]) for run in found["restarts"]] == [4]
    assert found["options"]["size"] == "16MiB"
    assert "dualcopy-fsync/qemu-nbd-sync: " in done.out
    assert "MiB on no disk" in done.out


@pytest.mark.needs("fio")
def test_destage(tmp_path: Path) -> None:
    done = bench(tmp_path, "destage", *SHORT, "--json")
    found = left(tmp_path / "o", done, {"p99_us.svg", "mean_us.svg", "destaged_mib_per_s.svg"})
    said = json.loads(done.out)
    assert said == found | {key: said[key] for key in ("verdict", "verdict_text", "checks")}
    assert found["medians"]["full-rate"]["destaged_mib_per_s"] > 0
    assert {name: len(runs) for name, runs in found["raw"].items()} == {
        "without": 1,
        "full-rate": 1,
    }
    medians = found["medians"]
    assert found["p99_ratio"] == round(
        medians["full-rate"]["p99_us"] / medians["without"]["p99_us"], 3
    )


def test_cache(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "o"
    words = ("--traces", "zipf-0.8,loop-1.2", "--tracks", "200", "--accesses", "20000")
    done = command("bench", "cache", *words, "--out", folder)
    found = left(folder, done, {"cache.svg"})
    assert list(found["traces"]) == ["zipf-0.8", "loop-1.2"]
    assert found["traces"]["loop-1.2"]["hit_ratio"]["LRU"] == 0
    assert "knows all" in done.out
    assert done.out.splitlines()[-1].startswith("PASS: all 3 checks held")
    again = json.loads(command("bench", "cache", *words, "--out", tmp_path / "2", "--json").out)
    assert again["traces"]["zipf-0.8"]["hit_ratio"] == found["traces"]["zipf-0.8"]["hit_ratio"]


def test_an_unknown_trace_is_told(tmp_path: Path, command: Command) -> None:
    done = command("bench", "cache", "--traces", "zipf-0.9", "--out", tmp_path / "o")
    assert done.code == 2
    assert "zipf-0.9 is unknown; there are zipf-0.8" in done.err
    assert not (tmp_path / "o").exists()
