"""The tables of a bench file, field by field; the JSON Schema and the checks come from here.

Says what each table may hold and of which shape. Leaves to `checks.py` whatever concerns more
than one field, to `problems.py` how it is told, and to `bench.py` what a site makes of it.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from emulator.clock import SECOND_NS
from emulator.disk.control_unit import PATHS_MAX, Shape
from emulator.node.config import GATHER_NS, AckLevel, OnLinkLoss
from emulator.nvs.areas import MAPS_MAX
from emulator.units import duration_ns, duration_text, size_bytes, size_text

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"
"""32 is what a HELLO packet has room for, and what still fits a table on a terminal."""

GATHER_NS_MAX = 60 * SECOND_NS
"""What a longer gathering would save is little beside what it would leave to be lost."""

CACHE_BYTES_MIN = 2**20
"""Room for the tracks that are on their way at one moment; with less, writes only wait."""


def _cache_bytes(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("write a size in quotes, for example '64MiB'")  # noqa: TRY004  pydantic
    size = size_bytes(value)
    if size < CACHE_BYTES_MIN:
        raise ValueError(f"too small; give at least {size_text(CACHE_BYTES_MIN)}")
    return size


def _gather_ns(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("write a duration in quotes, for example '1s'")  # noqa: TRY004  pydantic
    gather_ns = duration_ns(value)
    if gather_ns > GATHER_NS_MAX:
        raise ValueError(f"too long; give at most {duration_text(GATHER_NS_MAX)}")
    return gather_ns


def _share_percent(value: object) -> int:
    found = re.fullmatch(r"(\d{1,3}) ?%", value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found[1]) <= 100:
        raise ValueError("write a share in quotes, from '1%' to '100%', for example '25%'")
    return int(found[1])


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
GatherNs = Annotated[
    int,
    BeforeValidator(_gather_ns),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ns|us|ms|s|min|h)$"}),
]
CacheBytes = Annotated[
    int,
    BeforeValidator(_cache_bytes),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s*(B|KiB|MiB|GiB|TiB)$"}),
]


SCRUB_BYTES_PER_S = 2**20
"""A terabyte in twelve days, for a hundredth of a processor."""


def _scrub_bytes(value: object) -> int:
    if value == SCRUB_BYTES_PER_S:
        return SCRUB_BYTES_PER_S
    if not isinstance(value, str):
        raise ValueError("write a size per second in quotes, for example '4MiB'")  # noqa: TRY004
    return size_bytes(value)


ScrubBytes = Annotated[
    int,
    BeforeValidator(_scrub_bytes),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s*(B|KiB|MiB|GiB|TiB)$"}),
]


def _duration_ns(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write a time in quotes, for example '5s'")  # noqa: TRY004  pydantic
    return duration_ns(value)


DurationNs = Annotated[
    int,
    BeforeValidator(_duration_ns),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ns|us|ms|s|min|h)$"}),
]


SharePercent = Annotated[
    int,
    BeforeValidator(_share_percent),
    WithJsonSchema({"type": "string", "pattern": r"^(100|[1-9]\d?) ?%$"}),
]


class _Table(BaseModel):
    """What all tables have in common: nothing unknown, nothing converted by guesswork."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class DeviceTable(_Table):
    """A device of a site."""

    kind: str = Field(
        description="What hosts see: blocks, or a count-key-data device such as 3390-3.",
        examples=["fba-512", "3390-3"],
    )
    disk: str = Field(
        description="Where its contents lie: raw:///path, ckd:///path, cckd:///path, "
        "block:///dev/sdb or mem://64MiB.",
        examples=["raw:///var/tmp/a0.img"],
    )
    serve: list[str] = Field(
        default=[],
        description="Where hosts reach it: nbd://host:port/name, nbd+unix:///name?socket=path, "
        "or native+ and the URI of a line.",
        examples=[["nbd://127.0.0.1:10810/vol0"]],
    )
    cache_share: SharePercent = Field(
        default=0,
        description="Part of the site's cache that is this device's own when others want it too.",
        examples=["25%"],
    )
    write: Literal["early", "through"] = Field(
        default="early",
        description="When a host's write can be complete: early, once the nonvolatile store has "
        "it, or through, once the disk has it.",
    )
    verify: bool = Field(
        default=False,
        description="Read back from the medium what was written, before the journal lets go of it.",
    )
    checksums: str | None = Field(
        default=None,
        description="The file that keeps a checksum for every track: file:///path, or none. "
        "Without this key, images (raw:, ckd:, cckd:) have one beside them (a0.img.sums), other "
        "disks none.",
        examples=["file:///var/tmp/a0.sums"],
    )
    scrub: ScrubBytes = Field(
        default=SCRUB_BYTES_PER_S,
        description="Bytes per second that are read in the background and held against their "
        "checksums; a tenth of it while hosts are busy. 0B: never.",
        examples=["4MiB"],
    )


class ControlUnitTable(_Table):
    """A control unit between the site and some of its devices; without one a disk is local."""

    shape: Shape = Field(strict=False, description="How the devices hang on it.", examples=["ring"])
    devices: list[str] = Field(
        min_length=1,
        description="Devices of the site, in the order of the cable.",
        examples=[["vol0", "vol1"]],
    )
    paths: int = Field(
        default=2, ge=1, le=PATHS_MAX, description="Channel paths to the unit.", examples=[2]
    )
    patience: DurationNs = Field(
        default=5 * SECOND_NS,
        description="How long an operation waits for a path or its device before it fails.",
        examples=["5s"],
    )


class SiteTable(_Table):
    """A site: one cache processor with its store and devices."""

    cache: CacheBytes = Field(description="Memory for the cache.", examples=["64MiB"])
    nvs: str = Field(
        description="The nonvolatile store. sync=fsync survives a loss of power, sync=battery "
        "the loss of the process.",
        examples=["file:///var/tmp/a.nvs?size=64MiB&sync=fsync"],
    )
    console: str = Field(
        description="The operator's socket.", examples=["unix:///var/tmp/a.console"]
    )
    channel_capture: str | None = Field(
        default=None,
        description="Record the channel programs of native hosts in this file, as FICON frames "
        "that Wireshark decodes.",
        examples=["channel.pcapng"],
    )
    device: dict[Name, DeviceTable] = Field(
        default={}, max_length=MAPS_MAX, description="Devices by name."
    )
    control_unit: dict[Name, ControlUnitTable] = Field(
        default={}, description="Control units by name."
    )


class LinkTable(_Table):
    """A link between two sites; its name is theirs joined by a dash, as in [link.A-B]."""

    a: str = Field(
        description="The first site's end of the line.",
        examples=["udp://127.0.0.1:7001?peer=127.0.0.1:7002"],
    )
    b: str = Field(
        description="The second site's end.",
        examples=["udp://127.0.0.1:7002?peer=127.0.0.1:7001"],
    )
    lab_plaintext: bool = Field(
        default=False,
        description="Packets travel unsealed; allowed only where the line stays on this machine.",
    )
    capture: str | None = Field(
        default=None, description="Record every packet in this file.", examples=["run.pcapng"]
    )


class VolumePair(_Table):
    """A device of the source site and the device of the target site that is to equal it."""

    source: str = Field(examples=["vol0"])
    target: str = Field(examples=["vol7"])

    @model_validator(mode="before")
    @classmethod
    def _same_name(cls, value: Any) -> Any:  # noqa: ANN401  whatever the file holds
        return {"source": value, "target": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "description": "Both names."}, handler(core)]}


class CopyTable(_Table):
    """A consistency group: volumes whose writes reach the target in one order."""

    source: str = Field(description="The site that starts as primary.", examples=["A"])
    target: str = Field(description="The site that keeps the copy.", examples=["B"])
    volumes: list[VolumePair] = Field(
        min_length=1,
        description="Device names, or tables of source and target where the names differ.",
        examples=[["vol0"]],
    )
    ack: AckLevel = Field(
        default=AckLevel.NVS, strict=False, description="When a host's write is complete."
    )
    on_link_loss: OnLinkLoss = Field(
        default=OnLinkLoss.CONTINUE,
        strict=False,
        description="What the primary does with writes while the link is down.",
    )
    gather: GatherNs = Field(
        default=GATHER_NS,
        description="How long at most the writes of a busy host are gathered before they are sent.",
        examples=["1s"],
    )
    secondary_reads: bool = Field(
        default=False, description="Whether hosts may read the copy at the target site."
    )


class BenchFile(_Table):
    """Sites, the links between them, and what is copied where."""

    name: str = Field(min_length=1, description="What this bench is called.", examples=["desk"])
    site: dict[Name, SiteTable] = Field(min_length=1, description="Sites by name.")
    link: dict[Name, LinkTable] = Field(default={}, description="Links by name.")
    copies: dict[Name, CopyTable] = Field(
        default={}, alias="copy", description="Consistency groups by name."
    )
