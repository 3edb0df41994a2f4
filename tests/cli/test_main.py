"""The entry point: exit codes, help that appears at once, and modules that load when needed."""

import importlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from emulator.errors import (
    BenchError,
    CannotRunHere,
    CheckFailed,
    DeviceError,
    MisuseError,
    PeerError,
    TimeLimitError,
    UnavailableError,
)
from rig.cli import main as main_module
from rig.cli.main import NOUNS, build_app
from tests.cli.command import ROOT, Command, run_process

# Processor time beside that of Python with the library that reads the command line, and nothing of
# ours: 1.1 when written, 0.08 s of the 0.4 s that a user may wait for it.
HELP_OF_LIBRARY_MAX = 2
SLOW_MODULES = ("scapy", "pydantic", "rich", "asyncio", "serial", "rig.bench", "hypothesis")


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `dualcopy doctor` raise."""

    def doctor() -> None:
        raise error

    monkeypatch.setattr(main_module, "_load", lambda _noun: doctor)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckFailed("they differ"), 1),
        (BenchError("they differ"), 2),
        (UnavailableError("they differ"), 69),
        (DeviceError("raw:///a", "they differ"), 69),
        (PeerError("they differ"), 76),
        (CannotRunHere("they differ"), 77),
        (TimeLimitError("they differ"), 124),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    raising(monkeypatch, error)
    done = command("doctor")
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("dualcopy: ")
    assert done.err.endswith("they differ\n")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("error", [MisuseError("nonsense"), ZeroDivisionError("nonsense")])
def test_a_defect_of_ours_shows_where_it_is(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    raising(monkeypatch, error)
    done = command("doctor")
    assert done.code == 70
    assert "Traceback" in done.err
    assert "nonsense" in done.err
    assert "this is a defect in dualcopy" in done.err


def test_an_interrupt_is_130(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert command("doctor").code == 130


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dsk"], "Did you mean 'disk'"),
        (["disk", "creat"], "Did you mean 'create'"),
        (["disk", "create"], "Missing argument"),
        (["disk", "create", "--sice", "1"], "No such option"),
        (["host", "load", "nbd://x", "--journal", "j", "--writes", "0"], "writes"),
    ],
)
def test_a_wrong_command_line_is_2(command: Command, words: list[str], told: str) -> None:
    done = command(*words)
    assert done.code == 2
    assert told in done.err


def test_exit_codes_reach_the_shell(tmp_path: Path) -> None:
    missing = run_process("disk", "info", "raw:none.img", folder=tmp_path)
    assert (missing.returncode, missing.stdout) == (69, b"")
    assert missing.stderr.startswith(b"dualcopy: raw:none.img: no such file; make it: dualcopy ")
    assert run_process("bench", "check", folder=tmp_path).returncode == 2
    assert run_process("no-such-noun").returncode == 2
    assert run_process("--version").returncode == 0


def test_an_interrupted_process_is_130(tmp_path: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text(
        'name = "x"\n[site.A]\ncache = "1MiB"\nnvs = "file:a.nvs"\nconsole = "unix:a.console"\n'
    )
    words = [sys.executable, "-m", "rig.cli", "site", "status", "A", "--bench", str(bench)]
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "a.console"))
        silent.listen()
        silent.settimeout(20)
        asking = subprocess.Popen(words, cwd=ROOT)
        try:
            peer, _ = silent.accept()
            with peer:
                peer.recv(100)  # now it waits for an answer
                asking.send_signal(signal.SIGINT)
                assert asking.wait(timeout=20) == 130
        finally:
            asking.kill()
            asking.wait()


def test_the_version_is_told(command: Command) -> None:
    assert command("--version").out.startswith("dualcopy ")


@pytest.mark.parametrize("name", NOUNS)
def test_every_noun_of_the_table_loads_and_has_help(command: Command, name: str) -> None:
    assert name in command("--help").out
    module, attribute = NOUNS[name].place.split(":")
    assert getattr(importlib.import_module(module), attribute)
    assert command(name, "--help").code == 0


def test_completion_sees_all_verbs() -> None:
    groups = {group.name: group.typer_instance for group in build_app(None).registered_groups}
    disk = groups["disk"]
    assert isinstance(disk, typer.Typer)
    assert len(disk.registered_commands) == 4


def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys; from rig.cli.main import main; main(['--help']);"
        "print([name for name in sys.argv[1:] if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *SLOW_MODULES],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == b"[]\n"


def cpu_s(*words: str) -> float:
    """Return the least processor time that Python took, of several runs."""
    found = []
    for _ in range(7):
        process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        found.append(used.ru_utime + used.ru_stime)
    return min(found)


@pytest.mark.performance
def test_help_costs_little_more_than_the_library_that_reads_the_command_line() -> None:
    assert cpu_s("-m", "rig.cli", "--help") < HELP_OF_LIBRARY_MAX * cpu_s("-c", "import typer")
