"""Did everything happen that the demo shows, and nothing that it should not?

Judged by the sites' own events, by the host, and by how processes ended.
"""

from collections.abc import Sequence

from emulator.clock import SECOND_NS
from emulator.units import size_text
from rig.demo import plan
from rig.demo.checks_line import Captured, carried
from rig.demo.evidence import Evidence, Refusal, Trouble
from rig.demo.log import Event
from rig.report.report import Check, Outcome

UNWANTED = ("disk-failed", "record-rejected", "journal-overflow", "capture-stopped", "text")
"""Events of the sites that nothing in the play should cause; `text` is what no event is."""
REPLAY_BYTES_MAX = plan.VOLUME_BYTES // 2
"""A replay moves what was written meanwhile; a full copy moves the volume."""


def _check(name: str, text: str, *, held: bool) -> Check:
    return Check(name, Outcome.HELD if held else Outcome.FAILED, text)


def played_to_end(evidence: Evidence) -> Check:
    """Say whether the play was played to its end."""
    acts = [act.title for act in evidence.acts]
    elapsed_s = (evidence.end_ns - evidence.start_ns) / SECOND_NS
    text = evidence.failure or f"{len(acts)} acts in {elapsed_s:.1f} s"
    if evidence.failure and acts:
        text = f"in the act '{acts[-1]}': {text}"
    return _check("the play was played to its end", text, held=not evidence.failure)


def copied_while_writing(evidence: Evidence) -> Check:
    """Say whether the host's writes were taken while the first copy ran."""
    name = "the host wrote during the first copy"
    progress = [e for e in evidence.events if e["event"] == "copy-progress" and e["site"] == "A"]
    phases = [event["phase"] for event in progress]
    if phases != ["begun", "ended"]:
        return _check(name, f"site A's copying: {', '.join(phases) or 'never began'}", held=False)
    begin_ns, end_ns = (event["time_ns"] for event in progress)
    writes = [
        sample.status["devices"][plan.VOLUME]["writes"]
        for sample in evidence.samples
        if sample.site == "A" and begin_ns <= sample.asked_ns and sample.answered_ns <= end_ns
    ]
    taken = max(writes, default=0) - min(writes, default=0)
    took_s = (end_ns - begin_ns) / SECOND_NS
    text = f"{taken} writes taken by site A while {progress[0]['tracks']} tracks were copied, "
    return _check(name, f"{text}in {took_s:.1f} s; copied once, never again", held=taken > 0)


def resumed(trouble: Trouble, events: Sequence[Event], captured: Captured) -> Check:
    """Say whether the copy went on from its position, without copying the volume again."""
    name = f"{trouble.name}: resumed from its position"
    if not trouble.duplex_ns:
        return _check(name, "it never came to that", held=False)
    during = [e for e in events if trouble.repaired_ns <= e["time_ns"] <= trouble.duplex_ns]
    replays = [
        e["reason"]
        for e in during
        if e["event"] == "pair-changed" and e["role"] == "primary" and e["after"] == "catching-up"
    ]
    copies = [e for e in during if e["event"] == "copy-progress"]
    again = trouble.copied_after - trouble.copied_before
    _, moved_bytes, _ = carried(captured, trouble.repaired_ns, trouble.duplex_ns)
    text = (
        f"{'; '.join(replays) or 'no replay'}; {again} tracks copied again; "
        f"{size_text(moved_bytes)} on the line, of a volume of {size_text(plan.VOLUME_BYTES)}"
    )
    held = bool(replays) and not copies and not again and moved_bytes < REPLAY_BYTES_MAX
    return _check(name, text, held=held)


def lag_grew(trouble: Trouble) -> Check:
    """Say whether the host could write meanwhile, and the site said how far the copy fell back."""
    written = trouble.acknowledged_after - trouble.acknowledged_before
    text = (
        f"{written} writes acknowledged; lag {trouble.lag_before} -> {trouble.lag_after} records; "
        f"noticed after {(trouble.noticed_ns - trouble.begin_ns) / SECOND_NS:.1f} s"
    )
    held = trouble.noticed_ns > 0 and written > 0 and trouble.lag_after > trouble.lag_before
    return _check(f"{trouble.name}: host wrote on, lag was told", text, held=held)


def nothing_lost_at_primary(evidence: Evidence) -> Check:
    """Say whether the host read back every acknowledged write after the primary was killed."""
    back = [words for words in evidence.host_words if words.get("event") == "host-back"]
    text = "the host never came back"
    if back:
        text = (
            f"{back[0]['acknowledged']} writes acknowledged; read back {back[0]['blocks']} blocks "
            f"over NBD: {back[0]['wrong']} wrong"
        )
    held = len(back) == 1 and back[0]["acknowledged"] > 0 and back[0]["wrong"] == 0
    return _check("site A killed: no acknowledged write lost", text, held=held)


def refused(refusals: Sequence[Refusal], site: str) -> Check:
    """Say whether a site that is not the primary refused a host's write."""
    found = [refusal for refusal in refusals if refusal.site == site]
    text = "; ".join(f"{r.when}: {r.answer or 'TAKEN'}" for r in found) or "never tried"
    held = bool(found) and all("EPERM" in refusal.answer for refusal in found)
    return _check(f"site {site} refuses hosts' writes", text, held=held)


def roles_changed(evidence: Evidence) -> Check:
    """Say whether the roles changed and both sites ended at one position."""
    ends = {site: status["groups"][plan.GROUP] for site, status in evidence.final.items()}
    roles = {site: str(end["role"]) for site, end in ends.items()}
    places = {tuple(end["position"].values()) for end in ends.values()}
    text = ", ".join(f"site {site} is {role}" for site, role in roles.items()) or "no status"
    if len(places) == 1:
        lineage, csn, chain = next(iter(places))
        text += f"; both at csn {csn} of lineage {lineage}, hash {chain[:16]}..."
    held = roles == {"A": "secondary", "B": "primary"} and len(places) == 1
    return _check("the roles changed, and both sites stand at one position", text, held=held)


def nothing_unwanted(events: Sequence[Event]) -> Check:
    """Say whether the sites reported anything that should not happen."""
    found = [event for event in events if event["event"] in UNWANTED]
    text = f"{len(events)} events, none of {', '.join(UNWANTED)}"
    if found:
        text = f"{len(found)} of {len(events)}; first: {found[0]}"
    return _check("the sites report no failure", text, held=bool(events) and not found)


def ended_as_told(evidence: Evidence) -> Check:
    """Say whether every process ended the way it was told to."""
    wrong = [ending for ending in evidence.endings if not ending.as_wanted]
    told = [
        f"{ending.name}: {ending.order} -> {ending.exit_code}"
        for ending in wrong or evidence.endings
    ]
    held = bool(evidence.endings) and not wrong
    return _check("every process ended as it was told", "; ".join(told) or "none", held=held)
