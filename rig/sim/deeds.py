"""What is done to a simulated world from outside: power cuts, cut lines, orders of operators."""

from collections.abc import Callable

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.copy.states import Role
from emulator.node.guard import StoreState
from rig.sim.config import Deed
from rig.sim.line import Way
from rig.sim.old_images import swap
from rig.sim.scheduler import Scheduler
from rig.sim.shape import GROUP
from rig.sim.site import Site

# An operator who was told to wait gives the order again, for a while.
ROLE_NS = 2 * SECOND_NS
ROLE_RETRY_NS = 200 * MILLISECOND_NS


class Deeds:
    """Carries deeds out, as long as the world has not begun to heal."""

    def __init__(self, sites: list[Site], ways: list[Way], scheduler: Scheduler) -> None:
        self.sites = sites
        self.ways = ways
        self.scheduler = scheduler
        self.over = False

    def action(self, deed: Deed) -> Callable[[], None]:
        """Return what carries a deed out, unless it comes too late."""

        def do() -> None:
            if not self.over:
                getattr(self, f"_do_{deed.do}")(deed)

        return do

    def _later(self, deed: Deed, action: Callable[[], None]) -> None:
        def do() -> None:
            if not self.over:
                action()

        self.scheduler.after(deed.for_ns, do)

    def _site(self, name: str) -> Site:
        return self.sites["AB".index(name)]

    def _do_crash(self, deed: Deed) -> None:
        power, pattern = deed.figures
        for site in self.sites if deed.target == "both" else [self._site(deed.target)]:
            site.crash(pattern, deed.for_ns, power=bool(power))

    def _do_clock(self, deed: Deed) -> None:
        self._site(deed.target).clock_jumps(deed.for_ns)

    def _do_battery(self, deed: Deed) -> None:
        entries, pattern = deed.figures
        self._site(deed.target).lose_battery(entries, pattern, deed.for_ns)

    def _do_alarm(self, deed: Deed) -> None:
        """Tell a site that its battery has failed, and later that there is a new one."""
        site = self._site(deed.target)
        if site.ready and not site.paused and site.nvs.hardware.battery:
            site.watch.mark("battery failed")
            site.order(verb="battery", state="failed")
            self._later(deed, lambda: self.new_battery(site))

    def _do_gone(self, deed: Deed) -> None:
        """Pull the cable of a disk, and put it in again."""
        disks = self._site(deed.target).disks
        disk = disks[deed.figures[0] % len(disks)]
        disk.gone = True

        def back() -> None:
            disk.gone = False

        self._later(deed, back)

    def _do_old(self, deed: Deed) -> None:
        """Stop a site; whoever starts it again has put an old copy of a disk in its place."""
        site = self._site(deed.target)
        site.crash(0, deed.for_ns, power=False)
        swap(site, deed.figures[0])

    def new_battery(self, site: Site) -> None:
        """Tell a site that its battery is good again."""
        if site.ready and site.processor.guard.state is StoreState.BATTERY_FAILED:
            site.order(verb="battery", state="restored")

    def _do_force(self, deed: Deed) -> None:
        """Promote a secondary without asking its primary, as when that seems to be lost."""
        site = self._site(deed.target)
        if site.ready and not site.paused and site.group.role is Role.SECONDARY:
            site.watch.forced = True
            site.order(verb="role", group=GROUP, primary=site.name, force="a drill")

    def _do_cut(self, deed: Deed) -> None:
        self.cut(deed.target, cut=True)
        self._later(deed, lambda: self.cut(deed.target, cut=False))

    def cut(self, target: str, *, cut: bool) -> None:
        """Cut ways of the line, or join them again."""
        for way in self.ways:
            if target in (way.name, "both"):
                way.cut = cut

    def _do_carrier(self, deed: Deed) -> None:
        for site in self.sites:
            if site.carrier:
                site.carrier_lost()
        self._later(deed, self.carrier_back)

    def carrier_back(self) -> None:
        """Have the line again at both ends."""
        for site in self.sites:
            if not site.carrier:
                site.carrier_back()

    def _do_pause(self, deed: Deed) -> None:
        site = self._site(deed.target)
        site.pause(paused=True)
        self._later(deed, lambda: site.pause(paused=False))

    def _do_role(self, deed: Deed) -> None:
        self._hand_over(deed.target, self.scheduler.now_ns + deed.for_ns + ROLE_NS, deed.figures)

    def _hand_over(self, target: str, limit_ns: int, victim: tuple[int, ...]) -> None:
        """Order it again until it is done: an operator waits until the pair is duplex."""
        for site in self.sites:
            if site.primary() and site.name != target and not site.paused:
                answers = site.order(verb="role", group=GROUP, primary=target)
                if victim and not answers:
                    # It is under way: the site that is to die does so in the middle of it.
                    self._die_soon(self.sites[victim[0]], victim[1])
                    return
                if self.scheduler.now_ns < limit_ns:
                    self.scheduler.after(
                        ROLE_RETRY_NS, lambda: self._hand_over(target, limit_ns, victim)
                    )

    def _die_soon(self, site: Site, wait_ns: int) -> None:
        def die() -> None:
            if not self.over:
                site.crash(0, wait_ns, power=True)

        self.scheduler.after(wait_ns, die)

    def _do_suspend(self, deed: Deed) -> None:
        self._order_primary("suspend")
        self._later(deed, lambda: self._order_primary("resume"))

    def _do_freeze(self, deed: Deed) -> None:
        self._order_primary("freeze")
        self._later(deed, lambda: self._order_primary("run"))

    def _order_primary(self, verb: str) -> None:
        for site in self.sites:
            if site.primary() and not site.paused:
                site.order(verb=verb, group=GROUP)
