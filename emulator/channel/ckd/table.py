"""The commands of a count-key-data device: one row each.

The manual's table of commands is read from here. A row says when a command may come; its function
says what it does.
"""

from typing import Final

from emulator.channel.ckd import extents, locate, reports, seeks, sharing, subsystem
from emulator.channel.ckd.table_track import TRACK_ROWS
from emulator.channel.commands import Command, Kind
from emulator.channel.control_units import Feature

_CONTROL, _READ, _SENSE = Kind.CONTROL, Kind.READ, Kind.SENSE
_EXTENDED, _STORAGE, _CACHED = Feature.EXTENDED, Feature.STORAGE, Feature.CACHED
_GROUPING: Final = (0x3380, 0x3390, 0x9345)
_WITH_UNCONDITIONAL: Final = (0x3350, 0x3375, 0x3380, 0x3390, 0x9345)

_SEEKS: Final = (
    Command(0x03, "No-operation", _CONTROL, seeks.no_operation, immediate=True),
    Command(0x07, "Seek", _CONTROL, seeks.seek_track, waits=True),
    Command(0x0B, "Seek Cylinder", _CONTROL, seeks.seek_track, waits=True),
    Command(0x1B, "Seek Head", _CONTROL, seeks.seek_track, waits=True, positioned=True),
    Command(
        0x13, "Recalibrate", _CONTROL, seeks.recalibrate, waits=True, immediate=True, legacy=True
    ),
    Command(0x1F, "Set File Mask", _CONTROL, seeks.set_file_mask),
    Command(0x23, "Set Sector", _CONTROL, seeks.set_sector, positioned=True),
    Command(0x63, "Define Extent", _CONTROL, extents.define_extent, control_units=_EXTENDED),
    Command(
        0x47,
        "Locate Record",
        _CONTROL,
        locate.locate_record,
        waits=True,
        opens_domain=True,
        control_units=_EXTENDED,
    ),
    Command(
        0x4B,
        "Locate Record Extended",
        _CONTROL,
        locate.locate_record_extended,
        waits=True,
        opens_domain=True,
        control_units=_CACHED,
    ),
    Command(
        0xE7,
        "Prefix",
        _CONTROL,
        locate.prefix,
        waits=True,
        opens_domain=True,
        control_units=Feature.PREFIX,
    ),
)

_REPORTS: Final = (
    Command(0x04, "Sense", _SENSE, reports.sense, without_disk=True),
    Command(0xE4, "Sense ID", _SENSE, reports.sense_id, without_disk=True),
    Command(
        0x64,
        "Read Device Characteristics",
        _READ,
        reports.read_device_characteristics,
        devices=_GROUPING,
        without_disk=True,
    ),
    Command(
        0xFA,
        "Read Configuration Data",
        _READ,
        reports.read_configuration_data,
        control_units=_STORAGE,
        without_disk=True,
    ),
    Command(
        0x54,
        "Sense Subsystem Status",
        _SENSE,
        reports.sense_subsystem_status,
        control_units=_STORAGE,
        without_disk=True,
    ),
    Command(
        0xA4, "Read and Reset Buffered Log", _SENSE, reports.read_and_reset_log, without_disk=True
    ),
)

_SHARING: Final = (
    Command(0xB4, "Device Reserve", _SENSE, sharing.reserve, first=True, without_disk=True),
    Command(0x94, "Device Release", _SENSE, sharing.release, without_disk=True),
    Command(
        0x14,
        "Unconditional Reserve",
        _SENSE,
        sharing.unconditional_reserve,
        first=True,
        devices=_WITH_UNCONDITIONAL,
        without_disk=True,
    ),
    Command(
        0x44,
        "Reset Allegiance",
        _SENSE,
        sharing.reset_allegiance,
        first=True,
        control_units=_STORAGE,
        without_disk=True,
    ),
    Command(
        0x5B,
        "Suspend Multipath Reconnection",
        _CONTROL,
        sharing.suspend_multipath_reconnection,
        immediate=True,
        devices=_GROUPING,
        without_disk=True,
    ),
    Command(
        0x34,
        "Sense Path Group ID",
        _SENSE,
        sharing.sense_path_group_id,
        first=True,
        last=True,
        devices=_GROUPING,
        without_disk=True,
    ),
    Command(
        0xAF,
        "Set Path Group ID",
        _CONTROL,
        sharing.set_path_group_id,
        first=True,
        last=True,
        devices=_GROUPING,
        without_disk=True,
    ),
)

_SUBSYSTEM: Final = (
    Command(
        0x27,
        "Perform Subsystem Function",
        _CONTROL,
        subsystem.perform_subsystem_function,
        control_units=_STORAGE,
        without_disk=True,
    ),
    Command(
        0x3E,
        "Read Subsystem Data",
        _READ,
        subsystem.read_subsystem_data,
        control_units=_STORAGE,
        without_disk=True,
    ),
    Command(
        0x4E,
        "Read Message ID",
        _READ,
        subsystem.read_message_id,
        last=True,
        control_units=_STORAGE,
        without_disk=True,
    ),
    Command(
        0x87,
        "Set Subsystem Mode",
        _CONTROL,
        subsystem.set_subsystem_mode,
        first=True,
        control_units=_CACHED,
    ),
    Command(
        0xF3,
        "Diagnostic Control",
        _CONTROL,
        seeks.diagnostic_control,
        control_units=_STORAGE,
    ),
)

ROWS: Final = (*_SEEKS, *TRACK_ROWS, *_REPORTS, *_SHARING, *_SUBSYSTEM)
"""Every command there is; `commands.table_for` chooses those of a device."""
