"""What the tests of the capture file share: a table of interfaces, packets, a look into a file."""

from emulator.transport.pcapng import Interface
from emulator.wire.packet import Packet, encode_packet
from rig.capture.reader import CaptureReader

INTERFACES = (
    Interface("A-B/A", "udp://127.0.0.1:7001", unsealed=True),
    Interface("A-B/B", "eth://veth0"),
)
NOW_NS = 1_700_000_000_123_456_789


def packet(number=1, payload=b"payload"):
    return encode_packet(Packet(2, 11, 1, 0, 7, number, number, number, len(payload), 0, payload))


def damaged(number=1):
    good = packet(number)
    return good[:-9] + bytes([good[-9] ^ 1]) + good[-8:]


def read(path):
    with CaptureReader(path) as reader:
        return list(reader), reader.torn
