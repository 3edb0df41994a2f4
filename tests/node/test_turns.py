"""Turns of a whole site in this process: when the next one is due."""

import time
from pathlib import Path

import pytest

from emulator.node.config import DeviceConfig, SiteConfig
from emulator.node.runtime import BACKGROUND_WAIT_S, SiteRuntime

SECOND_NS = 1_000_000_000


@pytest.fixture
def site(tmp_path: Path, monkeypatch):
    # The signals of this process are the test runner's.
    monkeypatch.setattr("emulator.node.runtime.watch_stop_signals", lambda _loop, _stop: None)
    config = SiteConfig(
        "A",
        4 << 20,
        f"file://{tmp_path}/a.nvs?size=8MiB&sync=battery",
        f"unix://{tmp_path}/a.console",
        {"vol0": DeviceConfig("vol0", "fba-512", "mem://1MiB")},
    )
    runtime = SiteRuntime(config)
    try:
        runtime.start()
        yield runtime
    finally:
        runtime.close()


@pytest.mark.sources
def test_a_turn_that_leaves_its_background_out_is_followed_by_another_soon(site, monkeypatch):
    """Also when that turn finds nothing but hosts that have their answers already."""
    rhythm = site.processor.rhythm
    monkeypatch.setattr(rhythm, "background_waits", lambda _now_ns: True)
    ran = []
    monkeypatch.setattr(site.processor, "background", ran.append)
    before_ns = time.monotonic_ns()
    assert site._turn(0.0) == BACKGROUND_WAIT_S
    assert not ran
    after_ns = time.monotonic_ns()
    wait_ns = round(BACKGROUND_WAIT_S * SECOND_NS)
    assert before_ns + wait_ns <= site._due_ns <= after_ns + wait_ns
    monkeypatch.setattr(rhythm, "background_waits", lambda _now_ns: False)
    site._turn(0.0)
    assert len(ran) == 1
    assert site._due_ns > after_ns + wait_ns, "nothing is due so soon on an idle site"


@pytest.mark.sources
def test_a_site_looks_out_for_hosts_once_one_has_spoken(site, monkeypatch):
    looked = []
    monkeypatch.setattr(site._loop, "look_out", lambda: looked.append(True))
    site._turn(0.0)
    assert not looked
    site._hosts.spoke = True
    site._turn(0.0)
    assert looked == [True]
    site._turn(0.0)
    assert looked == [True]
    monkeypatch.setattr(site._natives, "receive", lambda _now_ns, *, paused: True)
    site._turn(0.0)
    assert looked == [True, True]
