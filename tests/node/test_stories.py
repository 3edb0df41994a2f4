"""Random stories of two sites: writes, cuts, crashes and changed roles, judged by an oracle."""

import random
from typing import ClassVar

import pytest

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy import group, primary
from emulator.copy.levels import AckLevel, OnLinkLoss
from emulator.copy.states import PairState, Role
from emulator.record import epoch
from tests.node.history import History, Host
from tests.node.world import PAIR, SIZES, Site, World

pytestmark = pytest.mark.sources

SIZE = list(SIZES.values())
ACTS = 60


class Story:
    """One seed's life of two sites."""

    history_kind = History
    world_keys: ClassVar[dict] = {}

    def __init__(self, seed: int) -> None:
        dice = self.dice = random.Random(f"story/{seed}")
        ack = dice.choice(
            [AckLevel.NVS, AckLevel.NVS, AckLevel.REMOTE_NVS, AckLevel.REMOTE_APPLIED]
        )
        policy = OnLinkLoss.CONTINUE if dice.random() < 0.85 else OnLinkLoss.HOLD
        self.world = World(
            seed,
            loss=dice.choice([0, 0, 0.02, 0.1]),
            slow_ns=dice.choice([50_000, 300_000, 3_000_000]),
            ring_bytes=dice.choice([520_000, 704_000, 1 << 21]),
            ack=ack,
            on_link_loss=policy,
            **self.world_keys,
        )
        self.history = self.history_kind(self.world)
        self.world.after_step = self.invariants
        self.world.start()
        self.host = self.new_host(self.world.a)
        self.frozen = False
        self.trail: list[str] = []

    def new_host(self, site: Site) -> Host:
        return Host(self.history, site)

    @property
    def primary(self) -> Site | None:
        for site in self.world.sites.values():
            if site.alive and site.serving and site.group.role is Role.PRIMARY:
                return site
        return None

    def say(self, text: str) -> None:
        self.trail.append(f"{self.world.now_ns / 1e6:.3f} {text}")

    # Acts.

    def write(self) -> None:
        dice = self.dice
        volume = dice.randrange(2)
        kind = dice.random()
        if kind < 0.4:
            tracks = dice.choice([1, 1, 1, 2, 5])
            offset = dice.randrange(SIZE[volume] // TRACK_BYTES - tracks) * TRACK_BYTES
            length = tracks * TRACK_BYTES
        elif kind < 0.8:
            length = dice.randrange(1, 6000)
            offset = dice.randrange(SIZE[volume] - length)
        elif kind < 0.9:
            length = dice.randrange(1, SIZE[volume])
            offset = dice.randrange(SIZE[volume] - length)
        else:
            length = dice.choice([700, 4096, 9000, 40_000])
            self.host.zero(volume, dice.randrange(SIZE[volume] - length), length)
            return
        data = (
            dice.randbytes(length) if dice.random() < 0.7 else bytes([dice.randrange(3)]) * length
        )
        self.host.write(volume, offset, data)

    def read(self) -> None:
        volume = self.dice.randrange(2)
        length = self.dice.choice([1, 512, 5000, 30_000])
        self.host.read(volume, self.dice.randrange(SIZE[volume] - length), length)

    def crash(self) -> None:
        site = self.dice.choice(list(self.world.sites.values()))
        if not site.serving:
            return
        self.check_ghost()
        self.say(f"fuse {site.config.name}")
        site.fuse = self.dice.randrange(1, 12)
        try:
            self.world.run(lambda: not site.alive, limit_ms=600)
        except AssertionError:
            site.crash(power=self.dice.random() < 0.5)
        self.say(f"dead {site.config.name}")
        self.host.open.clear() if site is self.host.site else None
        if self.dice.random() < 0.6:
            self.world.rest(self.dice.choice([0.1, 5, 60]))
        self.revive(site)

    def revive(self, site: Site) -> None:
        self.say(f"boot {site.config.name}")
        self.world.boot(site)
        self.world.run(lambda: site.serving)
        if site.group.role is Role.PRIMARY:
            self.history.check_primary(site)
        else:
            self.history.check_secondary(site)
        if site is self.host.site:
            self.history.hosts.remove(self.host)
            self.host = self.new_host(site)

    def check_ghost(self) -> None:
        primary = self.primary
        if primary is None:
            return
        self.history.remote_csn = (
            max(self.history.remote_csn, primary.group.stream.acked.csn)
            if primary.group.state is PairState.DUPLEX
            else self.history.remote_csn
        )
        other = self.world.sites[PAIR[primary.config.name]]
        if not other.serving:
            return
        ghost = other.ghost(power=self.dice.random() < 0.5)
        self.history.check_secondary(ghost)
        self.history.check_sync(primary, ghost)

    def cut(self) -> None:
        self.say("cut")
        self.world.cut(silent=self.dice.random() < 0.3)
        for _ in range(self.dice.choice([0, 3, 25])):
            self.write_some()
        self.world.rest(self.dice.choice([0.1, 10, 800]))
        if self.dice.random() < 0.3:
            self.crash()
        self.say("heal")
        self.world.heal()

    def write_some(self) -> None:
        for _ in range(self.dice.randrange(1, 6)):
            if self.primary is not self.host.site or len(self.host.open) > 40:
                break
            if self.primary.processor.pacing.paused(self.world.now_ns):
                break
            self.write()
        self.world.rest(self.dice.random())

    def burst(self) -> None:
        """Write more than the journal holds, mostly while the line is down."""
        down = self.dice.random() < 0.7
        self.say(f"burst, line {'down' if down else 'up'}")
        if down:
            self.world.cut(silent=self.dice.random() < 0.3)
        for _ in range(self.dice.randrange(6, 20)):
            if self.primary is self.host.site and len(self.host.open) < 40:
                volume = self.dice.randrange(2)
                length = self.dice.choice([30_000, 60_000, SIZE[volume]])
                offset = self.dice.randrange(SIZE[volume] - length + 1)
                if self.dice.random() < 0.1:
                    self.host.zero(volume, 0, SIZE[volume])
                elif not self.primary.processor.pacing.paused(self.world.now_ns):
                    self.host.write(volume, offset, self.dice.randbytes(length))
            self.world.rest(self.dice.random() * 10)
        if down:
            self.world.heal()

    def break_disk(self) -> None:
        """Let a disk refuse everything for a while (X7, X16)."""
        site = self.dice.choice(list(self.world.sites.values()))
        self.say(f"disk of {site.config.name} refuses")
        site.broken[self.dice.randrange(2)] = None
        for _ in range(self.dice.randrange(1, 6)):
            self.write_some()
            if self.primary is self.host.site:
                self.read()
        self.world.rest(self.dice.choice([1, 100, 2500]))
        site.broken.clear()

    def freeze(self) -> None:
        if (site := self.primary) is None:
            return
        site.group.frozen = True
        self.write_some()
        self.world.rest(self.dice.random() * 3)
        if site.alive:
            site.pair.thaw()

    def suspend(self) -> None:
        if (site := self.primary) is None:
            return
        self.say("suspend")
        site.pair.suspend()
        self.write_some()
        if self.primary is site:
            site.pair.resume()

    def hand_over(self) -> None:
        site = self.primary
        if site is None or site.group.state is not PairState.DUPLEX:
            return
        self.say("hand over")
        answers: list[str | None] = []
        site.pair.hand_over(answers.append)
        if self.dice.random() < 0.3:
            self.write_some()
        if self.dice.random() < 0.3:
            self.crash()
        elif self.dice.random() < 0.3:
            self.cut()
        self.settle_role()

    def settle_role(self) -> None:
        """Wait for a primary, and let the host use it."""
        self.world.line_up or self.world.heal()
        self.world.run(lambda: self.primary is not None, limit_ms=20_000)
        if self.primary is not self.host.site:
            self.say(f"primary is {self.primary.config.name}")
            self.history.hosts.remove(self.host)
            self.host = self.new_host(self.primary)

    # The whole.

    def run(self) -> None:
        acts = [
            (self.write_some, 50),
            (self.read, 15),
            (self.check_ghost, 4),
            (self.crash, 4),
            (self.cut, 4),
            (self.burst, 2),
            (self.break_disk, 1),
            (self.freeze, 2),
            (self.suspend, 1),
            (self.hand_over, 2),
            (lambda: self.host.flush(0), 3),
            (lambda: self.world.rest(self.dice.random() * 40), 10),
        ]
        for _ in range(ACTS):
            self.dice.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()
            if self.primary is not self.host.site:
                self.settle_role()
        self.converge()

    def invariants(self) -> None:
        primaries = [
            s for s in self.world.sites.values() if s.alive and s.group.role is Role.PRIMARY
        ]
        assert len(primaries) <= 1, self.history.say("two primaries (R1)")
        for site in self.world.sites.values():
            if not site.alive:
                continue
            cache = site.processor.cache
            for volume in range(2):
                lsns = [
                    *cache._oldest_lsn[volume].values(),
                    *(lsn for key, lsn in cache._writing_lsn.items() if key >> 40 == volume),
                ]
                assert cache.oldest_lsn(volume) == min(lsns, default=None), self.history.say(
                    f"{site.config.name} would trim the journal too early (W2)"
                )

    def converge(self) -> None:
        world = self.world
        self.say("converge")
        if not world.line_up:
            world.heal()
        world.loss = 0
        for each in world.sites.values():
            if each.alive and each.processor.destage.broken_devices():
                # A disk whose flush failed is written anew by a restart only.
                each.crash(power=True)
                self.revive(each)
        self.settle_role()
        site = self.primary
        group = site.group
        if group.suspended:
            # A crash right after the operator's order to resume: it is given again.
            site.pair.resume()
        try:
            world.run(
                lambda: (
                    group.state is PairState.DUPLEX
                    and group.stream.applied_csn == group.csn
                    and not self.host.open
                    and not site.processor.cache.dirty
                ),
                limit_ms=30_000,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.state()}") from None
        for each in world.sites.values():
            problem = self.history.differing(each, self.history.newest)
            assert not problem, self.history.say(problem)

    def state(self) -> str:
        words = []
        for site in self.world.sites.values():
            group = site.group
            words.append(
                f"{site.config.name}: {group.role} {group.state} {group.reason!r} csn {group.csn} "
                f"acked {group.stream.acked.csn} applied {group.stream.applied_csn} frozen "
                f"{group.frozen} pacing {site.processor.pacing.reason!r} "
                f"dirty {len(site.processor.cache.dirty)} stopped {group.stopped!r} "
                f"map {group.map_mode} copy {group.copy_number} "
                f"consistent {group.consistent} link {site.processor.links['A-B'].machine.state}"
            )
        return "\n".join([f"open {len(self.host.open)}", *words, *self.trail[-12:]])


SMALL = {
    group: {"ENTRY_BYTES_MAX": 20_000},
    epoch: {"RECORD_BYTES_MAX": 5 * TRACK_BYTES},
    primary: {"COPY_TRACKS": 7},
}


@pytest.fixture(autouse=True)
def _small_records(monkeypatch):
    """Epochs and copyings of several records each, though the volumes are small."""
    for module, values in SMALL.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("seed", range(100))
def test_a_story_ends_well(seed):
    story = Story(seed)
    story.run()
