"""A site's operator socket without a site: answers each verb with what the test gave it."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Reply = bytes | Callable[[dict[str, Any]], dict[str, Any]]


class FakeConsole:
    """Serves one socket; `asked` has every request that came in."""

    def __init__(self, path: Path, reply: Reply) -> None:
        self.asked: list[dict[str, Any]] = []
        self._reply = reply
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, name=f"console {path.name}")
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines, contextlib.suppress(OSError):
                for line in lines:
                    self.asked.append(json.loads(line))
                    peer.sendall(self._answer(self.asked[-1]))
                    if isinstance(self._reply, bytes):
                        break

    def _answer(self, words: dict[str, Any]) -> bytes:
        if isinstance(self._reply, bytes):
            return self._reply
        return json.dumps(self._reply(words)).encode() + b"\n"


@contextlib.contextmanager
def console(path: Path, reply: Reply) -> Iterator[FakeConsole]:
    """Answer at `path` for as long as the block runs."""
    server = FakeConsole(path, reply)
    try:
        yield server
    finally:
        server.stop()


def group_status(
    role: str = "primary",
    state: str = "duplex",
    *,
    lag_records: int = 0,
    csn: int = 7,
    applied: int = 7,
) -> dict[str, Any]:
    """Return what a site says of a group."""
    return {
        "role": role,
        "state": state,
        "guarantee": f"{state.upper()}: a promise",
        "ack": "nvs",
        "applied_csn": applied,
        "position": {"lineage": "1f", "csn": csn, "hash": "ab" * 16},
        "lag": {
            "records": lag_records,
            "bytes": lag_records * 4096,
            "exposure_ns": lag_records * 1_000_000,
        },
    }


def site_status(site: str, **groups: dict[str, Any]) -> dict[str, Any]:
    """Return what a site says of itself."""
    return {
        "site": site,
        "groups": groups,
        "links": {
            "A-B": {
                "state": "up",
                "peer": "B" if site == "A" else "A",
                "rtt_ns": 1_500_000,
                "warning": "not sealed (lab_plaintext)",
                "counters": {"sent_packets": 10, "received_packets": 9, "rejected_packets": 1},
            }
        },
        "cache": {"size_bytes": 1 << 24, "dirty_tracks": 3},
        "nvs": {"used_bytes": 4096},
        "devices": {"vol0": {"size_bytes": 1 << 20, "group": "g0", "writable": site == "A"}},
    }


def answering(status: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a reply that tells `status` and says yes to every order."""

    def reply(words: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "result": status if words["verb"] == "status" else {}}

    return reply
