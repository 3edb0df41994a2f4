"""When a host is told that its write is complete, and what happens without a link."""

import enum


class AckLevel(enum.Enum):
    """When the host is told that its write is complete (semantics A)."""

    VOLATILE = "volatile"
    NVS = "nvs"
    REMOTE_RECEIVED = "remote-received"
    REMOTE_NVS = "remote-nvs"
    REMOTE_APPLIED = "remote-applied"


class OnLinkLoss(enum.Enum):
    """What a primary does with host writes while its link is down (semantics F2)."""

    CONTINUE = "continue"
    HOLD = "hold"
