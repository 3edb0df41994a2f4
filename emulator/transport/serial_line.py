"""`serial:` a serial port, or the other end of a pty, through pyserial.

    serial:///dev/serial/by-id/usb-FTDI_FT232R-if00?baudrate=921600&rtscts=1

Keys: `baudrate` (115200 unless given; none on a pty, which has no speed), `parity` (none, even,
odd), `stopbits` (1, 1.5, 2), `rtscts`, `mtu`. Always eight data bits and never XON/XOFF: packets
use all 256 bytes. pyserial opens and sets the port; bytes move through the descriptor, because
its own read and write block and hide a hang-up as "returned no data".
"""

import errno
import grp
import os
import stat
import termios
from pathlib import Path
from typing import Final

import serial

from emulator.errors import CannotRunHere, UnavailableError
from emulator.transport.base import PACKET_BYTES_MAX, Tap, mtu_of
from emulator.transport.pty_line import BAUDRATE_MAX, PTY_PACKET_BYTES
from emulator.transport.stream import StreamLine
from emulator.uri import Uri, parse_uri

KEYS: Final = {
    "baudrate": "bits a second, such as 115200",
    "parity": "none, even or odd",
    "stopbits": "1, 1.5 or 2",
    "rtscts": "1: hardware flow control",
    "mtu": "largest packet in bytes",
}
BAUDRATE_USUAL: Final = 115200
PACKET_SECONDS: Final = 0.05
"""Usual `mtu` on a UART is what passes in this time, so that acknowledgements need not wait."""
PACKET_BYTES_USUAL_MIN: Final = 256
"""... but no less than this: below, header and CRC take more of the line than the wait saves."""
_DATA_BITS: Final = 8
_START_BITS: Final = 1
_PARITIES: Final = {
    "none": serial.PARITY_NONE,
    "even": serial.PARITY_EVEN,
    "odd": serial.PARITY_ODD,
}
_STOP_BITS: Final = {"1": 1.0, "1.5": 1.5, "2": 2.0}
_PTY_OTHER_MAJORS: Final = range(136, 144)
"""Device numbers of /dev/pts in Linux' devices.txt."""
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)


class SerialLine(StreamLine):
    """An open serial port."""

    def __init__(self, uri: Uri, tap: Tap | None) -> None:
        is_pty = _is_pty(uri)
        baudrate = uri.integer("baudrate", 0 if is_pty else BAUDRATE_USUAL, 1, BAUDRATE_MAX)
        parity = uri.choice("parity", serial.PARITY_NONE, _PARITIES)
        stop_bits = uri.choice("stopbits", 1.0, _STOP_BITS)
        bits = _START_BITS + _DATA_BITS + (parity != serial.PARITY_NONE) + stop_bits
        rate = baudrate / bits if baudrate else None
        usual = PTY_PACKET_BYTES
        if rate is not None:
            passing_bytes = int(rate * PACKET_SECONDS)
            usual = max(PACKET_BYTES_USUAL_MIN, min(PTY_PACKET_BYTES, passing_bytes))
        mtu_bytes = mtu_of(uri, usual, PACKET_BYTES_MAX)
        self._port = _open_port(uri, baudrate or BAUDRATE_USUAL, parity, stop_bits)
        super().__init__(
            uri.text,
            tap,
            self._port.fileno(),
            mtu_bytes=mtu_bytes,
            loopback=is_pty,
            rate_bytes_per_s=rate,
        )

    def close(self) -> None:
        """Close the port and let others have it."""
        if self._descriptor >= 0:
            self._descriptor = -1
            self._lost = "closed"
            self._port.close()


def open_line(uri: str, tap: Tap | None = None) -> SerialLine:
    """Open a serial port for this process alone."""
    parsed = parse_uri(uri, KEYS)
    if parsed.authority or len(parsed.path) <= 1:
        parsed.refuse("name the port with three slashes, such as serial:///dev/ttyUSB0")
    return SerialLine(parsed, tap)


def _is_pty(uri: Uri) -> bool:
    try:
        found = Path(uri.path).stat()
    except OSError as error:
        raise _unavailable(uri, error) from error
    if not stat.S_ISCHR(found.st_mode):
        uri.refuse(f"{uri.path} is no serial port")
    return os.major(found.st_rdev) in _PTY_OTHER_MAJORS


def _open_port(uri: Uri, baudrate: int, parity: str, stop_bits: float) -> serial.Serial:
    try:
        # `exclusive` is an advisory lock that ends with the process. TIOCEXCL would outlive a
        # killed one on a pty, whose maker keeps it open, and then lock everybody out.
        port = serial.Serial(
            uri.path,
            baudrate,
            parity=parity,
            stopbits=stop_bits,
            rtscts=uri.flag("rtscts"),
            exclusive=True,
        )
    except (OSError, ValueError, termios.error) as error:
        raise _unavailable(uri, error) from error
    try:
        _make_empty_reads_mean_hang_up(port.fileno())
    except (OSError, termios.error) as error:
        port.close()
        raise _unavailable(uri, error) from error
    return port


def _make_empty_reads_mean_hang_up(descriptor: int) -> None:
    """Ask for at least one byte a read; with pyserial's VMIN=0 "none yet" looks like hang-up."""
    settings = termios.tcgetattr(descriptor)
    settings[6][termios.VMIN] = 1
    settings[6][termios.VTIME] = 0
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    os.set_blocking(descriptor, False)


def _unavailable(uri: Uri, error: Exception) -> UnavailableError | CannotRunHere:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if isinstance(error, OSError) and error.errno is not None:
        number = error.errno
    if number in _FORBIDDEN:
        group = _group_of(uri.path)
        return CannotRunHere(
            f"{uri.text}: no permission for {uri.path}; as root: usermod -aG {group} "
            "YOUR_NAME, then log in again"
        )
    if number in (errno.EAGAIN, errno.EBUSY):
        holder = _holder_of(uri.path)
        return UnavailableError(f"{uri.text}: {uri.path} is in use{holder}; stop that first")
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return UnavailableError(
            f"{uri.text}: there is no {uri.path}; is it plugged in, or its other end open? "
            "ls /dev/serial/by-id lists ports"
        )
    return UnavailableError(f"{uri.text}: {error}")


def _group_of(path: str) -> str:
    try:
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def _holder_of(path: str) -> str:
    """Return who holds the lock on `path`, as the kernel lists locks."""
    try:
        found = Path(path).stat()
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    holders = [fields[4] for line in locks if device in (fields := line.split())]
    return f" by process {holders[0]}" if holders else ""
