"""A control unit between the cache processor and its devices: cables, paths, busy, reservations.

Pure. Devices hang on the unit by cables of one of four shapes (patent p.8 and p.13); a cable cut or
a device switched off takes with it what can then not be reached:

    star          a cable to each device            only its own device
    multipoint    one cable with drops              a cut all behind it; a device only itself
    daisy chain   from device to device             a cut, or a device, all behind it
    ring          as a chain, and back to the unit  nothing else; two cuts what lies between them

The processor reaches the unit by one or several channel paths. A path carries one operation at a
time, a device works on one at a time. An operation that cannot begin now is told why, and whoever
asks tries again when something has changed: `attached.py` does for disks.
"""

import enum
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from emulator.errors import BenchError

PATHS_MAX: Final = 8
"""As many as a device of a 3990 may have."""


class Shape(enum.Enum):
    """How devices hang on their control unit."""

    STAR = "star"
    MULTIPOINT = "multipoint"
    DAISY_CHAIN = "daisy-chain"
    RING = "ring"


class Refusal(enum.Enum):
    """Why an operation cannot begin now."""

    DEVICE_BUSY = "it works on another operation"
    PATHS_BUSY = "every path carries another operation"
    RESERVED = "it is reserved"
    NO_PATH = "every path to its control unit is off"
    CUT_OFF = "no cable reaches it"
    SWITCHED_OFF = "it is switched off"


class Part(enum.Enum):
    """What of a unit an action concerns."""

    PATH = "path"
    CABLE = "cable"
    DEVICE = "device"
    RESERVATION = "reservation"


ACTIONS: Final = {
    "vary-off": (Part.PATH, False),
    "vary-on": (Part.PATH, True),
    "cut": (Part.CABLE, False),
    "mend": (Part.CABLE, True),
    "off": (Part.DEVICE, False),
    "on": (Part.DEVICE, True),
    "reserve": (Part.RESERVATION, False),
    "release": (Part.RESERVATION, True),
}
"""What may be done to a unit: to which part, and whether that is well afterwards."""
OPERATOR: Final = "operator"


class Change(NamedTuple):
    """What an operator may do to a part of a unit: `action` by name, and what it is done to."""

    action: str
    part: str


class _Device:
    """What is known of one device."""

    __slots__ = ("busy", "on", "owner")

    def __init__(self) -> None:
        self.on = True
        self.busy = False
        self.owner = ""
        """Who has reserved it; empty if nobody has."""


class ControlUnit:
    """One control unit, its paths and its devices in the order of the cable."""

    def __init__(self, name: str, shape: Shape, devices: Sequence[str], paths: int) -> None:
        self.name = name
        self.shape = shape
        self.devices = list(devices)
        self._devices = {device: _Device() for device in devices}
        self._path_on = [True] * paths
        self._path_busy = [False] * paths
        self._next_path = 0
        cables = len(devices) + (shape is Shape.RING)
        self._cable_whole = [True] * cables
        self.operations = [0] * paths
        """How many operations each path has carried."""
        self.failovers = 0
        """Operations that took another path than the one whose turn it was, because it is off."""

    # Operations.

    def begin(self, device: str) -> int | Refusal:
        """Take a path and the device for one operation; return the path, or why not now."""
        state = self._devices[device]
        refusal = self._unreachable(device)
        if refusal is None and state.owner:
            refusal = Refusal.RESERVED
        if refusal is None and not any(self._path_on):
            refusal = Refusal.NO_PATH
        if refusal is None and state.busy:
            refusal = Refusal.DEVICE_BUSY
        if refusal is not None:
            return refusal
        count = len(self._path_on)
        skipped = False
        for step in range(count):
            path = (self._next_path + step) % count
            if self._path_on[path] and not self._path_busy[path]:
                break
            skipped = skipped or not self._path_on[path]
        else:
            return Refusal.PATHS_BUSY
        self.failovers += skipped
        self._next_path = (path + 1) % count
        self._path_busy[path] = state.busy = True
        self.operations[path] += 1
        return path

    def end(self, device: str, path: int) -> None:
        """Give the path and the device back."""
        self._path_busy[path] = self._devices[device].busy = False

    def reachable(self, device: str) -> bool:
        """Return whether a cable reaches the device, and it is on."""
        return self._unreachable(device) is None

    def _unreachable(self, device: str) -> Refusal | None:
        if not self._devices[device].on:
            return Refusal.SWITCHED_OFF
        return None if self._is_joined(self.devices.index(device)) else Refusal.CUT_OFF

    def _is_joined(self, at: int) -> bool:
        whole, on = self._cable_whole, [self._devices[name].on for name in self.devices]
        if self.shape is Shape.STAR:
            return whole[at]
        ahead = all(whole[: at + 1])
        if self.shape is Shape.MULTIPOINT:
            return ahead
        ahead = ahead and all(on[:at])
        if self.shape is Shape.DAISY_CHAIN:
            return ahead
        return ahead or (all(whole[at + 1 :]) and all(on[at + 1 :]))

    # What an operator, or a fault, does.

    def change(self, change: Change) -> None:
        """Carry out a change; BenchError when there is no such action or part."""
        if change.action not in ACTIONS:
            raise BenchError(f"{change.action!r} is no action; there are: {', '.join(ACTIONS)}")
        kind, well = ACTIONS[change.action]
        flags = {Part.PATH: self._path_on, Part.CABLE: self._cable_whole}.get(kind)
        parts = self.devices if flags is None else [str(number) for number in range(len(flags))]
        if change.part not in parts:
            raise BenchError(
                f"{self.name}: {change.action} {change.part!r}: there are {', '.join(parts)}"
            )
        if flags is not None:
            flags[parts.index(change.part)] = well
        elif kind is Part.DEVICE:
            self._devices[change.part].on = well
        else:
            self._devices[change.part].owner = "" if well else OPERATOR

    def status(self) -> dict[str, Any]:
        """Return how the unit stands, for people and programs."""
        return {
            "shape": self.shape.value,
            "paths": [
                {"online": on, "operations": count}
                for on, count in zip(self._path_on, self.operations, strict=True)
            ],
            "cables": ["whole" if whole else "cut" for whole in self._cable_whole],
            "failovers": self.failovers,
            "devices": {
                name: {
                    "reachable": self.reachable(name),
                    "on": device.on,
                    "reserved_by": device.owner,
                }
                for name, device in self._devices.items()
            },
        }
