"""What a host is told about a shared device: size, characteristics, identity, control unit."""

from dataclasses import dataclass
from typing import Final

from emulator.channel.ckd.device import CkdDevice
from emulator.channel.ckd.reports import read_device_characteristics, sense_id
from emulator.channel.control_units import control_unit
from emulator.channel.geometry import Geometry
from emulator.frontend.shared_wire import RELEASE, Query

_SERIAL_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class SharedIdentity:
    """The answers to a host's queries, and what follows from them."""

    cylinders: int
    tracks: int
    image_bytes: int
    """Longest track image; nothing of a track lies behind it."""
    characteristics: bytes
    """Answer to Read Device Characteristics: 64 bytes."""
    identity: bytes
    """Answer to Sense ID: 7 to 40 bytes."""
    serial: bytes
    """12 characters."""
    control_unit_type: int
    control_unit_model: int
    sense_bytes: int
    """24 or 32, by control unit."""
    release: int
    """Release of the protocol that hosts are told: below 3 they do not ask for the last two."""

    def answer(self, query: int) -> bytes | None:
        """Return the data that answers a QUERY, or None for one that is unknown."""
        match query:
            case Query.CHARACTERISTICS:
                return self.characteristics
            case Query.IDENTITY:
                return self.identity
            case Query.USED | Query.CYLINDERS:
                return self.cylinders.to_bytes(4, "big")
            case Query.SERIAL:
                return self.serial.ljust(_SERIAL_BYTES)[:_SERIAL_BYTES]
            case Query.CONTROL_UNIT:
                # The type lies the other way round than all else: so real ones send it.
                kind = self.control_unit_type.to_bytes(2, "little")
                return kind + bytes((self.control_unit_model, 0))
            case Query.FIRST_BLOCK | Query.BLOCKS | Query.BLOCK_BYTES:
                return bytes(4)
        return None


def own_identity(geometry: Geometry, serial: str, unit_name: str | None = None) -> SharedIdentity:
    """Return what we tell of a device as its control unit.

    `unit_name` is the control unit's model, such as 3990-6; None is the one that such a device
    usually hangs on. Raises BenchError for one that is unknown.
    """
    unit = control_unit(unit_name or geometry.control_unit)
    device = CkdDevice(geometry, unit=unit, serial=serial)
    run = device.begin(device.path(0))
    return SharedIdentity(
        cylinders=geometry.cylinders,
        tracks=geometry.tracks,
        image_bytes=geometry.image_bytes,
        characteristics=read_device_characteristics(run),
        identity=sense_id(run),
        serial=device.serial.encode("ascii", "replace"),
        control_unit_type=unit.control_unit_type,
        control_unit_model=unit.model,
        sense_bytes=unit.sense_bytes,
        release=RELEASE,
    )
