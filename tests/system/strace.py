"""A site whose system calls fail: strace gives the kernel's answers instead of the kernel.

`-D` keeps the site itself the child that is killed.
"""

from pathlib import Path

from tests.system.sites import Site


def failing(site: Site, call: str, path: Path, when: str) -> None:
    """Have a system call on a file fail with EIO: `3` the third one, `3+` from there on."""
    site.prefix = (
        *("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", str(path)),
        *("-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={when}"),
    )
