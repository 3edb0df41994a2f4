"""The play in eight acts. Each act does something, waits for what must follow, and says so.

What is found out goes into the evidence; whether that is good is for `checks_*.py` to say.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from emulator.clock import SECOND_NS
from emulator.units import size_text
from rig.bench.loader import load_bench
from rig.demo import plan
from rig.demo.bench_file import bench_text
from rig.demo.children import Child, Words
from rig.demo.evidence import Act, Trouble
from rig.demo.image import make_file_system
from rig.demo.stage import Stage
from rig.host.waiting import Goal

A, B = plan.SITES


class Scene(NamedTuple):
    """One act to be played."""

    title: str
    play: Callable[[Stage], None]


def play(stage: Stage) -> None:
    """Play all acts."""
    for number, scene in enumerate(SCENES, 1):
        act = Act(scene.title, time.time_ns())
        stage.evidence.acts.append(act)
        stage.diary.note("act", number=number, title=scene.title)
        stage.progress.act(number, len(SCENES), scene.title)
        try:
            scene.play(stage)
        finally:
            act.end_ns = time.time_ns()


def make_disks(stage: Stage) -> None:
    """Make a file system for the host, and a disk image for each site with other contents."""
    folder, seed = stage.folder, stage.evidence.plan.seed
    made = stage.evidence.file_system = make_file_system(folder.file_system, seed)
    dice = random.Random(f"{seed}/disks")
    with folder.image(A).open("wb") as file:
        file.truncate(plan.VOLUME_BYTES)
        file.seek(plan.VOLUME_BYTES - plan.OLD_BYTES)
        file.write(dice.randbytes(plan.OLD_BYTES))
    folder.image(B).write_bytes(dice.randbytes(plan.VOLUME_BYTES))
    size = size_text(plan.VOLUME_BYTES)
    stage.progress.finding(
        f"{made.kind} of {size_text(plan.FILE_SYSTEM_BYTES)} by {made.maker}, for the host; "
        f"site A's disk of {size} holds old data, site B's noise"
    )


def join_sites(stage: Stage) -> None:
    """Start both sites, each with one end of the line."""
    stage.folder.bench.write_text(bench_text(stage.folder, stage.line.ports))
    load_bench(stage.folder.bench)
    begun_ns = time.monotonic_ns()
    for site in plan.SITES:
        stage.start_site(site)
    for site in plan.SITES:
        stage.until_ready(site)
        stage.until(f"site {site} hears the other", partial(_link_is_up, stage, site))
    stage.progress.finding(
        f"processes {' and '.join(str(stage.sites[site].pid) for site in plan.SITES)} talk over "
        f"{' <-> '.join(stage.line.ports)} at {plan.BAUD_RATE / 1e6:g} Mbaud "
        f"after {_seconds(begun_ns)}"
    )


def first_copy(stage: Stage) -> None:
    """Let a host stream its file system in and go on writing, while the first copy runs."""
    begun_ns = time.monotonic_ns()
    host = stage.start_host(A, f"--image={stage.folder.file_system}")
    streamed = stage.until(
        "the host has streamed its file system in", _said(host, "image-streamed")
    )
    took_s = streamed["elapsed_ns"] / SECOND_NS
    stage.progress.finding(
        f"the host streamed {size_text(streamed['bytes'])} into site A in {took_s:.1f} s, and "
        f"goes on with {plan.WRITES_PER_S} writes a second"
    )
    stage.until_goal(Goal.DUPLEX)
    copied = stage.see(A).group["copy"]["copied_tracks"]
    stage.progress.finding(f"first copy of {copied} tracks done after {_seconds(begun_ns)}")
    refusal = stage.try_write(B, "while it keeps the copy")
    stage.progress.finding(f"a host's write at site B: {refusal.answer or 'taken'}")


def cut_line(stage: Stage) -> None:
    """Cut the line, let the host write on, and heal it."""
    trouble = _begin_trouble(stage, "line cut", lambda: _cut(stage))
    stage.until_state(A, "suspended")
    stage.until_state(B, "suspended")
    _noticed(stage, trouble)
    stage.hold("the line stays cut", plan.CUT_NS)
    _repair(stage, trouble, lambda: _heal(stage))


def kill_secondary(stage: Stage) -> None:
    """Kill site B, let the host write on, and start it again."""
    trouble = _begin_trouble(stage, "site B killed", lambda: stage.kill_site(B))
    stage.until_state(A, "suspended")
    _noticed(stage, trouble)
    stage.hold("site B stays down", plan.DOWN_NS)
    _repair(stage, trouble, lambda: stage.start_site(B))


def kill_primary(stage: Stage) -> None:
    """Kill site A under the host's writes, and start it again."""
    assert stage.host is not None
    host = stage.host
    trouble = _begin_trouble(stage, "site A killed", lambda: stage.kill_site(A))
    stage.until("the host notices", _said(host, "host-cut-off"))
    stage.hold("site A stays down", plan.DOWN_NS)
    trouble.acknowledged_after = stage.acknowledged()
    trouble.copied_before = 0  # a new process counts anew
    trouble.repaired_ns = time.time_ns()
    stage.start_site(A)
    stage.until_ready(A)
    back = stage.until("the host is back", _said(host, "host-back"))
    stage.progress.finding(
        f"the host was cut off for {back['away_ns'] / SECOND_NS:.1f} s; read back "
        f"{back['blocks']} blocks: {back['wrong']} wrong"
    )
    _until_duplex(stage, trouble)


def change_roles(stage: Stage) -> None:
    """Hand the primary role to site B, in order, and let a host write there."""
    assert stage.host is not None
    stage.hold("the host writes on", plan.SETTLE_NS)
    stage.host.stop()
    stage.until_goal(Goal.IDENTICAL)
    begun_ns = time.monotonic_ns()
    stage.diary.note("role-ordered", which=B)
    stage.hand_over(B)
    stage.progress.finding(f"site B is the primary after {_seconds(begun_ns)}")
    refusal = stage.try_write(A, "after it gave its role away")
    stage.progress.finding(f"a host's write at site A: {refusal.answer or 'taken'}")
    host = stage.start_host(B, f"--writes={plan.WRITES_AT_B}", may_finish=True)
    stage.until("the host at site B is done", host.has_ended)
    stage.until_goal(Goal.IDENTICAL)
    stage.progress.finding(f"{plan.WRITES_AT_B} writes at site B; both sites say identical")


def stop_sites(stage: Stage) -> None:
    """Stop both sites in an orderly way."""
    stage.evidence.final = stage.final_statuses()
    stage.watcher.stop()
    for site in plan.SITES:
        stage.diary.note("site-stopped", which=site)
        stage.sites[site].stop()
    codes = [stage.sites[site].stop() for site in plan.SITES]
    stage.progress.finding(f"exit codes {' and '.join(map(str, codes))}")


SCENES = (
    Scene("a disk image with a real file system", make_disks),
    Scene("two sites, joined by a serial line", join_sites),
    Scene("the first copy, while a host writes", first_copy),
    Scene("the line is cut and healed", cut_line),
    Scene("site B is killed and started again", kill_secondary),
    Scene("site A is killed and started again", kill_primary),
    Scene("the sites change roles", change_roles),
    Scene("both sites stop", stop_sites),
)


def _begin_trouble(stage: Stage, name: str, breaks: Callable[[], int]) -> Trouble:
    stage.hold("the host writes on", plan.SETTLE_NS)
    before = stage.see(A).group
    acknowledged = stage.acknowledged()
    trouble = Trouble(
        name,
        breaks(),
        lag_before=before["lag"]["records"],
        acknowledged_before=acknowledged,
        copied_before=before["copy"]["copied_tracks"],
    )
    stage.evidence.troubles.append(trouble)
    return trouble


def _noticed(stage: Stage, trouble: Trouble) -> None:
    trouble.noticed_ns = time.time_ns()
    took_s = (trouble.noticed_ns - trouble.begin_ns) / SECOND_NS
    stage.progress.finding(f"{trouble.name}: suspended after {took_s:.1f} s; the host writes on")


def _repair(stage: Stage, trouble: Trouble, repair: Callable[[], object]) -> None:
    group = stage.see(A).group
    trouble.lag_after = group["lag"]["records"]
    trouble.acknowledged_after = stage.acknowledged()
    written = trouble.acknowledged_after - trouble.acknowledged_before
    stage.progress.finding(
        f"{written} writes acknowledged meanwhile; lag {trouble.lag_before} -> "
        f"{trouble.lag_after} records, {size_text(group['lag']['bytes'])}"
    )
    trouble.repaired_ns = time.time_ns()
    repair()
    _until_duplex(stage, trouble)


def _until_duplex(stage: Stage, trouble: Trouble) -> None:
    stage.until_goal(Goal.DUPLEX)
    trouble.duplex_ns = time.time_ns()
    trouble.copied_after = stage.see(A).group["copy"]["copied_tracks"]
    took_s = (trouble.duplex_ns - trouble.repaired_ns) / SECOND_NS
    again = trouble.copied_after - trouble.copied_before
    stage.progress.finding(
        f"duplex again {took_s:.1f} s after the repair; {again} tracks copied again"
    )


def _cut(stage: Stage) -> int:
    stage.line.cut()
    return stage.diary.note("line-cut")


def _heal(stage: Stage) -> None:
    stage.diary.note("line-healed")
    stage.line.heal()


def _link_is_up(stage: Stage, site: str) -> bool:
    sample = stage.look(site)
    return sample is not None and sample.link["state"] == "up"


def _said(child: Child, event: str) -> Callable[[], Words | None]:
    return lambda: child.last(event)


def _seconds(begun_ns: int) -> str:
    return f"{(time.monotonic_ns() - begun_ns) / SECOND_NS:.1f} s"
