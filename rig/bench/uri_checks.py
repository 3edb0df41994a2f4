"""Do the URIs of a bench file make sense on this machine, and is nothing used twice?

Looks at images to compare their sizes, but opens and makes nothing. Images that cannot be looked
at (not made yet, another user's) are told as notes: a site finds out when it opens them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from emulator.channel.geometry import is_kind
from emulator.disk import disk_bytes
from emulator.errors import BenchError, CannotRunHere, UnavailableError
from emulator.frontend.native_uri import is_native
from emulator.frontend.shared_uri import SCHEME as SHARED
from emulator.frontend.shared_uri import shared_place
from emulator.node.devices import device_geometry
from emulator.nvs.areas import NVS_BYTES_MIN
from emulator.units import size_bytes, size_text
from emulator.uri import parse_uri, scheme_of
from rig.bench import places
from rig.bench.model import BenchFile, CopyTable, DeviceTable, LinkTable, SiteTable
from rig.bench.problems import Problems
from rig.bench.uris import (
    Claim,
    absolute,
    checksum_path,
    console_path,
    line_claims,
    native_claims,
    path_claim,
    serve_claim,
    stays_here,
)

_SYNC_MODES = {"fsync": True, "battery": True}
_IMAGE_SCHEMES = ("raw", "block", "ckd", "cckd")
_BLOCK_SCHEMES = ("nbd", "nbd+unix")


class UriChecker:
    """Checks the URIs of one bench file; `notes` says what could not be looked at."""

    def __init__(self, file: BenchFile, folder: Path, problems: Problems) -> None:
        self._file = file
        self._folder = folder
        self._problems = problems
        self._claims: list[tuple[Claim, str]] = []
        self._sizes: dict[tuple[str, str], int] = {}
        self.notes: list[str] = []

    def check(self) -> None:
        """Tell all that is wrong."""
        for name, site in self._file.site.items():
            path: places.Path = ("site", name)
            self._read((*path, "nvs"), site.nvs, _nvs_claims)
            self._read((*path, "console"), site.console, _console_claims)
            for device_name, device in site.device.items():
                self._check_disk(name, device_name, device)
                self._check_checksums(name, device_name, device)
            self._check_serves(name, site)
            if site.channel_capture is not None:
                capture = str(self._folder / site.channel_capture)
                self._claim((*path, "channel_capture"), path_claim(capture))
        captures: set[str] = set()
        for name, link in self._file.link.items():
            self._check_link(("link", name), link, captures)
        for name, copy in self._file.copies.items():
            self._check_sizes(name, copy)

    def _read(self, path: places.Path, text: str, claims: Callable[[str], list[Claim]]) -> None:
        """Take a URI apart and note what it occupies; tell what is wrong with it."""
        try:
            found = claims(absolute(text, self._folder))
        except BenchError as error:
            self._problems.add(path, str(error))
            return
        for claim in found:
            self._claim(path, claim)

    def _claim(self, path: places.Path, claim: Claim) -> None:
        where = ".".join(map(str, path))
        for other, owner in self._claims:
            if claim.clashes(other):
                self._problems.add(path, f"{claim} is used twice; {owner} has it already")
                return
        self._claims.append((claim, where))

    def _check_disk(self, site: str, name: str, device: DeviceTable) -> None:
        path = ("site", site, "device", name, "disk")
        text = device.disk
        try:
            size = self._sizes[site, name] = disk_bytes(absolute(text, self._folder))
            if is_kind(device.kind):
                device_geometry(name, device.kind, size)
        except BenchError as error:
            self._problems.add(path, str(error))
            return
        except (UnavailableError, CannotRunHere) as error:
            self.notes.append(str(error))
        self._read(path, text, _disk_claims)

    def _check_checksums(self, site: str, device: str, table: DeviceTable) -> None:
        path = ("site", site, "device", device, "checksums")
        try:
            found = checksum_path(table.disk, table.checksums, self._folder)
        except BenchError as error:
            if table.checksums is not None:  # else it is the disk's, and told there
                self._problems.add(path, str(error))
            return
        if found:
            self._claim(path, path_claim(found))

    def _check_serves(self, name: str, site: SiteTable) -> None:
        """One address may serve many devices of a site, each under a name of its own."""
        served: dict[Claim, set[str]] = {}
        for number, (device_name, device) in enumerate(site.device.items()):
            self._check_owner(name, device_name, device.serve)
            for index, text in enumerate(device.serve):
                path = ("site", name, "device", device_name, "serve", index)
                try:
                    claims, export = _served(absolute(text, self._folder), device_name, number)
                except BenchError as error:
                    self._problems.add(path, str(error))
                    continue
                if is_kind(device.kind) and scheme_of(text) in _BLOCK_SCHEMES:
                    self._problems.add(
                        path, f"hosts reach a {device.kind} by tracks, not as blocks over NBD", text
                    )
                if scheme_of(text) == SHARED and not is_kind(device.kind):
                    self._problems.add(
                        path, f"Hercules hosts share count-key-data devices, not a {device.kind}"
                    )
                for claim in claims:
                    if claim not in served:
                        self._claim(path, claim)
                    elif export in served[claim]:
                        self._problems.add(path, f"{claim} serves a device called {export} already")
                    served.setdefault(claim, set()).add(export)

    def _check_link(self, path: places.Path, link: LinkTable, captures: set[str]) -> None:
        for key, text in (("a", link.a), ("b", link.b)):
            self._read((*path, key), text, line_claims)
            if link.lab_plaintext and not self._stays_here(text):
                self._problems.add(
                    (*path, key),
                    "packets are not sealed in this release, so the line must stay on this "
                    "machine: use 127.0.0.1, [::1], pty, serial, eth or sim",
                    text,
                )
        if not link.lab_plaintext:
            self._problems.add(
                path,
                "packets are not sealed in this release; say lab_plaintext = true, and keep the "
                "line on this machine (127.0.0.1, pty, serial)",
            )
        if link.capture is not None and link.capture not in captures:
            captures.add(link.capture)  # several links may share a capture
            self._claim((*path, "capture"), path_claim(str(self._folder / link.capture)))

    def _stays_here(self, text: str) -> bool:
        try:
            return stays_here(text)
        except BenchError:
            return True  # told already, when it was taken apart

    def _check_owner(self, site: str, device: str, serve: Sequence[str]) -> None:
        """A Hercules host relies on nobody else changing a track within its channel program."""
        shared = [index for index, text in enumerate(serve) if scheme_of(text) == SHARED]
        native = [index for index, text in enumerate(serve) if is_native(text)]
        if shared and (native or len(shared) > 1):
            self._problems.add(
                ("site", site, "device", device, "serve", max(*shared, *native)),
                "a device that Hercules hosts share is served at one shrd: address, and not "
                "natively beside it: a host keeps it for a whole channel program",
            )

    def _check_sizes(self, name: str, copy: CopyTable) -> None:
        for index, pair in enumerate(copy.volumes):
            source = self._sizes.get((copy.source, pair.source))
            target = self._sizes.get((copy.target, pair.target))
            if source is not None and target is not None and source != target:
                self._problems.add(
                    ("copy", name, "volumes", index),
                    f"{pair.source} of site {copy.source} has {source} bytes and {pair.target} of "
                    f"site {copy.target} has {target}; both must have the same size",
                )


def _disk_claims(text: str) -> list[Claim]:
    uri = parse_uri(text.partition("?")[0], {})
    if uri.scheme == "hercules":
        host, port, number = shared_place(uri)
        return [Claim("volume", host.lower(), f"{port}/{number:04X}")]
    return [path_claim(uri.path)] if uri.scheme in _IMAGE_SCHEMES else []


def _console_claims(text: str) -> list[Claim]:
    return [path_claim(console_path(text))]


def _served(text: str, device: str, number: int) -> tuple[list[Claim], str]:
    """Return what a front end's URI occupies, and what hosts call the device there."""
    if is_native(text):
        claims, address = native_claims(text, device, number)
        return claims, f"{address:04X}"
    claim, export = serve_claim(text)
    return [claim], export or device


def _nvs_claims(text: str) -> list[Claim]:
    uri = parse_uri(text, {"size": "its size, such as 64MiB", "sync": "fsync or battery"})
    if uri.scheme != "file" or uri.authority or not uri.path:
        uri.refuse("write for example file:///var/tmp/a.nvs?size=64MiB&sync=fsync")
    uri.choice("sync", True, _SYNC_MODES)  # noqa: FBT003  the word counts, not what it stands for
    if uri.read("size", size_bytes, NVS_BYTES_MIN) < NVS_BYTES_MIN:
        uri.refuse_value("size", f"give at least {size_text(NVS_BYTES_MIN)}")
    return [path_claim(uri.path)]
