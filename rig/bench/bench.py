"""A bench as the rest of the program wants it: the configuration of each site.

Made by `loader.load_bench` from a file whose checks have passed; nothing here can fail but a
name that the file does not have.
"""

from dataclasses import dataclass
from pathlib import Path

from emulator.errors import BenchError
from emulator.node.config import (
    ControlUnitConfig,
    DeviceConfig,
    GroupConfig,
    LinkConfig,
    SiteConfig,
)
from rig.bench.checks import link_ends, links_between
from rig.bench.model import BenchFile, SiteTable
from rig.bench.problems import choose
from rig.bench.uris import absolute, checksum_path, console_path


@dataclass(frozen=True, slots=True)
class Bench:
    """A checked bench file."""

    path: Path
    file: BenchFile
    notes: tuple[str, ...] = ()
    """What could not be looked at, such as images that are not made yet."""

    @property
    def name(self) -> str:
        """What the bench is called."""
        return self.file.name

    @property
    def sites(self) -> list[str]:
        """Names of the sites, in the order of the file."""
        return list(self.file.site)

    @property
    def groups(self) -> list[str]:
        """Names of the consistency groups, in the order of the file."""
        return list(self.file.copies)

    def group_sites(self, group: str) -> tuple[str, str]:
        """Return the source and the target site of a group."""
        if group not in self.file.copies:
            raise BenchError(f"{self.path}: no group {group!r}; {choose(group, self.groups)}")
        copy = self.file.copies[group]
        return copy.source, copy.target

    def console(self, site: str) -> Path:
        """Return the path of a site's operator socket."""
        return Path(console_path(self._absolute(self._table(site).console)))

    def site(self, name: str) -> SiteConfig:
        """Return all that one site's process needs to start."""
        table = self._table(name)
        return SiteConfig(
            name=name,
            cache_bytes=table.cache,
            nvs=self._absolute(table.nvs),
            console=self._absolute(table.console),
            channel_capture=(
                str(self.path.parent / table.channel_capture) if table.channel_capture else None
            ),
            devices={
                device: DeviceConfig(
                    name=device,
                    kind=entry.kind,
                    disk=self._absolute(entry.disk),
                    serve=tuple(map(self._absolute, entry.serve)),
                    cache_share=entry.cache_share / 100,
                    write_through=entry.write == "through",
                    checksums=checksum_path(entry.disk, entry.checksums, self.path.parent),
                    verify=entry.verify,
                    scrub_bytes_per_s=entry.scrub,
                )
                for device, entry in table.device.items()
            },
            control_units={
                unit: ControlUnitConfig(
                    unit, row.shape.value, tuple(row.devices), row.paths, row.patience
                )
                for unit, row in table.control_unit.items()
            },
            links={
                link: self._link(link, name) for link in self.file.link if name in self._ends(link)
            },
            groups={
                group: self._group(number, group, name)
                for number, (group, copy) in enumerate(self.file.copies.items())
                if name in (copy.source, copy.target)
            },
        )

    def _table(self, site: str) -> SiteTable:
        if site not in self.file.site:
            raise BenchError(f"{self.path}: no site {site!r}; {choose(site, self.sites)}")
        return self.file.site[site]

    def _link(self, name: str, site: str) -> LinkConfig:
        link = self.file.link[name]
        first, second = self._ends(name)
        interfaces = self._interfaces(link.capture) if link.capture else ()
        names = [interface for interface, _ in interfaces]
        return LinkConfig(
            name=name,
            peer=second if site == first else first,
            line=self._absolute(link.a if site == first else link.b),
            lab_plaintext=link.lab_plaintext,
            capture=str(self.path.parent / link.capture) if link.capture else None,
            capture_interface=names.index(f"{name}/{site}") if interfaces else 0,
            capture_interfaces=interfaces,
        )

    def _interfaces(self, capture: str) -> tuple[tuple[str, str], ...]:
        """Return name and line URI of each interface of a capture: two for each link in it."""
        return tuple(
            (f"{name}/{site}", self._absolute(text))
            for name, link in self.file.link.items()
            if link.capture == capture
            for site, text in zip(self._ends(name), (link.a, link.b), strict=True)
        )

    def _group(self, number: int, name: str, site: str) -> GroupConfig:
        copy = self.file.copies[name]
        is_source = site == copy.source
        return GroupConfig(
            name=name,
            number=number,
            link=links_between(self.file, copy.source, copy.target)[0],
            peer=copy.target if is_source else copy.source,
            starts_as_primary=is_source,
            volumes=tuple(pair.source if is_source else pair.target for pair in copy.volumes),
            ack=copy.ack,
            on_link_loss=copy.on_link_loss,
            secondary_reads=copy.secondary_reads,
            gather_ns=copy.gather,
        )

    def _ends(self, link: str) -> tuple[str, str]:
        ends = link_ends(link, self.sites)
        assert ends is not None, "checked when the file was loaded"
        return ends

    def _absolute(self, text: str) -> str:
        return absolute(text, self.path.parent)
