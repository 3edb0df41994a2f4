"""One site's ear: the audit feed over its console, opened again after each death of the site."""

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from emulator.errors import CannotRunHere, PeerError

PIECE_BYTES = 1 << 20

Item = list[Any]
GONE: Item = ["gone"]
CAME: Item = ["came"]


class Ear:
    """Listens to one site; `file` is what to watch while it is there."""

    def __init__(self, site: str, console: Path) -> None:
        self.site = site
        self._console = console
        self._socket: socket.socket | None = None
        self._received = bytearray()

    @property
    def file(self) -> int | None:
        """The descriptor to watch; None while the site is away."""
        return None if self._socket is None else self._socket.fileno()

    def call(self) -> bool:
        """Try to reach the site; return whether it is there now."""
        if self._socket is not None:
            return True
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(str(self._console))
            peer.sendall(b'{"verb":"audit"}\n')
        except PermissionError as error:
            peer.close()
            raise CannotRunHere(f"{self._console}: only the site's owner may audit it") from error
        except OSError:
            peer.close()
            return False
        peer.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._socket = peer
        self._received.clear()
        return True

    def ask(self, **words: object) -> None:
        """Ask something; the answer comes among the items, in the order of what happened."""
        if self._socket is not None:
            # Short requests, one under way: they always fit the socket's buffer.
            with contextlib.suppress(OSError):
                self._socket.sendall(json.dumps(words).encode() + b"\n")

    def hear(self) -> list[Item]:
        """Return everything that the site has said so far and was not returned yet."""
        if self._socket is None:
            return []
        gone = False
        try:
            while piece := self._socket.recv(PIECE_BYTES):
                self._received += piece
            gone = True
        except BlockingIOError:
            pass
        except OSError:
            gone = True
        lines = self._received.split(b"\n")
        self._received = lines.pop()
        items = [item for line in lines for item in self._items(bytes(line))]
        if gone:
            # A line that death cut off was not told: what it says is not durable either.
            self.close()
            items.append(GONE)
        return items

    def _items(self, line: bytes) -> list[Item]:
        try:
            said = json.loads(line)
        except ValueError as error:
            raise PeerError(f"{self._console}: this is no site; it says {line[:60]!r}") from error
        match said:
            case list(items):
                return items
            case {"ok": True, "result": {"site": _}}:
                return [CAME]
            case {"ok": True, "result": dict(result)}:
                return [["tracks", "", result]]
            case {"ok": False, "error": str(text)}:
                return [["refused", "", text]]
        raise PeerError(f"{self._console}: this is no site that can be audited: {line[:60]!r}")

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
