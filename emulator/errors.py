"""Everything this project raises on purpose, and whose fault it says it is.

    DualCopyError                 exit 70
    |- MisuseError                exit 70   our own code asked for something senseless
    |- BenchError                 exit 2    the user's bench file or command line
    |- CheckFailed                exit 1    a comparison or verdict came out wrong
    |- UnavailableError           exit 69   a device, file or peer cannot be reached
    |  |- LinkLost                exit 69   a line went away; resume is possible
    |  `- DeviceError             exit 69   a disk or nonvolatile store refused an operation
    |     |- CorruptError         exit 69   stored bytes are not what was written (W3)
    |     `- NotReachedError      exit 69   no path led to the device; nothing was attempted
    |- PeerError                  exit 76   the other end broke a protocol
    |- CannotRunHere              exit 77   the machine lacks a permission or a tool
    `- TimeLimitError             exit 124  a wait ran out

Foreign exceptions are translated at the edge, in the one shell that met them, with `from`.
"""


class DualCopyError(Exception):
    """Base of everything this project raises on purpose."""

    exit_code = 70


class MisuseError(DualCopyError):
    """Our own code asked for something that has no meaning; a defect in this project."""


class BenchError(DualCopyError, ValueError):
    """A bench file, URI or command line says something that cannot be done."""

    exit_code = 2


class CheckFailed(DualCopyError):
    """A comparison, verification or verdict came out wrong."""

    exit_code = 1


class UnavailableError(DualCopyError):
    """A device, file, port or peer cannot be reached now."""

    exit_code = 69


class LinkLost(UnavailableError, ConnectionError):
    """The line went away; resume is possible."""

    def __init__(self, uri: str, cause: str) -> None:
        super().__init__(f"{uri}: {cause}")
        self.uri = uri
        self.cause = cause


class DeviceError(UnavailableError, OSError):
    """A disk or nonvolatile store refused an operation."""

    def __init__(self, uri: str, cause: str) -> None:
        super().__init__(f"{uri}: {cause}")
        self.uri = uri
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.uri}: {self.cause}"


class NotReachedError(DeviceError):
    """No path led to a device, so nothing was attempted: it may be asked again as it is."""


class CorruptError(DeviceError):
    """Stored bytes are not what was written, and going on would lose data (W3)."""


class UnreadableError(CorruptError):
    """Stored bytes cannot be read now, and nobody else has them: the device may come back."""


class PeerError(DualCopyError):
    """The other end of a connection broke the protocol."""

    exit_code = 76


class CannotRunHere(DualCopyError):
    """This machine lacks a permission, device or tool; treat as a skip."""

    exit_code = 77


class TimeLimitError(DualCopyError, TimeoutError):
    """A wait ran out of time."""

    exit_code = 124
