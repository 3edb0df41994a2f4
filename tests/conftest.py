"""What a test may ask of the machine, and what happens when the machine lacks it.

`@pytest.mark.needs("tshark", "cap_net_raw")` names programs on PATH, Python modules
(`python:usb`) or capabilities from the table below. What is missing skips the test with the
reason; with CI=true in the environment it fails it, so that CI cannot go green by skipping.
"""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import cache

import hypothesis
import pytest

# mkfs and friends live where an ordinary user's PATH does not reach, though he may run them.
_ADMIN_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
os.environ["PATH"] = os.pathsep.join(
    dict.fromkeys([*os.environ.get("PATH", "").split(os.pathsep), *_ADMIN_FOLDERS])
)

# The user's own switches stay out of the tests, and nobody colours what they compare.
for _name in [name for name in os.environ if name.startswith("DUALCOPY_")]:
    del os.environ[_name]
os.environ["NO_COLOR"] = "1"

# MACHINE_CODE=1: the tests themselves run what `dualcopy compile` made; else they run the sources.
# What they start runs as users have it. This must be settled before anything of ours is imported.
MACHINE_CODE = bool(os.environ.get("MACHINE_CODE"))


def _settle() -> str:
    """Import what decides which code runs; return why the sources do."""
    if not MACHINE_CODE:
        os.environ["DUALCOPY_INTERPRETED"] = "1"
    from emulator import compiled

    os.environ.pop("DUALCOPY_INTERPRETED", None)
    return compiled.WHY_INTERPRETED


_WHY_INTERPRETED = _settle()

# A machine that is busy with other work is slow, and no test fails for that.
hypothesis.settings.register_profile(
    "no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("no clock")

# Where a program is not in the package of its own name (Debian's names).
_PACKAGES = {
    **dict.fromkeys(("cckdcdsk", "dasdcopy", "dasdinit", "dasdload", "dasdls"), "hercules"),
    "dosfsck": "dosfstools",
    "fsck.vfat": "dosfstools",
    "ip": "iproute2",
    "libnbd": "python3-libnbd",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "mkfs.vfat": "dosfstools",
    "nbdcopy": "libnbd-bin",
    "nbdinfo": "libnbd-bin",
    "nbdsh": "python3-libnbd",
    "e2fsck": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "qemu-io": "qemu-utils",
    "qemu-nbd": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
    "unshare": "util-linux",
}


def _runs(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _can_open_raw_socket() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except (AttributeError, OSError):
        return False
    return True


def _has_machine_code() -> bool:
    from emulator.compiled import why_not

    return not why_not()


# Name -> (how to find out, what to tell who lacks it).
CAPABILITIES: dict[str, tuple[Callable[[], bool], str]] = {
    "root": (lambda: os.geteuid() == 0, "run as root"),
    "cap_net_raw": (_can_open_raw_socket, "run as root, or in `unshare -Urn`"),
    "netns": (
        lambda: _runs("unshare", "--net", "ip", "link") or _runs("unshare", "-Urn", "ip", "link"),
        "needs network namespaces: run as root, or allow user namespaces",
    ),
    "machine code": (_has_machine_code, "dualcopy compile"),
    "libnbd": (
        lambda: _runs("/usr/bin/python3", "-c", "import nbd"),
        "apt-get install python3-libnbd",
    ),
}


@cache
def lacking(name: str) -> str | None:
    """Return how to get what a test needs, or None when this machine has it."""
    if name in CAPABILITIES:
        present, advice = CAPABILITIES[name]
        return None if present() else advice
    if name.startswith("python:"):
        module = name.removeprefix("python:")
        return None if importlib.util.find_spec(module) else f"pip install {module}"
    return None if shutil.which(name) else f"apt-get install {_PACKAGES.get(name, name)}"


def pytest_configure() -> None:
    """Refuse to test machine code that is not there."""
    if MACHINE_CODE and _WHY_INTERPRETED:
        raise pytest.UsageError(f"no machine code: {_WHY_INTERPRETED}; run dualcopy compile")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what machine code has no names for."""
    if MACHINE_CODE:
        items[:] = [item for item in items if item.get_closest_marker("sources") is None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose needs are not met."""
    names = [name for marker in item.iter_markers("needs") for name in marker.args]
    missing = {name: advice for name in names if (advice := lacking(name))}
    if not missing:
        return
    reason = "; ".join(f"needs {name} ({advice})" for name, advice in missing.items())
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason}; under CI nothing may be skipped", pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once for each need how many tests it kept from running."""
    counts: Counter[tuple[str, str]] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        counts.update(re.findall(r"needs (\S+) \((.*?)\)(?:;|$)", str(report.longrepr[2])))
    if counts:
        terminalreporter.section("not run on this machine")
        for (name, advice), count in sorted(counts.items()):
            tests = "1 test needs" if count == 1 else f"{count} tests need"
            terminalreporter.line(f"{tests} {name}: {advice}")
