"""The bench file of a run: two sites, each with one volume, joined by a serial line."""

from rig.demo import plan
from rig.demo.folder import RunFolder

_SITE = """
[site.{site}]
cache = "16MiB"
nvs = "file:{name}.nvs?size=32MiB&sync=fsync"
console = "unix:{name}.console"
[site.{site}.device.{volume}]
kind = "fba-512"
disk = "raw:{name}.img"
serve = ["nbd+unix:///{volume}?socket={name}.sock"]
"""

_REST = """
[link.{link}]
a = "serial://{port_a}?baudrate={baud_rate}"
b = "serial://{port_b}?baudrate={baud_rate}"
lab_plaintext = true
capture = "{capture}"

[copy.{group}]
source = "{source}"
target = "{target}"
volumes = ["{volume}"]
ack = "nvs"
on_link_loss = "continue"
"""


def bench_text(folder: RunFolder, ports: tuple[str, str]) -> str:
    """Return the bench file; paths in it count from its folder, ports are of this run alone."""
    sites = "".join(
        _SITE.format(site=site, name=site.lower(), volume=plan.VOLUME) for site in plan.SITES
    )
    rest = _REST.format(
        link=plan.LINK,
        port_a=ports[0],
        port_b=ports[1],
        baud_rate=plan.BAUD_RATE,
        capture=folder.capture.name,
        group=plan.GROUP,
        source=plan.SITES[0],
        target=plan.SITES[1],
        volume=plan.VOLUME,
    )
    return f'name = "demo"\n{sites}{rest}'


def volume_uri(folder: RunFolder, site: str) -> str:
    """Return where hosts reach the volume at a site."""
    return f"nbd+unix:///{plan.VOLUME}?socket={folder.socket(site)}"
