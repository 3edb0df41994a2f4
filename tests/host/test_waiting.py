"""Waiting for the copies: what counts as duplex, drained and identical, and what is missing."""

import threading
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import PeerError, TimeLimitError, UnavailableError
from rig.host.waiting import Goal, find_primary, missing, wait_for
from tests.host.fake_console import answering, console, group_status, site_status

GROUPS = {"g0": ("A", "B")}
SECOND_NS = 10**9


def lacks(goal: Goal, a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    return missing(goal, GROUPS, {"A": site_status("A", g0=a), "B": site_status("B", g0=b)})


def test_identical_is_drained_is_duplex() -> None:
    for goal in Goal:
        assert lacks(goal, group_status(), group_status("secondary")) == []


@pytest.mark.parametrize(
    ("goal", "a", "b", "told"),
    [
        (
            Goal.DUPLEX,
            group_status(state="copying"),
            group_status("secondary"),
            "site A is copying",
        ),
        (Goal.DUPLEX, group_status(), group_status("secondary", "waiting"), "site B is waiting"),
        (Goal.DUPLEX, group_status(), group_status(), "the sites are primary and primary"),
        (Goal.DUPLEX, group_status(), {}, "site B is without this group"),
        (
            Goal.DRAINED,
            group_status(lag_records=3),
            group_status("secondary"),
            "site A lags 3 records",
        ),
        (Goal.IDENTICAL, group_status(csn=8), group_status("secondary"), "site A is at csn 8 "),
        (
            Goal.IDENTICAL,
            group_status(),
            group_status("secondary", applied=6),
            "applied csn 6 of 7",
        ),
    ],
)
def test_what_is_missing_is_said(
    goal: Goal, a: dict[str, Any], b: dict[str, Any], told: str
) -> None:
    assert any(f"group g0: {told}" in lack or told in lack for lack in lacks(goal, a, b))


def test_a_weaker_goal_asks_for_less() -> None:
    behind = group_status("secondary", csn=5, applied=5)
    assert lacks(Goal.DRAINED, group_status(), behind) == []
    assert lacks(Goal.DUPLEX, group_status(lag_records=9), behind) == []


def test_another_hash_is_not_identical() -> None:
    other = group_status("secondary")
    other["position"]["hash"] = "cd" * 16
    (lack,) = lacks(Goal.IDENTICAL, group_status(), other)
    assert "hash abababab" in lack
    assert "hash cdcdcdcd" in lack


def test_sites_without_a_position_are_not_identical() -> None:
    a, b = group_status(), group_status("secondary")
    del a["position"], b["position"]
    assert lacks(Goal.IDENTICAL, a, b)


def test_a_site_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    consoles = {"A": tmp_path / "a", "B": tmp_path / "b"}
    found: list[Any] = []
    with console(consoles["A"], answering(site_status("A", g0=group_status()))) as first:
        waiting = threading.Thread(
            target=lambda: found.append(wait_for(Goal.IDENTICAL, consoles, GROUPS, 20 * SECOND_NS))
        )
        waiting.start()
        while not first.asked:
            threading.Event().wait(0.01)
        late = site_status("B", g0=group_status("secondary"))
        with console(consoles["B"], answering(late)):
            waiting.join(timeout=20)
    assert found
    assert found[0]["B"] == late


def test_the_time_limit_says_what_is_missing_at_which_site(tmp_path: Path) -> None:
    consoles = {"A": tmp_path / "a", "B": tmp_path / "b"}
    with (
        console(consoles["A"], answering(site_status("A", g0=group_status(lag_records=3)))),
        pytest.raises(TimeLimitError) as caught,
    ):
        wait_for(Goal.DRAINED, consoles, GROUPS, SECOND_NS // 10)
    text = str(caught.value)
    assert "not drained after 100ms" in text
    assert f"site B: {tmp_path}/b: no site is running here" in text
    assert "group g0: site A lags 3 records" in text


def test_what_is_no_site_is_not_waited_for(tmp_path: Path) -> None:
    with console(tmp_path / "a", b"hello\n"), pytest.raises(PeerError):
        wait_for(Goal.DUPLEX, {"A": tmp_path / "a"}, {}, 20 * SECOND_NS)


@pytest.mark.parametrize(
    ("a", "b", "primary"),
    [
        ("primary", "secondary", "A"),
        ("secondary", "primary", "B"),
        ("handing-over", "secondary", "A"),
        ("handing-over", "primary", "B"),
        ("secondary", "secondary", None),
        ("secondary", None, None),
        ("primary", None, "A"),
        (None, "primary", "B"),
    ],
)
def test_the_primary_is_found_by_asking(a: str | None, b: str | None, primary: str | None) -> None:
    roles = {"A": a, "B": b}

    def status_of(site: str) -> dict[str, Any]:
        role = roles[site]
        if role is None:
            raise UnavailableError("no site is running here")
        return site_status(site, g0=group_status(role))

    assert find_primary("g0", ("A", "B"), status_of) == primary
