"""The event loop and its helper threads."""

import socket
import threading
from pathlib import Path

import pytest

from emulator.node.loop import READABLE, WRITABLE, Loop, Workers


@pytest.fixture
def loop(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def test_a_handler_is_called_when_there_is_something(loop, pair):
    called = []
    loop.add(pair[0].fileno(), called.append)
    loop.run_once(0)
    assert called == []
    pair[1].send(b"x")
    loop.run_once(1)
    assert called == [READABLE]


def test_what_is_watched_for_can_change(loop, pair):
    called = []
    loop.add(pair[0].fileno(), called.append)
    loop.change(pair[0].fileno(), WRITABLE)
    loop.run_once(1)
    assert called == [WRITABLE]
    loop.change(pair[0].fileno(), 0)
    pair[1].send(b"x")
    loop.run_once(0)
    assert called == [WRITABLE]


def test_a_handler_removed_by_another_is_not_called(loop):
    """Both are ready at once; the first to be called takes the other away."""
    pairs = [socket.socketpair() for _ in range(2)]
    called = []

    def handler(number):
        def ready(_events):
            called.append(number)
            for ours, _theirs in pairs:
                loop.remove(ours.fileno())

        return ready

    for number, (ours, theirs) in enumerate(pairs):
        loop.add(ours.fileno(), handler(number))
        theirs.send(b"x")
    loop.run_once(1)
    assert len(called) == 1
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_a_descriptor_may_be_removed_after_it_was_closed(loop):
    ours, theirs = socket.socketpair()
    file = ours.fileno()
    loop.add(file, lambda _events: None)
    ours.close()
    loop.remove(file)
    loop.remove(file)
    theirs.close()


def test_a_worker_does_its_jobs_in_order_and_answers_in_the_loop(loop):
    workers = Workers(loop)
    submit = workers.worker("one")
    got = []
    here = threading.get_ident()
    for number in range(50):
        submit(
            lambda number=number: (number, threading.get_ident()),
            lambda result: got.append((*result, threading.get_ident())),
        )
    while len(got) < 50:
        loop.run_once(5)
    assert [number for number, _there, _here in got] == list(range(50))
    assert all(there != here == back for _number, there, back in got)
    workers.close()


def test_workers_do_not_wait_for_each_other(loop):
    workers = Workers(loop)
    slow, quick = workers.worker("slow"), workers.worker("quick")
    gate = threading.Event()
    got = []
    slow(lambda: gate.wait(10), lambda _result: got.append("slow"))
    quick(lambda: None, lambda _result: got.append("quick"))
    while not got:
        loop.run_once(5)
    assert got == ["quick"]
    gate.set()
    while len(got) < 2:
        loop.run_once(5)
    workers.close()


def test_a_job_that_fails_gives_its_error_and_the_next_is_done(loop):
    workers = Workers(loop)
    submit = workers.worker("one")
    got = []

    def fail():
        raise OSError(5, "Input/output error")

    submit(fail, got.append)
    submit(lambda: "next", got.append)
    while len(got) < 2:
        loop.run_once(5)
    assert isinstance(got[0], OSError)
    assert got[1] == "next"
    workers.close()


def test_closing_waits_for_what_was_begun(loop, tmp_path):
    workers = Workers(loop)
    submit = workers.worker("one")
    path = tmp_path / "written"
    submit(lambda: path.write_text("all"), lambda _result: None)
    workers.close()
    assert path.read_text() == "all"
    assert not [thread for thread in threading.enumerate() if thread.name == "one"]


def test_closing_gives_every_descriptor_back():
    before = len(list(Path("/proc/self/fd").iterdir()))
    loop = Loop()
    workers = Workers(loop)
    workers.worker("one")
    workers.close()
    loop.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


MICROSECOND_NS = 1_000
SECOND_NS = 1_000_000_000


class World:
    """A clock, and an epoll that moves it and says what it was asked."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.due_ns = 0
        self.asked: list[float] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        self.asked.append(timeout_s)
        until_ns = self.now_ns + max(MICROSECOND_NS, int(timeout_s * SECOND_NS))
        self.now_ns = min(until_ns, max(self.due_ns, self.now_ns + MICROSECOND_NS))
        return [(0, READABLE)] if self.due_ns <= self.now_ns else []

    def close(self) -> None:
        """Have nothing to give back."""


@pytest.fixture
def asked_of(monkeypatch):
    """Return what has a loop wait for an event that comes so much later, and says how it did."""
    world = World()
    monkeypatch.setattr("emulator.node.loop.time", world)

    def ask(loop, after_us, timeout_s=5.0, *, spoke=True):
        loop._epoll.close()
        loop._epoll = world
        world.due_ns = world.now_ns + after_us * MICROSECOND_NS
        world.asked = []
        if spoke:
            loop.look_out()
        loop.run_once(timeout_s)
        return world.asked

    return ask


@pytest.mark.sources
def test_after_a_short_wait_the_next_one_begins_awake(loop, asked_of):
    assert asked_of(loop, 5) == [5]
    awake = asked_of(loop, 50)
    assert len(awake) > 10
    assert set(awake) == {0}
    assert set(asked_of(loop, 50)) == {0}


@pytest.mark.sources
def test_a_wait_that_is_long_after_all_is_slept_and_so_is_the_next(loop, asked_of):
    asked_of(loop, 0)
    long = asked_of(loop, 200)
    assert long[-1] == 5
    assert set(long[:-1]) == {0}
    assert asked_of(loop, 0) == [5]
    assert set(asked_of(loop, 0)) == {0}


@pytest.mark.sources
def test_nobody_looks_out_until_a_host_has_spoken(loop, asked_of):
    for _ in range(2):
        assert asked_of(loop, 0, spoke=False) == [5]
    assert set(asked_of(loop, 0)) == {0}
    assert set(asked_of(loop, 0, spoke=False)) == {0}, "what follows from it comes soon too"
    asked_of(loop, 200, spoke=False)
    for _ in range(2):
        assert asked_of(loop, 0, spoke=False) == [5]


@pytest.mark.sources
def test_nobody_looks_out_beyond_the_time_he_has(loop, asked_of):
    asked_of(loop, 0)
    assert asked_of(loop, 1000, timeout_s=20e-6) == [0] * 20 + [20e-6]


@pytest.mark.sources
def test_one_processor_is_left_to_the_peer(monkeypatch, asked_of):
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0})
    loop = Loop()
    for _ in range(3):
        assert asked_of(loop, 0) == [5]
