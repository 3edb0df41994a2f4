"""The channel engine's cost beside the least that any engine must do, and the figures' shape."""

import json

import pytest

from rig.measure.channel import (
    PROGRAMS_BY_NAME,
    RECORD_BYTES,
    TracksInMemory,
    measure,
    places,
)
from tests.cli.command import run_process

# An update runs three CCWs with their checks, and asks for its track and twice more.
UPDATE_OF_LEAST_MAX = 4.0


def test_the_programs_do_what_they_are_measured_for():
    volume = TracksInMemory("3350")
    work = places(volume, seed=3)
    for number, (name, make) in enumerate(PROGRAMS_BY_NAME.items()):
        before = list(volume.tracks)
        data = bytes((0xF0 + number,)) * RECORD_BYTES
        volume.run([make(place, data) for place in work])
        assert (before == volume.tracks) == name.startswith("read")
        for cylinder, head, record in work if name.startswith("update") else ():
            image = volume.tracks[volume.geometry.track(cylinder, head)]
            at = 5 + 16 + (record - 1) * (8 + RECORD_BYTES) + 8
            assert image[at : at + RECORD_BYTES] == data


def test_the_command_prints_programs_a_cpu_second():
    done = run_process("bench", "channel", "--rounds", "1", "--json")
    found = json.loads(done.stdout)
    assert set(found["programs"]) == {"least", *PROGRAMS_BY_NAME}
    assert all(row["per_cpu_s"] > 0 for row in found["programs"].values())
    table = run_process("bench", "channel", "--rounds", "1", "--kind", "3350").stdout
    assert b"3350, records of 4096 bytes" in table
    assert run_process("bench", "channel", "--kind", "3351").returncode == 2


@pytest.mark.performance
def test_an_update_costs_a_small_multiple_of_the_least(record_property):
    found = measure("3390-1", rounds=9, seed=1)["programs"]
    record_property("programs", found)
    assert found["update, located"]["of_least"] <= UPDATE_OF_LEAST_MAX
