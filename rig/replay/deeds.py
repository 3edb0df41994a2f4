"""What a schedule does to real sites and their line from outside: kill -9, cuts, pauses, orders.

Each deed has a thread that waits for its time, does it, and takes it back. What only a simulator
can do is known before the run, by name, and is counted and never left out in silence.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from emulator.clock import SECOND_NS
from emulator.errors import DualCopyError
from rig.faults.plan import Fault
from rig.host.console import ask
from rig.lines.fault_box import FaultBox
from rig.lines.faulty_way import KINDS
from rig.replay.medium import GROUP, SITES
from rig.replay.parts import DISK_KINDS
from rig.replay.process import SiteProcess
from rig.sim.config import Deed, WorldConfig

ROLE_NS: Final = 2 * SECOND_NS
RETRY_S: Final = 0.2
ORDER_S: Final = 20.0
DEEDS: Final = ("crash", "cut", "carrier", "pause", "role", "force", "suspend", "freeze")
Note = Callable[..., None]


def beyond(faults: list[Fault] | None, config: WorldConfig) -> Counter[str]:
    """Return what of a schedule no real line can do, by name, and how often it is asked for."""
    found: Counter[str] = Counter()
    for fault in faults or ():
        kinds = {"line": KINDS, "nvs": ("crash",), "disk": DISK_KINDS}
        if fault.kind not in kinds.get(fault.place.split(".")[0], ()):
            found[f"{fault.place}: {fault.kind}"] += 1
    for deed in config.deeds:
        if deed.do not in DEEDS:
            found[f"deed: {deed.do}"] += 1
    return found


def done_otherwise(faults: list[Fault] | None, config: WorldConfig) -> Counter[str]:
    """Return what a real bench does in another way than the simulator, by name."""
    found: Counter[str] = Counter()
    power = "loss of power: as kill -9, which leaves what the system has taken"
    for fault in faults or ():
        if fault.place.startswith("nvs.") and fault.kind == "crash":
            found[power] += 1
    for deed in config.deeds:
        if deed.do == "crash" and deed.figures[0]:
            found[power] += 1
        elif deed.do == "carrier":
            found["loss of carrier: as a line that is cut, without a word to the sites"] += 1
    return found


class Deeds:
    """Carries deeds out until the world heals."""

    def __init__(self, sites: dict[str, SiteProcess], box: FaultBox, note: Note) -> None:
        self.forced = threading.Event()
        self._sites = sites
        self._box = box
        self._note = note
        self._over = threading.Event()
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []

    @property
    def lock(self) -> threading.RLock:
        """Held by whoever starts and ends processes."""
        return self._lock

    def begin(self, deeds: tuple[Deed, ...]) -> None:
        """Start the clock of every deed."""
        began_ns = time.monotonic_ns()
        for deed in deeds:
            if deed.do in DEEDS:
                thread = threading.Thread(target=self._run, args=(deed, began_ns), daemon=True)
                thread.start()
                self._threads.append(thread)

    def busy(self) -> bool:
        """Return whether a deed is still to be done or taken back."""
        return any(thread.is_alive() for thread in self._threads)

    def end(self) -> None:
        """Do nothing more, and take back what was done."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * ORDER_S)

    def _run(self, deed: Deed, began_ns: int) -> None:
        if self._wait(began_ns + deed.time_ns - time.monotonic_ns()):
            self._note("deed", do=deed.do, target=deed.target, for_ns=deed.for_ns)
            getattr(self, f"_do_{deed.do}")(deed)

    def _wait(self, wait_ns: int) -> bool:
        """Wait; return False if everything is over."""
        return not self._over.wait(max(0, wait_ns) / SECOND_NS)

    def _do_crash(self, deed: Deed) -> None:
        with self._lock:
            self._sites[deed.target].kill(deed.for_ns)

    def _do_cut(self, deed: Deed) -> None:
        self._box.cut(deed.target)
        self._wait(deed.for_ns)
        self._box.cut(deed.target, cut=False)

    def _do_carrier(self, deed: Deed) -> None:
        self._do_cut(replace(deed, target="both"))

    def _do_pause(self, deed: Deed) -> None:
        site = self._sites[deed.target]
        with self._lock:
            site.pause(paused=True)
        self._wait(deed.for_ns)
        with self._lock:
            site.pause(paused=False)

    def _do_suspend(self, deed: Deed) -> None:
        self.order_primary("suspend")
        self._wait(deed.for_ns)
        self.order_primary("resume")

    def _do_freeze(self, deed: Deed) -> None:
        self.order_primary("freeze")
        self._wait(deed.for_ns)
        self.order_primary("run")

    def _do_force(self, deed: Deed) -> None:
        if self._order(deed.target, "role", primary=deed.target, force="a drill"):
            self.forced.set()

    def _do_role(self, deed: Deed) -> None:
        """Order it again until it is done: an operator waits until the pair is duplex."""
        limit_ns = time.monotonic_ns() + deed.for_ns + ROLE_NS
        other = SITES[1 - SITES.index(deed.target)]
        if deed.figures:
            victim, wait_ns = deed.figures
            killer = threading.Thread(target=self._die_soon, args=(victim, wait_ns), daemon=True)
            killer.start()
        while time.monotonic_ns() < limit_ns and not self._over.is_set():
            if self.primary() == deed.target or self._order(other, "role", primary=deed.target):
                return
            self._over.wait(RETRY_S)

    def _die_soon(self, victim: int, wait_ns: int) -> None:
        if self._wait(wait_ns):
            with self._lock:
                self._sites[SITES[victim]].kill(wait_ns)

    # Orders.

    def order_primary(self, verb: str) -> bool:
        """Give an order to whichever site is primary; return whether it was taken."""
        site = self.primary()
        return site is not None and self._order(site, verb)

    def primary(self) -> str | None:
        """Return which site says that it is primary."""
        for name, site in self._sites.items():
            with contextlib.suppress(DualCopyError):
                if not site.paused and site.status()["groups"][GROUP]["role"] == "primary":
                    return name
        return None

    def _order(self, site: str, verb: str, **words: str) -> bool:
        if self._sites[site].paused:
            return False
        try:
            ask(self._sites[site].console, verb, timeout_s=ORDER_S, group=GROUP, **words)
        except DualCopyError as error:
            self._note("order-refused", verb=verb, which=site, reason=str(error))
            return False
        return True
