"""Lines of each kind with a fault box in the middle, and the bench file of a replayed schedule."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emulator.errors import BenchError, CannotRunHere
from emulator.nvs.areas import NVS_BYTES_MIN, RING_START
from emulator.transport.base import PACKET_BYTES_MIN, Line
from emulator.transport.opener import open_line
from rig.bench.model import CACHE_BYTES_MIN
from rig.lines.fault_box import FaultBox
from rig.lines.faulty_way import FaultyWay
from rig.sim.config import WorldConfig
from rig.sim.shape import device_name

MEDIA: Final = ("udp", "pty", "eth")
SITES: Final = ("A", "B")
GROUP: Final = "G"
LINK: Final = "A-B"


class RealLine:
    """Two lines that end in one box, and the URIs by which the sites open the other ends."""

    def __init__(self, uris: tuple[str, str], lines: tuple[Line, Line]) -> None:
        self.uris = uris
        self.lines = lines

    def uri(self, site: str, mtu_bytes: int) -> str:
        """Return what a site opens, with packets of this size at most."""
        uri = self.uris[SITES.index(site)]
        return f"{uri}{'&' if '?' in uri else '?'}mtu={max(PACKET_BYTES_MIN, mtu_bytes)}"


@contextlib.contextmanager
def real_line(medium: str, folder: Path) -> Iterator[RealLine]:
    """Open a line of this kind with two ends in our hands and two for the sites."""
    if medium == "udp":
        yield _udp()
    elif medium == "pty":
        yield _pty(folder)
    elif medium == "eth":
        with _ethernet() as line:
            yield line
    else:
        raise BenchError(f"--on {medium}: schedules run on sim, {', '.join(MEDIA)}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for _ in range(count)
        ]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _udp() -> RealLine:
    here_a, here_b, site_a, site_b = _free_ports(4)
    ends = ((here_a, site_a), (here_b, site_b))
    ours = [open_line(f"udp://127.0.0.1:{here}?peer=127.0.0.1:{there}") for here, there in ends]
    theirs = [f"udp://127.0.0.1:{there}?peer=127.0.0.1:{here}" for here, there in ends]
    return RealLine((theirs[0], theirs[1]), (ours[0], ours[1]))


def _pty(folder: Path) -> RealLine:
    links = [folder / f"port-{site.lower()}" for site in SITES]
    ours = [open_line(f"pty:///?link={link}&mtu=65535") for link in links]
    return RealLine(
        (f"serial://{links[0]}", f"serial://{links[1]}"),
        (ours[0], ours[1]),
    )


@contextlib.contextmanager
def _ethernet() -> Iterator[RealLine]:
    """Two virtual cables, each from a site's interface to the box."""
    # Names of this process alone, and short enough for the kernel.
    names = [(f"dc{os.getpid()}{site}s", f"dc{os.getpid()}{site}b") for site in "ab"]
    with contextlib.ExitStack() as stack:
        for site_end, box_end in names:
            _ip("link", "add", site_end, "mtu", "9300", "type", "veth", "peer", "name", box_end)
            stack.callback(_ip, "link", "del", site_end)
            _ip("link", "set", box_end, "mtu", "9300")
            for end in (site_end, box_end):
                _ip("link", "set", end, "up")
        ours = [open_line(f"eth://{box_end}") for _site_end, box_end in names]
        yield RealLine((f"eth://{names[0][0]}", f"eth://{names[1][0]}"), (ours[0], ours[1]))


def _ip(*words: str) -> None:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotRunHere("--on eth: needs `ip`; apt-get install iproute2") from error
    if done.returncode:
        raise CannotRunHere(
            f"--on eth: ip {' '.join(words)}: {done.stderr.strip()}; run as root, or in "
            f"`unshare -Urn`"
        )


def fault_box(line: RealLine, ways: tuple[FaultyWay, FaultyWay]) -> FaultBox:
    """Return the box that joins the two lines."""
    return FaultBox(line.lines, ways)


# The bench file.


def socket_path(folder: Path, site: str) -> Path:
    """Return where a site serves its volumes."""
    return folder / f"{site.lower()}.sock"


def volume_uri(folder: Path, site: str, number: int) -> str:
    """Return where hosts reach a volume at a site."""
    return f"nbd+unix:///{device_name(number)}?socket={socket_path(folder, site)}"


def image_path(folder: Path, site: str, number: int) -> Path:
    """Return a volume's image at a site."""
    return folder / f"{site.lower()}{number}.img"


def store_bytes(ring_bytes: int) -> int:
    """Return how large a store with such a ring is; a real one is no smaller than the least."""
    return max(NVS_BYTES_MIN, RING_START + ring_bytes)


def capture_name(config: WorldConfig, mtu_bytes: dict[str, int]) -> str:
    """Return the file that records the line; with other packet sizes it is another line."""
    if all(size == config.mtu_bytes for size in mtu_bytes.values()):
        return "capture.pcapng"
    return f"capture-{'-'.join(map(str, mtu_bytes.values()))}.pcapng"


def bench_text(folder: Path, config: WorldConfig, line: RealLine, mtu_bytes: dict[str, int]) -> str:
    """Return the bench file of a world on a real line."""
    volumes = [device_name(number) for number in range(len(config.volumes))]
    rows = ['name = "replay"']
    for site, hardware in zip(SITES, config.sites, strict=True):
        name = site.lower()
        size_bytes = store_bytes(hardware.ring_bytes)
        sync = "battery" if hardware.battery else "fsync"
        rows += [
            f"[site.{site}]",
            f'cache = "{max(CACHE_BYTES_MIN, hardware.cache_bytes)}B"',
            f'nvs = "file://{folder / name}.nvs?size={size_bytes}B&sync={sync}"',
            f'console = "unix://{folder / name}.console"',
        ]
        for number, volume in enumerate(volumes):
            rows += [
                f"[site.{site}.device.{volume}]",
                'kind = "fba-512"',
                f'disk = "raw://{image_path(folder, site, number)}"',
                f'serve = ["{volume_uri(folder, site, number)}"]',
            ]
    names = ", ".join(f'"{volume}"' for volume in volumes)
    rows += [
        f"[link.{LINK}]",
        f'a = "{line.uri("A", mtu_bytes["A"])}"',
        f'b = "{line.uri("B", mtu_bytes["B"])}"',
        "lab_plaintext = true",
        f'capture = "{capture_name(config, mtu_bytes)}"',
        f"[copy.{GROUP}]",
        'source = "A"',
        'target = "B"',
        f"volumes = [{names}]",
        f'ack = "{config.ack}"',
        f'on_link_loss = "{config.on_link_loss}"',
        f"secondary_reads = {str(config.secondary_reads).lower()}",
    ]
    return "\n".join(rows) + "\n"
