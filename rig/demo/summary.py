"""The report of a run: what its evidence looks like to a reader. Times count from its start."""

import contextlib
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from emulator.clock import SECOND_NS
from emulator.compiled import code
from emulator.errors import DualCopyError
from emulator.units import size_text
from rig.demo import plan
from rig.demo.checks_line import Captured, carried
from rig.demo.evidence import Evidence
from rig.demo.log import Event
from rig.demo.watch import Sample
from rig.host.write_journal import read_history
from rig.report.report import Check, Figure, Moment, Report, Series, Span

GAP_NS = SECOND_NS
"""The primary is looked at ten times a second; silence for so long is a gap in the curve."""
PACKAGES = ("crc32c", "cobs", "pyserial", "scapy", "xxhash")
_STAMPS = ("event", "site", "time_ns", "monotonic_ns")

FILES = (
    ("run.json", "verdict, seed, versions, and both sites' last status"),
    ("events.jsonl", "what happened at both sites and here, in order"),
    ("capture.pcapng", "every packet on the line, for Wireshark or `dualcopy capture show`"),
    ("measurements.json", "lag over time, and the figures above"),
    ("bench.toml", "the bench file"),
    ("repro.sh", "does it again"),
    ("a.img", "disk of site A"),
    ("b.img", "disk of site B"),
    ("file-system.img", "the file system as the host had it"),
    ("host.writes", "the host's journal: each write begun and each acknowledged"),
    ("a.log", "log of site A"),
    ("b.log", "log of site B"),
    ("host.log", "log of the host"),
)
WRITTEN_LAST = ("run.json", "measurements.json")


def summarize(evidence: Evidence, checks: list[Check], captured: Captured) -> Report:
    """Return the report of a run."""
    start_ns = evidence.start_ns
    return Report(
        title="dualcopy demo",
        run=[
            ("seed", str(evidence.plan.seed)),
            ("folder", str(evidence.folder.path)),
            ("took", f"{(evidence.end_ns - start_ns) / SECOND_NS:.1f} s"),
            ("versions", ", ".join(f"{name} {text}" for name, text in versions().items())),
        ],
        warnings=_warnings(evidence),
        checks=checks,
        acts=[
            Span(f"{number}. {act.title}", act.begin_ns - start_ns, act.end_ns - start_ns)
            for number, act in enumerate(evidence.acts, 1)
        ],
        troubles=[
            Span(
                trouble.name,
                trouble.begin_ns - start_ns,
                (trouble.repaired_ns or evidence.end_ns) - start_ns,
            )
            for trouble in evidence.troubles
        ],
        moments=[_moment(event, start_ns) for event in evidence.events],
        series=[
            lag_series("lag of the copy", "records", "records", evidence),
            lag_series("data the copy lacks", "KiB", "bytes", evidence),
        ],
        figures=list(_figures(evidence, captured)),
        files=[
            row
            for row in FILES
            if row[0] in WRITTEN_LAST or (evidence.folder.path / row[0]).exists()
        ],
    )


def lag_series(name: str, unit: str, key: str, evidence: Evidence) -> Series:
    """Return how far the primary said that its copy lags, over the run."""
    divisor = 1024 if unit == "KiB" else 1
    points: list[tuple[int, int | None]] = []
    last_ns = evidence.start_ns
    for sample in evidence.samples:
        if sample.group["role"] != "primary":
            continue
        if sample.answered_ns - last_ns > GAP_NS:
            points.append((last_ns - evidence.start_ns, None))
        last_ns = sample.answered_ns
        value = sample.group["lag"][key] // divisor
        points.append((last_ns - evidence.start_ns, value))
    return Series(name, unit, points)


def versions() -> dict[str, str]:
    """Return the versions of everything that matters to a run."""
    found = {"dualcopy": _version("dualcopy"), "Python": platform.python_version()}
    packages = {name: _version(name) for name in PACKAGES}
    return found | packages | {"Linux": platform.release(), "code": code()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from its source"


def _warnings(evidence: Evidence) -> list[str]:
    said = {
        str(sample.link["warning"]): None for sample in evidence.samples if "warning" in sample.link
    }
    return [f"packets on the line: {warning}" for warning in said]


def _figures(evidence: Evidence, captured: Captured) -> Iterator[Figure]:
    streamed = sum(w["bytes"] for w in evidence.host_words if w["event"] == "image-streamed")
    written = 0
    with contextlib.suppress(DualCopyError):  # a host that never began has no journal
        written = read_history(evidence.folder.writes).acknowledged_count * plan.BLOCK_BYTES
    yield Figure("host wrote", size_text(streamed + written), "file system and blocks")
    packets, size, again = carried(captured, evidence.start_ns, evidence.end_ns)
    yield Figure(
        "line carried",
        size_text(size),
        f"{packets} packets, both ways, the first copy among them; {size_text(again)} sent again",
    )
    host_bytes, record_bytes = _records(evidence.samples)
    yield Figure(
        "records after the first copy",
        size_text(record_bytes),
        f"{_percent(record_bytes, host_bytes)} of {size_text(host_bytes)} of changed blocks; each "
        f"write has {plan.CHANGE_BYTES} new bytes in {plan.BLOCK_BYTES}",
    )
    worst = max((s.group["lag"]["exposure_ns"] for s in evidence.samples), default=0)
    yield Figure("largest lag", f"{worst / SECOND_NS:.1f} s", "age of the oldest write B lacked")
    for site, way in evidence.line.items():
        lost = way["cut_bytes"] + way["unread_bytes"]
        remark = f"of {size_text(way['taken_bytes'])}: line cut, or nobody read at the other end"
        yield Figure(f"lost of what site {site} sent", size_text(lost), remark)


def _records(samples: Sequence[Sample]) -> tuple[int, int]:
    """Return host bytes and record bytes of the streams, since the first copy was done.

    Each process counts from its own start; the last sample of each life speaks for it.
    """
    before = (0, 0)
    newest: dict[int, tuple[int, int]] = {}
    is_copied = False
    for sample in samples:
        copy = sample.group["copy"]
        counted = (copy["sent_host_bytes"], copy["sent_record_bytes"])
        if not is_copied and sample.group["role"] == "primary":
            before = counted
            is_copied = sample.group["state"] == "duplex"
        newest[sample.status["pid"]] = counted
    host_bytes = sum(counted[0] for counted in newest.values()) - before[0]
    record_bytes = sum(counted[1] for counted in newest.values()) - before[1]
    return host_bytes, record_bytes


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _moment(event: Event, start_ns: int) -> Moment:
    """Return an event in words: its name, and every field that is not a stamp."""
    words = ", ".join(f"{key} {value}" for key, value in event.items() if key not in _STAMPS)
    name = str(event["event"]).replace("-", " ")
    return Moment(
        max(event["time_ns"] - start_ns, 0),
        str(event["site"]),
        f"{name}: {words}" if words else name,
    )
