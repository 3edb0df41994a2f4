"""Talking with a site's operator socket, and with what only looks like one."""

import errno
import socket
from pathlib import Path

import pytest

from emulator.errors import (
    BenchError,
    CannotRunHere,
    DualCopyError,
    PeerError,
    TimeLimitError,
    UnavailableError,
)
from rig.host.console import LINE_BYTES_MAX, ask
from tests.host.fake_console import answering, console


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.console"


def test_a_request_is_one_line_and_its_result_comes_back(path: Path) -> None:
    with console(path, answering({"site": "A", "groups": {}})) as server:
        assert ask(path, "status") == {"site": "A", "groups": {}}
        assert ask(path, "role", group="g0", primary="B", force=None) == {}
    assert server.asked == [
        {"verb": "status"},
        {"verb": "role", "group": "g0", "primary": "B", "force": None},
    ]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(2, BenchError), (69, UnavailableError), (76, PeerError), (124, TimeLimitError)],
)
def test_an_error_of_the_site_is_raised_here_with_its_exit_code(
    path: Path, code: int, kind: type[DualCopyError]
) -> None:
    reply = {"ok": False, "error": "group g9 is unknown", "exit_code": code}
    with console(path, lambda _words: reply), pytest.raises(kind, match=r"^group g9") as caught:
        ask(path, "suspend", group="g9")
    assert caught.value.exit_code == code


def test_an_unknown_exit_code_is_a_defect(path: Path) -> None:
    reply = {"ok": False, "error": "odd", "exit_code": 3}
    with console(path, lambda _words: reply), pytest.raises(DualCopyError) as caught:
        ask(path, "status")
    assert caught.value.exit_code == 70


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\n",
        b"{}\n",
        b"[1]\n",
        b'{"ok": true}\n',
        b'{"ok": true, "result": 5}\n',
        b'{"ok": false, "error": 5, "exit_code": 2}\n',
        b'{"ok": true, "result": {',
        b"\xff\xfe\n",
        b"[" * (LINE_BYTES_MAX - 1) + b"\n",
        b"x" * (LINE_BYTES_MAX + 1),
    ],
)
def test_an_answer_that_makes_no_sense_is_the_peers_fault(path: Path, garbage: bytes) -> None:
    with console(path, garbage), pytest.raises(PeerError, match="this is no site"):
        ask(path, "status")


def test_a_site_that_goes_away_is_unavailable(path: Path) -> None:
    with console(path, b""), pytest.raises(UnavailableError, match="without an answer"):
        ask(path, "status")


def test_no_site_is_running(path: Path) -> None:
    with pytest.raises(UnavailableError, match="no site is running here"):
        ask(path, "status")
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    with pytest.raises(UnavailableError, match="no site is running here"):
        ask(path, "status")


def test_a_site_that_does_not_answer_runs_into_the_time_limit(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(TimeLimitError, match=r"no answer to status for 0\.05 s"):
            ask(path, "status", timeout_s=0.05)


def test_another_users_site_gives_no_answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_socket: socket.socket, _address: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with pytest.raises(CannotRunHere, match="only its owner"):
        ask(path, "status")
