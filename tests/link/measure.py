"""Print what a link costs: `python -m tests.link.measure`. No test, and nothing asserts a time.

Two ends in one process hand each other packets directly, in batches as a shell would. Processor
time is measured, not the clock, so other work on the machine matters less. The cost of checksums
and of building packets is printed beside it, because no link can do without.
"""

import time

from emulator.link.link import Link
from emulator.wire.packet import Packet, decode_packet, encode_packet
from tests.link.world import BATCH, MIB, entropy, settings

BATCH_RECORDS = 64


def pump(a: Link, b: Link) -> None:
    """Carry packets both ways until both ends are silent."""
    moved = True
    while moved:
        moved = False
        for end, other in ((a, b), (b, a)):
            now_ns = time.monotonic_ns()
            packets = end.outgoing(now_ns, BATCH)
            for packet in packets:
                other.receive(packet, now_ns)
            moved = moved or bool(packets)
        for event in b.events():
            data = getattr(event, "data", None)
            if data is not None:
                b.release(len(data))
        a.events()


def link_us(mtu_bytes: int, record_bytes: int, records: int) -> tuple[float, float]:
    """Return microseconds for each packet, sender and receiver together, and MB/s."""
    changes = {"mtu_bytes": mtu_bytes, "window_bytes": 64 * MIB}
    a = Link(settings(**changes), entropy("a"))
    b = Link(settings("B", "A", **changes), entropy("b"))
    now_ns = time.monotonic_ns()
    a.start(now_ns)
    b.start(now_ns)
    pump(a, b)
    data = bytes(range(256)) * (record_bytes // 256)
    began = time.process_time()
    for csn in range(1, records + 1):
        a.send(1, 0, csn, [data])
        if csn % BATCH_RECORDS == 0 or a.room_bytes() < record_bytes:
            pump(a, b)
            b.wake(time.monotonic_ns())
            a.wake(time.monotonic_ns())
    pump(a, b)
    took = time.process_time() - began
    assert b.counters.received_records == records
    return took / a.counters.sent_data_packets * 1e6, records * record_bytes / took / 1e6


def codec_us(payload_bytes: int, count: int) -> float:
    """Return microseconds to build and read one packet, with its checksum."""
    payload = bytes(payload_bytes)
    packet = Packet(2, 11, 1, 0, 5, 7, 8, 9, payload_bytes, 0, payload)
    began = time.process_time()
    for _ in range(count):
        decode_packet(encode_packet(packet))
    return (time.process_time() - began) / count * 1e6


def main() -> None:
    """Print one row for each size."""
    print("    mtu   record   link us/packet   codec us/packet     MB/s")
    for mtu_bytes, record_bytes, records in (
        (1500, 512, 20_000),
        (1500, 1280, 20_000),
        (1500, 16384, 2_000),
        (9000, 8192, 10_000),
        (60_000, 59_904, 5_000),
        (60_000, 4 * MIB, 64),
    ):
        per_packet, rate = link_us(mtu_bytes, record_bytes, records)
        codec = codec_us(min(record_bytes, mtu_bytes - 46), 5_000)
        print(f"{mtu_bytes:7} {record_bytes:8} {per_packet:16.1f} {codec:17.1f} {rate:8.0f}")


if __name__ == "__main__":
    main()
