"""Count-key-data devices: their size, their track and what fits on it.

One table, `MODELS`, holds a row for each model; the key is the name that a bench file gives as
`kind`. Lengths are bytes, addresses count from 0. The figures are those of IBM's reference
summaries; the capacity formulas are the ones a 3990 reports in Read Device Characteristics.
"""

from typing import Final, NamedTuple

from emulator.errors import BenchError

SLOT_STEP_BYTES: Final = 4096
_IMAGE_STEP_BYTES: Final = 512
# What the image of a track with one record of the longest length carries beside it.
HOME_ADDRESS_BYTES: Final = 5
COUNT_BYTES: Final = 8
STANDARD_R0_DATA_BYTES: Final = 8


class Formula(NamedTuple):
    """How much of a track a record takes.

    `number` is the formula's number in Read Device Characteristics: 1 for 3375 and 3380, 2 for
    3390 and 9345, 0 for older devices, whose records cost a constant and another one for a key.
    """

    number: int
    factors: tuple[int, ...]

    def record_bytes(self, key_length: int, data_length: int) -> int:
        """Return how much of the track a record takes, gaps and check bytes included."""
        return _RECORD_BYTES[self.number](self.factors, key_length, data_length)


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _constant(factors: tuple[int, ...], key_length: int, data_length: int) -> int:
    key_constant, constant = factors
    return data_length + key_length + constant + (key_constant if key_length else 0)


def _first(factors: tuple[int, ...], key_length: int, data_length: int) -> int:
    step, data_extra, key_extra = factors
    space = _round_up(data_length + data_extra, step)
    return space + (_round_up(key_length + key_extra, step) if key_length else 0)


def _second(factors: tuple[int, ...], key_length: int, data_length: int) -> int:
    step, data_steps, key_steps, check_bytes, half_segment, extra = factors

    def field_bytes(steps: int, length: int) -> int:
        segments = -(-(length + extra) // (2 * half_segment))
        return _round_up(step * steps + length + extra + check_bytes * segments, step)

    space = field_bytes(data_steps, data_length)
    return space + (field_bytes(key_steps, key_length) if key_length else 0)


_RECORD_BYTES: Final = {0: _constant, 1: _first, 2: _second}


class Geometry(NamedTuple):
    """One model of a count-key-data device, or a volume of it with another number of cylinders."""

    kind: str
    device_type: int
    model: int
    type_code: int
    cylinders: int
    """Cylinders on the volume."""
    primary_cylinders: int
    """Primary cylinders of the model; what the volume has beyond them are alternates."""
    alternate_cylinders: int
    """Alternate cylinders of the model."""
    heads: int
    r0_bytes_max: int
    r1_bytes_max: int
    home_r0_bytes: int
    """What the home address and a standard R0 take of the device's track."""
    track_bytes: int
    """What the user records may take together, by the formula."""
    sectors: int
    rotation_factors: int
    """Factors F7 and F8 of Read Device Characteristics; 0 where there are none."""
    formula: Formula
    control_unit: str
    """The control unit that such a device usually hangs on."""

    @property
    def tracks(self) -> int:
        """Return the number of tracks on the volume."""
        return self.cylinders * self.heads

    @property
    def image_bytes(self) -> int:
        """Return the size of a track in an image file."""
        return _round_up(self.r1_bytes_max, _IMAGE_STEP_BYTES)

    @property
    def slot_bytes(self) -> int:
        """Return the room kept for a track in the cache: its image, rounded up to 4096."""
        return _round_up(self.image_bytes, SLOT_STEP_BYTES)

    def track(self, cylinder: int, head: int) -> int:
        """Return the number of a track; the address must lie on the volume."""
        return cylinder * self.heads + head

    def address(self, track: int) -> tuple[int, int]:
        """Return the cylinder and head of a track.

        >>> geometry("3390-1").address(31)
        (2, 1)
        """
        return divmod(track, self.heads)

    def has(self, cylinder: int, head: int) -> bool:
        """Tell whether the volume has such a track."""
        return cylinder < self.cylinders and head < self.heads

    def record_bytes(self, key_length: int, data_length: int) -> int:
        """Return how much of the track a record takes."""
        return self.formula.record_bytes(key_length, data_length)

    def records_per_track(self, key_length: int, data_length: int) -> int:
        """Return how many equal records a track holds beside a standard R0.

        >>> geometry("3390-3").records_per_track(0, 4096)
        12
        """
        return self.track_bytes // self.record_bytes(key_length, data_length)

    def with_cylinders(self, cylinders: int) -> "Geometry":
        """Return this device with another number of cylinders.

        Raises BenchError when no channel program could address them.
        """
        if not 1 <= cylinders <= CYLINDERS_MAX:
            raise BenchError(
                f"{self.kind}: {cylinders} cylinders cannot be addressed; give 1 to {CYLINDERS_MAX}"
            )
        return self._replace(cylinders=cylinders)


# The largest model with its alternates; addresses beyond are those of diagnosis.
CYLINDERS_MAX: Final = 65523

_F3330: Final = Formula(0, (56, 135))
_F3340: Final = Formula(0, (75, 167))
_F3350: Final = Formula(0, (82, 185))
_F3375: Final = Formula(1, (32, 384, 160))
_F3380: Final = Formula(1, (32, 492, 236))
_F3390: Final = Formula(2, (34, 19, 9, 6, 116, 6))
_F9345: Final = Formula(2, (34, 18, 7, 6, 116, 6))


class _Family(NamedTuple):
    """What all models of a device type share."""

    device_type: int
    heads: int
    r0_bytes_max: int
    r1_bytes_max: int
    home_r0_bytes: int
    track_bytes: int
    sectors: int
    rotation_factors: int
    formula: Formula
    control_unit: str


_FAMILIES: Final = {
    family.device_type: family
    for family in (
        _Family(0x3330, 19, 13165, 13030, 135, 13165, 128, 0, _F3330, "3830"),
        _Family(0x3340, 12, 8535, 8368, 167, 8535, 64, 0, _F3340, "3830"),
        _Family(0x3350, 30, 19254, 19069, 185, 19254, 128, 0, _F3350, "3830"),
        _Family(0x3375, 12, 36000, 35616, 832, 36000, 196, 0x5007, _F3375, "3880"),
        _Family(0x3380, 15, 47988, 47476, 1088, 47968, 222, 0x5007, _F3380, "3880"),
        _Family(0x3390, 15, 57326, 56664, 1428, 58786, 224, 0x7708, _F3390, "3990-6"),
        _Family(0x9345, 15, 48174, 46456, 1184, 48280, 213, 0x8B07, _F9345, "9343"),
    )
}

# kind, device type, model byte, type code, primary and alternate cylinders; by growing size.
_ROWS: Final = (
    ("3330-1", 0x3330, 0x01, 0x00, 404, 7),
    ("3330-11", 0x3330, 0x11, 0x00, 808, 7),
    ("3340-35", 0x3340, 0x01, 0x00, 348, 1),
    ("3340-70", 0x3340, 0x02, 0x00, 696, 2),
    ("3350", 0x3350, 0x00, 0x00, 555, 5),
    ("3375", 0x3375, 0x02, 0x0E, 959, 3),
    ("3380-A", 0x3380, 0x02, 0x0E, 885, 1),
    ("3380-D", 0x3380, 0x06, 0x0E, 885, 1),
    ("3380-J", 0x3380, 0x16, 0x0E, 885, 1),
    ("3380-E", 0x3380, 0x0A, 0x0E, 1770, 2),
    ("3380-K", 0x3380, 0x1E, 0x0E, 2655, 3),
    ("3390-1", 0x3390, 0x02, 0x26, 1113, 1),
    ("3390-2", 0x3390, 0x06, 0x27, 2226, 1),
    ("3390-3", 0x3390, 0x0A, 0x24, 3339, 1),
    ("3390-9", 0x3390, 0x0C, 0x32, 10017, 3),
    ("3390-27", 0x3390, 0x0C, 0x32, 32760, 3),
    ("3390-54", 0x3390, 0x0C, 0x32, 65520, 3),
    ("9345-1", 0x9345, 0x04, 0x04, 1440, 0),
    ("9345-2", 0x9345, 0x04, 0x04, 2156, 0),
)

# Other names of a model: the type alone means its first model.
ALIASES: Final = {
    "3330": "3330-1",
    "3330-2": "3330-11",
    "3340": "3340-35",
    "3340-1": "3340-35",
    "3340-2": "3340-70",
    "3350-1": "3350",
    "3375-1": "3375",
    "3380": "3380-A",
    "3380-B": "3380-A",
    "3390": "3390-1",
    "3390-J": "3390-27",
    "9345": "9345-1",
}


def _model(
    kind: str, device_type: int, model: int, type_code: int, primary: int, alternate: int
) -> Geometry:
    family = _FAMILIES[device_type]
    return Geometry(
        kind,
        device_type,
        model,
        type_code,
        cylinders=primary,
        primary_cylinders=primary,
        alternate_cylinders=alternate,
        heads=family.heads,
        r0_bytes_max=family.r0_bytes_max,
        r1_bytes_max=family.r1_bytes_max,
        home_r0_bytes=family.home_r0_bytes,
        track_bytes=family.track_bytes,
        sectors=family.sectors,
        rotation_factors=family.rotation_factors,
        formula=family.formula,
        control_unit=family.control_unit,
    )


MODELS: Final = {row[0]: _model(*row) for row in _ROWS}


def geometry(kind: str, cylinders: int | None = None) -> Geometry:
    """Return the device that a bench file's `kind` names.

    Raises BenchError for a name that is in neither table, or an impossible number of cylinders.

    >>> geometry("3380-K").cylinders, geometry("3390").kind, geometry("3390-1").slot_bytes
    (2655, '3390-1', 57344)
    """
    found = MODELS.get(ALIASES.get(kind, kind))
    if found is None:
        raise BenchError(f"{kind!r} is no count-key-data device; choose one of {', '.join(MODELS)}")
    return found if cylinders is None else found.with_cylinders(cylinders)


def is_kind(kind: str) -> bool:
    """Tell whether a bench file's `kind` names a count-key-data device."""
    return ALIASES.get(kind, kind) in MODELS


def smallest_model(device_type: int, cylinders: int) -> Geometry:
    """Return a volume of `cylinders` as the smallest model of the type that holds them.

    `device_type` is the whole type (0x3390) or its low byte as an image header has it (0x90).
    Raises BenchError for a type that is not in the table.
    """
    models = [
        row for row in MODELS.values() if device_type in (row.device_type, row.device_type & 0xFF)
    ]
    if not models:
        raise BenchError(
            f"device type {device_type:X} is not a count-key-data device; "
            f"known are {', '.join(f'{number:X}' for number in _FAMILIES)}"
        )
    for row in models:
        if cylinders <= row.primary_cylinders + row.alternate_cylinders:
            return row.with_cylinders(cylinders)
    return models[-1].with_cylinders(cylinders)
