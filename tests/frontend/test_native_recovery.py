"""No program is lost and none is performed twice, whatever the lines and the control unit do."""

import pytest

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import TimeLimitError, UnavailableError
from rig.host.channel_ticket import NotOperationalError, OutcomeUnknownError, TicketState
from tests.frontend.channel_world import ADDRESS, ChannelWorld

BAD = {"loss": 0.1, "duplicate": 0.05, "flip": 0.05, "truncate": 0.02, "jitter_ns": 3_000_000}


def payload(number: int) -> bytes:
    return number.to_bytes(4, "big") * (1 + number % 700)


def assert_once(world: ChannelWorld) -> None:
    for ticket in world.tickets:
        assert ticket.error is None
        data = ticket.ccws[0].data
        assert [bytes(row.data) for row in ticket.ended.transfers] == [data]
        assert world.device.performed[data] == 1, f"seed {world.seed}"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slow_ns", [0, 20 * MILLISECOND_NS])
def test_over_a_bad_line_each_program_is_performed_once(seed, slow_ns):
    world = ChannelWorld(seed, ways=BAD, slow_ns=slow_ns)
    for number in range(60):
        world.submit(payload(number))
    world.run(world.all_over)
    assert_once(world)


@pytest.mark.parametrize("seed", range(6))
def test_lines_that_come_and_go_lose_and_repeat_nothing(seed):
    world = ChannelWorld(seed, paths=2, ways=BAD, slow_ns=30 * MILLISECOND_NS)
    for number in range(200):
        world.submit(payload(number))
    for _ in range(12):
        path = world.dice.randrange(2)
        world.cut(path)
        world.rest(world.dice.random() * 0.4)
        world.join(path)
        world.rest(world.dice.random() * 0.3)
    world.run(world.all_over)
    assert_once(world)
    assert world.host.counters.paths_lost > 2
    assert world.host.counters.repeated_starts > 0


def test_a_lost_path_is_replaced_by_the_other():
    world = ChannelWorld(paths=2, slow_ns=SECOND_NS // 2)
    world.run(lambda: len(world.host._usable()) == 2)
    ticket = world.submit(b"once")
    world.run(lambda: world.device.performed[b"once"] == 1)
    first = ticket.path
    world.cut(first)
    world.run(world.all_over)
    assert ticket.path == 1 - first
    assert ticket.ended.unit_status == 0x0C
    assert world.device.performed[b"once"] == 1


def test_a_line_that_falls_silent_is_found_out():
    """Nothing tells that the line is dead; the link notices, and the other path takes over."""
    world = ChannelWorld(paths=2, slow_ns=SECOND_NS // 2)
    world.run(lambda: len(world.host._usable()) == 2)
    ticket = world.submit(b"once")
    world.run(lambda: world.device.performed[b"once"] == 1)
    for way in world.ways[ticket.path]:
        way.cut = True
    world.run(world.all_over, limit_s=10)
    assert world.device.performed[b"once"] == 1


def test_after_a_restart_a_program_is_driven_again_or_its_outcome_is_unknown():
    world = ChannelWorld(slow_ns=SECOND_NS)
    again = world.submit(b"again")
    never = world.submit(b"never", redrive=False)
    world.run(lambda: sum(world.device.performed.values()) == 2)
    world.boot_unit()
    world.run(world.all_over)
    assert again.ended is not None
    assert world.device.performed[b"again"] == 2
    assert isinstance(never.error, OutcomeUnknownError)
    assert world.device.performed[b"never"] == 1


def test_a_restarted_host_is_another_host():
    world = ChannelWorld(slow_ns=0)
    world.submit(b"one")
    world.run(world.all_over)
    world.host = world.new_host(2)
    world.cut(0)
    world.join(0)
    world.submit(b"two")
    world.run(world.all_over)
    assert_once(world)
    assert list(world.unit.hosts) == [1, 2]


def test_the_ending_of_one_host_does_not_reach_the_next_on_its_line():
    world = ChannelWorld(slow_ns=SECOND_NS)
    world.submit(b"first")
    world.run(lambda: world.device.performed[b"first"] == 1)
    world.host = world.new_host(2)
    world.cut(0)
    world.join(0)
    mine = world.submit(b"second")
    world.run(lambda: world.over(mine))
    assert bytes(mine.ended.transfers[0].data) == b"second"


def test_a_host_that_is_done_gives_back_what_it_holds():
    world = ChannelWorld(slow_ns=0)
    world.submit(b"x")
    world.run(world.all_over)
    world.host.abandon(UnavailableError("done"))
    world.run(lambda: not world.unit.hosts)
    assert world.device.forgotten == [1]


def test_a_program_that_never_ends_is_halted():
    world = ChannelWorld(slow_ns=SECOND_NS, stuck=True)
    ticket = world.submit(b"stuck", limit_ns=3 * SECOND_NS)
    world.run(world.all_over)
    assert isinstance(ticket.error, TimeLimitError)
    assert world.unit.counters.halted == 1
    world.device.stuck = False
    world.submit(b"next")
    world.run(world.all_over)
    assert world.tickets[-1].ended is not None


def test_without_a_path_the_error_says_why():
    world = ChannelWorld()
    world.cut(0)
    ticket = world.submit(b"x", limit_ns=2 * SECOND_NS)
    world.run(world.all_over)
    assert type(ticket.error) is UnavailableError
    assert "path 0: cut" in str(ticket.error)
    assert ticket.state is TicketState.ENDED


def test_an_unknown_device_is_not_operational():
    world = ChannelWorld()
    ticket = world.submit(b"x", device=0x0BAD)
    world.run(world.all_over)
    assert isinstance(ticket.error, NotOperationalError)
    assert "0BAD" in str(ticket.error)
    assert f"{ADDRESS:04X}" in str(ticket.error)


def test_attentions_are_told_until_taken():
    world = ChannelWorld(ways=BAD)
    world.submit(b"x")
    world.run(world.all_over)
    world.device.unasked[1] = [0x85, 0x80]
    world.rest(0.001)
    world.cut(0)
    world.join(0)
    world.run(lambda: len(world.host.attentions) == 2)
    world.run(lambda: not world.unit.hosts[1].attentions)
    assert [told.unit_status for told in world.host.attentions] == [0x85, 0x80]


def test_a_busy_device_is_asked_again_when_it_says_that_it_is_free():
    world = ChannelWorld(slow_ns=0)
    world.device.busy = 1
    ticket = world.submit(b"x")
    world.run(lambda: ticket.state is TicketState.BUSY)
    world.device.unasked[1] = [0x04]
    world.run(world.all_over, limit_s=0.5)
    world.device.busy = 2
    world.submit(b"y")
    world.run(world.all_over)
    assert_once(world)


@pytest.mark.sources
def test_no_room_is_busy_and_not_lost(monkeypatch):
    monkeypatch.setattr("emulator.frontend.native_unit.HELD_BYTES_MAX", 6000)
    world = ChannelWorld(slow_ns=20 * MILLISECOND_NS)
    for number in range(20):
        world.submit(number.to_bytes(2, "big") * 1000)
    world.run(world.all_over)
    assert_once(world)
    assert world.unit.counters.refused_starts > 0
    world.run(lambda: world.unit._held_bytes == 0)


@pytest.mark.sources
def test_hosts_that_went_away_are_forgotten_in_order(monkeypatch):
    monkeypatch.setattr("emulator.frontend.native_unit.HOSTS_MAX", 2)
    world = ChannelWorld(slow_ns=0)
    for number in (1, 2, 3):
        world.host = world.new_host(number)
        world.cut(0)
        world.join(0)
        world.submit(bytes([number]))
        world.run(world.all_over)
    assert list(world.unit.hosts) == [2, 3]
    assert world.device.forgotten == [1]
