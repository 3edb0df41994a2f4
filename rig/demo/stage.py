"""The things that a play needs at hand: folder, line, processes, and patience with limits.

`until` is the only way to wait: it looks after all processes meanwhile, so that one that dies is
told at once, with its log, and not as a time limit later.
"""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from emulator.clock import SECOND_NS
from emulator.errors import TimeLimitError, UnavailableError
from emulator.units import duration_text, size_text
from rig.demo import plan
from rig.demo.bench_file import volume_uri
from rig.demo.children import Child, host_command, site_command
from rig.demo.evidence import Evidence, Refusal
from rig.demo.log import Diary
from rig.demo.progress import Progress
from rig.demo.watch import Sample, Watcher, look
from rig.host.console import ask
from rig.host.nbd_client import connect_nbd
from rig.host.waiting import Goal, missing
from rig.host.write_journal import read_history
from rig.lines.pty_box import PtyBox

Value = TypeVar("Value")
POLL_S = 0.05


class Stage:
    """One run's processes and line; leaving it stops whatever still runs."""

    def __init__(self, evidence: Evidence, progress: Progress, diary: Diary) -> None:
        self.evidence = evidence
        self.folder = evidence.folder
        self.progress = progress
        self.diary = diary
        self.line = PtyBox(evidence.plan.rate_bytes_per_s)
        self.watcher = Watcher({site: self.folder.console(site) for site in plan.SITES})
        self.sites: dict[str, Child] = {}
        self.host: Child | None = None
        self._hosts: list[Child] = []
        self._children: list[Child] = []
        self._pause = threading.Event()
        self._deadline_ns = time.monotonic_ns() + plan.STORY_NS_MAX

    def __enter__(self) -> Self:
        self.watcher.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.watcher.stop()
        try:
            for child in reversed(self._children):
                child.stop()
        except KeyboardInterrupt:
            for child in self._children:
                child.kill()
            raise
        finally:
            self.line.close()
            self._collect()

    def _collect(self) -> None:
        evidence = self.evidence
        evidence.samples = self.watcher.samples
        evidence.host_words = [words for host in self._hosts for words in host.said]
        evidence.endings = [child.ending for child in self._children if child.ending is not None]
        evidence.line = {
            site: way.as_dict() for site, way in zip(plan.SITES, self.line.counters, strict=True)
        }

    # ------------------------------------------------------------------ processes

    def start_site(self, site: str) -> None:
        """Start a site; `until_ready` waits for it."""
        began_ns = self.diary.note("site-started", which=site)
        command = site_command(sys.executable, site, self.folder.bench)
        child = self._started(f"site {site}", command, site)
        self.sites[site] = child
        self.evidence.lives[child.pid] = began_ns

    def until_ready(self, site: str) -> None:
        """Wait until a site that was started listens."""
        self.until(f"site {site} is ready", lambda: self.sites[site].last("ready"))

    def start_host(self, site: str, *more: str, may_finish: bool = False) -> Child:
        """Start the host at a site."""
        self.diary.note("host-started", which=site)
        uri, seed = volume_uri(self.folder, site), self.evidence.plan.seed
        command = host_command(sys.executable, uri, self.folder.writes, seed, *more)
        name = f"the host at site {site}"
        self.host = self._started(name, command, "host", may_finish=may_finish)
        self._hosts.append(self.host)
        return self.host

    def _started(
        self, name: str, command: list[str], log: str, *, may_finish: bool = False
    ) -> Child:
        child = Child(name, command, self.folder.log(log), may_finish=may_finish)
        self._children.append(child)
        return child

    def kill_site(self, site: str) -> int:
        """Kill a site's process at once; return when."""
        child = self.sites[site]
        killed_ns = self.diary.note("site-killed", which=site, pid=child.pid)
        child.kill()
        return killed_ns

    # ------------------------------------------------------------------ waiting

    def until(self, what: str, condition: Callable[[], Value | None]) -> Value:
        """Wait until the condition holds and return its value; look after all processes."""
        begun_ns = time.monotonic_ns()
        limit_ns = min(begun_ns + plan.PATIENCE_NS, self._deadline_ns)
        while not (value := condition()):
            for child in self._children:
                child.check_running()
            now_ns = time.monotonic_ns()
            if now_ns > limit_ns:
                raise TimeLimitError(f"not after {duration_text(now_ns - begun_ns)}: {what}")
            self.progress.now(f"until {what}{self._standing()}")
            self._pause.wait(POLL_S)
        return value

    def hold(self, what: str, length_ns: int) -> None:
        """Let things go on for a while."""
        end_ns = time.monotonic_ns() + length_ns
        self.until(f"{what} for a while", lambda: time.monotonic_ns() >= end_ns)

    def until_goal(self, goal: Goal) -> None:
        """Wait until both sites stand as wanted."""
        groups = {plan.GROUP: plan.SITES}

        def reached() -> bool:
            found = {site: self.look(site) for site in plan.SITES}
            statuses = {site: sample.status for site, sample in found.items() if sample}
            return len(statuses) == len(found) and not missing(goal, groups, statuses)

        self.until(f"both sites are {goal.value}", reached)

    def until_state(self, site: str, state: str) -> Sample:
        """Wait until a site says that its copy is in a state."""

        def reached() -> Sample | None:
            found = self.look(site)
            return found if found is not None and found.group["state"] == state else None

        return self.until(f"site {site} is {state}", reached)

    def _standing(self) -> str:
        for site in plan.SITES:
            sample = self.watcher.latest(site)
            if sample is not None and sample.group["role"] == "primary":
                lag = sample.group["lag"]
                return (
                    f"; {sample.group['state']}, lag {lag['records']} records, "
                    f"{size_text(lag['bytes'])}"
                )
        return ""

    # ------------------------------------------------------------------ looking and asking

    def look(self, site: str) -> Sample | None:
        """Return how a site stands; None while it does not answer."""
        return look(site, self.folder.console(site))

    def see(self, site: str) -> Sample:
        """Return how a site stands that has to answer."""
        return self.until(f"site {site} answers", lambda: self.look(site))

    def acknowledged(self) -> int:
        """Return how many of the host's writes were acknowledged so far."""
        return read_history(self.folder.writes).acknowledged_count

    def hand_over(self, target: str) -> None:
        """Order the primary to hand its role to the other site."""
        source = next(site for site in plan.SITES if site != target)
        timeout_s = plan.PATIENCE_NS / SECOND_NS
        ask(
            self.folder.console(source),
            "role",
            timeout_s=timeout_s,
            group=plan.GROUP,
            primary=target,
        )

    def try_write(self, site: str, when: str) -> Refusal:
        """Write at a site that should refuse, and keep what it answers."""
        answer = ""
        uri = volume_uri(self.folder, site)
        try:
            with connect_nbd(uri) as volume:
                volume.write(plan.FILE_SYSTEM_BYTES, b"\xff" * plan.BLOCK_BYTES)
        except UnavailableError as error:
            answer = str(error).removeprefix(f"{uri}: ")
        refusal = Refusal(site, when, answer)
        self.evidence.refusals.append(refusal)
        return refusal

    def final_statuses(self) -> dict[str, Any]:
        """Return both sites' statuses, for the record."""
        return {site: dict(self.see(site).status) for site in plan.SITES}
