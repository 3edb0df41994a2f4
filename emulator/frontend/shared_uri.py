"""Where Hercules hosts find a device: `shrd://127.0.0.1:3990/0A00`, taken apart.

    0A00 3390 127.0.0.1:3990:0A00        what the host's configuration says for it

The grace says how long a host that lost its connection keeps what it owned, and how long it waits
for a volume that is not for hosts here.
"""

import re
from typing import Final, NamedTuple

from emulator.clock import SECOND_NS
from emulator.frontend.shared_wire import DEFAULT_PORT
from emulator.units import duration_ns
from emulator.uri import Uri, parse_uri

SCHEME: Final = "shrd"
KEYS: Final = {
    "grace": "how long a host that lost its connection keeps the device, such as 5s",
    "cu": "the control unit that hosts are told of, such as 3990-6",
}
GRACE_NS: Final = 5 * SECOND_NS
_GRACE_NS_MAX: Final = 600 * SECOND_NS
_AUTHORITY: Final = re.compile(r"(?P<host>[^\[\]:@\s]+)(?::(?P<port>[0-9]{1,5}))?")
_NUMBER: Final = re.compile(r"/([0-9A-Fa-f]{1,4})")
_PORT_MAX: Final = 65535


class SharedAddress(NamedTuple):
    """A device's place on a control unit of ours."""

    host: str
    port: int
    number: int
    """Device number, as a host's configuration gives it."""
    grace_ns: int
    control_unit: str | None
    """Name of its model; None for the one that such a device usually hangs on."""


def parse_shared_uri(text: str) -> SharedAddress:
    """Take apart where a device is served to Hercules hosts.

    >>> parse_shared_uri("shrd://127.0.0.1:3990/0A00?grace=2s")[:4]
    ('127.0.0.1', 3990, 2560, 2000000000)
    """
    uri = parse_uri(text, KEYS)
    host, port, number = shared_place(uri)
    grace_ns = uri.read("grace", duration_ns, GRACE_NS)
    if grace_ns > _GRACE_NS_MAX:
        uri.refuse_value("grace", "other hosts wait so long for one that has died; at most 10min")
    return SharedAddress(host, port, number, grace_ns, uri.query.get("cu"))


def shared_place(uri: Uri) -> tuple[str, int, int]:
    """Return host, port and device number of a URI that names a shared device."""
    found = _AUTHORITY.fullmatch(uri.authority)
    number = _NUMBER.fullmatch(uri.path)
    if not found or not number:
        uri.refuse(
            f"write {uri.scheme}://HOST:PORT/DEVICE, for example "
            f"{uri.scheme}://127.0.0.1:3990/0A00; the device has up to four hexadecimal digits"
        )
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port <= _PORT_MAX:
        uri.refuse(f"port {port} does not exist; they are 1 to {_PORT_MAX}")
    return found["host"], port, int(number[1], 16)
