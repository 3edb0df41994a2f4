"""Fixed-block devices: how many blocks, and what they report of themselves."""

from typing import Final, NamedTuple

from emulator.errors import BenchError

BLOCK_BYTES: Final = 512


class FbaModel(NamedTuple):
    """One model of a fixed-block device."""

    kind: str
    device_type: int
    model: int
    type_code: int
    blocks_per_group: int
    """Blocks of a cyclical group: one revolution."""
    blocks_per_position: int
    """Blocks under one position of the arm."""
    blocks: int
    control_unit_type: int


FBA_MODELS: Final = {
    row.kind: row
    for row in (
        FbaModel("3310", 0x3310, 0x01, 0x01, 32, 352, 125664, 0x4331),
        FbaModel("3370-1", 0x3370, 0x00, 0x02, 62, 744, 558000, 0x3880),
        FbaModel("3370-2", 0x3370, 0x04, 0x05, 62, 744, 712752, 0x3880),
        FbaModel("9332-400", 0x9332, 0x00, 0x07, 73, 292, 360036, 0x6310),
        FbaModel("9332-600", 0x9332, 0x01, 0x07, 73, 292, 554800, 0x6310),
        FbaModel("9335", 0x9335, 0x01, 0x06, 71, 426, 804714, 0x6310),
        FbaModel("9336-10", 0x9336, 0x00, 0x11, 63, 315, 920115, 0x6310),
        FbaModel("9336-20", 0x9336, 0x10, 0x11, 111, 777, 1672881, 0x6310),
        FbaModel("0671", 0x0671, 0x00, 0x12, 63, 504, 574560, 0x6310),
        FbaModel("0671-04", 0x0671, 0x04, 0x12, 63, 504, 624456, 0x6310),
    )
}
FBA_ALIASES: Final = {
    "3370": "3370-1",
    "3370-A1": "3370-1",
    "3370-B1": "3370-1",
    "3370-A2": "3370-2",
    "3370-B2": "3370-2",
    "9332": "9332-400",
    "9336": "9336-10",
}


def fba_model(kind: str, blocks: int | None = None) -> FbaModel:
    """Return the device that a bench file's `kind` names, perhaps with another number of blocks.

    Raises BenchError for a name that is not in the table, or no blocks.

    >>> fba_model("3370").blocks, fba_model("9336-20", 1000).blocks
    (558000, 1000)
    """
    found = FBA_MODELS.get(FBA_ALIASES.get(kind, kind))
    if found is None:
        raise BenchError(
            f"{kind!r} is no fixed-block device; choose one of {', '.join(FBA_MODELS)}"
        )
    if blocks is None:
        return found
    if not 1 <= blocks <= BLOCKS_MAX:
        raise BenchError(f"{kind}: {blocks} blocks cannot be addressed; give 1 to {BLOCKS_MAX}")
    return found._replace(blocks=blocks)


BLOCKS_MAX: Final = 0xFFFFFFFF
