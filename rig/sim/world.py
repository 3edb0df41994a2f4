"""A whole simulated world: first everything goes wrong, then everything must come right again.

The safety phase runs hosts, faults and deeds. The liveness phase ends all faults, heals the line,
starts what is down, ends what operators have held, and gives the sites a bounded time to become
equal.
"""

from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Any

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.copy.states import PairState, Role
from emulator.node.guard import StoreState
from rig.faults.plan import Fault, Plan
from rig.sim.accounts import balance, spending
from rig.sim.config import WorldConfig
from rig.sim.deeds import Deeds
from rig.sim.history import Images
from rig.sim.host import Host
from rig.sim.line import Way
from rig.sim.rescue import look
from rig.sim.scheduler import Scheduler
from rig.sim.shape import GROUP
from rig.sim.site import Site
from rig.sim.violation import Violation
from rig.sim.watch import Watch

# The safety phase ends after this, even if a host still waits.
SAFETY_NS_MAX = 120 * SECOND_NS
# Time to become equal again: some timers of the link and a copy of everything, on a slow line.
LIVENESS_NS = 90 * SECOND_NS
EVENTS_MAX = 400_000
OPERATOR_NS = 1_700 * MILLISECOND_NS
RESCUES = 2
"""How often a run looks at what each site would find if it lost power now."""
LOOK_NS = 50 * MILLISECOND_NS


class World:
    """Two sites, a host, a line between the sites."""

    def __init__(self, config: WorldConfig, faults: Iterable[Fault] | None = None) -> None:
        seed = config.seed
        self.config = config
        self.plan = Plan(faults)
        self.scheduler = Scheduler(Random(f"{seed}/order"))
        self.watch = Watch()
        self.ways = [
            Way(name, way, self.scheduler, self.plan, seed)
            for name, way in zip(("A-B", "B-A"), config.ways, strict=True)
        ]
        self.sites = [
            Site(name, config, hardware, self.scheduler, self.plan, way, self.watch)
            for name, hardware, way in zip("AB", config.sites, self.ways, strict=True)
        ]
        for site in self.sites:
            self.watch.add(site)
            site.crashed = self._crashed
            for number, disk in enumerate(site.disks):
                disk.spoiled = partial(self.watch.silent_damage, number)
        for way, near, far in zip(self.ways, self.sites, reversed(self.sites), strict=True):
            way.arrive, way.reflect = far.arrive, near.arrive
        self.liveness = False
        self.liveness_began_ns = 0
        self.crashes = 0
        self.steps: dict[str, int] = {}
        """How many operations each place has counted when the world began to heal."""
        self._starts: dict[str, int] = {}
        for site in self.sites:
            site.boot()
        self.host = Host(config, self.scheduler, Random(f"{seed}/host"), list(self.sites))
        self.watch.host = self.host
        self.host.unknown = self.watch.unknown
        scheduler = self.scheduler
        self.deeds = Deeds(self.sites, self.ways, scheduler)
        scheduler.after(OPERATOR_NS, self._operator_looks)
        self._rescue_dice = Random(f"{seed}/rescue")
        self._rescues = 0
        self._rescue_ns = max(SECOND_NS, config.writes * config.think_ns) // RESCUES
        scheduler.after(self._rescue_ns // 2, self._rescue)
        for deed in config.deeds:
            scheduler.at(deed.time_ns, self.deeds.action(deed))

    # Crashes.

    def _crashed(self, site: Site, _pattern: int, down_ns: int, _power: bool) -> None:  # noqa: FBT001
        self.crashes += 1
        self.watch.mark("crash")
        self.host.site_died(site)
        self._start_later(site, down_ns)

    def _start_later(self, site: Site, wait_ns: int) -> None:
        serial = self._starts[site.name] = self._starts.get(site.name, 0) + 1

        def start() -> None:
            if not site.running and self._starts[site.name] == serial:
                site.boot()

        self.scheduler.after(wait_ns, start)

    # Looking.

    def _rescue(self) -> None:
        """Look now and then at what each site would find if it lost power."""
        dice = self._rescue_dice
        self._rescues += 1
        if self.liveness or self._rescues > RESCUES:
            return
        for site in self.sites:
            if site.ready:
                look(self.watch, site, dice.getrandbits(16))
        self.scheduler.after(int(self._rescue_ns * (0.5 + dice.random())), self._rescue)

    # The run.

    def run(self) -> None:
        """Run both phases; raise Violation at the first rule that does not hold."""
        try:
            last_ns = max((deed.ends_ns() for deed in self.config.deeds), default=0)
            self._until(
                lambda: self.host.finished() and self.scheduler.now_ns > last_ns, SAFETY_NS_MAX
            )
            self._until(lambda: False, self.scheduler.now_ns + self.config.rest_ns)
            self._heal()
            self._until(self.converged, self.scheduler.now_ns + LIVENESS_NS)
            if not self.converged():
                raise Violation("liveness", self._why_not())
            self._final()
        except Violation as violation:
            violation.time_ns = self.scheduler.now_ns
            raise

    def _until(self, reached: Callable[[], bool], limit_ns: int) -> None:
        scheduler = self.scheduler
        while scheduler.now_ns < limit_ns and not reached():
            look_ns = min(scheduler.now_ns + LOOK_NS, limit_ns)
            if not scheduler.run_to(look_ns, EVENTS_MAX):
                return
            if scheduler.events > EVENTS_MAX:
                raise Violation("resources", f"{scheduler.events} events: {self._why_not()}")

    def _heal(self) -> None:
        self.liveness = True
        self.steps = {place.name: place.number for place in self.plan.places}
        self.liveness_began_ns = self.scheduler.now_ns
        self.plan.quiet = True
        self.deeds.over = True
        self.deeds.cut("both", cut=False)
        self.deeds.carrier_back()
        for site in self.sites:
            for disk in site.disks:
                disk.heal()
            site.pause(paused=False)
            if not site.running:
                self._start_later(site, MILLISECOND_NS)

    def _operator_looks(self) -> None:
        """Do what a person does who reads the status now and then."""
        for site in self.sites:
            if site.ready:
                self.watch.said(site, self._status(site)["groups"][GROUP])
                self._look_after(site)
            elif site.running:
                # A start waits for ever for a disk whose flush has failed: its cache is full.
                self._restart_if_broken(site)
        self.scheduler.after(OPERATOR_NS, self._operator_looks)

    def _restart_if_broken(self, site: Site) -> bool:
        if not site.processor.destage.broken_devices():
            return False
        self.watch.mark("restarted for a broken disk")
        # With the power gone, nothing is left of what the disk has refused to flush.
        site.crash(0, MILLISECOND_NS, power=True)
        return True

    def _look_after(self, site: Site) -> None:
        if self._restart_if_broken(site):
            return
        if site.group.stopped:
            self.watch.mark("restarted for a spoilt record")
            site.crash(1, MILLISECOND_NS, power=False)
            return
        if self.liveness:
            self.deeds.new_battery(site)
        if self.liveness and site.primary():
            for key in site.processor.mending.damaged:
                self.host.write_anew(key >> TRACK_BITS, key & TRACK_MASK)
            if site.group.suspended:
                site.order(verb="resume", group=GROUP)
            if site.group.frozen:
                site.order(verb="run", group=GROUP)

    def converged(self) -> bool:
        """Return whether the sites are equal and at rest."""
        return not self._why_not()

    def _why_not(self) -> str:
        if not all(site.ready for site in self.sites):
            return "a site is not ready"
        if any(site.processor.guard.state is not StoreState.GOOD for site in self.sites):
            return "a battery has failed"
        if self._parted():
            settled = all(site.processor.settled() for site in self.sites)
            return "" if settled else "tracks are not yet on the disks"
        if not self.host.finished():
            return "the host still waits"
        primaries = [site for site in self.sites if site.group.role is Role.PRIMARY]
        secondaries = [site for site in self.sites if site.group.role is Role.SECONDARY]
        if len(primaries) != 1 or len(secondaries) != 1:
            return f"roles are {[site.group.role.value for site in self.sites]}"
        ours, theirs = primaries[0].group, secondaries[0].group
        if ours.state is not PairState.DUPLEX or theirs.state is not PairState.DUPLEX:
            return (
                f"the primary is {ours.state.value} ({ours.reason}), "
                f"the secondary {theirs.state.value} ({theirs.reason})"
            )
        if not ours.csn == ours.stream.acked.csn == theirs.stream.acked.csn:
            return (
                f"csn {ours.csn}, confirmed {ours.stream.acked.csn}, "
                f"applied {theirs.stream.acked.csn}"
            )
        if not all(site.processor.settled() for site in self.sites):
            return "tracks are not yet on the disks"
        return ""

    def _parted(self) -> bool:
        """Return whether the sites refuse each other with reason, until an operator decides (R5).

        A primary that lost the end of its journal may not be able to prove that the other site
        is behind it: where epochs ended is lost as well. Hosts go on at each primary, unless its
        group is to hold them without a copy.
        """
        groups = [site.group for site in self.sites]
        one_primary = sorted(group.role.value for group in groups) == ["primary", "secondary"]
        return (
            any(group.state is PairState.REFUSED for group in groups)
            and all(group.consistent for group in groups)
            and (self.watch.tail_losses > 0 if one_primary else self.watch.forced)
            and (self.host.finished() or self.config.on_link_loss == "hold")
        )

    def _final(self) -> None:
        """Everything is equal: on the disks too, and in what the sites say (V1, V2, V3)."""
        balance(self.sites, self.ways, self.watch.disk_failures)
        faults = sum(1 for fault in self.plan.happened if fault.place.startswith("line."))
        for site, way in zip(self.sites, self.ways, strict=True):
            spending(site, way, faults)
        parted = self._parted()
        for site in self.sites:
            group = site.group
            expected = self.watch.contents(site)
            if expected is None:
                raise Violation("V2", f"{site.name} is duplex and not consistent")
            self._final_disks(site, expected)
            status = self._status(site)
            said = status["groups"][GROUP]
            if parted:
                self.watch.mark("refused until somebody decides")
                if said["guarantee"].startswith("DUPLEX-"):
                    raise Violation("V1", f"{site.name} is refused, says {said['guarantee']!r}")
                continue
            if any(said["lag"].values()) or said["copy"]["dirty_tracks"]:
                raise Violation("V3", f"{site.name} is idle and says {said['lag']}")
            if group.role is Role.PRIMARY and not said["guarantee"].startswith("DUPLEX-"):
                raise Violation("V1", f"{site.name} is duplex and promises {said['guarantee']!r}")

    def _final_disks(self, site: Site, expected: Images) -> None:
        unknown = self.watch.unknown
        for number, (disk, image) in enumerate(zip(site.disks, expected, strict=True)):
            if disk.durable == image:
                continue
            for start in range(0, len(image), TRACK_BYTES):
                end = start + TRACK_BYTES
                track = start // TRACK_BYTES
                known = (number, track) not in unknown and track not in disk.damaged
                if known and disk.durable[start:end] != image[start:end]:
                    raise Violation("W2", f"disk {number} of {site.name} is not what it must be")

    def _status(self, site: Site) -> dict[str, Any]:
        answers = site.order(verb="status")
        found: dict[str, Any] = answers[0]["result"]
        return found
