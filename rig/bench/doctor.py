"""What can run on this machine, and for each thing that cannot, what to do about it.

Each finding is tried, not guessed: a socket is opened, a hole is punched, a program is looked
for. Nothing is left behind.
"""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from emulator import compiled
from emulator.disk import create_disk, open_disk
from emulator.errors import DualCopyError

_PROBE_BYTES = 2**20

PROGRAMS = (
    # program, Debian's package, what it is for
    ("tshark", "tshark", "read captures"),
    ("wireshark", "wireshark", "look at captures"),
    ("mkfs.ext4", "e2fsprogs", "make the demo's file system"),
    ("e2fsck", "e2fsprogs", "check the demo's file system"),
    ("nbdinfo", "libnbd-bin", "ask what a site serves"),
    ("nbdcopy", "libnbd-bin", "copy an image to a site"),
    ("qemu-img", "qemu-utils", "compare images"),
    ("qemu-io", "qemu-utils", "write and verify patterns"),
    ("fio", "fio", "load a served volume"),
    ("dasdload", "hercules", "make CKD volumes with data sets"),
    ("dasdls", "hercules", "list the data sets of CKD volumes"),
    ("cckdcdsk", "hercules", "check and repair compressed CKD images"),
)
_ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # not on an ordinary user's PATH


class Finding(NamedTuple):
    """Whether something can be done here."""

    name: str
    can: bool
    what: str
    fix: str


def examine() -> Iterator[Finding]:
    """Try everything, one after another."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    yield from _extensions()
    why = compiled.WHY_INTERPRETED
    fix = "sudo apt-get install gcc python3-dev; dualcopy compile"
    yield Finding("machine code", not why, why or "everything faster, sim twice", fix)
    yield _finding("pty lines", _can_open_pty, "pty:", "mount devpts at /dev/pts")
    yield _finding(
        "raw Ethernet lines",
        _can_open_packet_socket,
        "eth:",
        "run as root or in `unshare -Urn`, or: "
        f"sudo setcap cap_net_raw+ep {os.path.realpath(sys.executable)}",
    )
    yield _serial_finding()
    yield _finding(
        "holes in images",
        _can_punch_holes,
        f"in {tempfile.gettempdir()}",
        "set TMPDIR to a folder on ext4, xfs, btrfs or tmpfs; zeros are written meanwhile",
    )
    yield _dissector_finding()
    path = f"{os.environ.get('PATH', '')}:{_ADMIN_FOLDERS}"
    for program, package, purpose in PROGRAMS:
        place = shutil.which(program, path=path)
        yield Finding(program, place is not None, purpose, f"sudo apt-get install {package}")


def _finding(name: str, attempt: Callable[[], bool], what: str, fix: str) -> Finding:
    try:
        can = attempt()
    except (OSError, DualCopyError):
        can = False
    return Finding(name, can, what, fix)


def _extensions() -> Iterator[Finding]:
    """Yield whether the libraries that have a slow and a fast half run on the fast one."""
    from cobs import cobs

    halves = {
        "cobs": (bool(getattr(cobs, "_using_extension", False)), "framing in C"),
        "crcmod": (importlib.util.find_spec("crcmod._crcfunext") is not None, "checks in C"),
    }
    for package, (can, purpose) in halves.items():
        fix = f"install a C compiler, then: pip install --force-reinstall --no-binary {package}"
        yield Finding(f"fast {package}", can, purpose, f"{fix} {package}")


def _can_open_pty() -> bool:
    for descriptor in os.openpty():
        os.close(descriptor)
    return True


def _can_open_packet_socket() -> bool:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return True


def _serial_finding() -> Finding:
    from rig.bench.inventory import serial_ports

    ports = list(serial_ports())
    fix = "plug one in; a pty: line needs none"
    if ports:
        fix = "sudo usermod -aG dialout $USER, and log in again"
    return Finding("serial ports", any(port.usable for port in ports), f"{len(ports)} found", fix)


def _can_punch_holes() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        uri = f"raw://{folder}/probe.img"
        create_disk(uri, _PROBE_BYTES)
        with closing(open_disk(uri)) as disk:
            disk.write([(0, [b"x" * _PROBE_BYTES])])
            disk.zero(0, _PROBE_BYTES)
            return disk.allocation(0, _PROBE_BYTES) == [(_PROBE_BYTES, False)]


def _dissector_finding() -> Finding:
    from rig.capture.dissector import SCRIPT, plugin_folder

    place: Path = plugin_folder() / SCRIPT.name
    fix = "dualcopy capture dissector --install"
    return Finding("Wireshark dissector", place.exists(), str(place), fix)
