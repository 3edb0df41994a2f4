"""What every simulated bench looks like: its names, and what its bench file would say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.copy.levels import AckLevel, OnLinkLoss
from emulator.node.config import DeviceConfig, GroupConfig, LinkConfig, SiteConfig
from emulator.node.processor import Processor
from emulator.node.recovery import restore, start_replay
from emulator.nvs.recovery import Entry, Read, Recovery
from rig.sim.carried import WatchedPair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from emulator.node.requests import NvsRead
    from emulator.wire.checksum import Buffer
    from rig.sim.config import SiteHardware, WorldConfig
    from rig.sim.shell import Shell
    from rig.sim.watch import Watch

LINK, GROUP, GROUP_NUMBER = "ab", "G", 1


def device_name(number: int) -> str:
    """Return the name of a device.

    >>> device_name(2)
    'V2'
    """
    return f"V{number}"


def site_config(name: str, config: WorldConfig, hardware: SiteHardware) -> SiteConfig:
    """Return what a bench file would say of this site."""
    peer = "B" if name == "A" else "A"
    devices = {
        device: DeviceConfig(
            device,
            "fba",
            f"mem:{name}.{device}",
            checksums=f"sums:{name}.{device}" if hardware.sums else "",
            scrub_bytes_per_s=hardware.scrub_bytes_per_s,
        )
        for device in map(device_name, range(len(config.volumes)))
    }
    group = GroupConfig(
        GROUP,
        GROUP_NUMBER,
        LINK,
        peer,
        name == "A",
        tuple(devices),
        AckLevel(config.ack),
        OnLinkLoss(config.on_link_loss),
        config.secondary_reads,
    )
    link = LinkConfig(LINK, peer, "sim://A-B", lab_plaintext=True)
    nvs = f"nvs:{name}?sync={'battery' if hardware.battery else 'fsync'}"
    return SiteConfig(name, hardware.cache_bytes, nvs, "", devices, {LINK: link}, {GROUP: group})


class WatchedProcessor(Processor):
    """The production processor; what it sends is shown to the checkers first."""

    watch: Watch
    site: Shell

    def link_send(self, link: str, kind: int, group: int, csn: int, parts: Sequence[Buffer]) -> int:
        """Queue a record on a link."""
        if self.links[link].up:
            self.watch.sending(self.site, kind, parts)
            self.site.way_out.carried.put_in(kind, parts)
        return super().link_send(link, kind, group, csn, parts)

    def link_release(self, link: str, size_bytes: int) -> None:
        """Say that received bytes are dealt with."""
        self.watch.other(self.site).way_out.carried.held_bytes -= size_bytes
        super().link_release(link, size_bytes)

    def watch_link(self) -> None:
        """Have what the link delivers compared with what was sent."""
        end, watch = self.links[LINK], self.watch
        carried = watch.other(self.site).way_out.carried
        carried.held_bytes = 0

        def delivered(kind: int, data: bytes) -> None:
            spoilt = watch.spoilt_packets() > 0
            carried.came_out(kind, data, end.settings.window_bytes, spoilt=spoilt)

        for number, pair in end.pairs.items():
            end.pairs[number] = WatchedPair(pair, delivered)


def recover(
    processor: Processor, body: dict[str, Any] | None, read: Read, ring_bytes: int, uri: str
) -> None:
    """Begin to take up what a store holds, as the production shell does."""
    if body is not None:
        restore(processor, body, uri)
    start_replay(processor, body, read, ring_bytes, uri)


def read_journal(read: Read, ring_bytes: int, uri: str, request: NvsRead) -> list[Entry]:
    """Return whole journal entries, as the production shell does."""
    found: list[Entry] = []
    for entry in Recovery(read, ring_bytes, request.first_lsn, uri).entries():
        if entry.head.lsn >= request.end_lsn:
            break
        found.append(entry)
    return found
