"""What this machine has for a bench: serial ports, network interfaces, disks, as URIs to copy.

Nothing is opened or changed. Relies on /sys and /proc of Linux and, for serial ports, on
pyserial's list; elsewhere the lists are shorter.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emulator.disk.base import SECTOR_BYTES
from emulator.disk.holders import device_users
from emulator.units import size_text

SYS = Path("/sys")
SERIAL_BY_ID = Path("/dev/serial/by-id")
_ARPHRD_ETHER = "1"  # type of an interface that carries Ethernet frames (if_arp.h)
_RESTRICTED = "this user may not open it"


class Found(NamedTuple):
    """Something a URI can name."""

    kind: str
    uri: str
    what: str
    usable: bool


def inventory() -> list[Found]:
    """Return everything this machine has."""
    return [*serial_ports(), *interfaces(SYS), *disks(SYS)]


def serial_ports() -> Iterator[Found]:
    """Yield the serial ports, by the name that stays the same when they are plugged anew."""
    from serial.tools.list_ports import comports

    links = sorted(SERIAL_BY_ID.iterdir()) if SERIAL_BY_ID.is_dir() else []
    lasting = {os.path.realpath(link): str(link) for link in links}
    for port in sorted(comports()):
        if port.hwid == "n/a" and not _has_uart(port.name):
            continue  # the kernel always lists ttyS0 to ttyS3, wired or not
        path = lasting.get(os.path.realpath(port.device), port.device)
        usable = os.access(port.device, os.R_OK | os.W_OK)
        trouble = "" if usable else f"; {_RESTRICTED} (dualcopy doctor)"
        yield Found("serial", f"serial://{path}", f"{port.description}{trouble}", usable)


def interfaces(system: Path) -> Iterator[Found]:
    """Yield the network interfaces that carry Ethernet frames."""
    for _, name in socket.if_nameindex():
        folder = system / "class/net" / name
        if _text(folder / "type") != _ARPHRD_ETHER:
            continue
        state = _text(folder / "operstate")
        what = f"{_text(folder / 'address')}, {_text(folder / 'mtu')} bytes, {state}"
        yield Found("eth", f"eth://{name}", what, state in ("up", "unknown"))


def disks(system: Path) -> Iterator[Found]:
    """Yield the block devices that hold anything, and what they are used for."""
    folder = system / "class/block"
    for home in sorted(folder.iterdir()) if folder.is_dir() else []:
        size = int(_text(home / "size") or 0) * SECTOR_BYTES
        if not size:
            continue
        major, _, minor = _text(home / "dev").partition(":")
        users = device_users(os.makedev(int(major), int(minor)), system=system)
        path = f"/dev/{home.name.replace('!', '/')}"  # how /sys writes a slash
        may_open = os.access(path, os.R_OK | os.W_OK)
        trouble = users or ([] if may_open else [_RESTRICTED])
        what = f"{size_text(size)}, {', '.join(trouble) or 'free'}"
        yield Found("block", f"block://{path}", what, not trouble)


def _has_uart(name: str) -> bool:
    return _text(SYS / "class/tty" / name / "type") not in ("", "0")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
