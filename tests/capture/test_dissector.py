"""Installing the dissector: where Wireshark itself says, and so that it is then loaded."""

import os
import subprocess

import pytest

from emulator.errors import UnavailableError
from rig.capture import dissector
from tests.capture import golden


def test_without_wireshark_the_usual_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = dissector.plugin_folder()
    assert folder == tmp_path / ".local" / "lib" / "wireshark" / "plugins"


def test_a_wireshark_that_answers_nothing_useful_is_passed_over(tmp_path, monkeypatch):
    program = tmp_path / "tshark"
    program.write_text("#!/bin/sh\necho 'Personal Lua Plugins:'\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(dissector, "_PROGRAMS", ("tshark",))
    assert dissector.plugin_folder() == tmp_path / ".local" / "lib" / "wireshark" / "plugins"


def test_installing_again_replaces_the_script(tmp_path):
    folder = tmp_path / "new" / "plugins"
    target = dissector.install(folder)
    assert target == folder / "dualcopy.lua"
    target.write_text("old")
    dissector.install(folder)
    assert target.read_text() == dissector.script_text()
    assert [path.name for path in folder.iterdir()] == ["dualcopy.lua"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match=r"file/dualcopy\.lua: cannot install"):
        dissector.install(tmp_path / "file")


def test_a_lost_script_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(dissector, "SCRIPT", tmp_path / "dualcopy.lua")
    with pytest.raises(UnavailableError, match="install this package again"):
        dissector.script_text()


@pytest.mark.peers
@pytest.mark.needs("tshark")
def test_tshark_loads_what_was_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    dissector.install(dissector.plugin_folder())

    def tshark(*options):
        done = subprocess.run(
            ["tshark", "-r", str(golden.PATH), *options],
            capture_output=True, text=True, timeout=60, check=True, env=os.environ,
        )  # fmt: skip
        return done.stdout.splitlines()

    assert len(tshark("-Y", "dualcopy")) == len(list(golden.conversation()))
    assert len(tshark("-Y", "dualcopy.csn == 3")) == 8
    assert tshark("-Y", "_ws.malformed") == []
