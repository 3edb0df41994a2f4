"""A count-key-data device behind a control unit: what it is, and where its arm stands."""

from typing import Final

from emulator.channel.ckd.run import CkdRun
from emulator.channel.ckd.table import ROWS
from emulator.channel.commands import table_for
from emulator.channel.control_units import ControlUnit, control_unit
from emulator.channel.device import Device, PathState
from emulator.channel.geometry import Geometry

_SERIAL_LENGTH: Final = 12


class CkdDevice(Device):
    """One volume as a channel sees it; `engine.execute` runs programs on it."""

    def __init__(
        self,
        geometry: Geometry,
        *,
        address: int = 0,
        unit: ControlUnit | None = None,
        serial: str = "",
        exact_capacity: bool = True,
    ) -> None:
        self.unit = unit or control_unit(geometry.control_unit)
        super().__init__(address, table_for(ROWS, geometry, self.unit))
        self.geometry = geometry
        self.serial = serial.upper().rjust(_SERIAL_LENGTH, "0")[-_SERIAL_LENGTH:]
        self.exact_capacity = exact_capacity
        """Hold a track to what the hardware holds; else to what its image in a file can."""
        self.cylinder = 0
        self.head = 0
        self.modes = bytes(2)
        """What Set Subsystem Mode last asked for."""

    def begin(self, state: PathState) -> CkdRun:
        """Return the state for a new program, its arm where the last one left it."""
        return CkdRun(self, state)
