"""How fast the simulator is, beside what it is meant to reach (`dualcopy sim --bench`)."""

from typing import Any, Final

from rig.sim.campaign import Summary, summary_of
from rig.sim.presets import preset
from rig.sim.run import run_seed, run_world

SEEDS: Final = 60
T1_RUNS: Final = 5
T1_WRITES: Final = 300
GOALS: Final = {"events_per_cpu_s": 60_000, "seeds_per_cpu_s": 10, "t1_times_real_time": 100}
"""On a machine of two cores with nothing else to do, for runs of 150 writes."""


def measure(seeds: int = SEEDS) -> dict[str, Any]:
    """Return the figures, each with its goal and how many times it is reached."""
    swarm = summary_of(run_seed(seed) for seed in range(seeds))
    line = summary_of(run_world(preset("t1", seed, T1_WRITES)) for seed in range(T1_RUNS))
    found = {
        "events_per_cpu_s": swarm.events / _cpu_s(swarm),
        "seeds_per_cpu_s": swarm.seeds / _cpu_s(swarm),
        "t1_times_real_time": line.virtual_ns / 1e9 / _cpu_s(line),
    }
    return {
        "seeds": swarm.seeds,
        "violations": swarm.violations | line.violations,
        "figures": {
            name: {"value": round(value, 1), "goal": goal, "ratio": round(value / goal, 2)}
            for (name, value), goal in zip(found.items(), GOALS.values(), strict=True)
        },
    }


def _cpu_s(summary: Summary) -> float:
    return max(summary.cpu_s, 1e-9)
