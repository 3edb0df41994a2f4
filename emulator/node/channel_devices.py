"""Make what native hosts reach of a site: each served device with its address and its lines."""

from collections.abc import Mapping
from typing import Final

from emulator.channel.blocks import BlockVolume
from emulator.channel.ckd.device import CkdDevice
from emulator.channel.device import Device
from emulator.channel.fba import FbaDevice
from emulator.channel.fba_models import BLOCK_BYTES, fba_model
from emulator.channel.geometry import is_kind
from emulator.channel.track_store import TrackStore
from emulator.errors import BenchError
from emulator.frontend.native_device import NativeDevice, Observer
from emulator.frontend.native_messages import DeviceRow
from emulator.frontend.native_uri import device_address, is_native, parse_native_uri
from emulator.node.config import DeviceConfig
from emulator.node.host_orders import HostOrders
from emulator.node.processor import Processor

FIXED_BLOCK_MODEL: Final = "9336-20"
"""What a fixed-block device of any size says that it is."""


def native_devices(
    rows: Mapping[str, DeviceConfig],
    processor: Processor,
    observe: Observer | None,
) -> tuple[list[NativeDevice], dict[str, list[int]]]:
    """Return the devices that native hosts reach, and for each line's URI their addresses."""
    devices: dict[int, NativeDevice] = {}
    lines: dict[str, list[int]] = {}
    for index, row in enumerate(rows.values()):
        places = [parse_native_uri(uri) for uri in row.serve if is_native(uri)]
        if not places:
            continue
        given = dict.fromkeys(place.device for place in places if place.device is not None)
        if len(given) > 1:
            words = ", ".join(f"{address:04X}" for address in given)
            raise BenchError(f"device {row.name}: addresses {words}; one device has one address")
        address = device_address(row.name, index, next(iter(given), None))
        if address in devices:
            other = devices[address].row.name
            raise BenchError(
                f"device {row.name}: {other} has address {address:04X} already; "
                "write device=ADDRESS into its URI"
            )
        engine, store = _engine(row, address, processor)
        devices[address] = NativeDevice(
            DeviceRow(address, row.kind, row.name),
            engine,
            store,
            observe,
            HostOrders(processor, row.name, engine),
        )
        for place in places:
            lines.setdefault(place.line, []).append(address)
    return list(devices.values()), lines


def _engine(
    row: DeviceConfig, address: int, processor: Processor
) -> tuple[Device, TrackStore | BlockVolume]:
    """Return what performs a device's channel programs, and what it reads and writes."""
    if is_kind(row.kind):
        store = processor.track_stores[row.name]
        return CkdDevice(store.geometry, address=address, serial=row.name), store
    volume = processor.volumes[row.name]
    model = fba_model(FIXED_BLOCK_MODEL, volume.size_bytes // BLOCK_BYTES)
    return FbaDevice(model, address=address), volume
