"""Ask a running site through its operator socket: one JSON object a line, and one back.

`{"verb": "status"}` is answered by `{"ok": true, "result": {...}}` or by `{"ok": false, "error":
"text", "exit_code": 2}`, which becomes the error of that exit code here. What the verbs do is
the site's to know (`emulator/node/console.py`).
"""

import json
import socket
from pathlib import Path
from typing import Any

from emulator.errors import (
    BenchError,
    CannotRunHere,
    CheckFailed,
    DualCopyError,
    PeerError,
    TimeLimitError,
    UnavailableError,
)

LINE_BYTES_MAX = 64 * 1024  # both ways; a status of 64 devices and as many groups has room
TIMEOUT_S = 10.0  # a site answers between two turns of its event loop

_ERRORS: dict[int, type[DualCopyError]] = {
    kind.exit_code: kind
    for kind in (
        CheckFailed,
        BenchError,
        UnavailableError,
        PeerError,
        CannotRunHere,
        TimeLimitError,
    )
}


def ask(
    path: Path, verb: str, *, timeout_s: float = TIMEOUT_S, **words: str | None
) -> dict[str, Any]:
    """Ask the site that listens at `path`, and return what it answers.

    `UnavailableError` if nobody listens there; else the error that the site reports.
    """
    request = json.dumps({"verb": verb, **words}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(timeout_s)
        try:
            peer.connect(str(path))
            peer.sendall(request)
            line = _read_line(peer)
        except TimeoutError as error:
            raise TimeLimitError(f"{path}: no answer to {verb} for {timeout_s:g} s") from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UnavailableError(f"{path}: no site is running here") from error
        except PermissionError as error:
            raise CannotRunHere(f"{path}: only its owner may give orders to this site") from error
        except OSError as error:
            raise UnavailableError(f"{path}: {error.strerror or error}") from error
    return _result(path, line)


def _read_line(peer: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = peer.recv(LINE_BYTES_MAX)
        line += piece
        if not piece or len(line) > LINE_BYTES_MAX:
            break
    return bytes(line)


def _result(path: Path, line: bytes) -> dict[str, Any]:
    if not line:
        raise UnavailableError(f"{path}: the site went away without an answer")
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PeerError(f"{path}: this is no site; it answers {line[:60]!r}") from error
    match answer:
        case {"ok": True, "result": dict(result)}:
            return result
        case {"ok": False, "error": str(text), "exit_code": int(code)}:
            raise _ERRORS.get(code, DualCopyError)(text)
    raise PeerError(f"{path}: this is no site; it answers {line[:60]!r}")
