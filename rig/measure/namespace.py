"""A network of its own for programs that listen on every interface, such as Hercules.

    with Namespace() as there:
        subprocess.Popen([*there.prefix, "hercules", ...])

A process that only waits keeps the namespace; whoever is started with `prefix` is in it, and sees
a loopback interface and nothing else. Works as root, and for other users where the kernel lets
them have user namespaces.
"""

import contextlib
import os
import subprocess
from types import TracebackType
from typing import Self

from emulator.errors import CannotRunHere


class Namespace:
    """A network namespace with a loopback interface."""

    def __init__(self) -> None:
        self._holder: subprocess.Popen[bytes] | None = None
        self.prefix: tuple[str, ...] = ()
        """What a command begins with to run in there."""

    def __enter__(self) -> Self:
        as_root = os.geteuid() == 0
        alone = (
            ["unshare", "--net"] if as_root else ["unshare", "--user", "--map-root-user", "--net"]
        )
        # The shell says when the interface is up, then waits for its standard input to end.
        command = [*alone, "sh", "-c", "ip link set lo up && echo up && cat"]
        try:
            holder = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except FileNotFoundError as error:
            raise CannotRunHere("unshare is not installed: apt-get install util-linux") from error
        self._holder = holder
        assert holder.stdout is not None
        if holder.stdout.readline().strip() != b"up":
            _, said = holder.communicate()
            self._holder = None
            raise CannotRunHere(
                f"no network namespace: {said.decode().strip()}; run as root, or allow user "
                "namespaces"
            )
        user = () if as_root else ("--user", "--preserve-credentials")
        self.prefix = ("nsenter", "--target", str(holder.pid), *user, "--net", "--")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._holder is not None:
            with contextlib.suppress(BrokenPipeError):
                self._holder.communicate(timeout=10)
            self._holder = None
