"""Lines that a test can cut: a thread in the middle forwards what passes, or drops all of it.

For UDP it stands between two ports, for ptys between the other ends of two of them. Cutting a
byte stream also cuts frames in two, as pulling out a serial cable does.
"""

import contextlib
import os
import select
import socket
import threading
import tty
from pathlib import Path
from typing import Self

from tests.system.sites import free_ports, udp_line

_READ_BYTES = 65536


class Cable:
    """Forwards between two ends until cut; use it in a `with`."""

    def __init__(self) -> None:
        self._whole = threading.Event()
        self._whole.set()
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="cable", daemon=True)
        self.dropped = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join(30)
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._close()

    def cut(self) -> None:
        self._whole.clear()

    def heal(self) -> None:
        self._whole.set()

    def _files(self) -> tuple[int, int]:
        raise NotImplementedError

    def _carry(self, file: int) -> None:
        """Take what is there at one end and, if the line is whole, hand it to the other."""
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([*self._files(), self._wake_read], [], [])
            if self._wake_read in ready:
                return
            for file in ready:
                self._carry(file)


class UdpCable(Cable):
    """Two UDP ports with a line of ours between them."""

    def __init__(self) -> None:
        super().__init__()
        self._near, self._far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
        for one in (self._near, self._far):
            one.bind(("127.0.0.1", 0))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            one.setblocking(False)
        a, b = free_ports(2)
        near, far = (one.getsockname()[1] for one in (self._near, self._far))
        self.line = (udp_line(a, near)[0], udp_line(b, far)[0])
        self._ways = {
            self._near.fileno(): (self._near, self._far, ("127.0.0.1", b)),
            self._far.fileno(): (self._far, self._near, ("127.0.0.1", a)),
        }

    def _files(self) -> tuple[int, int]:
        return self._near.fileno(), self._far.fileno()

    def _carry(self, file: int) -> None:
        here, there, address = self._ways[file]
        with contextlib.suppress(OSError):
            data = here.recv(_READ_BYTES)
            if self._whole.is_set():
                there.sendto(data, address)
            else:
                self.dropped += 1

    def _close(self) -> None:
        self._near.close()
        self._far.close()


class PtyCable(Cable):
    """Two ptys that the sites make, joined here."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._links = (folder / "near", folder / "far")
        self.line = (f"pty:///?link={self._links[0]}", f"pty:///?link={self._links[1]}")
        self._open: dict[Path, int] = {}

    def _files(self) -> tuple[int, int]:
        raise NotImplementedError

    def _run(self) -> None:
        while True:
            for link in self._links:
                self._follow(link)
            files = {file: link for link, file in self._open.items()}
            ready, _, _ = select.select([*files, self._wake_read], [], [], 0.02)
            if self._wake_read in ready:
                return
            for file in ready:
                self._carry(file)

    def _follow(self, link: Path) -> None:
        """Open the pty behind a link; its site may have died and made another."""
        if link in self._open:
            with contextlib.suppress(OSError):
                if os.path.samestat(link.stat(), os.fstat(self._open[link])):
                    return
            os.close(self._open.pop(link))
        with contextlib.suppress(OSError):
            file = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(file)
            self._open[link] = file

    def _carry(self, file: int) -> None:
        other = [one for one in self._open.values() if one != file]
        try:
            data = os.read(file, _READ_BYTES)
        except OSError:
            return
        if not self._whole.is_set() or not other:
            self.dropped += 1
            return
        while data:
            try:
                data = data[os.write(other[0], data) :]
            except BlockingIOError:
                select.select([], [other[0]], [], 0.1)
            except OSError:
                return

    def _close(self) -> None:
        for file in self._open.values():
            os.close(file)
