"""Replay one schedule on a real line: two real sites, a real host, the auditor, and a verdict.

As in the simulator there is a phase in which everything goes wrong, and one in which everything
must come right again. Rules are judged by what can be seen from outside: the host's answers and
reads, the auditor, the sites' words, and at the end both sites' disks.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import DualCopyError, UnavailableError
from rig.faults.plan import Plan
from rig.host.nbd_client import connect_nbd
from rig.host.waiting import Goal, missing
from rig.lines.faulty_way import FaultyWay
from rig.replay.deeds import Deeds
from rig.replay.host import Host, check_whole
from rig.replay.medium import (
    GROUP,
    SITES,
    bench_text,
    fault_box,
    image_path,
    real_line,
    volume_uri,
)
from rig.replay.parts import QUIET_NAME
from rig.replay.process import AuditProcess, SiteProcess
from rig.sim.schedule import Schedule, to_text
from rig.sim.violation import Violation
from rig.sim.world import LIVENESS_NS, SAFETY_NS_MAX

POLL_S: Final = 0.02
START_NS: Final = 60 * SECOND_NS
LOOK_NS: Final = 1_700 * MILLISECOND_NS
"""How often somebody reads the status, and starts again what has stopped for good."""


class Replay:
    """One run on a real line; everything it makes lies in its folder."""

    def __init__(self, schedule: Schedule, medium: str, folder: Path) -> None:
        self.schedule = schedule
        self.config = schedule.config
        self.medium = medium
        self.folder = folder
        self.plan = Plan(schedule.faults)
        self.events: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self.figures: dict[str, Any] = {}
        path = folder / "schedule.toml"
        path.write_text(to_text(schedule), encoding="utf-8")
        self.sites = {name: SiteProcess(name, folder, path) for name in SITES}
        self._pause = threading.Event()
        self._look_ns = 0
        self._audit: AuditProcess | None = None
        self._mtu_bytes = dict.fromkeys(SITES, self.config.mtu_bytes)

    def note(self, event: str, **words: object) -> None:
        """Keep that something happened now."""
        row = {"event": event, "site": "replay", "time_ns": time.time_ns(), **words}
        self.events.append(row)

    # The run.

    def run(self) -> Violation | None:
        """Run it; return the first rule that did not hold."""
        images = self._make_images()
        with contextlib.ExitStack() as stack:
            self.line = stack.enter_context(real_line(self.medium, self.folder))
            seed = self.config.seed
            names = zip(("A-B", "B-A"), self.config.ways, strict=True)
            first, second = (FaultyWay(name, way, self.plan, seed) for name, way in names)
            box = stack.enter_context(fault_box(self.line, (first, second)))
            stack.callback(self._end)
            uris = {
                site: [volume_uri(self.folder, site, n) for n in range(len(images))]
                for site in SITES
            }
            host = Host(self.config, uris, images)
            stack.callback(host.stop)
            deeds = Deeds(self.sites, box, self.note)
            stack.callback(deeds.end)
            try:
                self._trouble(host, deeds)
                self._heal(host, deeds)
                self._judge(host, deeds)
            except Violation as violation:
                return violation
            finally:
                self._count(host, (first, second))
            if box.failure is not None:
                raise box.failure
        return None

    def _make_images(self) -> list[bytes]:
        """Make the sites' disks, with old contents that differ; return the primary's."""
        for site in SITES:
            for number, size_bytes in enumerate(self.config.volumes):
                data = Random(f"{self.config.seed}/disk.{site}.{number}").randbytes(size_bytes)
                image_path(self.folder, site, number).write_bytes(data)
        numbers = range(len(self.config.volumes))
        return [image_path(self.folder, "A", number).read_bytes() for number in numbers]

    def _write_bench(self) -> None:
        text = bench_text(self.folder, self.config, self.line, self._mtu_bytes)
        # In one step: the sites and the auditor read it when they like.
        path = self.folder / "bench.toml"
        path.with_suffix(".new").write_text(text, encoding="utf-8")
        path.with_suffix(".new").rename(path)

    def _trouble(self, host: Host, deeds: Deeds) -> None:
        self._write_bench()
        for site in self.sites.values():
            site.start()
        self._until(lambda: all(s.ready() for s in self.sites.values()), START_NS, deeds, "a start")
        audit = self._audit = AuditProcess(self.folder)
        self._until(audit.listens, START_NS, deeds, "the auditor's start")
        host.start()
        deeds.begin(self.config.deeds)
        with contextlib.suppress(_TimeIsOver):  # a host that still waits is healed too
            self._until(
                lambda: host.finished() and not deeds.busy(), SAFETY_NS_MAX, deeds, "the trouble"
            )

    def _heal(self, host: Host, deeds: Deeds) -> None:
        self.note("heal")
        (self.folder / QUIET_NAME).touch()
        self.plan.quiet = True
        deeds.end()
        self._until(lambda: self._converged(host, deeds), LIVENESS_NS, deeds, "the healing")

    def _converged(self, host: Host, deeds: Deeds) -> bool:
        why = self._why_not(host, deeds)
        if why:
            self._last_reason = why
        return not why

    def _why_not(self, host: Host, deeds: Deeds) -> str:
        if not all(site.ready() for site in self.sites.values()):
            return "a site is not ready"
        statuses: dict[str, Any] = {}
        for name, site in self.sites.items():
            with contextlib.suppress(DualCopyError):
                statuses[name] = site.status()
        for status in statuses.values():
            group = status["groups"][GROUP]
            if group["role"] == "primary" and (group["suspended"] or group["frozen"]):
                deeds.order_primary("run" if group["frozen"] else "resume")
                return "an operator's order is taken back"
        if deeds.forced.is_set() and _forked(statuses):
            # Each site has changes that the other lacks: only a person can choose (R5).
            host.stop()
            return ""
        if not host.finished():
            return "the host still waits"
        if len(statuses) < len(SITES):
            return "a site does not answer"
        return "; ".join(missing(Goal.IDENTICAL, {GROUP: SITES}, statuses))

    # Looking after things.

    def _until(self, reached: Callable[[], bool], limit_ns: int, deeds: Deeds, what: str) -> None:
        end_ns = time.monotonic_ns() + limit_ns
        self._last_reason = ""
        while not reached():
            if time.monotonic_ns() > end_ns:
                raise _TimeIsOver("liveness", f"not at the end of {what}: {self._last_reason}")
            self._look_after(deeds)
            self._pause.wait(POLL_S)

    def _look_after(self, deeds: Deeds) -> None:
        """Start again what died, and do what a person does who reads the status now and then."""
        with deeds.lock:
            for site in self.sites.values():
                self._look_at_process(site)
        if self._audit is not None and self._audit.ended():
            self._judge_audit(self._audit.end())
        if time.monotonic_ns() > self._look_ns:
            self._look_ns = time.monotonic_ns() + LOOK_NS
            for site in self.sites.values():
                self._look_at_status(site, deeds)

    def _look_at_process(self, site: SiteProcess) -> None:
        code = site.ended_by_itself()
        if code is not None:
            faults = site.faults()
            if code != -9 or not faults or faults[-1]["kind"] != "crash":
                text = site.log.read_text(errors="replace").strip().splitlines()[-1:]
                raise Violation("exception", f"site {site.name} ended with {code}: {text}")
            site.crashes += 1
            site.start_ns = time.monotonic_ns() + int(faults[-1]["down_ns"])
        if site.start_ns and time.monotonic_ns() >= site.start_ns:
            self._mtu_bytes[site.name] = self.config.mtu_bytes_later
            self._write_bench()
            site.start()

    def _look_at_status(self, site: SiteProcess, deeds: Deeds) -> None:
        if site.paused or not site.ready():
            return
        with contextlib.suppress(DualCopyError):
            status = site.status()
            broken = [n for n, d in status["devices"].items() if d["state"] == "failed"]
            group = status["groups"][GROUP]
            if broken or (group["role"] == "secondary" and group["state"] == "refused"):
                self.note("restarted", which=site.name, reason=f"{broken or group['reason']}")
                with deeds.lock:
                    site.kill(MILLISECOND_NS)

    # The verdict.

    def _judge(self, host: Host, deeds: Deeds) -> None:
        host.stop()
        if host.failure is not None:
            raise host.failure
        host.truth.relaxed = deeds.forced.is_set()
        if host.truth.relaxed:
            self.remarks.append(
                "a site was promoted by force: neither answered writes nor equal disks are judged"
            )
        primary = deeds.primary()
        if primary is None:
            raise UnavailableError("no site says that it is primary, after both were equal")
        check_whole(
            host.truth,
            lambda number: connect_nbd(volume_uri(self.folder, primary, number)),
            f"at site {primary}",
        )
        assert self._audit is not None, "it was started with the trouble"
        self._judge_audit(self._audit.end())
        for name in (primary, SITES[1 - SITES.index(primary)]):
            code = self.sites[name].stop()
            if code:
                raise Violation("exception", f"site {name} ended with {code} when it was stopped")
        if not host.truth.relaxed:
            self._compare_images()

    def _judge_audit(self, code: int) -> None:
        audit, self._audit = self._audit, None
        assert audit is not None, "an auditor is judged once"
        summary = audit.findings("summary")
        self.figures["audit"] = summary[-1] if summary else {}
        found = audit.findings("violation")
        if found:
            row = found[-1]
            place = f"csn {row['csn']}, track {row['track']} of {row['volume']}"
            raise Violation(str(row["rule"]), f"the auditor: {place}: {row['found']}")
        if code == UnavailableError.exit_code:
            self.remarks.append(f"the auditor had nothing to judge: {audit.log_end()}")
        elif code:
            raise UnavailableError(f"the auditor ended with {code}: {audit.log_end()}")

    def _compare_images(self) -> None:
        for number in range(len(self.config.volumes)):
            one, other = (image_path(self.folder, site, number).read_bytes() for site in SITES)
            if one != other:
                at = next(at for at, (x, y) in enumerate(zip(one, other, strict=True)) if x != y)
                raise Violation("W2", f"the disks of volume {number} differ from byte {at} on")

    def _count(self, host: Host, ways: tuple[FaultyWay, FaultyWay]) -> None:
        self.figures |= {
            "writes": host.answered_writes,
            "reads": host.reads,
            "redone": host.redone,
            "reconnections": host.reconnections,
            "crashes": sum(site.crashes for site in self.sites.values()),
            "line": {way.name: way.as_dict() for way in ways},
        }

    def faults_happened(self) -> list[dict[str, Any]]:
        """Return every fault of the schedule that happened, wherever it did."""
        rows = [{"event": "fault", **fault._asdict()} for fault in self.plan.happened]
        return rows + [row for site in self.sites.values() for row in site.faults()]

    def _end(self) -> None:
        if self._audit is not None:
            self._audit.end()
        for site in self.sites.values():
            site.end()


def _forked(statuses: dict[str, Any]) -> bool:
    return any(status["groups"][GROUP]["state"] == "refused" for status in statuses.values())


class _TimeIsOver(Violation):
    """Something did not come about in its time."""
