"""Commands that tell what the device and its control unit are, or why a command failed."""

from typing import Final

from emulator.channel.ckd.run import CkdRun
from emulator.channel.control_units import Feature
from emulator.channel.sense import INVALID_SEQUENCE, NOTHING, UnitCheck

_DASD: Final = 0x20
SENSE_ID_PLAIN_BYTES: Final = 7
CHARACTERISTICS_BYTES: Final = 64
CONFIGURATION_BYTES: Final = 256
_LOG_BYTES: Final = 32
_READ_CHARACTERISTICS, READ_CONFIGURATION, _SUSPEND = 0x64, 0xFA, 0x5B
_FEATURE_BUFFER: Final = {0xEC: bytes((0x0F, 0x00, 0x3F)), 0xE9: bytes((0x0F, 0x00, 0x7F))}
_COMPATIBLE_SENSE: Final = 0x01
_SHORT_CYLINDERS_MAX: Final = 0xFFFD
_MANY_CYLINDERS: Final = 0xFFFE
_DEVICES_PER_SUBSYSTEM: Final = 32


def sense(run: CkdRun) -> bytes:
    """Bring the sense bytes of the last unit check, once; or where the arm stands."""
    held, run.state.sense = run.state.sense, b""
    return held or run.sense(NOTHING)


def sense_id(run: CkdRun) -> bytes:
    """Bring type and model of control unit and device, and the command information words."""
    unit, geometry = run.device.unit, run.geometry
    words = b"".join(word.to_bytes(4, "big") for word in unit.command_words)
    found = b"".join(
        (
            b"\xff",
            unit.control_unit_type.to_bytes(2, "big"),
            bytes((unit.model,)),
            geometry.device_type.to_bytes(2, "big"),
            bytes((geometry.model, 0)),
            words,
        )
    )
    return found if words else found[:SENSE_ID_PLAIN_BYTES]


def read_device_characteristics(run: CkdRun) -> bytes:
    """Bring the device's geometry, its capacity formula and what the control unit can do."""
    unit, geometry = run.device.unit, run.geometry
    alternates = max(0, geometry.cylinders - geometry.primary_cylinders)
    primary = geometry.cylinders - alternates
    facilities = unit.facilities
    if unit.control_unit_type == 0x3990 and geometry.device_type == 0x3380:
        facilities |= _COMPATIBLE_SENSE
    found = bytearray(CHARACTERISTICS_BYTES)

    def put(offset: int, length: int, value: int) -> None:
        found[offset : offset + length] = value.to_bytes(length, "big")

    put(0, 2, unit.control_unit_type)
    put(2, 1, unit.model)
    put(3, 2, geometry.device_type)
    put(5, 1, geometry.model)
    put(6, 4, facilities)
    put(10, 1, _DASD)
    put(11, 1, geometry.type_code)
    put(12, 2, primary if primary <= _SHORT_CYLINDERS_MAX else _MANY_CYLINDERS)
    put(14, 2, geometry.heads)
    put(16, 1, geometry.sectors)
    put(17, 3, geometry.track_bytes)
    put(20, 2, geometry.home_r0_bytes)
    found[22:28] = _formula(run)
    if alternates:
        put(28, 2, primary)
        put(30, 2, alternates * geometry.heads)
    put(40, 1, geometry.type_code)
    put(41, 1, geometry.type_code)
    put(42, 1, unit.code)
    put(43, 1, 2)
    put(44, 2, geometry.r0_bytes_max)
    put(47, 1, 1)
    if geometry.formula.number == 2:
        put(48, 1, geometry.formula.factors[5])
    put(49, 2, geometry.rotation_factors)
    found[51:54] = _FEATURE_BUFFER.get(unit.model, bytes(3))
    put(54, 1, unit.functions)
    put(57, 1, 0xFF)
    put(60, 4, primary)
    return bytes(found)


def _formula(run: CkdRun) -> bytes:
    """Return bytes 22 to 27: number and factors of the capacity formula."""
    number, factors = run.geometry.formula
    if number == 1:
        step, data_extra, key_extra = factors
        return bytes((1, step)) + data_extra.to_bytes(2, "big") + key_extra.to_bytes(2, "big")
    return bytes((2, *factors[:5])) if number == 2 else bytes(6)


def read_configuration_data(run: CkdRun) -> bytes:
    """Bring the node descriptors of device, string, director and subsystem, and the qualifier."""
    device, unit, geometry = run.device, run.device.unit, run.geometry
    drive = f"  {geometry.device_type:04X}0{geometry.model:02X}"
    director = f"  {unit.control_unit_type:04X}0{unit.model:02X}"
    subsystem = f"  {unit.control_unit_type:04X}   "
    descriptors = (
        _descriptor(0xDC010100, drive, device.serial, device.address),
        _descriptor(0xD4020000, drive, "000000000003", 0),
        _descriptor(0xD0000000, director, "000000000002", device.address >> 8),
        _descriptor(0xF0000001, subsystem, "000000000001", 0),
    )
    return b"".join((*descriptors, bytes(96), _qualifier(device.address)))


def _descriptor(flags: int, node: str, serial: str, tag: int) -> bytes:
    text = f"{node}DUCZZ{serial}".encode("cp037")
    return flags.to_bytes(4, "big") + text + tag.to_bytes(2, "big")


def subsystem_id(address: int) -> int:
    """Return the subsystem that a device address belongs to: 32 devices each."""
    return address & ~(_DEVICES_PER_SUBSYSTEM - 1) & 0xFFFF


def _qualifier(address: int) -> bytes:
    found = bytearray(32)
    number = subsystem_id(address)
    unit_address = address & 0xFF
    found[0] = 0x80
    found[3] = number // _DEVICES_PER_SUBSYSTEM & 0x07
    found[6] = 0x1E  # the host may wait 30 s before it takes an interruption for lost
    found[8:10] = number.to_bytes(2, "big")
    found[10] = 0x80
    found[11] = found[12] = found[13] = unit_address
    found[14] = found[3]
    found[17] = found[18] = 0x80
    found[19] = unit_address
    return bytes(found)


def sense_subsystem_status(run: CkdRun) -> bytes:
    """Bring the state of the subsystem's cache and devices."""
    _check_introduced(run)
    modern = Feature.MODERN in run.device.unit.features
    found = bytearray(44 if modern else 40)
    found[0] = 0x01 if modern else 0x00
    found[1] = run.device.address & 0xFF
    found[2] = _DEVICES_PER_SUBSYSTEM - 1
    found[38:40] = subsystem_id(run.device.address).to_bytes(2, "big")
    return bytes(found)


def read_and_reset_log(run: CkdRun) -> bytes:
    """Bring the usage and error counters of the device, which stay zero here, and clear them."""
    _check_introduced(run)
    return bytes(_LOG_BYTES)


def _check_introduced(run: CkdRun) -> None:
    """Only reports about the device may come before, or Suspend Multipath Reconnection first."""
    if (
        run.sequence
        and not run.at_start
        and run.previous
        not in (
            _READ_CHARACTERISTICS,
            READ_CONFIGURATION,
        )
    ):
        raise UnitCheck(INVALID_SEQUENCE)
