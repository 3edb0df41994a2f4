"""A control unit: what each shape still reaches, paths, busy devices and reservations."""

import random

import pytest

from emulator.disk.control_unit import Change, ControlUnit, Refusal, Shape
from emulator.errors import BenchError

DEVICES = ["d0", "d1", "d2", "d3"]


def unit(shape: Shape = Shape.STAR, paths: int = 2) -> ControlUnit:
    return ControlUnit("cu0", shape, DEVICES, paths)


def reached(made: ControlUnit) -> str:
    return "".join(name[1] for name in DEVICES if made.reachable(name))


# For each shape: what is reached after cable n alone is cut, and after device n alone is off.
TABLE = {
    Shape.STAR: (["123", "023", "013", "012"], ["123", "023", "013", "012"]),
    Shape.MULTIPOINT: (["", "0", "01", "012"], ["123", "023", "013", "012"]),
    Shape.DAISY_CHAIN: (["", "0", "01", "012"], ["", "0", "01", "012"]),
    Shape.RING: (["0123"] * 5, ["123", "023", "013", "012"]),
}


@pytest.mark.parametrize("shape", Shape)
def test_one_cut_or_one_device_off_leaves_what_the_table_says(shape):
    cuts, offs = TABLE[shape]
    for actions, wanted in ((("cut", "mend"), cuts), (("off", "on"), offs)):
        for number, left in enumerate(wanted):
            made = unit(shape)
            part = f"d{number}" if actions[0] == "off" else str(number)
            made.change(Change(actions[0], part))
            assert reached(made) == left, (shape, actions[0], number)
            made.change(Change(actions[1], part))
            assert reached(made) == "0123"


@pytest.mark.parametrize(
    ("cuts", "left"), [("04", ""), ("02", "23"), ("13", "03"), ("34", "012"), ("12", "023")]
)
def test_two_cuts_of_a_ring_leave_out_what_lies_between(cuts, left):
    made = unit(Shape.RING)
    for cable in cuts:
        made.change(Change("cut", cable))
    assert reached(made) == left


def test_paths_take_turns_and_one_that_is_off_is_passed_over():
    made = unit(paths=3)
    first, second = made.begin("d0"), made.begin("d1")
    assert {first, second} == {0, 1}
    made.end("d0", 0)
    made.end("d1", 1)
    assert (made.begin("d0"), made.failovers) == (2, 0)
    made.end("d0", 2)
    made.change(Change("vary-off", "0"))
    assert (made.begin("d0"), made.failovers) == (1, 1)
    made.end("d0", 1)
    made.change(Change("vary-off", "1"))
    made.change(Change("vary-off", "2"))
    assert made.begin("d0") is Refusal.NO_PATH
    made.change(Change("vary-on", "2"))
    assert made.begin("d0") == 2


def test_an_operation_that_cannot_begin_is_told_why():
    made = unit(paths=1)
    assert made.begin("d0") == 0
    assert made.begin("d0") is Refusal.DEVICE_BUSY
    assert made.begin("d1") is Refusal.PATHS_BUSY
    made.end("d0", 0)
    made.change(Change("reserve", "d1"))
    assert made.begin("d1") is Refusal.RESERVED
    made.change(Change("release", "d1"))
    made.change(Change("off", "d1"))
    assert made.begin("d1") is Refusal.SWITCHED_OFF
    made.change(Change("cut", "2"))
    assert made.begin("d2") is Refusal.CUT_OFF
    assert made.begin("d0") == 0


@pytest.mark.parametrize(
    ("action", "part", "told"),
    [
        ("brake", "0", "'brake' is no action; there are: vary-off, vary-on, cut, mend"),
        ("cut", "4", "cu0: cut '4': there are 0, 1, 2, 3"),
        ("vary-off", "d0", "there are 0, 1"),
        ("reserve", "d9", "there are d0, d1, d2, d3"),
    ],
)
def test_what_is_not_there_cannot_be_changed(action, part, told):
    with pytest.raises(BenchError, match=told):
        unit().change(Change(action, part))


@pytest.mark.parametrize("seed", range(10))
def test_a_path_carries_one_operation_and_a_device_works_on_one(seed):
    dice = random.Random(f"unit/{seed}")
    made = unit(dice.choice(list(Shape)), dice.randrange(1, 5))
    running: dict[str, int] = {}
    for _ in range(500):
        device = dice.choice(DEVICES)
        action = dice.random()
        if action < 0.5:
            found = made.begin(device)
            if isinstance(found, int):
                assert device not in running
                assert found not in running.values()
                assert made.reachable(device)
                assert made.status()["paths"][found]["online"]
                running[device] = found
            elif found is Refusal.DEVICE_BUSY:
                assert device in running
            elif found is Refusal.PATHS_BUSY:
                free = [at for at, path in enumerate(made.status()["paths"]) if path["online"]]
                assert set(free) <= set(running.values())
        elif action < 0.85 and running:
            device = dice.choice(list(running))
            made.end(device, running.pop(device))
        else:
            kind = dice.choice(["vary-off", "vary-on", "cut", "mend", "off", "on"])
            count = len(made.status()["paths" if kind.startswith("vary") else "cables"])
            part = device if kind in ("off", "on") else str(dice.randrange(count))
            made.change(Change(kind, part))
    assert sum(made.operations) >= len(running)
