"""`dualcopy site`: orders go to the right console, and what comes back is shown."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from emulator.node.config import SiteConfig
from tests.bench.example import GOOD
from tests.cli.command import Command
from tests.host.fake_console import FakeConsole, answering, console, group_status, site_status


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bench.toml"
    path.write_text(GOOD)
    monkeypatch.setenv("DUALCOPY_BENCH", str(path))
    return path


Sites = dict[str, FakeConsole]


@pytest.fixture
def sites(bench: Path) -> Iterator[Sites]:
    """Two sites that answer; A is the primary of g0 and B that of g1."""
    a = site_status("A", g0=group_status(), g1=group_status("secondary"))
    b = site_status("B", g0=group_status("secondary"), g1=group_status())
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                console(bench.parent / f"{name.lower()}.console", answering(status))
            )
            for name, status in (("A", a), ("B", b))
        }


def orders(sites: Sites) -> dict[str, list[dict[str, Any]]]:
    """Return what each site was told to do."""
    return {
        name: [words for words in site.asked if words["verb"] != "status"]
        for name, site in sites.items()
    }


def test_start_runs_the_site_of_the_bench_with_its_exit_code(
    command: Command, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[SiteConfig] = []

    def run_site(config: SiteConfig) -> int:
        started.append(config)
        return 69

    monkeypatch.setattr("emulator.node.runtime.run_site", run_site)
    assert command("site", "start", "B", "--bench", bench).code == 69
    assert started[0].name == "B"
    assert started[0].console == f"unix://{bench.parent}/b.console"
    done = command("site", "start", "C")
    assert done.code == 2
    assert "no site 'C'; there are: A, B" in done.err


@pytest.mark.usefixtures("sites")
def test_status_is_shown_to_people_and_programs(command: Command) -> None:
    found = json.loads(command("site", "status", "A", "--json").out)
    assert found["groups"]["g0"]["role"] == "primary"
    text = command("site", "status", "A").out
    rows = [line.split() for line in text.splitlines()]
    assert ["site", "A"] in rows
    assert ["g0", "primary", "duplex", "nvs", "7", "0", "records,", "0B", "0ns"] in rows
    assert "g0: DUPLEX: a promise" in text
    assert ["A-B", "up", "B", "1.5ms", "10", "9", "1"] in rows
    assert "A-B: not sealed (lab_plaintext)" in text
    assert ["vol0", "1MiB", "g0", "read", "and", "write"] in rows
    assert "cache: size 16MiB, dirty tracks 3" in text


@pytest.mark.parametrize(
    "words",
    [["status", "A"], ["suspend", "g0"], ["role", "g0", "--primary", "B", "--force", "fire"]],
)
def test_a_site_that_is_down_is_unavailable(
    command: Command, bench: Path, words: list[str]
) -> None:
    done = command("site", *words, "--bench", bench)
    assert done.code == 69
    assert "no site is running here" in done.err or "neither of A and B answers" in done.err


@pytest.mark.parametrize("verb", ["suspend", "resume", "freeze", "run"])
def test_an_order_goes_to_the_primary_of_the_group(
    command: Command, sites: Sites, verb: str
) -> None:
    assert command("site", verb, "g0").out == f"g0: {verb} done by site A\n"
    assert command("site", verb, "g1").out == f"g1: {verb} done by site B\n"
    assert orders(sites) == {
        "A": [{"verb": verb, "group": "g0"}],
        "B": [{"verb": verb, "group": "g1"}],
    }


def test_a_reversal_begins_at_the_present_primary(command: Command, sites: Sites) -> None:
    assert command("site", "role", "g0", "--primary", "B").code == 0
    assert orders(sites) == {
        "A": [{"verb": "role", "group": "g0", "primary": "B", "force": None}],
        "B": [],
    }


def test_a_promotion_concerns_the_new_primary_alone(command: Command, sites: Sites) -> None:
    sites["A"].stop()
    sites["A"].stop = lambda: None
    assert command("site", "role", "g0", "--primary", "B", "--force", "site A burns").code == 0
    wanted = {"verb": "role", "group": "g0", "primary": "B", "force": "site A burns"}
    assert sites["B"].asked == [wanted]


@pytest.mark.usefixtures("sites")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["suspend", "g9"], "no group 'g9'"),
        (["role", "g0", "--primary", "C"], "--primary C: group g0 is at A and B"),
        (["role", "g0", "--primary", "B", "--force", " "], "--force: give the reason"),
        (
            ["role", "g0", "--primary", "B", "--timeout", "soon"],
            "--timeout: 'soon' is not a length",
        ),
        (["wait", "--for", "ever"], "choose one of duplex, drained, identical"),
        (["status", "C"], "no site 'C'"),
    ],
)
def test_orders_that_make_no_sense_are_2(command: Command, words: list[str], told: str) -> None:
    done = command("site", *words)
    assert done.code == 2
    assert told in done.err


def test_an_error_of_the_site_is_ours(command: Command, bench: Path) -> None:
    refusal = {"ok": False, "error": "the histories forked at csn 5", "exit_code": 1}
    with console(bench.parent / "b.console", lambda _words: refusal):
        done = command("site", "role", "g0", "--primary", "B", "--force", "why not")
    assert (done.code, done.err) == (1, "dualcopy: the histories forked at csn 5\n")


@pytest.mark.usefixtures("sites")
def test_wait_ends_when_the_goal_is_reached(command: Command) -> None:
    assert command("site", "wait", "--for", "identical").out == "identical: g0, g1\n"
    found = json.loads(command("site", "wait", "--for", "duplex", "--json").out)
    assert (found["held"], list(found["site"])) == ("duplex", ["A", "B"])


def test_wait_ends_with_124_at_the_time_limit(command: Command, bench: Path) -> None:
    done = command("site", "wait", "--for", "drained", "--timeout", "100ms")
    assert done.code == 124
    assert f"site A: {bench.parent}/a.console: no site is running here" in done.err
