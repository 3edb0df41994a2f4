"""All checks of a run, in the order in which they are told."""

from collections.abc import Callable, Iterator
from functools import partial

from emulator.errors import DualCopyError
from rig.demo import checks_disks, checks_line, checks_story
from rig.demo.checks_line import Captured, read_capture
from rig.demo.evidence import Evidence
from rig.report.report import Check, Outcome


def judge(evidence: Evidence) -> tuple[list[Check], Captured]:
    """Return every check, and the capture as it was read for them.

    A run that broke off is judged as far as it came: what it lacks fails.
    """
    captured = _or_none(lambda: read_capture(evidence.folder.capture)) or Captured()
    return list(_checks(evidence, captured)), captured


def _checks(evidence: Evidence, captured: Captured) -> Iterator[Check]:
    yield checks_story.played_to_end(evidence)
    yield from _disk_checks(evidence)
    yield checks_story.copied_while_writing(evidence)
    for trouble in evidence.troubles:
        if trouble.noticed_ns:
            yield checks_story.lag_grew(trouble)
        yield checks_story.resumed(trouble, evidence.events, captured)
    yield checks_story.nothing_lost_at_primary(evidence)
    yield checks_story.roles_changed(evidence)
    for site in ("B", "A"):
        yield checks_story.refused(evidence.refusals, site)
    yield checks_line.capture_verified(captured)
    for site in ("A", "B"):
        yield checks_line.counters_equal(captured, evidence.samples, evidence.lives, site)
    yield checks_story.nothing_unwanted(evidence.events)
    yield checks_story.ended_as_told(evidence)


def _disk_checks(evidence: Evidence) -> Iterator[Check]:
    folder = evidence.folder
    images = {site: folder.image(site) for site in ("A", "B")}
    kind = evidence.file_system.kind if evidence.file_system else "?"
    disks = checks_disks
    checks: dict[str, Callable[[], Check]] = {
        "both disk images are identical": lambda: disks.images_identical(*images.values()),
        "site B holds the host's file system": lambda: disks.file_system_arrived(
            folder.file_system, images["B"], "B"
        ),
        "the file system at site B is clean": lambda: disks.file_system_clean(
            images["B"], kind, "B"
        ),
        **{
            f"site {site} holds every acknowledged write": partial(
                disks.acknowledged_present, image, folder.writes, site
            )
            for site, image in images.items()
        },
    }
    for name, check in checks.items():
        try:
            yield check()
        except (OSError, DualCopyError) as error:
            yield Check(name, Outcome.FAILED, f"cannot be checked: {error}")


def _or_none(read: Callable[[], Captured]) -> Captured | None:
    try:
        return read()
    except DualCopyError:
        return None
