"""What a link counted: every byte given to the line or taken from it, under exactly one name.

Relies on nothing but the size of a packet's frame. Leaves the bytes that framing adds on the
medium to the line's own counters.
"""

from dataclasses import dataclass, field, fields
from typing import Final

from emulator.wire.packet import OVERHEAD_BYTES

REJECTED_WORDS: Final = (
    # from decode_packet
    "short",
    "magic",
    "version",
    "type",
    "length",
    "crc",
    # from the link
    "oversize",  # larger than this end said it takes
    "sealed",  # not marked as unsealed, and sealing does not exist
    "closed",  # this end is not open
    "session",  # of another session, or of an earlier one
    "reflected",  # our own packet, come back
    "stale",  # numbered below what this end can still tell from a repeat
    "ahead",  # numbered impossibly far ahead
    "window",  # there is no room to hold it
    "inconsistent",  # contradicts what is known of its record
    "malformed",  # its payload is not what its type promises
    "refused",  # HELLO of someone who is not this link's other end
    "stale_hello",  # HELLO that answers an old one of ours
)


def _rejected() -> dict[str, int]:
    return dict.fromkeys(REJECTED_WORDS, 0)


@dataclass(slots=True)
class LinkCounters:
    """Counts of one end of a link since it was made, over all its sessions.

    `sent_bytes` and `received_bytes` are the sums of their parts and equal, to the byte, the
    packets that passed through `Link.outgoing` and `Link.receive`.
    """

    sessions: int = 0
    sent_records: int = 0
    received_records: int = 0
    timeouts: int = 0
    """How often nothing was acknowledged in time and packets were sent again on trial."""
    late_acks: int = 0
    """Packets acknowledged after they had been given up as lost."""

    sent_data_packets: int = 0
    """DATA sent for the first time; each has a header and CRC of fixed size."""
    sent_payload_bytes: int = 0
    """Record bytes sent for the first time."""
    sent_again_packets: int = 0
    sent_again_bytes: int = 0
    """Whole DATA packets sent again."""
    sent_ack_packets: int = 0
    sent_ack_bytes: int = 0
    sent_hello_packets: int = 0
    sent_hello_bytes: int = 0
    sent_close_packets: int = 0
    sent_close_bytes: int = 0

    received_data_packets: int = 0
    """DATA that brought something new."""
    received_payload_bytes: int = 0
    received_padding_bytes: int = 0
    """What a line appended to packets of any accepted kind (Ethernet pads short frames)."""
    received_again_packets: int = 0
    received_again_bytes: int = 0
    """Whole packets that brought nothing new: repeats of the line or of the other end."""
    received_ack_packets: int = 0
    received_ack_bytes: int = 0
    received_hello_packets: int = 0
    received_hello_bytes: int = 0
    received_close_packets: int = 0
    received_close_bytes: int = 0
    rejected_bytes: int = 0
    rejected: dict[str, int] = field(default_factory=_rejected)
    """Packets rejected, by the one word that says why."""

    def reject(self, word: str, size_bytes: int) -> None:
        """Count one received packet that changes nothing."""
        self.rejected[word] += 1
        self.rejected_bytes += size_bytes

    @property
    def sent_header_bytes(self) -> int:
        """Headers and CRCs of DATA sent for the first time."""
        return self.sent_data_packets * OVERHEAD_BYTES

    @property
    def received_header_bytes(self) -> int:
        """Headers and CRCs of DATA that brought something new."""
        return self.received_data_packets * OVERHEAD_BYTES

    @property
    def rejected_packets(self) -> int:
        """Packets rejected, for whatever reason."""
        return sum(self.rejected.values())

    @property
    def sent_packets(self) -> int:
        """All packets given to the line."""
        return (
            self.sent_data_packets
            + self.sent_again_packets
            + self.sent_ack_packets
            + self.sent_hello_packets
            + self.sent_close_packets
        )

    @property
    def sent_bytes(self) -> int:
        """All bytes given to the line."""
        return (
            self.sent_header_bytes
            + self.sent_payload_bytes
            + self.sent_again_bytes
            + self.sent_ack_bytes
            + self.sent_hello_bytes
            + self.sent_close_bytes
        )

    @property
    def received_packets(self) -> int:
        """All packets taken from the line, good or bad."""
        return (
            self.received_data_packets
            + self.received_again_packets
            + self.received_ack_packets
            + self.received_hello_packets
            + self.received_close_packets
            + self.rejected_packets
        )

    @property
    def received_bytes(self) -> int:
        """All bytes taken from the line, good or bad."""
        return (
            self.received_header_bytes
            + self.received_payload_bytes
            + self.received_padding_bytes
            + self.received_again_bytes
            + self.received_ack_bytes
            + self.received_hello_bytes
            + self.received_close_bytes
            + self.rejected_bytes
        )

    def as_dict(self) -> dict[str, int]:
        """Return every count by name; rejections as `rejected_<word>`."""
        counts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "rejected"}
        for total in (
            "sent_packets",
            "sent_bytes",
            "sent_header_bytes",
            "received_packets",
            "received_bytes",
            "received_header_bytes",
            "rejected_packets",
        ):
            counts[total] = getattr(self, total)
        counts.update((f"rejected_{word}", count) for word, count in self.rejected.items())
        return counts
