"""Generators that wait are resumed with their answers, however many and however soon."""

import pytest

from emulator.copy.services import ReadTracks, Saved, Until
from emulator.errors import CorruptError, DeviceError
from emulator.node.tasks import Tasks


class Shell:
    """Answers at once, later or with an error."""

    def __init__(self) -> None:
        self.at_once = False
        self.asked = []
        self.failed: list[DeviceError] = []
        self.tasks = Tasks(self.ask, self.failed.append)

    def ask(self, request, task) -> None:
        self.asked.append((request, task))
        if self.at_once:
            self.tasks.resume(task, f"answer {len(self.asked)}")


def test_a_generator_is_resumed_with_its_answer():
    shell, got = Shell(), []

    def step():
        got.append((yield ReadTracks([1])))
        got.append((yield Saved()))

    shell.tasks.start(step())
    assert got == []
    shell.tasks.resume(shell.asked[0][1], "images")
    assert got == ["images"]
    shell.tasks.resume(shell.asked[1][1], None)
    assert got == ["images", None]
    assert len(shell.tasks) == 0


def test_ten_thousand_answers_at_once_do_not_nest():
    """A journal of small host writes asks for a cached track for each when it is replayed."""
    shell, got = Shell(), []
    shell.at_once = True

    def step():
        for _ in range(10_000):
            got.append((yield ReadTracks([1])))
            yield Until(lambda: True)

    shell.tasks.start(step())
    assert len(got) == 10_000
    assert got[-1] == "answer 10000"


def test_until_is_asked_again_at_each_poll():
    shell, ready, got = Shell(), [], []

    def step(name):
        yield Until(lambda: name in ready)
        got.append(name)

    for name in "abc":
        shell.tasks.start(step(name))
    shell.tasks.poll()
    assert got == []
    assert len(shell.tasks) == 3
    ready += ["c", "a"]
    shell.tasks.poll()
    assert got == ["a", "c"]
    assert len(shell.tasks) == 1


def test_what_starts_during_a_poll_is_not_lost():
    shell, got = Shell(), []
    gate = []

    def second():
        yield Until(lambda: bool(gate))
        got.append("second")

    def first():
        yield Until(lambda: True)
        shell.tasks.start(second())
        yield Until(lambda: bool(gate))
        got.append("first")

    shell.tasks.start(first())
    shell.tasks.poll()
    assert len(shell.tasks) == 2
    gate.append(1)
    shell.tasks.poll()
    assert sorted(got) == ["first", "second"]


def test_an_error_goes_into_the_generator():
    shell, got = Shell(), []

    def step():
        try:
            yield ReadTracks([1])
        except DeviceError as error:
            got.append(str(error))
        got.append((yield ReadTracks([2])))

    shell.tasks.start(step())
    shell.tasks.fail(shell.asked[0][1], DeviceError("mem:", "refuses"))
    shell.tasks.resume(shell.asked[1][1], "images")
    assert got == ["mem:: refuses", "images"]
    assert shell.failed == []


def test_an_error_that_nobody_takes_is_reported():
    shell = Shell()

    def step():
        yield ReadTracks([1])

    shell.tasks.start(step())
    shell.tasks.fail(shell.asked[0][1], DeviceError("mem:", "refuses"))
    assert [error.cause for error in shell.failed] == ["refuses"]


def test_our_own_mistakes_are_not_hidden():
    shell = Shell()

    def step():
        yield ReadTracks([1])
        raise ZeroDivisionError

    shell.tasks.start(step())
    with pytest.raises(ZeroDivisionError):
        shell.tasks.resume(shell.asked[0][1], None)


def test_what_would_lose_data_is_no_refusal_of_a_disk():
    """A damaged journal must end the start; taken for a refusal, the site would wait for ever."""
    shell = Shell()

    def step():
        yield Saved()
        raise CorruptError("nvs", "damaged")

    shell.tasks.start(step())
    with pytest.raises(CorruptError, match="damaged"):
        shell.tasks.resume(shell.asked[0][1], None)
    assert shell.failed == []
