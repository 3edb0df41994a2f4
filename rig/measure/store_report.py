"""What the measurements of the nonvolatile store and of the destage promise, show and leave."""

from pathlib import Path
from typing import Any

from rig.measure.leaving import check, leave
from rig.report.report import Figure, Report
from rig.report.rounds import round_bars

READY_S_MAX = 2.0
P99_RATIO_MAX = 1.3


def leave_nvs(found: dict[str, Any], folder: Path, took_s: float) -> Report:
    """Write what `bench nvs` found into the folder, and return the report."""
    restart = found["restart"]
    ready_s = restart["ready_s"]
    checks = [
        check(
            f"ready within {READY_S_MAX:g} s with {restart['undestaged_mib']:.0f} MiB on no disk",
            f"{ready_s:.2f} s; {restart['ready_empty_s']:.2f} s with none",
            held=ready_s <= READY_S_MAX,
        )
    ]
    figures = [
        Figure(f"IOPS of {name}", f"{value:.0f}", "4 KiB random writes, 16 at once")
        for name, value in found["iops"].items()
    ]
    figures += [Figure(pair, f"{ratio}") for pair, ratio in found["ratios"].items()]
    writes = {name: [run["iops"] for run in runs] for name, runs in found["raw"].items()}
    restarts = {
        "journal full": [run["ready_s"] for run in found["restarts"]],
        "journal empty": [run["ready_empty_s"] for run in found["restarts"]],
    }
    charts = {
        "writes.svg": round_bars("4 KiB random writes, 16 at once", "IOPS", writes),
        "restarts.svg": round_bars("from the start of the process to ready", "s", restarts),
    }
    return leave("nvs", found, charts, (checks, figures), folder, took_s)


def leave_destage(found: dict[str, Any], folder: Path, took_s: float) -> Report:
    """Write what `bench destage` found into the folder, and return the report."""
    ratio = found["p99_ratio"]
    medians = found["medians"]
    checks = [
        check(
            f"p99 of a host's writes at full destage at most {P99_RATIO_MAX:g} times that without",
            f"{medians['full-rate']['p99_us']:.0f} us beside {medians['without']['p99_us']:.0f} us",
            held=ratio <= P99_RATIO_MAX,
        )
    ]
    figures = [
        Figure("p99 with destage / without", f"{ratio}"),
        Figure("mean with destage / without", f"{found['mean_ratio']}"),
        Figure("destaged at full rate", f"{medians['full-rate']['destaged_mib_per_s']:.0f} MiB/s"),
    ]
    charts = {
        f"{key}.svg": round_bars(
            f"4 KiB random writes, one at a time: {title}",
            unit,
            {name: [run[key] for run in runs] for name, runs in found["raw"].items()},
        )
        for key, title, unit in (
            ("p99_us", "99 of 100 take at most", "us"),
            ("mean_us", "mean", "us"),
            ("destaged_mib_per_s", "destaged", "MiB/s"),
        )
    }
    return leave("destage", found, charts, (checks, figures), folder, took_s)
