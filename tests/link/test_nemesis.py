"""Cuts, restarts and recordings at random: each session delivers a beginning of what was sent."""

import random
from collections import defaultdict

import pytest

from emulator.clock import MILLISECOND_NS
from emulator.link.events import LinkDown, LinkUp, RecordKept, RecordReceived
from emulator.link.link import Link
from emulator.link.states import LinkState
from tests.link.world import End, World, check_bytes, entropy


class Copy:
    """What a layer above knows: which session is up, what it sent in it and what it got."""

    def __init__(self) -> None:
        self.session: int | None = None
        self.sent: dict[int, list[bytes]] = defaultdict(list)
        self.got: dict[int, list[bytes]] = defaultdict(list)
        self.kept: dict[int, int] = {}
        self.seen = 0

    def follow(self, end: End) -> None:
        for event in end.log[self.seen :]:
            match event:
                case LinkUp(session=session):
                    assert self.session is None
                    assert session not in self.kept, "a session came back"
                    self.session = session
                    self.kept[session] = 0
                case LinkDown():
                    assert self.session is not None
                    self.session = None
                case RecordReceived(data=data):
                    self.got[self.session].append(data)
                case RecordKept(record=record):
                    self.kept[self.session] = record
        self.seen = len(end.log)


def trouble(world: World, ends: dict[End, Copy], dice: random.Random, nth: int) -> None:
    """Do one bad thing, or a good one."""
    kind = dice.choice(("cut", "heal", "heal", "restart", "lost", "records", "records", "records"))
    end = dice.choice(list(ends))
    if kind == "cut":
        dice.choice((world.ab, world.ba)).cut = True
    elif kind == "heal":
        world.ab.cut = world.ba.cut = False
    elif kind == "restart":
        end.link = Link(end.link.settings, entropy((world.seed, nth)))
        end.offered_bytes = end.taken_bytes = 0
        end.kept = 0
        end.link.start(world.now_ns)
        ends[end].session = None
    elif kind == "lost":
        end.link.line_lost(world.now_ns, "unplugged")
        end.link.start(world.now_ns)
    elif end.link.state is LinkState.UP:
        for _ in range(dice.randrange(20)):
            data = dice.randbytes(dice.randrange(3000))
            end.link.send(1, 2, 3, [data])
            end.drain()
            ends[end].follow(end)
            ends[end].sent[ends[end].session].append(data)


def check(a: Copy, b: Copy) -> None:
    for session, got in b.got.items():
        sent = a.sent[session]
        assert got == sent[: len(got)], "not a beginning of what was sent"
        assert a.kept.get(session, 0) <= len(got), "kept, but not handed on"


@pytest.mark.parametrize("seed", range(15))
def test_each_session_delivers_a_beginning_of_what_was_sent(seed):
    dice = random.Random(f"nemesis/{seed}")
    ways = {
        "delay_ns": int(10 ** dice.uniform(5, 8)),
        "jitter_ns": dice.choice((0, 20 * MILLISECOND_NS)),
        "loss": dice.choice((0.0, 0.1)),
        "duplicate": dice.choice((0.0, 0.2)),
        "flip": dice.choice((0.0, 0.1)),
        "replay": dice.choice((0.0, 0.5)),
    }
    world = World(seed, ways).start()
    ends = {world.a: Copy(), world.b: Copy()}
    for nth in range(60):
        trouble(world, ends, dice, nth)
        world.rest(dice.choice((0.001, 0.05, 0.5, 4)))
        for end, copy in ends.items():
            copy.follow(end)
        check(*ends.values())
        check(*reversed(ends.values()))
        check_bytes(world)
    world.ab.cut = world.ba.cut = False
    world.run(lambda: world.is_up, 60)
    last = [len(copy.kept) for copy in ends.values()]
    assert min(last) > 3
