"""What a device's kind in the bench file means here: its geometry, its slots, its track store."""

from collections.abc import Callable

from emulator.channel.blocks import TRACK_BYTES, BlockVolume
from emulator.channel.geometry import Geometry, geometry, is_kind
from emulator.channel.track_store import TrackStore
from emulator.disk.base import Disk
from emulator.errors import BenchError
from emulator.events import Event
from emulator.frontend.shared_identity import SharedIdentity, own_identity
from emulator.frontend.shared_uri import SharedAddress


def slot_tracks(kind: str) -> int:
    """Return how many of the cache's tracks make one track of the device.

    >>> slot_tracks("fba-512"), slot_tracks("3390-1")
    (1, 14)
    """
    return geometry(kind).slot_bytes // TRACK_BYTES if is_kind(kind) else 1


def device_geometry(name: str, kind: str, size_bytes: int) -> Geometry:
    """Return the geometry of a device whose volume has that size, in whole cylinders."""
    if not is_kind(kind):
        raise BenchError(f"device {name}: a {kind} has no tracks; choose a kind such as 3390-1")
    model = geometry(kind)
    cylinder_bytes = model.heads * model.slot_bytes
    cylinders, rest = divmod(size_bytes, cylinder_bytes)
    if rest or not cylinders:
        raise BenchError(
            f"device {name}: its disk has {size_bytes} bytes, which are not whole cylinders of a "
            f"{kind} ({model.heads} slots of {model.slot_bytes} bytes)"
        )
    if cylinders > model.cylinders:
        raise BenchError(
            f"device {name}: its disk has {cylinders} cylinders, and a {kind} at most "
            f"{model.cylinders}; choose a larger model"
        )
    return model.with_cylinders(cylinders)


def track_store(
    name: str, kind: str, volume: BlockVolume, emit: Callable[[Event], None]
) -> TrackStore:
    """Return a count-key-data device's volume as its tracks.

    One for each device, which all front ends share: `Processor.track_stores` has them.
    """
    return TrackStore(volume, device_geometry(name, kind, volume.size_bytes), emit)


def check_disk(name: str, kind: str, disk: Disk) -> None:
    """Refuse a disk that cannot hold a device of this kind; BenchError says why."""
    on_disk: Geometry | None = getattr(disk, "geometry", None)
    if not is_kind(kind):
        if on_disk is not None:
            raise BenchError(
                f"device {name}: {disk.uri} holds a count-key-data volume; "
                f'write kind = "{on_disk.kind}"'
            )
        return
    if on_disk is not None and on_disk.device_type != geometry(kind).device_type:
        raise BenchError(
            f"device {name}: {disk.uri} holds a {on_disk.device_type:X}, not a {kind}; "
            f'write kind = "{on_disk.kind}"'
        )
    device_geometry(name, kind, disk.size_bytes)


def shared_identity(
    geometry: Geometry, name: str, where: SharedAddress, disk: object
) -> SharedIdentity:
    """Return what Hercules hosts are told of a device: what its own control unit says, if any.

    So a host that was in front of that control unit sees no difference.
    """
    told: SharedIdentity | None = getattr(disk, "identity", None)
    if told is not None:
        return told
    return own_identity(geometry, name, where.control_unit)
