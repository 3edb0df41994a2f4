"""Two whole cache processors, a bad line and two crash-prone machines, in virtual time.

`Site` drives a processor as `node/runtime.py` does, with a nonvolatile store and disks in memory
that take their time, answer in their own order, and lose what is not safe when the site crashes.
Everything is drawn from one seed, and nothing waits.
"""

import heapq
import random
from collections.abc import Callable

from emulator.clock import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS
from emulator.nvs.areas import (
    RING_START,
)
from tests.node.site import MTU_BYTES, PAIR, SECTOR, SIZES, Medium, Site, site_config

__all__ = ["PAIR", "SECTOR", "SIZES", "Site", "World", "site_config"]


class World:
    """Both sites, the line between them, and the clock."""

    def __init__(
        self, seed: object, *, loss: float = 0.0, slow_ns: int = 0, ring_bytes=704_000, **changes
    ) -> None:
        self.sizes: dict[str, int] = changes.get("sizes", SIZES)
        base: dict[str, bytes] = changes.pop("base", {})
        self.seed = seed
        self.ring_bytes = ring_bytes
        self.dice = random.Random(f"world/{seed}")
        self.now_ns = 1000 * SECOND_NS
        self.loss = loss
        self.slow_ns = slow_ns or 300 * MICROSECOND_NS
        self.delay_ns = 200 * MICROSECOND_NS
        self.line_up = True
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0
        self._wake_ns: dict[str, int] = {}
        self.steps = 0
        self.after_step: Callable[[], None] = lambda: None
        self.sites: dict[str, Site] = {}
        for name in PAIR:
            contents = [
                base.get(volume) or self.dice.randbytes(size) for volume, size in self.sizes.items()
            ]
            disks = [Medium(0, data) for data in contents]
            config = site_config(name, **changes)
            self.sites[name] = Site(self, config, Medium(RING_START + ring_bytes), disks)
        self.a, self.b = self.sites.values()

    def start(self) -> "World":
        for site in self.sites.values():
            self.boot(site)
        self.run(lambda: all(site.serving for site in self.sites.values()))
        return self

    def boot(self, site: Site) -> None:
        site.boot()
        self.wake_soon(site, self.now_ns)

    def at(self, at_ns: int, job: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (at_ns, self._serial, job))

    def wake_soon(self, site: Site, at_ns: int | None) -> None:
        """Turn a site at a time, or when its processor says."""
        due_ns = site.processor.next_deadline_ns() if at_ns is None else at_ns
        self._wake_ns[site.config.name] = due_ns

    # The line.

    def carry(self, sender: Site, packets: list[bytes]) -> None:
        other = self.sites[PAIR[sender.config.name]]
        for packet in packets:
            if not self.line_up or self.dice.random() < self.loss:
                continue
            late_ns = self.delay_ns + self.dice.randrange(self.delay_ns)

            def arrive(packet=packet) -> None:
                if other.alive and self.line_up:
                    other.packets.append(packet)
                    self.wake_soon(other, self.now_ns)

            self.at(self.now_ns + late_ns, arrive)

    def cut(self, *, silent: bool = False) -> None:
        self.line_up = False
        for site in self.sites.values():
            if site.serving and not silent:
                site.processor.links["A-B"].lost(self.now_ns, "cut")

    def heal(self) -> None:
        self.line_up = True
        for site in self.sites.values():
            if site.serving:
                site.processor.links["A-B"].lost(self.now_ns, "reopened")
                site.processor.links["A-B"].opened(self.now_ns, MTU_BYTES, None)
                self.wake_soon(site, self.now_ns)

    # Time.

    def step(self) -> None:
        """Go to the next instant at which something happens, and let it happen."""
        times = [self._heap[0][0]] if self._heap else []
        times += [self._wake_ns[name] for name, site in self.sites.items() if site.alive]
        assert times, f"seed {self.seed}: nothing will ever happen"
        # A turn takes a little time itself, so that two sites cannot spin in one instant.
        self.now_ns = max(self.now_ns + 5 * MICROSECOND_NS, min(times))
        while self._heap and self._heap[0][0] <= self.now_ns:
            heapq.heappop(self._heap)[2]()
        for name, site in self.sites.items():
            if site.alive and self._wake_ns[name] <= self.now_ns:
                site.turn()
        self.steps += 1
        self.after_step()

    def run(self, until: Callable[[], bool], limit_ms: float = 60_000) -> None:
        """Go on until something holds, and fail if it does not within virtual time."""
        limit_ns = self.now_ns + int(limit_ms * MILLISECOND_NS)
        while not until():
            assert self.now_ns < limit_ns, f"seed {self.seed}: not within {limit_ms} ms"
            self.step()

    def rest(self, for_ms: float) -> None:
        end_ns = self.now_ns + int(for_ms * MILLISECOND_NS)
        self.at(end_ns, lambda: None)
        while self.now_ns < end_ns:
            self.step()
