"""Open the front ends that a site's devices are served at."""

import os
from collections.abc import Callable, Mapping, Sequence

from emulator.channel.blocks import BlockVolume
from emulator.channel.track_store import TrackStore
from emulator.disk.base import Disk
from emulator.errors import BenchError
from emulator.events import Event
from emulator.frontend.native_uri import is_native
from emulator.frontend.shared_device import SharedDevice
from emulator.frontend.shared_uri import parse_shared_uri
from emulator.frontend.uri import ServeKind, parse_serve_uri
from emulator.node.config import SiteConfig
from emulator.node.devices import shared_identity
from emulator.node.hosts import HostServer


def serve_devices(
    config: SiteConfig,
    volumes: Mapping[str, BlockVolume],
    track_stores: Mapping[str, TrackStore],
    disks: Sequence[Disk],
    hosts: HostServer,
    emit: Callable[[Event], None],
) -> None:
    """Serve each URI with its own device first, and every device of its address."""
    exports: dict[str, dict[str, BlockVolume]] = {}
    shared: dict[str, dict[int, SharedDevice]] = {}
    first_uri: dict[str, str] = {}
    for device, disk in zip(config.devices.values(), disks, strict=True):
        for uri in device.serve:
            if is_native(uri):
                continue
            where = parse_serve_uri(uri)
            address = f"{where.kind.value} {where.address}"
            first_uri.setdefault(address, uri)
            if where.kind is not ServeKind.SHARED:
                name = where.export or device.name
                exports.setdefault(address, {})[name] = volumes[device.name]
                continue
            if device.name not in track_stores:
                raise BenchError(
                    f"{uri}: Hercules hosts share tracks, and a {device.kind} has none"
                )
            store = track_stores[device.name]
            place = parse_shared_uri(uri)
            shared.setdefault(address, {})[place.number] = SharedDevice(
                place.number,
                store,
                shared_identity(store.geometry, device.name, place, disk),
                emit,
                grace_ns=place.grace_ns,
                # Hosts from before a restart come back with ids of then: begin somewhere else.
                first_id=int.from_bytes(os.urandom(2), "big"),
            )
    for address, found in exports.items():
        hosts.listen(first_uri[address], found)
    for address, devices in shared.items():
        hosts.listen_shared(first_uri[address], devices)
