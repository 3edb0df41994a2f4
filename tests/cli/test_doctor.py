"""`dualcopy doctor` and `dualcopy devices`: what this machine is found to have."""

import json
from pathlib import Path

import pytest

from rig.bench import inventory
from rig.bench.doctor import PROGRAMS
from tests.cli.command import Command


def test_every_no_has_a_fix(command: Command) -> None:
    found = json.loads(command("doctor", "--json").out)
    names = [finding["name"] for finding in found]
    assert len(names) == len(set(names)) > len(PROGRAMS)
    assert {"python", "pty lines", "raw Ethernet lines", "holes in images"} <= set(names)
    assert all(finding["fix"] for finding in found)
    rows = command("doctor").out.splitlines()
    assert len(rows) == len(found) + 1
    for finding, row in zip(found, rows[1:], strict=True):
        assert row.startswith("yes" if finding["can"] else "no ")
        assert finding["can"] or finding["fix"] in row


def test_a_missing_program_is_found_missing(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("rig.bench.doctor._ADMIN_FOLDERS", "")
    found = {row["name"]: row["can"] for row in json.loads(command("doctor", "--json").out)}
    assert not any(found[program] for program, _, _ in PROGRAMS)
    (tmp_path / "fio").touch(mode=0o755)
    found = {row["name"]: row["can"] for row in json.loads(command("doctor", "--json").out)}
    assert found["fio"]


def test_devices_are_uris(command: Command) -> None:
    found = json.loads(command("devices", "--json").out)
    rows = command("devices").out.splitlines()
    assert len(rows) == len(found) + 1
    for thing in found:
        assert thing["uri"].startswith(f"{thing['kind']}://")
        assert any(row.startswith(thing["uri"]) for row in rows)


def test_interfaces_and_disks_are_read_from_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(**texts: str) -> None:
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

    write(class__net__v0__type="1", class__net__v0__address="02:00:00:00:00:01")
    write(class__net__v0__mtu="1500", class__net__v0__operstate="up", class__net__lo__type="772")
    write(class__block__zz1__size="4096", class__block__zz1__dev="240:7")
    write(class__block__empty__size="0", class__block__empty__dev="240:8")
    monkeypatch.setattr("socket.if_nameindex", lambda: [(1, "lo"), (2, "v0")])
    assert list(inventory.interfaces(tmp_path)) == [
        inventory.Found("eth", "eth://v0", "02:00:00:00:00:01, 1500 bytes, up", usable=True)
    ]
    assert list(inventory.disks(tmp_path)) == [
        inventory.Found(
            "block", "block:///dev/zz1", "2MiB, this user may not open it", usable=False
        )
    ]
